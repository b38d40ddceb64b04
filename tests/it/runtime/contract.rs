//! What every runtime promises. Each test runs on the fake and on a real Docker Engine.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use portolan::base::{ErrorKind, Secret, SystemClock};
use portolan::engine::LogRequest;
use portolan::engine::runtime::fake::FakeRuntime;
use portolan::engine::runtime::{
    ContainerId, ContainerSpec, ContainerState, PinnedImage, Runtime, RuntimeEvent,
};

use crate::support::docker::{self, TestDocker};

/// A runtime under test and what it needs.
struct Subject {
    runtime: Arc<dyn Runtime>,
    image: PinnedImage,
    network: String,
    suffix: String,
    /// Removes what is left on a real engine.
    _docker: Option<TestDocker>,
}

impl Subject {
    fn fake() -> Self {
        Self {
            runtime: Arc::new(FakeRuntime::new(Arc::new(SystemClock))),
            image: PinnedImage {
                repository: "demo/hello".parse().expect("a name"),
                digest: portolan::base::Digest::sha256(b"hello"),
            },
            network: "portolan-test".to_owned(),
            suffix: "fake".to_owned(),
            _docker: None,
        }
    }

    async fn docker() -> Self {
        let docker = TestDocker::start().await;
        Self {
            runtime: Arc::new(docker.runtime.clone()),
            image: docker.image.clone(),
            network: docker.network.clone(),
            suffix: docker.suffix.clone(),
            _docker: Some(docker),
        }
    }

    fn spec(&self) -> ContainerSpec {
        docker::spec(&self.image, &self.network, &self.suffix)
    }

    async fn prepare(&self) {
        let token = Secret::new(docker::TOKEN.to_owned());
        self.runtime.pull(&self.image, &token).await.expect("pull");
        self.runtime.ensure_network(&self.network).await.expect("a network");
    }

    async fn create(&self) -> (ContainerSpec, ContainerId) {
        self.prepare().await;
        let spec = self.spec();
        let id = self.runtime.create(&spec).await.expect("create");
        (spec, id)
    }

    async fn state(&self, id: &ContainerId) -> Option<ContainerState> {
        self.runtime.inspect(id).await.expect("inspect").map(|c| c.state)
    }
}

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod on_the_fake {$(
            #[tokio::test]
            async fn $name() { super::$name(super::Subject::fake()).await }
        )*}
        mod on_docker {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Subject::docker().await).await }
        )*}
    };
}

contract! {
    a_container_is_created_started_stopped_and_removed,
    creating_again_returns_the_same_container,
    a_name_of_another_replica_is_a_conflict,
    starting_again_returns_the_same_address,
    ending_what_is_gone_succeeds,
    an_image_is_pulled_once_and_then_there,
    creating_without_the_image_says_so,
    networks_are_made_and_removed_idempotently,
    events_tell_the_life_of_a_container,
    commands_need_a_running_container,
    logs_of_what_is_gone_are_not_found,
}

async fn a_container_is_created_started_stopped_and_removed(subject: Subject) {
    let (spec, id) = subject.create().await;
    let runtime = &subject.runtime;
    let created = runtime.inspect(&id).await.expect("inspect").expect("it exists");
    assert_eq!(created.state, ContainerState::Created);
    assert_eq!((&created.name, created.replica), (&spec.name, spec.replica));

    let address = runtime.start(&id).await.expect("start");
    assert!(address.is_some());
    let listed = runtime.list().await.expect("list");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, id);
    assert_eq!(listed[0].state, ContainerState::Running);
    assert_eq!(listed[0].address, address);
    let started = runtime.inspect(&id).await.expect("inspect").expect("it exists");
    assert!(started.started_at.is_some());

    runtime.stop(&id, Duration::from_secs(1)).await.expect("stop");
    let state = subject.state(&id).await;
    assert!(
        matches!(state, Some(ContainerState::Exited { at: Some(_), oom_killed: false, .. })),
        "{state:?}"
    );
    assert_eq!(runtime.list().await.expect("list")[0].state, state.expect("it exists"));

    runtime.remove(&id).await.expect("remove");
    assert_eq!(subject.state(&id).await, None);
    assert!(runtime.list().await.expect("list").is_empty());
}

async fn creating_again_returns_the_same_container(subject: Subject) {
    let (spec, id) = subject.create().await;
    assert_eq!(subject.runtime.create(&spec).await.expect("create"), id);
    subject.runtime.start(&id).await.expect("start");
    assert_eq!(subject.runtime.create(&spec).await.expect("create"), id);
    assert_eq!(subject.runtime.list().await.expect("list").len(), 1);
}

async fn a_name_of_another_replica_is_a_conflict(subject: Subject) {
    let (spec, _) = subject.create().await;
    let other = ContainerSpec { name: spec.name, ..subject.spec() };
    let error = subject.runtime.create(&other).await.expect_err("the name is taken");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "container_name_taken"));
}

async fn starting_again_returns_the_same_address(subject: Subject) {
    let (_, id) = subject.create().await;
    let first = subject.runtime.start(&id).await.expect("start");
    assert_eq!(subject.runtime.start(&id).await.expect("start"), first);
}

async fn ending_what_is_gone_succeeds(subject: Subject) {
    let (_, id) = subject.create().await;
    let runtime = &subject.runtime;
    runtime.stop(&id, Duration::from_secs(1)).await.expect("stop what never ran");
    runtime.remove(&id).await.expect("remove");
    runtime.remove(&id).await.expect("remove again");
    runtime.stop(&id, Duration::from_secs(1)).await.expect("stop what is gone");
    assert!(runtime.start(&id).await.expect_err("it is gone").is_not_found());
}

async fn an_image_is_pulled_once_and_then_there(subject: Subject) {
    let runtime = &subject.runtime;
    assert!(!runtime.has_image(&subject.image).await.expect("look"));
    subject.prepare().await;
    assert!(runtime.has_image(&subject.image).await.expect("look"));
    subject.prepare().await;
}

async fn creating_without_the_image_says_so(subject: Subject) {
    subject.runtime.ensure_network(&subject.network).await.expect("a network");
    let error = subject.runtime.create(&subject.spec()).await.expect_err("no image");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "image_missing"));
}

async fn networks_are_made_and_removed_idempotently(subject: Subject) {
    let (_, id) = subject.create().await;
    let (runtime, network) = (&subject.runtime, &subject.network);
    runtime.ensure_network(network).await.expect("it exists already");
    runtime.start(&id).await.expect("start");
    let error = runtime.remove_network(network).await.expect_err("it is used");
    assert_eq!(error.code(), "network_in_use");
    runtime.remove(&id).await.expect("remove");
    runtime.remove_network(network).await.expect("remove");
    runtime.remove_network(network).await.expect("remove again");
}

async fn events_tell_the_life_of_a_container(subject: Subject) {
    let mut events = subject.runtime.events();
    let (spec, id) = subject.create().await;
    let mut next = async || {
        let next = tokio::time::timeout(Duration::from_secs(10), events.next());
        next.await.expect("an event").expect("the stream goes on")
    };
    let (container, replica) = (id.clone(), spec.replica);
    subject.runtime.start(&id).await.expect("start");
    assert_eq!(next().await, RuntimeEvent::Started { container: id.clone(), replica });
    subject.runtime.stop(&id, Duration::ZERO).await.expect("stop");
    let died = next().await;
    assert!(matches!(&died, RuntimeEvent::Died { container: c, .. } if *c == id), "{died:?}");
    subject.runtime.remove(&id).await.expect("remove");
    assert_eq!(next().await, RuntimeEvent::Changed { container, replica });
}

async fn commands_need_a_running_container(subject: Subject) {
    let (_, id) = subject.create().await;
    let command = ["/bin/true".to_owned()];
    let limit = Duration::from_secs(10);
    let error = subject.runtime.exec(&id, &command, limit).await.expect_err("it does not run");
    assert_eq!(error.code(), "container_not_running");
    subject.runtime.start(&id).await.expect("start");
    let output = subject.runtime.exec(&id, &command, limit).await.expect("it runs");
    assert_eq!((output.code, output.output.as_str()), (0, ""));
    subject.runtime.remove(&id).await.expect("remove");
    let error = subject.runtime.exec(&id, &command, limit).await.expect_err("it is gone");
    assert!(error.is_not_found());
}

async fn logs_of_what_is_gone_are_not_found(subject: Subject) {
    let (_, id) = subject.create().await;
    let request = LogRequest::default();
    let lines: Vec<_> = subject.runtime.logs(&id, &request).await.expect("logs").collect().await;
    assert!(lines.is_empty());
    subject.runtime.remove(&id).await.expect("remove");
    let error = subject.runtime.logs(&id, &request).await.err().expect("it is gone");
    assert!(error.is_not_found());
}

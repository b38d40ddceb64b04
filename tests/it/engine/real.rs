//! The engine on a real Docker Engine, with a real registry to pull from.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portolan::base::{Actor, DeploymentName, EnvironmentName, Secret, SystemClock};
use portolan::engine::runtime::Runtime as _;
use portolan::engine::runtime::docker::DockerRuntime;
use portolan::engine::spec::DeploymentSpec;
use portolan::engine::view::{DeploymentPhase, DeploymentView, ReplicaView};
use portolan::engine::{Engine, Parts, Precondition};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::docker::{docker, suffix};
use crate::support::images::hello;
use crate::support::machine::Machine;
use crate::support::oci::TestFace;

/// An engine with everything real but the gateway, in an environment of its own.
struct Real {
    face: TestFace,
    ada: Actor,
    runtime: DockerRuntime,
    host: String,
    environment: EnvironmentName,
    engine: Engine,
    gateway: Machine,
}

impl Real {
    async fn start() -> Self {
        let (face, host) = TestFace::serve().await;
        let ada = face.user("dora").await;
        let registry = &face.registry;
        registry.member("ta", &ada, portolan::accounts::rbac::Role::Maintainer).await;
        let environment: EnvironmentName = format!("e{}", suffix()).parse().expect("a name");
        let project = "ta".parse().expect("a name");
        registry
            .catalog
            .create_environment(&Actor::system(), &project, &environment)
            .await
            .expect("an environment");
        for version in ["1", "2"] {
            registry.push(&ada, "ta/hello", version, &hello(version)).await;
        }
        let key = Secret::new(environment.as_str().as_bytes().repeat(4));
        let runtime = DockerRuntime::new(None, host.clone(), key).expect("a runtime");
        let gateway = Machine::new();
        let engine = Self::engine(&face, &runtime, &gateway);
        Self { face, ada, runtime, host, environment, engine, gateway }
    }

    fn engine(face: &TestFace, runtime: &DockerRuntime, gateway: &Machine) -> Engine {
        let registry = &face.registry;
        Engine::new(Parts {
            db: registry.db.clone(),
            clock: Arc::new(SystemClock),
            accounts: face.accounts.clone(),
            catalog: registry.catalog.clone(),
            registry: registry.registry.clone(),
            runtime: Arc::new(runtime.clone()),
            balancer: Arc::new(gateway.clone()),
            node_address: "unix:///var/run/docker.sock".to_owned(),
        })
    }

    fn drive(&self) -> (JoinHandle<()>, CancellationToken) {
        let (engine, stop) =
            (Self::engine(&self.face, &self.runtime, &self.gateway), CancellationToken::new());
        let token = stop.clone();
        (tokio::spawn(async move { engine.run(token).await }), stop)
    }

    async fn apply(&self, spec: Value) -> DeploymentView {
        let spec: DeploymentSpec = serde_json::from_value(spec).expect("well-formed");
        let when = Precondition::default();
        self.engine
            .apply_deployment(&self.ada, &self.environment, &name(), spec, when)
            .await
            .expect("applies")
            .view
    }

    async fn view(&self) -> DeploymentView {
        self.engine.deployment(&self.ada, &self.environment, &name()).await.expect("a deployment")
    }

    async fn replicas(&self) -> Vec<ReplicaView> {
        self.engine.replicas(&self.ada, &self.environment, &name()).await.expect("replicas")
    }

    /// Waits for the deployment to be healthy with only its current revision; how long it took.
    async fn healthy(&self) -> Duration {
        let begun = Instant::now();
        loop {
            let view = self.view().await;
            let seen = view.observed_generation == view.generation;
            let status = &view.status;
            if seen && status.phase == DeploymentPhase::Healthy && status.available_replicas > 0 {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn clean(&self) {
        for container in self.runtime.list().await.expect("lists") {
            self.runtime.remove(&container.id).await.expect("removes");
        }
        let _ = self.runtime.remove_network(&format!("portolan-{}", self.environment)).await;
        for version in ["1", "2"] {
            let image = format!("{}/ta/hello@{}", self.host, hello(version).digest());
            docker(&["rmi", "-f", &image]);
        }
    }
}

fn name() -> DeploymentName {
    "hello".parse().expect("a name")
}

fn spec(replicas: u32, image: &str) -> Value {
    json!({"replicas": replicas, "template": {"terminationGracePeriodSeconds": 2, "containers": [{
        "name": "hello", "image": image, "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "16Mi"},
                      "limits": {"cpu": "500m", "memory": "64Mi"}}}]}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_heal_and_roll_on_a_real_engine_and_outlive_the_server() {
    let real = Real::start().await;
    let (task, stop) = real.drive();
    real.apply(spec(3, "ta/hello:1")).await;
    let deployed = real.healthy().await;

    let mut healed = Vec::new();
    for round in 0..3 {
        let victim = &real.replicas().await[round];
        let container = victim.container_id.clone().expect("a container");
        let begun = Instant::now();
        docker(&["kill", &container]);
        loop {
            let replicas = real.replicas().await;
            let now = replicas.iter().find(|r| r.id == victim.id).expect("it stays");
            if now.ready && now.restarts == victim.restarts + 1 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{now:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        healed.push(begun.elapsed());
    }

    // The server ends and another begins: the containers are the same.
    let before: Vec<_> =
        real.replicas().await.into_iter().map(|r| (r.container_id, r.restarts)).collect();
    stop.cancel();
    task.await.expect("ends");
    let (task, stop) = real.drive();
    real.apply(spec(10, "ta/hello:1")).await;
    let scaled = real.healthy().await;
    let after: Vec<_> =
        real.replicas().await.into_iter().map(|r| (r.container_id, r.restarts)).collect();
    assert!(before.iter().all(|kept| after.contains(kept)), "no container was restarted");

    real.apply(spec(10, "ta/hello:2")).await;
    let rolled = real.healthy().await;
    let replicas = real.replicas().await;
    assert!(replicas.iter().filter(|r| r.ready).all(|r| r.revision == 2));
    let address = replicas.iter().find(|r| r.ready).and_then(|r| r.address.clone());
    let address: IpAddr = address.map_or(Ipv4Addr::LOCALHOST.into(), |a| a.parse().expect("an IP"));
    let body = reqwest::get(format!("http://{address}:8080/")).await.expect("answers");
    assert!(body.text().await.expect("text").trim().ends_with(" 2"));

    // Far above what an idle machine needs (0.4 s and 2.6 s): only a missed event takes so long.
    assert!(healed.iter().all(|d| *d < Duration::from_secs(8)), "{healed:?}");
    assert!([deployed, scaled, rolled].iter().all(|d| *d < Duration::from_secs(30)));

    let (engine, environment) = (&real.engine, &real.environment);
    engine.delete_deployment(&real.ada, environment, &name()).await.expect("deletes");
    let begun = Instant::now();
    while !real.runtime.list().await.expect("lists").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "containers are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    task.await.expect("ends");
    real.clean().await;
}

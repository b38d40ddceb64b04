//! Acts on the node. Each runs beside the looks, is safe to repeat, and ends with a new look.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Session;
use super::look::Stored;
use super::world::failed;
use crate::base::id::{ProjectId, ReplicaId};
use crate::base::{Error, Result};
use crate::engine::admission::network_of;
use crate::engine::plan::{Replica, Work};
use crate::engine::policy;
use crate::engine::runtime::{ContainerSpec, ContainerState, ObservedContainer};
use crate::engine::spec::PodTemplate;

/// How long a pull may take, and how long its token lives.
const PULL_LIMIT: Duration = Duration::from_secs(600);
const TOKEN_LIFE: Duration = Duration::from_secs(900);
/// How long the Docker Engine may take for one act, besides a stop's grace.
const ACT_LIMIT: Duration = Duration::from_secs(60);

/// Everything a start needs.
struct Start {
    replica: ReplicaId,
    spec: ContainerSpec,
    project: ProjectId,
    template: PodTemplate,
}

impl Session {
    /// Starts the present container of a replica.
    pub(super) fn start(self: &Arc<Self>, stored: &Stored, replica: &Replica) {
        let Some(cancel) = self.world().begin(replica.id, Work::Starting) else { return };
        let prepared = stored.container(replica).and_then(|spec| {
            let template = stored.revision(replica.revision)?.template.clone();
            Ok(Start { replica: replica.id, spec, project: stored.row.project_id, template })
        });
        let (session, id) = (Arc::clone(self), replica.id);
        self.tracker.spawn(async move {
            let outcome = match prepared {
                Ok(start) => session.run_start(start, &cancel).await,
                Err(error) => Err(error),
            };
            session.finish(id, "starting a replica", outcome);
        });
    }

    /// Ends an act and asks for a new look.
    fn finish(&self, replica: ReplicaId, what: &str, outcome: Result<()>) {
        let work = match outcome {
            Ok(()) => Work::Idle,
            Err(error) => {
                tracing::warn!(replica.id = %replica, error = %error.chain(), "an act failed: {what}");
                failed(error.public_message().to_owned(), self.now())
            }
        };
        self.world().end(replica, work);
        self.poke_owner(replica);
    }

    /// Whether to go on. Given up and no longer leading are the same: nothing more is done.
    fn may_go_on(&self, cancel: &CancellationToken) -> bool {
        !cancel.is_cancelled() && !self.stop.is_cancelled()
    }

    async fn run_start(self: &Arc<Self>, start: Start, cancel: &CancellationToken) -> Result<()> {
        policy::check(&start.spec)?;
        // A pull may take minutes, so it can be given up; what follows takes a moment.
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = self.stop.cancelled() => return Ok(()),
            fetched = self.fetch_image(&start) => fetched?,
        }
        let permit = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = self.stop.cancelled() => return Ok(()),
            permit = self.starts.acquire() => permit,
        };
        let created = within(ACT_LIMIT, "start a container", self.create_and_start(&start));
        let container = created.await;
        drop(permit);
        let container = container?;
        let (id, address) = (container.id.clone(), container.address);
        self.world().put_started(container);
        if !self.may_go_on(cancel) {
            return Ok(());
        }
        self.probe(start.replica, &id, address, &start.template, false);
        self.poke_owner(start.replica);
        // The container before this one is kept for its log lines, older ones are not.
        self.remove_before(start.replica, start.spec.attempt.saturating_sub(1)).await;
        Ok(())
    }

    async fn fetch_image(&self, start: &Start) -> Result<()> {
        let runtime = &self.engine.runtime;
        if runtime.has_image(&start.spec.image).await? {
            return Ok(());
        }
        let repository = &start.spec.image.repository;
        let token =
            self.engine.accounts.issue_node_token(repository, start.project, TOKEN_LIFE).await?;
        within(PULL_LIMIT, "pull the image", runtime.pull(&start.spec.image, &token.token)).await
    }

    async fn create_and_start(&self, start: &Start) -> Result<ObservedContainer> {
        let runtime = &self.engine.runtime;
        let spec = &start.spec;
        // A container of an earlier number that still runs would do the work twice.
        for older in self.world().containers(start.replica) {
            if older.attempt < spec.attempt && older.state == ContainerState::Running {
                runtime.stop(&older.id, Duration::from_secs(1)).await?;
            }
        }
        if !self.world().has_network(&spec.network) {
            runtime.ensure_network(&spec.network).await?;
            self.world().note_network(&spec.network, true);
        }
        let started = async {
            let id = runtime.create(spec).await?;
            self.world().put(observed(start, id.clone(), ContainerState::Created));
            let address = runtime.start(&id).await?;
            Ok(ObservedContainer {
                address,
                started_at: Some(self.now()),
                ..observed(start, id, ContainerState::Running)
            })
        };
        let outcome: Result<ObservedContainer> = started.await;
        if outcome.is_err() {
            // Perhaps somebody removed the network; the next try makes sure.
            self.world().note_network(&spec.network, false);
        }
        outcome
    }

    async fn remove_before(&self, replica: ReplicaId, attempt: u32) {
        for old in self.world().containers(replica) {
            if old.attempt < attempt {
                match self.engine.runtime.remove(&old.id).await {
                    Ok(()) => self.world().drop_container(replica, &old.id),
                    Err(error) => {
                        tracing::warn!(container.name = old.name, error = %error.chain(), "cannot remove an old container");
                    }
                }
            }
        }
    }

    /// Stops a container that its probe gave up.
    pub(super) fn kill(self: &Arc<Self>, replica: ReplicaId, container: String, grace: Duration) {
        if self.world().begin(replica, Work::Ending).is_none() {
            return;
        }
        let session = Arc::clone(self);
        self.tracker.spawn(async move {
            let _permit = session.ends.acquire().await;
            let stop = session.engine.runtime.stop(&container, grace);
            let outcome = within(ACT_LIMIT + grace, "stop a container", stop).await;
            session.inspect(&container, replica).await;
            session.finish(replica, "stopping a container", outcome);
        });
    }

    /// Stops and removes every container of a replica.
    pub(super) fn remove(self: &Arc<Self>, replica: ReplicaId, grace: Duration) {
        if self.world().begin(replica, Work::Ending).is_none() {
            return;
        }
        let session = Arc::clone(self);
        self.tracker.spawn(async move {
            let _permit = session.ends.acquire().await;
            let mut outcome = Ok(());
            for container in session.world().containers(replica) {
                let ended = session.end_container(&container, grace);
                match within(ACT_LIMIT + grace, "remove a container", ended).await {
                    Ok(()) => session.world().drop_container(replica, &container.id),
                    Err(error) => outcome = Err(error),
                }
            }
            session.finish(replica, "removing a replica", outcome);
        });
    }

    async fn end_container(&self, container: &ObservedContainer, grace: Duration) -> Result<()> {
        let runtime = &self.engine.runtime;
        if matches!(container.state, ContainerState::Running | ContainerState::Paused) {
            runtime.stop(&container.id, grace).await?;
        }
        runtime.remove(&container.id).await
    }

    /// Removes the network of an environment without deployments.
    pub(super) async fn drop_network(&self, environment: &str) {
        let network = network_of(environment);
        self.world().note_network(&network, false);
        if let Err(error) = self.engine.runtime.remove_network(&network).await {
            tracing::info!(network, error = %error.chain(), "the network of an empty environment stays");
        }
    }
}

fn observed(start: &Start, id: String, state: ContainerState) -> ObservedContainer {
    ObservedContainer {
        id,
        name: start.spec.name.clone(),
        replica: start.replica,
        attempt: start.spec.attempt,
        state,
        address: None,
        started_at: None,
    }
}

async fn within<T>(limit: Duration, what: &str, act: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, act).await.unwrap_or_else(|_| {
        Err(Error::unavailable(format!("Docker did not {what} within {} s", limit.as_secs())))
    })
}

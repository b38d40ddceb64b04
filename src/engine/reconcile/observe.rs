//! What happens on the node: full lists now and then, single events as they come.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::Session;
use crate::base::id::ReplicaId;
use crate::base::{Error, Result};
use crate::engine::runtime::{ContainerState, ObservedContainer, RuntimeEvent};
use crate::engine::store::replicas;

/// How long the Docker Engine may take to list or inspect.
const PATIENCE: Duration = Duration::from_secs(10);
/// A container that belongs to nobody gets this long to end.
const ORPHAN_GRACE: Duration = Duration::from_secs(5);
/// Exit code after signal 9: by a person, or by the kernel for want of memory.
const KILLED: i64 = 137;

impl Session {
    /// Learns all containers anew and removes those of ours that no row asks for.
    pub(super) async fn list_containers(self: &Arc<Self>) -> Result<()> {
        let tick = self.world().tick();
        let list = tokio::time::timeout(PATIENCE, self.engine.runtime.list())
            .await
            .map_err(|_| Error::unavailable("Docker does not list its containers"))??;
        // The rows are read after the list: whatever it holds had a row before it existed.
        let owners = replicas::owners(&mut *self.engine.db.read().await?).await?;
        for orphan in self.world().take_list(list, tick, &owners) {
            self.remove_orphan(orphan);
        }
        Ok(())
    }

    fn remove_orphan(self: &Arc<Self>, orphan: ObservedContainer) {
        let session = Arc::clone(self);
        self.tracker.spawn(async move {
            let Ok(_permit) = session.ends.acquire().await else { return };
            if session.stop.is_cancelled() {
                return;
            }
            tracing::info!(
                container.name = orphan.name,
                "removing a container of ours that no replica asks for"
            );
            let runtime = &session.engine.runtime;
            let gone = async {
                if orphan.state == ContainerState::Running {
                    runtime.stop(&orphan.id, ORPHAN_GRACE).await?;
                }
                runtime.remove(&orphan.id).await
            };
            if let Err(error) = gone.await {
                tracing::warn!(container.name = orphan.name, error = %error.chain(), "cannot remove a container");
            }
        });
    }

    /// Follows the node's events.
    pub(super) async fn watch_containers(self: Arc<Self>) {
        let mut events = self.engine.runtime.events();
        loop {
            let event = tokio::select! {
                () = self.stop.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                Some(event) => self.observe(event).await,
                // The stream reconnects by itself; if it ends anyway, lists go on.
                None => return self.stop.cancelled().await,
            }
        }
    }

    async fn observe(&self, event: RuntimeEvent) {
        let (container, replica) = match event {
            RuntimeEvent::Resync => return self.resync.poke(),
            RuntimeEvent::Died { container, replica, code } if code != KILLED => {
                let state =
                    ContainerState::Exited { code, oom_killed: false, at: Some(self.now()) };
                if self.world().exited(replica, &container, state) {
                    return self.poke_owner(replica);
                }
                (container, replica)
            }
            RuntimeEvent::Started { container, replica }
            | RuntimeEvent::Died { container, replica, .. }
            | RuntimeEvent::OutOfMemory { container, replica }
            | RuntimeEvent::Changed { container, replica } => (container, replica),
        };
        if self.world().owner(replica).is_some() {
            self.inspect(&container, replica).await;
        }
        self.poke_owner(replica);
    }

    /// Learns one container anew.
    pub(super) async fn inspect(&self, container: &String, replica: ReplicaId) {
        let seen = tokio::time::timeout(PATIENCE, self.engine.runtime.inspect(container)).await;
        match seen {
            Ok(Ok(Some(seen))) => self.world().put(seen),
            Ok(Ok(None)) => self.world().drop_container(replica, container),
            Ok(Err(error)) => {
                tracing::warn!(container.id = container, error = %error.chain(), "cannot inspect a container");
                self.resync.poke();
            }
            Err(_) => self.resync.poke(),
        }
    }

    pub(super) fn poke_owner(&self, replica: ReplicaId) {
        match self.world().owner(replica) {
            Some(deployment) => self.queue.poke(deployment),
            // Unknown to this leader yet; the list will tell whose it is.
            None => self.resync.poke(),
        }
    }
}

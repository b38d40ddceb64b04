//! The reconciler: drives what runs towards what is declared, while this server leads.
//!
//! # Design notes
//!
//! Level-triggered: events of the node, probe answers, commits and timers only say *which*
//! deployment to look at; a look reads its rows and the engine's memory of the world, makes a
//! plan, commits the intents and then acts. One look at a deployment at a time, several
//! deployments at once; acts that take long run beside the looks and end with a new look.
//!
//! Crash safety comes from the order row → container → row: an intent without a container is
//! started again under the same name, a container of ours without an intent is removed.

mod acts;
mod commit;
mod look;
mod node;
mod observe;
mod probes;
mod queue;
mod traffic;
mod world;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Engine;
use super::store::lease::{self, Lease};
use super::store::{deployments, nodes};
use crate::base::Result;
use crate::tasks::Activator;
use queue::Queue;
pub(super) use world::World;

/// Deployments looked at at the same time.
const LOOKS: usize = 8;
/// Containers started at the same time; more only queue up inside the Docker Engine.
const STARTS: usize = 4;
/// Containers stopped and removed at the same time. Higher, because a stop mostly waits.
const ENDS: usize = 16;
/// Pause between tries to become the leader, and to list what runs.
const CANDIDACY: Duration = Duration::from_secs(1);
/// How often the leader makes sure that it still leads.
const LEASE_CHECK: Duration = Duration::from_secs(2);
/// Everything is looked at this often, in case an event was missed.
const RESYNC: Duration = Duration::from_secs(10);
/// How long acts may go on when leadership ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// One leadership.
pub(super) struct Session {
    engine: Engine,
    /// Fencing token of this leadership.
    token: i64,
    /// Ends the leadership.
    stop: CancellationToken,
    queue: Queue,
    traffic: Activator,
    resync: Activator,
    /// The first looks at all deployments are asked for.
    primed: AtomicBool,
    /// Every deployment was looked at once, so the rows describe the world.
    settled: AtomicBool,
    starts: Semaphore,
    ends: Semaphore,
    tracker: TaskTracker,
}

impl Engine {
    /// Drives replicas towards desired state until `stop`, whenever this server is the leader.
    pub async fn run(&self, stop: CancellationToken) {
        let mut random = [0u8; 8];
        let _ = aws_lc_rs::rand::fill(&mut random);
        let holder = hex::encode(random);
        while !stop.is_cancelled() {
            match lease::acquire(&self.db, &holder, self.clock.0.now()).await {
                Ok(Some(lease)) => self.lead(lease, &stop).await,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = %error.chain(), "cannot ask for the engine's lease");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(CANDIDACY) => {}
            }
        }
    }

    async fn lead(&self, mut lease: Lease, stop: &CancellationToken) {
        self.world.reset();
        let session = Arc::new(Session {
            engine: self.clone(),
            token: lease.token,
            stop: stop.child_token(),
            queue: Queue::default(),
            traffic: Activator::default(),
            resync: Activator::default(),
            primed: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            starts: Semaphore::new(STARTS),
            ends: Semaphore::new(ENDS),
            tracker: TaskTracker::new(),
        });
        tracing::info!(lease.token = lease.token, "this server drives the engine");
        let mut loops = JoinSet::new();
        loops.spawn(Arc::clone(&session).watch_node());
        loops.spawn(Arc::clone(&session).watch_containers());
        loops.spawn(Arc::clone(&session).relist());
        loops.spawn(Arc::clone(&session).follow_changes());
        loops.spawn(Arc::clone(&session).drive_traffic());
        loops.spawn(Arc::clone(&session).dispatch());
        loop {
            tokio::select! {
                () = session.stop.cancelled() => break,
                // A loop ends only when it is told to, or by a bug: then start afresh.
                Some(ended) = loops.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a loop of the engine broke; starting afresh");
                    }
                    break;
                }
                () = tokio::time::sleep(LEASE_CHECK) => {
                    if !lease.is_held().await {
                        tracing::warn!("lost the connection that holds the engine's lease");
                        break;
                    }
                }
            }
        }
        session.stop.cancel();
        session.tracker.close();
        let quiet = async {
            while loops.join_next().await.is_some() {}
            session.tracker.wait().await;
        };
        if tokio::time::timeout(FAREWELL, quiet).await.is_err() {
            tracing::warn!("acts of the engine were cut off; the next leader repeats them");
        }
        self.world.reset();
        lease.release().await;
    }
}

impl Session {
    fn world(&self) -> &World {
        &self.engine.world
    }

    fn now(&self) -> crate::base::Timestamp {
        self.engine.clock.0.now()
    }

    /// Looks at deployments as they become due, several at once, each one by one.
    async fn dispatch(self: Arc<Self>) {
        let mut busy = HashSet::new();
        let mut names = HashMap::new();
        let mut looks: JoinSet<()> = JoinSet::new();
        loop {
            let primed = self.primed.load(Ordering::Acquire);
            let (taken, next) = self.queue.take(&busy, LOOKS.saturating_sub(busy.len()));
            for id in taken {
                busy.insert(id);
                let session = Arc::clone(&self);
                let task = looks.spawn(async move { session.look_and_tell(id).await });
                names.insert(task.id(), id);
            }
            if primed && busy.is_empty() && !self.settled.swap(true, Ordering::Relaxed) {
                self.traffic.poke();
            }
            let timer = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.queue.woken() => {}
                () = timer => {}
                Some(done) = looks.join_next_with_id() => {
                    let task = match done {
                        Ok((task, ())) => task,
                        Err(error) => {
                            tracing::error!(%error, "a look at a deployment broke");
                            error.id()
                        }
                    };
                    if let Some(id) = names.remove(&task) {
                        busy.remove(&id);
                    }
                }
            }
        }
    }

    /// Wakes deployments whose desired state changed, on this server or another.
    async fn follow_changes(self: Arc<Self>) {
        let mut changes = self.engine.db.changes();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            changes.mark_unchanged();
            match self.unseen().await {
                Ok(ids) => self.queue.poke_all(ids),
                Err(error) => {
                    tracing::warn!(error = %error.chain(), "cannot look for changed deployments");
                }
            }
            self.traffic.poke();
        }
    }

    async fn unseen(&self) -> Result<Vec<crate::base::id::DeploymentId>> {
        deployments::ids(&mut *self.engine.db.read().await?, true).await
    }

    /// Lists all containers and looks at all deployments, now and then and when asked to.
    async fn relist(self: Arc<Self>) {
        if let Err(error) = self.remember_placed().await {
            tracing::warn!(error = %error.chain(), "cannot read what is placed");
        }
        let mut works = true;
        loop {
            let listed = self.relist_once().await;
            let worked = std::mem::replace(&mut works, listed.is_ok());
            if let Err(error) = &listed
                && worked
            {
                tracing::warn!(error = %error.chain(), "cannot list what runs; trying again");
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.resync.poked() => {}
                () = tokio::time::sleep(if listed.is_ok() { RESYNC } else { CANDIDACY }) => {}
            }
        }
    }

    async fn relist_once(self: &Arc<Self>) -> Result<()> {
        let listed = self.list_containers().await;
        let ids = deployments::ids(&mut *self.engine.db.read().await?, false).await?;
        self.queue.poke_all(ids);
        if listed.is_ok() {
            self.primed.store(true, Ordering::Release);
        }
        listed
    }

    /// Sets aside what replicas placed by earlier leaders asked for.
    async fn remember_placed(&self) -> Result<()> {
        let placed = nodes::placed(&mut *self.engine.db.read().await?).await?;
        for replica in placed {
            if let Ok(template) = serde_json::from_value(replica.template) {
                self.world().set_aside(replica.id, super::plan::Request::of(&template));
            }
        }
        Ok(())
    }
}

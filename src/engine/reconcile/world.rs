//! What the engine knows of the world besides its rows: containers, work under way, health, what
//! the balancer serves, and what is set aside on nodes. Memory only; a new leader learns it anew.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::base::Timestamp;
use crate::base::id::{DeploymentId, ReplicaId};
use crate::engine::plan::{Found, Live, Node, Replica, Request, Work};
use crate::engine::runtime::{ContainerState, ObservedContainer};
use crate::engine::view::ProbeAnswer;

/// Probe answers kept per replica.
const ANSWERS: usize = 10;

/// What probes say of one container.
#[derive(Debug, Clone, Default)]
pub(super) struct Vitals {
    pub(super) ready: bool,
    pub(super) dead: Option<String>,
    /// The last answer that failed.
    pub(super) answer: Option<String>,
}

/// What is known of one replica.
#[derive(Debug, Default)]
struct Known {
    deployment: Option<DeploymentId>,
    containers: BTreeMap<u32, ObservedContainer>,
    /// When its containers last changed, in ticks of [`World`].
    touched: u64,
    work: Work,
    cancel: Option<CancellationToken>,
    /// The container that is probed, and the end of its probes.
    probed: Option<(String, CancellationToken)>,
    vitals: Vitals,
    answers: VecDeque<ProbeAnswer>,
}

/// What the balancer is known to serve.
#[derive(Debug, Default)]
struct Traffic {
    /// A table was built since this leader began.
    built: bool,
    /// A table of this leader is in force.
    in_force: bool,
    /// Replicas that get new work by the table in force.
    active: HashSet<ReplicaId>,
    /// Deployments that some listener leads to.
    served: HashSet<DeploymentId>,
    in_flight: HashMap<ReplicaId, u32>,
}

#[derive(Debug, Default)]
struct Inner {
    tick: u64,
    listed: bool,
    replicas: HashMap<ReplicaId, Known>,
    traffic: Traffic,
    node: Option<Node>,
    placed: HashMap<ReplicaId, Request>,
    networks: HashSet<String>,
}

/// The engine's memory.
#[derive(Debug, Default)]
pub(in crate::engine) struct World(Mutex<Inner>);

impl World {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything, before a new leadership.
    pub(super) fn reset(&self) {
        let old = std::mem::take(&mut *self.lock());
        for known in old.replicas.into_values() {
            known.cancel.iter().for_each(CancellationToken::cancel);
            known.probed.iter().for_each(|(_, end)| end.cancel());
        }
    }

    /// The present tick; changes after it are newer than anything asked for now.
    pub(super) fn tick(&self) -> u64 {
        self.lock().tick
    }

    /// Takes over a full list that was asked for at `tick`, except for replicas that changed
    /// since. Returns containers that belong to no replica.
    pub(super) fn take_list(
        &self,
        list: Vec<ObservedContainer>,
        tick: u64,
        owners: &[(ReplicaId, DeploymentId)],
    ) -> Vec<ObservedContainer> {
        let mut inner = self.lock();
        inner.listed = true;
        let mut found: HashMap<ReplicaId, BTreeMap<u32, ObservedContainer>> = HashMap::new();
        for container in list {
            found.entry(container.replica).or_default().insert(container.attempt, container);
        }
        for (replica, deployment) in owners {
            let known = inner.replicas.entry(*replica).or_default();
            known.deployment = Some(*deployment);
            let containers = found.remove(replica).unwrap_or_default();
            let busy = matches!(known.work, Work::Starting | Work::Ending);
            if known.touched <= tick && !busy {
                known.containers = containers;
            }
        }
        let alive: HashSet<ReplicaId> = owners.iter().map(|(id, _)| *id).collect();
        inner.replicas.retain(|id, known| {
            let keep = alive.contains(id) || known.touched > tick;
            if !keep && let Some((_, end)) = &known.probed {
                end.cancel();
            }
            keep
        });
        let Inner { placed, replicas, .. } = &mut *inner;
        placed.retain(|id, _| alive.contains(id) || replicas.contains_key(id));
        found.into_values().flat_map(BTreeMap::into_values).collect()
    }

    /// Notes whose a replica is. That is no news of its containers: a list under way stays good.
    pub(super) fn own(&self, replica: ReplicaId, deployment: DeploymentId) {
        self.lock().replicas.entry(replica).or_default().deployment = Some(deployment);
    }

    /// Notes a replica that is about to get its row, so that a list under way does not drop it.
    pub(super) fn expect(&self, replica: ReplicaId, deployment: DeploymentId) {
        self.touch(replica, |known| known.deployment = Some(deployment));
    }

    pub(super) fn owner(&self, replica: ReplicaId) -> Option<DeploymentId> {
        self.lock().replicas.get(&replica).and_then(|k| k.deployment)
    }

    fn touch<T>(&self, replica: ReplicaId, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut inner = self.lock();
        inner.tick += 1;
        let tick = inner.tick;
        let known = inner.replicas.entry(replica).or_default();
        known.touched = tick;
        change(known)
    }

    /// Notes a container's present state.
    pub(super) fn put(&self, container: ObservedContainer) {
        self.touch(container.replica, |known| {
            known.containers.insert(container.attempt, container);
        });
    }

    /// Notes a container that was started just now, unless its end was reported meanwhile.
    pub(super) fn put_started(&self, container: ObservedContainer) {
        self.touch(container.replica, |known| {
            let ended = known.containers.get(&container.attempt).is_some_and(|seen| {
                seen.id == container.id && matches!(seen.state, ContainerState::Exited { .. })
            });
            if !ended {
                known.containers.insert(container.attempt, container);
            }
        });
    }

    /// Notes that a container is gone.
    pub(super) fn drop_container(&self, replica: ReplicaId, id: &str) {
        self.touch(replica, |known| known.containers.retain(|_, c| c.id != id));
    }

    /// Notes an end that the node reported; `false` if the container is not known.
    pub(super) fn exited(&self, replica: ReplicaId, id: &str, state: ContainerState) -> bool {
        self.touch(replica, |known| {
            let found = known.containers.values_mut().find(|c| c.id == id);
            found.map(|container| container.state = state).is_some()
        })
    }

    pub(super) fn containers(&self, replica: ReplicaId) -> Vec<ObservedContainer> {
        let inner = self.lock();
        let known = inner.replicas.get(&replica);
        known.map(|k| k.containers.values().cloned().collect()).unwrap_or_default()
    }

    /// Begins an act on a replica unless one is under way; the token gives it up.
    pub(super) fn begin(&self, replica: ReplicaId, work: Work) -> Option<CancellationToken> {
        self.touch(replica, |known| {
            if matches!(known.work, Work::Starting | Work::Ending) {
                return None;
            }
            let token = CancellationToken::new();
            known.work = work;
            known.cancel = Some(token.clone());
            Some(token)
        })
    }

    pub(super) fn end(&self, replica: ReplicaId, outcome: Work) {
        self.touch(replica, |known| {
            known.work = outcome;
            known.cancel = None;
        });
    }

    pub(super) fn cancel(&self, replica: ReplicaId) {
        if let Some(token) = self.lock().replicas.get(&replica).and_then(|k| k.cancel.as_ref()) {
            token.cancel();
        }
    }

    pub(super) fn forget(&self, replica: ReplicaId) {
        let mut inner = self.lock();
        inner.placed.remove(&replica);
        if let Some(known) = inner.replicas.remove(&replica)
            && let Some((_, end)) = known.probed
        {
            end.cancel();
        }
    }

    /// Starts the probes of a container, unless they run; ends those of the one before.
    pub(super) fn begin_probes(
        &self,
        replica: ReplicaId,
        container: &str,
        ready: bool,
    ) -> Option<CancellationToken> {
        let mut inner = self.lock();
        let known = inner.replicas.entry(replica).or_default();
        if let Some((probed, end)) = &known.probed {
            if probed == container {
                return None;
            }
            end.cancel();
        }
        let token = CancellationToken::new();
        known.probed = Some((container.to_owned(), token.clone()));
        known.vitals = Vitals { ready, ..Vitals::default() };
        Some(token)
    }

    /// Notes what probes say of a container; whether that changes anything for the planner.
    pub(super) fn set_vitals(&self, replica: ReplicaId, container: &str, vitals: Vitals) -> bool {
        let mut inner = self.lock();
        let Some(known) = inner.replicas.get_mut(&replica) else { return false };
        if known.probed.as_ref().is_none_or(|(probed, _)| probed != container) {
            return false;
        }
        let before = std::mem::replace(&mut known.vitals, vitals);
        let now = &known.vitals;
        before.ready != now.ready || before.dead != now.dead || before.answer != now.answer
    }

    pub(super) fn add_answer(&self, replica: ReplicaId, answer: ProbeAnswer) {
        if let Some(known) = self.lock().replicas.get_mut(&replica) {
            if known.answers.len() >= ANSWERS {
                known.answers.pop_front();
            }
            known.answers.push_back(answer);
        }
    }

    /// The last probe answers of a replica, newest last.
    pub(in crate::engine) fn answers(&self, replica: ReplicaId) -> Vec<ProbeAnswer> {
        let inner = self.lock();
        let known = inner.replicas.get(&replica);
        known.map(|k| k.answers.iter().cloned().collect()).unwrap_or_default()
    }

    /// What the planner may know of a replica.
    pub(super) fn live(&self, row: &Replica, deployment: DeploymentId) -> Live {
        let inner = self.lock();
        let traffic = &inner.traffic;
        let off_balancer = traffic.built
            && !traffic.active.contains(&row.id)
            && (traffic.in_force || !traffic.served.contains(&deployment));
        let in_flight = traffic.in_flight.get(&row.id).copied().unwrap_or(0);
        let Some(known) = inner.replicas.get(&row.id) else {
            return Live { off_balancer, in_flight, ..Live::default() };
        };
        let container = known.containers.get(&row.restarts);
        let probed = known.probed.as_ref().map(|(id, _)| id.as_str());
        let judged = container.is_some_and(|c| probed == Some(c.id.as_str()));
        Live {
            found: container.map_or(Found::Nothing, found),
            any: !known.containers.is_empty(),
            work: known.work.clone(),
            // Until the first probe the row's word holds: a restart of the server changes nothing.
            ready: if judged {
                known.vitals.ready
            } else {
                row.ready && container.is_some_and(|c| Some(&c.id) == row.container.as_ref())
            },
            dead: known.vitals.dead.clone().filter(|_| judged),
            answer: known.vitals.answer.clone().filter(|_| judged),
            off_balancer,
            in_flight,
        }
    }

    pub(super) fn set_node(&self, node: Node) {
        self.lock().node = Some(node);
    }

    /// The node with what is free on it. Before its containers were listed it is not ready.
    pub(super) fn node(&self) -> Option<Node> {
        let inner = self.lock();
        let mut node = inner.node.clone()?;
        if !inner.listed && node.trouble.is_none() {
            node.trouble = Some("its containers are not known yet".to_owned());
        }
        for request in inner.placed.values() {
            node.free.cpu_millis = node.free.cpu_millis.saturating_sub(request.cpu_millis);
            node.free.memory_bytes = node.free.memory_bytes.saturating_sub(request.memory_bytes);
        }
        Some(node)
    }

    /// Sets room aside for a replica.
    pub(super) fn set_aside(&self, replica: ReplicaId, request: Request) {
        self.lock().placed.insert(replica, request);
    }

    /// Whether the network was made before.
    pub(super) fn has_network(&self, network: &str) -> bool {
        self.lock().networks.contains(network)
    }

    pub(super) fn note_network(&self, network: &str, exists: bool) {
        let mut inner = self.lock();
        if exists {
            inner.networks.insert(network.to_owned());
        } else {
            inner.networks.remove(network);
        }
    }

    /// Notes which deployments listeners lead to, before the table is handed over.
    pub(super) fn table_built(&self, served: HashSet<DeploymentId>) {
        let mut inner = self.lock();
        inner.traffic.built = true;
        inner.traffic.served = served;
    }

    /// Notes the table in force.
    pub(super) fn table_applied(&self, active: HashSet<ReplicaId>) {
        let mut inner = self.lock();
        inner.traffic.in_force = true;
        inner.traffic.active = active;
    }

    pub(super) fn set_in_flight(&self, in_flight: impl Iterator<Item = (ReplicaId, u32)>) {
        self.lock().traffic.in_flight = in_flight.collect();
    }
}

fn found(container: &ObservedContainer) -> Found {
    match &container.state {
        ContainerState::Created => Found::Created,
        ContainerState::Running | ContainerState::Paused => Found::Running {
            id: container.id.clone(),
            address: container.address,
            started_at: container.started_at,
        },
        ContainerState::Exited { code, oom_killed, at } => {
            Found::Exited { code: *code, oom_killed: *oom_killed, at: *at }
        }
    }
}

/// An act that failed now.
pub(super) fn failed(reason: String, at: Timestamp) -> Work {
    Work::Failed { reason, at }
}

//! What the planner sees and says: the snapshot going in, the plan coming out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::Duration;

use crate::base::Timestamp;
use crate::base::id::{NodeId, ReplicaId};
use crate::engine::spec::PodTemplate;
use crate::engine::view::{DeploymentStatus, ExitView, ReplicaPhase, RevisionOutcome};

/// A replica's row: the intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Replica {
    pub(in crate::engine) id: ReplicaId,
    pub(in crate::engine) name: String,
    pub(in crate::engine) revision: i64,
    pub(in crate::engine) node: Option<NodeId>,
    pub(in crate::engine) phase: ReplicaPhase,
    pub(in crate::engine) reason: String,
    /// Number of the present container, from 0.
    pub(in crate::engine) restarts: u32,
    pub(in crate::engine) container: Option<String>,
    pub(in crate::engine) address: Option<IpAddr>,
    pub(in crate::engine) ready: bool,
    pub(in crate::engine) ready_since: Option<Timestamp>,
    pub(in crate::engine) started_at: Option<Timestamp>,
    pub(in crate::engine) last_exit: Option<ExitView>,
    pub(in crate::engine) retry_at: Option<Timestamp>,
    pub(in crate::engine) created_at: Timestamp,
    pub(in crate::engine) crash_streak: u32,
    pub(in crate::engine) phase_since: Timestamp,
}

impl Replica {
    /// The row of a replica that a plan creates.
    pub(in crate::engine) fn new(
        deployment: &str,
        revision: i64,
        create: &Create,
        now: Timestamp,
    ) -> Self {
        let id = ReplicaId::new(now);
        Self {
            id,
            name: format!("{deployment}-{}", suffix(id)),
            revision,
            node: create.node,
            phase: match create.node {
                Some(_) => ReplicaPhase::Starting,
                None => ReplicaPhase::Pending,
            },
            reason: create.reason.clone(),
            restarts: 0,
            container: None,
            address: None,
            ready: false,
            ready_since: None,
            started_at: None,
            last_exit: None,
            retry_at: None,
            created_at: now,
            crash_streak: 0,
            phase_since: now,
        }
    }

    pub(in crate::engine) fn enter(&mut self, phase: ReplicaPhase, reason: String, now: Timestamp) {
        if self.phase != phase {
            self.phase = phase;
            self.phase_since = now;
        }
        self.reason = reason;
    }

    pub(in crate::engine) fn is_leaving(&self) -> bool {
        matches!(self.phase, ReplicaPhase::Draining | ReplicaPhase::Stopping)
    }
}

/// Six letters and digits from the random part of an id; no vowels, so no words.
fn suffix(id: ReplicaId) -> String {
    const ALPHABET: &[u8; 31] = b"0123456789bcdfghjklmnpqrstvwxyz";
    let bytes = id.uuid().into_bytes();
    bytes[10..].iter().map(|b| char::from(ALPHABET[usize::from(*b) % ALPHABET.len()])).collect()
}

/// What a replica sets aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::engine) struct Request {
    pub(in crate::engine) cpu_millis: u64,
    pub(in crate::engine) memory_bytes: u64,
}

impl Request {
    pub(in crate::engine) fn of(template: &PodTemplate) -> Self {
        let mut sum = Self::default();
        for container in &template.containers {
            let requests = &container.resources.requests;
            sum.cpu_millis += requests.cpu.unwrap_or_default().millis();
            sum.memory_bytes += requests.memory.unwrap_or_default().bytes();
        }
        sum
    }
}

/// The container of a replica's present number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::engine) enum Found {
    #[default]
    Nothing,
    Created,
    Running {
        id: String,
        address: Option<IpAddr>,
        started_at: Option<Timestamp>,
    },
    Exited {
        code: i64,
        oom_killed: bool,
        at: Option<Timestamp>,
    },
}

/// An act on a replica that is under way or has failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::engine) enum Work {
    #[default]
    Idle,
    /// Being started; can be given up.
    Starting,
    /// Being stopped or removed.
    Ending,
    /// The last act failed.
    Failed { reason: String, at: Timestamp },
}

/// What is known of a replica besides its row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::engine) struct Live {
    pub(in crate::engine) found: Found,
    /// Any container of it, of whatever number, is on the node.
    pub(in crate::engine) any: bool,
    pub(in crate::engine) work: Work,
    pub(in crate::engine) ready: bool,
    /// Why its liveness or startup probe gave it up.
    pub(in crate::engine) dead: Option<String>,
    /// The last answer of a probe that failed.
    pub(in crate::engine) answer: Option<String>,
    /// The balancer sends it nothing new.
    pub(in crate::engine) off_balancer: bool,
    /// Requests still in flight to it.
    pub(in crate::engine) in_flight: u32,
}

/// A replica with everything known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Member {
    pub(in crate::engine) replica: Replica,
    pub(in crate::engine) live: Live,
    pub(in crate::engine) request: Request,
    pub(in crate::engine) selector: BTreeMap<String, String>,
    pub(in crate::engine) grace: Duration,
}

/// How replicas of a new revision replace the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Rolling {
    Recreate,
    /// Replicas over and under the wanted number; not both zero.
    Bounds {
        surge: u32,
        unavailable: u32,
    },
}

/// High and low water of a rollout: what counts as progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Progress {
    pub(in crate::engine) revision: i64,
    /// Most replicas of the revision that were available.
    pub(in crate::engine) available: u32,
    /// Fewest replicas of other revisions that were left.
    pub(in crate::engine) old: u32,
}

/// Desired state and where its rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Desired {
    pub(in crate::engine) replicas: u32,
    pub(in crate::engine) deleting: bool,
    pub(in crate::engine) paused: bool,
    pub(in crate::engine) rolling: Rolling,
    pub(in crate::engine) min_ready: Duration,
    pub(in crate::engine) deadline: Duration,
    /// A failed rollout is undone.
    pub(in crate::engine) undo: bool,
    pub(in crate::engine) revision: i64,
    pub(in crate::engine) stable: Option<i64>,
    pub(in crate::engine) outcome: RevisionOutcome,
    pub(in crate::engine) started_at: Option<Timestamp>,
    pub(in crate::engine) progressed_at: Option<Timestamp>,
    pub(in crate::engine) progress: Progress,
    pub(in crate::engine) request: Request,
    pub(in crate::engine) selector: BTreeMap<String, String>,
}

/// A node to place replicas on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Node {
    pub(in crate::engine) id: NodeId,
    pub(in crate::engine) name: String,
    /// Why it is not ready.
    pub(in crate::engine) trouble: Option<String>,
    pub(in crate::engine) cordoned: bool,
    pub(in crate::engine) labels: BTreeMap<String, String>,
    pub(in crate::engine) capacity: Request,
    pub(in crate::engine) free: Request,
}

/// Everything a plan is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Snapshot {
    pub(in crate::engine) desired: Desired,
    pub(in crate::engine) members: Vec<Member>,
    pub(in crate::engine) nodes: Vec<Node>,
}

/// A replica to make, of the current revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Create {
    /// Where; `None`: it waits, `reason` says why.
    pub(in crate::engine) node: Option<NodeId>,
    pub(in crate::engine) reason: String,
}

/// An act on a node, safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) enum Act {
    /// Pull, create and start the present container.
    Start(ReplicaId),
    /// Give a start up.
    Cancel(ReplicaId),
    /// Stop the container, which its probe gave up.
    Kill(ReplicaId, Duration),
    /// Stop and remove every container of it.
    Remove(ReplicaId, Duration),
}

/// What becomes of the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) enum Verdict {
    Started,
    Progressed,
    Completed,
    Failed {
        reason: String,
        /// The replica to take evidence from.
        witness: Option<ReplicaId>,
        /// The revision to restore.
        undo_to: Option<i64>,
    },
}

/// Something decided, in words, for the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Decision {
    pub(in crate::engine) action: &'static str,
    pub(in crate::engine) replica: Option<String>,
    pub(in crate::engine) message: String,
    pub(in crate::engine) failure: bool,
    /// Inputs, formula, result.
    pub(in crate::engine) detail: serde_json::Value,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Plan {
    /// Rows that change.
    pub(in crate::engine) rows: Vec<Replica>,
    pub(in crate::engine) creates: Vec<Create>,
    /// Rows that go.
    pub(in crate::engine) forgets: Vec<ReplicaId>,
    pub(in crate::engine) acts: Vec<Act>,
    pub(in crate::engine) verdict: Option<Verdict>,
    pub(in crate::engine) progress: Progress,
    pub(in crate::engine) status: DeploymentStatus,
    pub(in crate::engine) decisions: Vec<Decision>,
    /// The deployment is deleted and nothing of it is left.
    pub(in crate::engine) gone: bool,
    /// When to look again, if nothing happens before.
    pub(in crate::engine) wake_at: Option<Timestamp>,
}

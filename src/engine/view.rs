//! What readers of the engine get: deployments, revisions, replicas, services and nodes with
//! their status. These are the JSON API's bodies, too.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::spec::{DeploymentSpec, PodTemplate, ServiceSpec};
use chrono::{DateTime, Utc};

/// Where a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentPhase {
    /// All replicas of the current revision are available and no other runs.
    Healthy,
    /// A rollout or a scaling is in progress.
    Progressing,
    /// Settled, but some replicas are not ready.
    Degraded,
    /// The last rollout failed and nothing was restored.
    Failed,
    /// Zero replicas wanted and none left.
    ScaledToZero,
    /// Being deleted.
    Deleting,
}

/// Status of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStatus {
    pub phase: DeploymentPhase,
    /// Why, in one sentence; what a rollout waits for.
    pub reason: String,
    /// Replicas that exist, all revisions.
    pub replicas: u32,
    /// Replicas of the current revision.
    pub updated_replicas: u32,
    /// Ready replicas, all revisions.
    pub ready_replicas: u32,
    /// Ready for at least `minReadySeconds`, all revisions.
    pub available_replicas: u32,
}

impl Default for DeploymentStatus {
    fn default() -> Self {
        Self {
            phase: DeploymentPhase::Progressing,
            reason: "not reconciled yet".to_owned(),
            replicas: 0,
            updated_replicas: 0,
            ready_replicas: 0,
            available_replicas: 0,
        }
    }
}

/// A deployment: its desired state and its status.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentView {
    pub id: Uuid,
    pub environment: String,
    pub project: String,
    pub name: String,
    pub spec: DeploymentSpec,
    /// Number of the revision that should run.
    pub revision: i64,
    /// The last revision whose rollout completed.
    pub stable_revision: Option<i64>,
    /// Raised by every change; also the `ETag`.
    pub generation: i64,
    /// The generation the status is about.
    pub observed_generation: i64,
    pub status: DeploymentStatus,
    /// The rollout in progress, or the last one.
    pub rollout: Option<RolloutView>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// How a rollout ended or stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevisionOutcome {
    Pending,
    Progressing,
    Complete,
    Failed,
    Superseded,
}

impl RevisionOutcome {
    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Progressing => "progressing",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }

    /// Reads the word stored.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Progressing, Self::Complete, Self::Failed, Self::Superseded]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

/// A rollout: one revision replacing another.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutView {
    pub revision: i64,
    /// The revision it replaces, if any.
    pub previous: Option<i64>,
    pub outcome: RevisionOutcome,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// When it fails unless something progresses.
    pub deadline_at: Option<DateTime<Utc>>,
    /// What it waits for, in one sentence.
    pub waiting_for: String,
}

/// One answer of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeAnswer {
    pub at: DateTime<Utc>,
    /// `readiness`, `liveness`, `startup`.
    pub probe: String,
    pub success: bool,
    /// "503 Service Unavailable", "connection refused", "exit code 1: …".
    pub answer: String,
}

/// Why a rollout failed, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutFailure {
    pub reason: String,
    /// The replica the evidence is from.
    pub replica: Option<String>,
    /// Up to 50 last lines.
    pub log_lines: Vec<String>,
    pub probe_answers: Vec<ProbeAnswer>,
    /// The revision that was restored, if one was.
    pub restored_revision: Option<i64>,
}

/// A revision.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionView {
    pub id: Uuid,
    pub number: i64,
    pub template: PodTemplate,
    /// Image reference → pinned digest.
    pub images: std::collections::BTreeMap<String, String>,
    pub outcome: RevisionOutcome,
    pub current: bool,
    /// "deploy", "rollback to 2: reason".
    pub cause: String,
    /// What changed from the revision before, in words ("image hello:1 → hello:2").
    pub changes: Vec<String>,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub failure: Option<RolloutFailure>,
}

/// Phase of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaPhase {
    /// Not placed on a node yet.
    Pending,
    /// Image being pulled, container being created or started.
    Starting,
    /// The container runs.
    Running,
    /// The container ended; waiting before the next start.
    BackingOff,
    /// Off the balancer, finishing what is in flight.
    Draining,
    /// Being stopped and removed.
    Stopping,
}

impl ReplicaPhase {
    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::BackingOff => "backing_off",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }

    /// Reads the word stored.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Starting,
            Self::Running,
            Self::BackingOff,
            Self::Draining,
            Self::Stopping,
        ]
        .into_iter()
        .find(|phase| phase.as_str() == text)
    }
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExitView {
    pub at: DateTime<Utc>,
    pub code: i64,
    pub oom_killed: bool,
    /// "killed by signal 9", "out of memory", "exit code 1", "liveness probe failed".
    pub reason: String,
}

/// A replica.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaView {
    pub id: Uuid,
    pub name: String,
    pub revision: i64,
    pub node: Option<String>,
    pub phase: ReplicaPhase,
    pub reason: String,
    pub ready: bool,
    pub restarts: i32,
    pub container_id: Option<String>,
    pub address: Option<String>,
    pub last_exit: Option<ExitView>,
    pub started_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Newest last, at most 10; kept in memory only.
    pub probe_answers: Vec<ProbeAnswer>,
}

/// A service.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    pub id: Uuid,
    pub environment: String,
    pub name: String,
    pub spec: ServiceSpec,
    /// Ready replicas traffic goes to.
    pub endpoints: Vec<EndpointView>,
    /// Trouble of the gateway with a port, in words.
    pub problems: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// One endpoint of a service.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    pub replica: String,
    pub address: String,
    /// `active` or `draining`.
    pub state: String,
    /// Requests or connections in flight.
    pub in_flight: u32,
}

/// A node.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    pub id: Uuid,
    pub name: String,
    pub address: String,
    pub version: String,
    pub ready: bool,
    /// Why it is not ready, and what would help.
    pub reason: Option<String>,
    pub cordoned: bool,
    pub labels: std::collections::BTreeMap<String, String>,
    pub cpu_millis: i64,
    pub cpu_requested_millis: i64,
    pub memory_bytes: i64,
    pub memory_requested_bytes: i64,
    pub replicas: i64,
    pub heartbeat_at: Option<DateTime<Utc>>,
}

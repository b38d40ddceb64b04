//! The port to whatever runs containers. `docker` talks to a Docker Engine; `fake` keeps them in
//! memory for the planner's tests. One contract suite passes on both.
//!
//! Every act is safe to repeat: creating what exists returns it, stopping or removing what is
//! gone succeeds.
//!
//! # Ownership
//!
//! A container is ours only if it carries a seal: an HMAC, under the installation's key, of its
//! name and its replica's id. Labels alone prove nothing, because an image's own labels are
//! copied to every container made from it.

pub mod clean;
pub mod docker;
pub mod fake;

use std::net::IpAddr;
use std::time::Duration;

use futures_util::stream::BoxStream;

use super::{LogRequest, LogStream};
use crate::base::id::{DeploymentId, ReplicaId};
use crate::base::{Cpu, Digest, Error, Memory, RepositoryName, Result, Secret, Timestamp};

/// The id the engine gives a container.
pub type ContainerId = String;

/// An image by content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PinnedImage {
    pub repository: RepositoryName,
    pub digest: Digest,
}

/// A container to create. This typed value is the whole of what is sent: the policy of
/// `engine::policy` looks at it, and the runtime adds only fixed, safe settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    pub replica: ReplicaId,
    pub deployment: DeploymentId,
    /// How many containers this replica had before.
    pub attempt: u32,
    /// Unique on the node: `portolan-ENVIRONMENT-REPLICA-ATTEMPT`.
    pub name: String,
    pub hostname: String,
    pub image: PinnedImage,
    pub command: Vec<String>,
    pub args: Vec<String>,
    pub working_dir: Option<String>,
    pub env: Vec<(String, String)>,
    pub user: Option<u32>,
    pub cpu_limit: Cpu,
    pub memory_limit: Memory,
    pub cpu_request: Cpu,
    pub pids_limit: u32,
    pub read_only_root: bool,
    pub bind_low_ports: bool,
    /// The environment's network (see [`Runtime::ensure_network`]).
    pub network: String,
    /// For people: environment, deployment, revision.
    pub labels: Vec<(String, String)>,
}

/// State of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Exited { code: i64, oom_killed: bool, at: Option<Timestamp> },
}

/// A container of ours as the node reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedContainer {
    pub id: ContainerId,
    pub name: String,
    pub replica: ReplicaId,
    pub attempt: u32,
    pub state: ContainerState,
    pub address: Option<IpAddr>,
    pub started_at: Option<Timestamp>,
}

/// What happened on the node to a container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// It runs.
    Started { container: ContainerId, replica: ReplicaId },
    /// Its main process ended.
    Died { container: ContainerId, replica: ReplicaId, code: i64 },
    /// Memory ran out in it (a `Died` follows).
    OutOfMemory { container: ContainerId, replica: ReplicaId },
    /// Paused, unpaused, renamed, removed by somebody: look again.
    Changed { container: ContainerId, replica: ReplicaId },
    /// The stream was interrupted; anything may have been missed.
    Resync,
}

/// The node itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// The engine's own id.
    pub engine_id: String,
    pub name: String,
    pub version: String,
    pub cpu: Cpu,
    pub memory: Memory,
}

/// Result of a command in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    pub code: i64,
    /// Both streams, cut to 4 KiB.
    pub output: String,
}

/// Runs containers on one node.
#[async_trait::async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Capacity and version; also the heartbeat.
    async fn info(&self) -> Result<NodeInfo>;
    /// Every container of ours, running or not.
    async fn list(&self) -> Result<Vec<ObservedContainer>>;
    /// One container of ours; `None` when it is gone.
    async fn inspect(&self, id: &ContainerId) -> Result<Option<ObservedContainer>>;
    /// Makes the environment's network: a bridge without traffic between containers.
    async fn ensure_network(&self, network: &str) -> Result<()>;
    /// Removes the network if nothing uses it.
    async fn remove_network(&self, network: &str) -> Result<()>;
    /// Fetches the image by digest with a registry token, unless it is here. The caller has
    /// checked the right to pull, every time.
    async fn pull(&self, image: &PinnedImage, token: &Secret) -> Result<()>;
    /// Whether the image is on the node already.
    async fn has_image(&self, image: &PinnedImage) -> Result<bool>;
    /// Creates a container, stopped.
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId>;
    /// Starts it and returns its address on the network.
    async fn start(&self, id: &ContainerId) -> Result<Option<IpAddr>>;
    /// Asks it to end, and after `grace` ends it.
    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<()>;
    /// Removes it, running or not.
    async fn remove(&self, id: &ContainerId) -> Result<()>;
    /// Its log lines.
    async fn logs(&self, id: &ContainerId, request: &LogRequest) -> Result<LogStream>;
    /// Runs a command in it, without a shell, for at most `timeout`.
    async fn exec(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput>;
    /// What happens from now on; reconnects by itself and then yields `Resync`.
    fn events(&self) -> BoxStream<'static, RuntimeEvent>;
}

/// Lines of a log that are shown when the request names no number, and the most it may name.
const LOG_TAIL: u32 = 200;
const LOG_TAIL_LIMIT: u32 = 5000;

fn log_tail(request: &LogRequest) -> usize {
    request.tail.unwrap_or(LOG_TAIL).min(LOG_TAIL_LIMIT) as usize
}

fn name_taken(name: &str) -> Error {
    Error::conflict(
        "container_name_taken",
        format!("a container named {name} exists that is not this replica's: remove it"),
    )
}

fn image_missing(image: &PinnedImage) -> Error {
    Error::conflict(
        "image_missing",
        format!("image {}@{} is not on the node: pull it", image.repository, image.digest),
    )
}

fn network_in_use(network: &str) -> Error {
    Error::conflict("network_in_use", format!("network {network} is still used by containers"))
}

fn not_running(id: &str) -> Error {
    let short = id.get(..12).unwrap_or(id);
    Error::conflict("container_not_running", format!("container {short} does not run"))
}

fn exec_timed_out(timeout: Duration) -> Error {
    Error::unavailable(format!("no answer within {} s", timeout.as_secs_f32()))
        .with_code("exec_timeout")
}

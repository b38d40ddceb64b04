//! The deployment engine: desired state in, running replicas out.
//!
//! `plan` decides purely from desired state, an observed snapshot and the time; the reconciler
//! applies what it says. See the modules for the words each one defines.

pub mod balance;
pub mod patch;
pub mod policy;
pub mod probe;
pub mod runtime;
pub mod spec;
pub mod validate;
pub mod view;

mod admission;
mod deployments;
mod history;
mod in_use;
mod loaded;
mod nodes;
mod plan;
mod reconcile;
mod replicas;
mod services;
mod store;
mod words;

use std::sync::Arc;

use crate::accounts::{Accounts, SharedClockDebug};
use crate::base::{Result, SharedClock, Timestamp};
use crate::catalog::Catalog;
use crate::db::Db;
use crate::registry::Registry;
use balance::Balancer;
use reconcile::World;
use runtime::Runtime;

/// Conditions of a write.
#[derive(Debug, Clone, Copy, Default)]
pub struct Precondition {
    /// Only if the object is at this generation (`If-Match`).
    pub generation: Option<i64>,
}

/// Result of a declarative write.
#[derive(Debug, Clone)]
pub struct Applied<T> {
    pub view: T,
    /// It did not exist before.
    pub created: bool,
    /// Anything changed.
    pub changed: bool,
}

/// Which log lines.
#[derive(Debug, Clone, Default)]
pub struct LogRequest {
    /// The container before the present one.
    pub previous: bool,
    /// Keep following.
    pub follow: bool,
    /// Last n lines; default 200, at most 5000.
    pub tail: Option<u32>,
    pub since: Option<Timestamp>,
}

/// One log line.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct LogLine {
    pub at: chrono::DateTime<chrono::Utc>,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Without line end; control characters other than tab are replaced, so that no terminal or
    /// page can be steered by it.
    pub text: String,
}

/// Log lines as they come.
pub type LogStream = std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<LogLine>> + Send>>;

/// What the engine is made of.
pub struct Parts {
    pub db: Db,
    pub clock: SharedClock,
    pub accounts: Accounts,
    pub catalog: Catalog,
    pub registry: Registry,
    pub runtime: Arc<dyn Runtime>,
    pub balancer: Arc<dyn Balancer>,
    /// Docker's address, for the nodes page.
    pub node_address: String,
}

/// The handle on the engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) db: Db,
    pub(crate) clock: SharedClockDebug,
    accounts: Accounts,
    catalog: Catalog,
    registry: Registry,
    runtime: Arc<dyn Runtime>,
    balancer: Arc<dyn Balancer>,
    node_address: Arc<str>,
    world: Arc<World>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// An engine that serves requests; [`Engine::run`] makes it drive replicas, too.
    pub fn new(parts: Parts) -> Self {
        // Here and not in the caller, so that no registry beside an engine can do without it.
        parts.registry.plug_in_use(Arc::new(in_use::Revisions(parts.db.clone())));
        Self {
            db: parts.db,
            clock: SharedClockDebug(parts.clock),
            accounts: parts.accounts,
            catalog: parts.catalog,
            registry: parts.registry,
            runtime: parts.runtime,
            balancer: parts.balancer,
            node_address: parts.node_address.into(),
            world: Arc::default(),
        }
    }
}

//! The node's heartbeat: capacity, version, and in words what is wrong with it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Session;
use crate::base::{Actor, Error, Result};
use crate::engine::plan::{Node, Request};
use crate::engine::runtime::NodeInfo;
use crate::engine::store::lease;
use crate::engine::store::nodes::{self, Facts, Heartbeat};
use crate::events::{self, NewEvent, Outcome, Target};

/// Name of the only node.
const NAME: &str = "local";
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Pause after a heartbeat that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long a node may be slow to answer before it counts as lost.
const SILENCE: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(4);

impl Session {
    pub(super) async fn watch_node(self: Arc<Self>) {
        let mut answered = None;
        loop {
            let beat = self.beat(&mut answered).await;
            if let Err(error) = &beat {
                tracing::warn!(error = %error.chain(), "the node's heartbeat was not noted");
            }
            let good = beat.unwrap_or(false);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(if good { HEARTBEAT } else { RETRY }) => {}
            }
        }
    }

    /// One heartbeat; whether the node is well. A slow answer alone is no trouble until the
    /// node has been silent for too long.
    async fn beat(&self, answered: &mut Option<Instant>) -> Result<bool> {
        let asked = tokio::time::timeout(PATIENCE, self.engine.runtime.info()).await;
        let silent = answered.is_none_or(|at| at.elapsed() > SILENCE);
        let info = match asked {
            Err(_) if !silent => return Ok(false),
            Err(_) => Err(Error::unavailable("Docker does not answer; is it overloaded?")),
            Ok(info) => info,
        };
        if info.is_ok() {
            *answered = Some(Instant::now());
        }
        let trouble = info.as_ref().err().map(|error| error.public_message().to_owned());
        let before = self.world().node();
        let node = self.store(info.as_ref().ok(), trouble.as_deref()).await?;
        // Before the first heartbeat the node counts as troubled, so the first good one is told.
        let was_ready = before.as_ref().is_some_and(|n| n.trouble.is_none());
        self.world().set_node(node.clone());
        if before.is_none() || was_ready != trouble.is_none() {
            self.resync.poke();
        }
        Ok(trouble.is_none())
    }

    async fn store(&self, info: Option<&NodeInfo>, trouble: Option<&str>) -> Result<Node> {
        let now = self.now();
        let mut tx = self.engine.db.begin().await?;
        if !lease::check(tx.conn(), self.token).await? {
            self.stop.cancel();
            return Err(Error::unavailable("another server drives the engine"));
        }
        let before = nodes::list(tx.conn()).await?.into_iter().find(|n| n.name == NAME);
        let beat = Heartbeat {
            name: NAME,
            address: &self.engine.node_address,
            facts: info.map(|info| Facts {
                engine_id: &info.engine_id,
                version: &info.version,
                cpu_millis: i64::try_from(info.cpu.millis()).unwrap_or(i64::MAX),
                memory_bytes: i64::try_from(info.memory.bytes()).unwrap_or(i64::MAX),
            }),
            not_ready_reason: trouble,
        };
        let row = nodes::beat(tx.conn(), &beat, now).await?;
        let known = before.is_some();
        if !known || before.and_then(|b| b.not_ready_reason).as_deref() != trouble {
            let target = Target::new("node", row.id, NAME);
            let event = match trouble {
                None => NewEvent::new(
                    "node.ready",
                    target,
                    format!("node {NAME} is ready: Docker {}", row.version),
                ),
                Some(why) => NewEvent::new("node.not_ready", target, format!("node {NAME}: {why}"))
                    .outcome(Outcome::Failure),
            };
            let detail = json!({ "cpuMillis": row.cpu_millis, "memoryBytes": row.memory_bytes });
            let clock = &*self.engine.clock.0;
            events::append(&mut tx, clock, &Actor::system(), event.detail(detail)).await?;
        }
        tx.commit().await?;
        let capacity = Request {
            cpu_millis: u64::try_from(row.cpu_millis).unwrap_or(0),
            memory_bytes: u64::try_from(row.memory_bytes).unwrap_or(0),
        };
        Ok(Node {
            id: row.id,
            name: row.name,
            trouble: trouble.map(str::to_owned),
            cordoned: row.cordoned,
            labels: serde_json::from_value(row.labels).unwrap_or_default(),
            capacity,
            free: capacity,
        })
    }
}

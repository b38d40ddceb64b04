//! The node's heartbeat: capacity, version, and in words what is wrong with it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::Session;
use crate::base::{Actor, Error, Result};
use crate::engine::plan::{Node, Request};
use crate::engine::runtime::NodeInfo;
use crate::engine::store::lease;
use crate::engine::store::nodes::{self, Facts, Heartbeat};
use crate::events::{self, NewEvent, Outcome, Target};
use crate::tasks::Activator;

/// Name of the only node.
const NAME: &str = "local";
const HEARTBEAT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(4);

impl Session {
    pub(super) async fn watch_node(self: Arc<Self>) {
        let session = Arc::clone(&self);
        let beat = move || {
            let session = Arc::clone(&session);
            async move { session.beat().await }
        };
        crate::tasks::drive(
            "engine.heartbeat",
            HEARTBEAT,
            Activator::default(),
            self.stop.clone(),
            beat,
        )
        .await;
    }

    async fn beat(&self) -> Result<()> {
        let info = tokio::time::timeout(PATIENCE, self.engine.runtime.info())
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("Docker does not answer within 4 s")));
        let trouble = info.as_ref().err().map(|error| error.public_message().to_owned());
        let before = self.world().node();
        let node = self.store(info.as_ref().ok(), trouble.as_deref()).await?;
        // Before the first heartbeat the node counts as troubled, so the first good one is told.
        let was_ready = before.as_ref().is_some_and(|n| n.trouble.is_none());
        self.world().set_node(node.clone());
        if before.is_none() || was_ready != trouble.is_none() {
            self.resync.poke();
        }
        Ok(())
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

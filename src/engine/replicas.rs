//! Replicas as people see them, and their log lines.

use futures_util::StreamExt as _;

use super::plan::Replica;
use super::runtime::ObservedContainer;
use super::store::replicas;
use super::view::ReplicaView;
use super::{Engine, LogRequest, LogStream};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Actor, DeploymentName, EnvironmentName, Error, Result};

/// Log lines when the caller does not say, and at most.
const DEFAULT_TAIL: u32 = 200;
const MAX_TAIL: u32 = 5000;

impl Engine {
    pub async fn replicas(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
    ) -> Result<Vec<ReplicaView>> {
        let permission = Permission(Resource::Replica, Action::List);
        let row = self.load(actor, environment, name, permission).await?.row;
        let mut conn = self.db.read().await?;
        let nodes = super::store::nodes::list(&mut conn).await?;
        let rows = replicas::list(&mut conn, row.id).await?;
        Ok(rows
            .into_iter()
            .map(|replica| {
                let node = nodes.iter().find(|n| Some(n.id) == replica.node);
                self.replica_view(replica, node.map(|n| n.name.clone()))
            })
            .collect())
    }

    fn replica_view(&self, replica: Replica, node: Option<String>) -> ReplicaView {
        ReplicaView {
            id: replica.id.uuid(),
            revision: replica.revision,
            node,
            phase: replica.phase,
            reason: replica.reason,
            ready: replica.ready,
            restarts: i32::try_from(replica.restarts).unwrap_or(i32::MAX),
            container_id: replica.container,
            address: replica.address.map(|a| a.to_string()),
            last_exit: replica.last_exit,
            started_at: replica.started_at,
            created_at: replica.created_at,
            probe_answers: self.world.answers(replica.id),
            name: replica.name,
        }
    }

    /// Log lines of a replica's container, or of the one before it.
    pub async fn logs(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        replica: &str,
        request: &LogRequest,
    ) -> Result<LogStream> {
        let permission = Permission(Resource::Replica, Action::Logs);
        let row = self.load(actor, environment, name, permission).await?.row;
        let found = replicas::list(&mut *self.db.read().await?, row.id)
            .await?
            .into_iter()
            .find(|r| r.name == replica)
            .ok_or_else(|| Error::not_found("replica", clean(replica)))?;
        let containers = self.runtime.list().await?;
        let container = pick(&found, &containers, request.previous)?;
        let request = LogRequest {
            tail: Some(request.tail.unwrap_or(DEFAULT_TAIL).min(MAX_TAIL)),
            ..request.clone()
        };
        let lines = self.runtime.logs(&container.id, &request).await?;
        Ok(Box::pin(lines.map(|line| {
            line.map(|mut line| {
                line.text = clean(&line.text);
                line
            })
        })))
    }

    /// The last log lines of a replica, as evidence; empty when there are none.
    pub(super) async fn last_lines(&self, container: &str, count: u32) -> Vec<String> {
        let request = LogRequest { tail: Some(count), ..LogRequest::default() };
        let read = async {
            let lines = self.runtime.logs(&container.to_owned(), &request).await?;
            Ok::<_, Error>(lines.take(count as usize).collect::<Vec<_>>().await)
        };
        match tokio::time::timeout(std::time::Duration::from_secs(3), read).await {
            Ok(Ok(lines)) => {
                lines.into_iter().filter_map(|l| l.ok()).map(|l| clean(&l.text)).collect()
            }
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }
}

/// The present container of a replica, or the one before it.
fn pick<'a>(
    replica: &Replica,
    containers: &'a [ObservedContainer],
    previous: bool,
) -> Result<&'a ObservedContainer> {
    let mut own: Vec<_> = containers.iter().filter(|c| c.replica == replica.id).collect();
    own.sort_by_key(|c| std::cmp::Reverse(c.attempt));
    let none =
        |what: &str| Error::conflict("no_container", format!("replica {} {what}", replica.name));
    if previous {
        let newest = own.first().map(|c| c.attempt);
        own.into_iter()
            .find(|c| Some(c.attempt) < newest)
            .ok_or_else(|| none("has no container before the present one"))
    } else {
        own.into_iter().next().ok_or_else(|| none("has no container yet"))
    }
}

/// Replaces what could steer a terminal or a page.
pub(super) fn clean(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

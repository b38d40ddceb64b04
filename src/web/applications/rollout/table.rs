//! The table of a deployment's replicas.

use askama::Template;

use super::{short_name, state_of};
use crate::accounts::rbac::{Action, Resource};
use crate::engine::view::{DeploymentView, ReplicaView};
use crate::web::applications::App;
use crate::web::shell::Shell;
use crate::web::text::Text;

/// One replica of a table.
pub(in crate::web) struct ReplicaRow {
    pub name: String,
    pub short: String,
    pub href: String,
    pub logs_href: String,
    pub kind: &'static str,
    pub state: String,
    pub reason: String,
    pub revision: i64,
    pub old: bool,
    pub node: String,
    pub restarts: i32,
    pub last_exit: String,
    pub since: crate::base::Timestamp,
}

#[derive(Template)]
#[template(path = "applications/replica_table.html")]
pub(in crate::web) struct ReplicaTable {
    pub t: Text,
    pub rows: Vec<ReplicaRow>,
    pub may_logs: bool,
    pub zero: bool,
}
impl askama::filters::HtmlSafe for ReplicaTable {}

impl ReplicaTable {
    pub(in crate::web) fn of(
        shell: &Shell,
        app: &App,
        deployment: &DeploymentView,
        replicas: &[ReplicaView],
    ) -> Self {
        let t = shell.t;
        let rows = replicas
            .iter()
            .map(|replica| {
                let (kind, state) = state_of(&t, replica);
                let logs = app.link("/logs");
                let glue = if logs.contains('?') { '&' } else { '?' };
                ReplicaRow {
                    short: short_name(&replica.name).to_owned(),
                    href: app.link(&format!("/replicas/{}", replica.name)),
                    logs_href: format!("{logs}{glue}replica={}", replica.name),
                    kind,
                    state,
                    reason: replica.reason.clone(),
                    revision: replica.revision,
                    old: replica.revision != deployment.revision,
                    node: replica.node.clone().unwrap_or_default(),
                    restarts: replica.restarts,
                    last_exit: replica
                        .last_exit
                        .as_ref()
                        .map(|exit| exit.reason.clone())
                        .unwrap_or_default(),
                    since: replica.started_at.unwrap_or(replica.created_at),
                    name: replica.name.clone(),
                }
            })
            .collect();
        let may_logs = app.may(shell, Resource::Replica, Action::Logs);
        Self { t, rows, may_logs, zero: deployment.spec.replicas == 0 }
    }
}

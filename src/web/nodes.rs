//! `/nodes` and `/nodes/{node}`: the machines, what they have and what they carry.

use askama::Template;

use super::applications::href_of;
use super::frame::{Frame, Section};
use super::shell::{At, PageResult, Shell};
use super::stream::{Fragment, Topic};
use super::text::Text;
use super::view::{CellKind, Yard, YardBox, YardColumn};
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::{Error, Result};
use crate::engine::view::{DeploymentView, NodeView, ReplicaView};

/// Deployments whose replicas are drawn, and replicas drawn on one node.
const MOST_DEPLOYMENTS: u32 = 200;
const MOST_BOXES: usize = 60;

/// One node of the list.
struct Row {
    name: String,
    href: String,
    kind: &'static str,
    state: String,
    reason: String,
    cpu: u8,
    cpu_text: String,
    memory: u8,
    memory_text: String,
    replicas: i64,
    version: String,
    heartbeat_at: Option<crate::base::Timestamp>,
}

#[derive(Template)]
#[template(path = "nodes/list.html")]
struct List {
    t: Text,
    rows: Vec<Row>,
    address: String,
}
impl askama::filters::HtmlSafe for List {}

#[derive(Template)]
#[template(path = "nodes/page.html")]
struct NodesPage {
    frame: Frame,
    list: List,
    yard: Yard,
}

#[derive(Template)]
#[template(path = "nodes/node.html")]
struct NodePage {
    frame: Frame,
    row: Row,
    node: NodeView,
    placed: Vec<Placed>,
}

/// A replica on a node, with its deployment.
struct Placed {
    name: String,
    deployment: String,
    href: String,
    kind: &'static str,
    state: String,
    revision: i64,
}

fn percent(part: i64, whole: i64) -> u8 {
    let percent = if whole > 0 { part.saturating_mul(100) / whole } else { 0 };
    u8::try_from(percent.clamp(0, 100)).unwrap_or(100)
}

fn row_of(t: &Text, node: &NodeView) -> Row {
    let (kind, key) = match (node.ready, node.cordoned) {
        (true, false) => ("ok", "node-ready"),
        (true, true) => ("hold", "node-cordoned"),
        (false, _) => ("bad", "node-down"),
    };
    let cores = |millis: i64| crate::base::Cpu::from_millis(u64::try_from(millis).unwrap_or(0));
    Row {
        name: node.name.clone(),
        href: format!("/nodes/{}", node.name),
        kind,
        state: t.get(key),
        reason: node.reason.clone().unwrap_or_default(),
        cpu: percent(node.cpu_requested_millis, node.cpu_millis),
        cpu_text: t
            .fmt("node-of")
            .a("part", cores(node.cpu_requested_millis))
            .a("whole", cores(node.cpu_millis))
            .to_string(),
        memory: percent(node.memory_requested_bytes, node.memory_bytes),
        memory_text: t
            .fmt("node-of")
            .a("part", t.size(node.memory_requested_bytes))
            .a("whole", t.size(node.memory_bytes))
            .to_string(),
        replicas: node.replicas,
        version: node.version.clone(),
        heartbeat_at: node.heartbeat_at,
    }
}

/// Every replica that the reader may see, with its deployment.
async fn placed(shell: &Shell) -> Result<Vec<(DeploymentView, ReplicaView)>> {
    let engine = &shell.services.engine;
    let all = engine.list_all_deployments(&shell.actor, MOST_DEPLOYMENTS).await;
    let mut placed = Vec::new();
    for deployment in shell.part_or_default(all)? {
        if deployment.status.replicas == 0 {
            continue;
        }
        let (environment, name) = super::applications::names(&deployment)?;
        let replicas = engine.replicas(&shell.actor, &environment, &name).await;
        for replica in shell.part_or_default(replicas)? {
            placed.push((deployment.clone(), replica));
        }
    }
    Ok(placed)
}

fn yard_of(t: &Text, nodes: &[NodeView], placed: &[(DeploymentView, ReplicaView)]) -> Yard {
    let columns: Vec<_> = nodes
        .iter()
        .map(|node| {
            let load = percent(node.cpu_requested_millis, node.cpu_millis);
            YardColumn {
                node: node.name.clone(),
                boxes: placed
                    .iter()
                    .filter(|(_, replica)| replica.node.as_deref() == Some(node.name.as_str()))
                    .take(MOST_BOXES)
                    .map(|(deployment, replica)| YardBox {
                        kind: match (replica.revision == deployment.revision, replica.ready) {
                            (true, true) => CellKind::New,
                            (true, false) => CellKind::Starting,
                            (false, _) => CellKind::Old,
                        },
                        label: deployment.name.clone(),
                        note: replica.revision.to_string(),
                        href: href_of(deployment),
                    })
                    .collect(),
                load: Some(load),
                load_label: t.fmt("yard-load").n("n", i64::from(load)).to_string(),
            }
        })
        .collect();
    let label = t.fmt("yard-label").n("replicas", placed.len()).n("nodes", nodes.len()).to_string();
    Yard { columns, label }
}

async fn load(shell: &Shell) -> Result<(List, Vec<NodeView>)> {
    require_platform(&shell.actor, Permission(Resource::Node, Action::List))?;
    let nodes = shell.services.engine.nodes(&shell.actor).await?;
    let rows = nodes.iter().map(|node| row_of(&shell.t, node)).collect();
    let list = List { t: shell.t, rows, address: shell.services.config.node_address() };
    Ok((list, nodes))
}

/// `GET /nodes`
pub(super) async fn list(shell: Shell) -> PageResult {
    let (list, nodes) = load(&shell).await?;
    let placed = placed(&shell).await?;
    let frame = shell
        .frame(Section::Nodes, shell.t.get("nav-nodes"))
        .await?
        .live(Topic::Nodes)
        .json("/api/v1/nodes");
    let yard = yard_of(&shell.t, &nodes, &placed);
    shell.render(&NodesPage { frame, list, yard })
}

/// `GET /nodes/{node}`
pub(super) async fn show(shell: Shell, At(name): At<String>) -> PageResult {
    let (_, nodes) = load(&shell).await?;
    let node = nodes
        .into_iter()
        .find(|node| node.name == name)
        .ok_or_else(|| Error::not_found("node", &name))?;
    let placed = placed(&shell)
        .await?
        .into_iter()
        .filter(|(_, replica)| replica.node.as_deref() == Some(node.name.as_str()))
        .map(|(deployment, replica)| {
            let (kind, state) = super::applications::rollout::state_of(&shell.t, &replica);
            Placed {
                name: replica.name,
                deployment: super::applications::key(&deployment),
                href: href_of(&deployment),
                kind,
                state,
                revision: replica.revision,
            }
        })
        .collect();
    let frame =
        shell.frame(Section::Nodes, &node.name).await?.crumb("/nodes", shell.t.get("nav-nodes"));
    shell.render(&NodePage { frame, row: row_of(&shell.t, &node), node, placed })
}

/// Fragments of [`Topic::Nodes`].
pub(super) async fn fragments(shell: &Shell) -> Result<Vec<Fragment>> {
    let (list, _) = load(shell).await?;
    Ok(vec![Fragment::of("nodes", &list)?])
}

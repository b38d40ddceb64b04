//! Placement: which node has room, and in words why none has.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Act, Draft, Node, Request};
use crate::base::Memory;
use crate::base::id::NodeId;
use crate::engine::view::ReplicaPhase;

/// The nodes, with what this plan has already given away.
pub(super) struct Room {
    nodes: Vec<Node>,
}

impl Room {
    pub(super) fn new(nodes: &[Node]) -> Self {
        Self { nodes: nodes.to_vec() }
    }

    pub(super) fn is_ready(&self, id: NodeId) -> bool {
        self.nodes.iter().any(|n| n.id == id && n.trouble.is_none())
    }

    /// Why no node is ready, if none is.
    pub(super) fn trouble(&self) -> Option<String> {
        match self.nodes.iter().find(|n| n.trouble.is_none()) {
            Some(_) => None,
            None => Some(self.nodes.first().map_or_else(
                || "there is no node yet".to_owned(),
                |n| format!("node {}: {}", n.name, n.trouble.as_deref().unwrap_or_default()),
            )),
        }
    }

    /// Takes room for one replica, or says per node why there is none. Among several the one
    /// with the most free memory is taken, ties by id.
    pub(super) fn take(
        &mut self,
        request: Request,
        selector: &BTreeMap<String, String>,
    ) -> Result<NodeId, String> {
        let mut reasons = Vec::new();
        let mut best: Option<&mut Node> = None;
        for node in &mut self.nodes {
            match obstacle(node, request, selector) {
                Some(why) => reasons.push(format!("node {} {why}", node.name)),
                None if best.as_ref().is_none_or(|b| {
                    (node.free.memory_bytes, b.id) > (b.free.memory_bytes, node.id)
                }) =>
                {
                    best = Some(node);
                }
                None => {}
            }
        }
        match best {
            Some(node) => {
                node.free.cpu_millis -= request.cpu_millis;
                node.free.memory_bytes -= request.memory_bytes;
                Ok(node.id)
            }
            None if reasons.is_empty() => Err("there is no node yet".to_owned()),
            None => Err(reasons.join("; ")),
        }
    }
}

fn obstacle(node: &Node, request: Request, selector: &BTreeMap<String, String>) -> Option<String> {
    if let Some(trouble) = &node.trouble {
        return Some(format!("is not ready: {trouble}"));
    }
    if node.cordoned {
        return Some("is cordoned".to_owned());
    }
    if let Some((key, value)) = selector.iter().find(|(k, v)| node.labels.get(*k) != Some(v)) {
        return Some(format!("lacks the label {key}={value}"));
    }
    let show = |bytes: u64| Memory::from_bytes(bytes >> 20 << 20).to_string();
    if request.memory_bytes > node.free.memory_bytes {
        return Some(format!(
            "lacks memory: {} requested, {} of {} free",
            Memory::from_bytes(request.memory_bytes),
            show(node.free.memory_bytes),
            show(node.capacity.memory_bytes),
        ));
    }
    if request.cpu_millis > node.free.cpu_millis {
        return Some(format!(
            "lacks CPU: {}m requested, {}m of {}m free",
            request.cpu_millis, node.free.cpu_millis, node.capacity.cpu_millis,
        ));
    }
    None
}

/// Places the replicas that wait.
pub(super) fn place(draft: &mut Draft<'_>, room: &mut Room) {
    for index in 0..draft.members.len() {
        let member = &draft.members[index];
        if member.replica.phase != ReplicaPhase::Pending || draft.desired.deleting {
            continue;
        }
        let (request, selector) = (member.request, member.selector.clone());
        let taken = room.take(request, &selector);
        let now = draft.now;
        let row = &mut draft.members[index].replica;
        match taken {
            Ok(node) => {
                row.node = Some(node);
                row.enter(ReplicaPhase::Starting, String::new(), now);
                let (id, name) = (row.id, row.name.clone());
                draft.plan.acts.push(Act::Start(id));
                let message = format!("{name} found its place");
                draft.decide("replica.place", Some(&name), message, json!({ "node": node }));
            }
            Err(why) => row.reason = why,
        }
    }
}

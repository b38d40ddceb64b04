//! SQL of nodes and of what is set aside on them.

use serde_json::Value;
use sqlx::PgConnection;

use crate::base::id::{NodeId, ReplicaId};
use crate::base::{Result, Timestamp};

/// A node.
#[derive(Debug, Clone)]
pub(in crate::engine) struct NodeRow {
    pub(in crate::engine) id: NodeId,
    pub(in crate::engine) name: String,
    pub(in crate::engine) address: String,
    pub(in crate::engine) labels: Value,
    pub(in crate::engine) cordoned: bool,
    pub(in crate::engine) cpu_millis: i64,
    pub(in crate::engine) memory_bytes: i64,
    pub(in crate::engine) version: String,
    pub(in crate::engine) not_ready_reason: Option<String>,
    pub(in crate::engine) heartbeat_at: Option<Timestamp>,
}

pub(in crate::engine) async fn list(conn: &mut PgConnection) -> Result<Vec<NodeRow>> {
    Ok(sqlx::query_as!(
        NodeRow,
        r#"select id as "id: _", name, address, labels, cordoned, cpu_millis, memory_bytes, version,
                  not_ready_reason, heartbeat_at
           from nodes order by name"#
    )
    .fetch_all(conn)
    .await?)
}

/// What a heartbeat found.
pub(in crate::engine) struct Heartbeat<'a> {
    pub(in crate::engine) name: &'a str,
    pub(in crate::engine) address: &'a str,
    /// Docker's own facts; `None` when it did not answer.
    pub(in crate::engine) facts: Option<Facts<'a>>,
    pub(in crate::engine) not_ready_reason: Option<&'a str>,
}

/// Facts of a node that answers.
pub(in crate::engine) struct Facts<'a> {
    pub(in crate::engine) engine_id: &'a str,
    pub(in crate::engine) version: &'a str,
    pub(in crate::engine) cpu_millis: i64,
    pub(in crate::engine) memory_bytes: i64,
}

/// Makes or refreshes a node's row. Without facts the old capacity and heartbeat stay.
pub(in crate::engine) async fn beat(
    conn: &mut PgConnection,
    beat: &Heartbeat<'_>,
    now: Timestamp,
) -> Result<NodeRow> {
    let facts = beat.facts.as_ref();
    Ok(sqlx::query_as!(
        NodeRow,
        r#"insert into nodes
            (id, name, address, engine_id, cpu_millis, memory_bytes, version, not_ready_reason,
             heartbeat_at, created_at)
           values ($1, $2, $3, $4, coalesce($5::bigint, 0), coalesce($6::bigint, 0), coalesce($7::text, ''), $8, $9, $10)
           on conflict (name) do update
           set address = excluded.address,
               engine_id = coalesce(excluded.engine_id, nodes.engine_id),
               cpu_millis = coalesce($5, nodes.cpu_millis),
               memory_bytes = coalesce($6, nodes.memory_bytes),
               version = coalesce($7, nodes.version),
               not_ready_reason = excluded.not_ready_reason,
               heartbeat_at = coalesce(excluded.heartbeat_at, nodes.heartbeat_at)
           returning id as "id: _", name, address, labels, cordoned, cpu_millis, memory_bytes,
                     version, not_ready_reason, heartbeat_at"#,
        NodeId::new(now).uuid(),
        beat.name,
        beat.address,
        facts.map(|f| f.engine_id),
        facts.map(|f| f.cpu_millis),
        facts.map(|f| f.memory_bytes),
        facts.map(|f| f.version),
        beat.not_ready_reason,
        facts.map(|_| now),
        now,
    )
    .fetch_one(conn)
    .await?)
}

/// A replica that is placed on a node, with the template of its revision.
#[derive(Debug)]
pub(in crate::engine) struct Placed {
    pub(in crate::engine) id: ReplicaId,
    pub(in crate::engine) node_id: NodeId,
    pub(in crate::engine) template: Value,
}

pub(in crate::engine) async fn placed(conn: &mut PgConnection) -> Result<Vec<Placed>> {
    Ok(sqlx::query_as!(
        Placed,
        r#"select r.id as "id: _", r.node_id as "node_id!: _", v.template
           from replicas r join revisions v on v.id = r.revision_id
           where r.node_id is not null"#
    )
    .fetch_all(conn)
    .await?)
}

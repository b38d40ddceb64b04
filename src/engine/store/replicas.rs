//! SQL of replicas: the intents.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use sqlx::PgConnection;

use super::json;
use crate::base::id::{DeploymentId, NodeId, ReplicaId, RevisionId};
use crate::base::{Error, Result, Timestamp};
use crate::engine::plan::Replica;
use crate::engine::view::ReplicaPhase;

struct Row {
    id: ReplicaId,
    revision: i64,
    node_id: Option<NodeId>,
    name: String,
    phase: String,
    reason: String,
    restarts: i32,
    container_id: Option<String>,
    address: Option<IpNetwork>,
    ready: bool,
    ready_since: Option<Timestamp>,
    started_at: Option<Timestamp>,
    last_exit: Option<serde_json::Value>,
    retry_at: Option<Timestamp>,
    created_at: Timestamp,
    crash_streak: i32,
    phase_since: Timestamp,
}

impl TryFrom<Row> for Replica {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let phase = ReplicaPhase::parse(&row.phase).ok_or_else(|| {
            Error::internal("reading a replica", format!("unknown phase {}", row.phase))
        })?;
        Ok(Self {
            id: row.id,
            name: row.name,
            revision: row.revision,
            node: row.node_id,
            phase,
            reason: row.reason,
            restarts: u32::try_from(row.restarts).unwrap_or(0),
            container: row.container_id,
            address: row.address.map(|a| a.ip()),
            ready: row.ready,
            ready_since: row.ready_since,
            started_at: row.started_at,
            last_exit: row.last_exit.and_then(|value| serde_json::from_value(value).ok()),
            retry_at: row.retry_at,
            created_at: row.created_at,
            crash_streak: u32::try_from(row.crash_streak).unwrap_or(0),
            phase_since: row.phase_since,
        })
    }
}

/// Replicas of a deployment, oldest first.
pub(in crate::engine) async fn list(
    conn: &mut PgConnection,
    deployment: DeploymentId,
) -> Result<Vec<Replica>> {
    sqlx::query_as!(
        Row,
        r#"select r.id as "id: _", v.number as revision, r.node_id as "node_id: _", r.name,
                  r.phase, r.reason, r.restarts, r.container_id, r.address, r.ready,
                  r.ready_since, r.started_at, r.last_exit, r.retry_at, r.created_at,
                  r.crash_streak, r.phase_since
           from replicas r
           join revisions v on v.id = r.revision_id
           where r.deployment_id = $1
           order by r.created_at, r.id"#,
        deployment.uuid(),
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Replica::try_from)
    .collect()
}

pub(in crate::engine) async fn insert(
    conn: &mut PgConnection,
    deployment: DeploymentId,
    revision: RevisionId,
    replica: &Replica,
) -> Result<()> {
    sqlx::query!(
        "insert into replicas
            (id, deployment_id, revision_id, node_id, name, phase, reason, created_at, phase_since)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        replica.id.uuid(),
        deployment.uuid(),
        revision.uuid(),
        replica.node.map(|id| id.uuid()),
        replica.name,
        replica.phase.as_str(),
        replica.reason,
        replica.created_at,
        replica.phase_since,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::engine) async fn update(conn: &mut PgConnection, replica: &Replica) -> Result<()> {
    sqlx::query!(
        "update replicas
         set node_id = $2, phase = $3, reason = $4, restarts = $5, container_id = $6,
             address = $7, ready = $8, ready_since = $9, started_at = $10, last_exit = $11,
             retry_at = $12, crash_streak = $13, phase_since = $14
         where id = $1",
        replica.id.uuid(),
        replica.node.map(|id| id.uuid()),
        replica.phase.as_str(),
        replica.reason,
        i32::try_from(replica.restarts).unwrap_or(i32::MAX),
        replica.container,
        replica.address.map(IpNetwork::from),
        replica.ready,
        replica.ready_since,
        replica.started_at,
        replica.last_exit.as_ref().map(json).transpose()?,
        replica.retry_at,
        i32::try_from(replica.crash_streak).unwrap_or(i32::MAX),
        replica.phase_since,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::engine) async fn delete(conn: &mut PgConnection, id: ReplicaId) -> Result<()> {
    sqlx::query!("delete from replicas where id = $1", id.uuid()).execute(conn).await?;
    Ok(())
}

/// Gives the living replicas of one revision to another that runs exactly the same.
pub(in crate::engine) async fn adopt(
    conn: &mut PgConnection,
    deployment: DeploymentId,
    from: i64,
    to: i64,
) -> Result<u64> {
    let done = sqlx::query!(
        "update replicas r set revision_id = b.id
         from revisions a, revisions b
         where r.revision_id = a.id and a.deployment_id = $1 and a.number = $2
           and b.deployment_id = $1 and b.number = $3 and a.template_hash = b.template_hash
           and r.phase not in ('draining', 'stopping')",
        deployment.uuid(),
        from,
        to,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Every replica with its deployment: what may have a container.
pub(in crate::engine) async fn owners(
    conn: &mut PgConnection,
) -> Result<Vec<(ReplicaId, DeploymentId)>> {
    Ok(sqlx::query!(
        r#"select id as "id: ReplicaId", deployment_id as "deployment: DeploymentId" from replicas"#
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| (row.id, row.deployment))
    .collect())
}

/// A replica that traffic may go to.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Reachable {
    pub(in crate::engine) id: ReplicaId,
    pub(in crate::engine) name: String,
    pub(in crate::engine) deployment: DeploymentId,
    pub(in crate::engine) address: IpAddr,
    pub(in crate::engine) draining: bool,
}

/// Ready and draining replicas of deployments that a service leads to.
pub(in crate::engine) async fn reachable(
    conn: &mut PgConnection,
    deployment: Option<DeploymentId>,
) -> Result<Vec<Reachable>> {
    Ok(sqlx::query!(
        r#"select id as "id: ReplicaId", name, deployment_id as "deployment: DeploymentId",
                  address as "address!", (phase = 'draining') as "draining!"
           from replicas r
           where address is not null
             and ((phase = 'running' and ready) or phase = 'draining')
             and ($1::uuid is null or deployment_id = $1)
             and exists (select 1 from services s where s.deployment_id = r.deployment_id)
           order by created_at, id"#,
        deployment.map(|id| id.uuid()),
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Reachable {
        id: row.id,
        name: row.name,
        deployment: row.deployment,
        address: row.address.ip(),
        draining: row.draining,
    })
    .collect())
}

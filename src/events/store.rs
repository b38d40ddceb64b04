//! SQL of the event log.

use sqlx::PgConnection;

use super::{Event, Filter, NewEvent, Position};
use crate::base::id::EventId;
use crate::base::{Actor, Timestamp};

pub(super) async fn insert(
    conn: &mut PgConnection,
    id: EventId,
    now: Timestamp,
    actor: &Actor,
    event: &NewEvent,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into events
            (id, created_at, actor_kind, actor_id, actor_name, action, target_kind, target_id,
             target_name, project_id, environment_id, deployment_id, outcome, message, detail,
             channel, address, request_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        id.uuid(),
        now,
        actor.kind.as_str(),
        actor.user_id.map(|id| id.uuid()),
        actor.name,
        event.action,
        event.target.kind,
        event.target.id,
        event.target.name,
        event.project.map(|id| id.uuid()),
        event.environment.map(|id| id.uuid()),
        event.deployment.map(|id| id.uuid()),
        event.outcome.as_str(),
        event.message,
        event.detail,
        actor.channel.as_str(),
        actor.address.map(ipnetwork::IpNetwork::from),
        actor.request_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    after: Option<(Timestamp, i64)>,
    limit: u32,
) -> Result<Vec<Event>, sqlx::Error> {
    let projects: Option<Vec<uuid::Uuid>> =
        filter.projects.as_ref().map(|ids| ids.iter().map(|id| id.uuid()).collect());
    let (after_at, after_seq) = after.unzip();
    sqlx::query_as!(
        Event,
        r#"select id as "id: EventId", txid, seq, created_at, actor_kind, actor_name, action,
                  target_kind, target_name, project_id as "project_id: _",
                  environment_id as "environment_id: _", deployment_id as "deployment_id: _",
                  outcome, message, detail, channel, host(address) as address, request_id
           from events
           where ($1::uuid[] is null or project_id = any($1))
             and ($2::uuid is null or deployment_id = $2)
             and ($3::text is null or actor_name = $3)
             and ($4::text is null or starts_with(action, $4))
             and ($5::text is null or outcome = $5)
             and ($6::text is null or position(lower($6) in lower(target_name)) > 0)
             and ($7::timestamptz is null or created_at >= $7)
             and ($8::timestamptz is null or created_at < $8)
             and ($9::timestamptz is null or (created_at, seq) < ($9, $10::bigint))
           order by created_at desc, seq desc
           limit $11"#,
        projects.as_deref(),
        filter.deployment.map(|id| id.uuid()),
        filter.actor,
        filter.action,
        filter.outcome.map(|o| o.as_str()),
        filter.text,
        filter.from,
        filter.to,
        after_at,
        after_seq,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn head(conn: &mut PgConnection) -> Result<Position, sqlx::Error> {
    let row = sqlx::query!(
        r#"select txid, seq from events
           where txid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
           order by txid desc, seq desc limit 1"#
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map_or(Position { txid: 0, seq: 0 }, |r| Position { txid: r.txid, seq: r.seq }))
}

pub(super) async fn since(
    conn: &mut PgConnection,
    position: Position,
    limit: i64,
) -> Result<Vec<Event>, sqlx::Error> {
    sqlx::query_as!(
        Event,
        r#"select id as "id: EventId", txid, seq, created_at, actor_kind, actor_name, action,
                  target_kind, target_name, project_id as "project_id: _",
                  environment_id as "environment_id: _", deployment_id as "deployment_id: _",
                  outcome, message, detail, channel, host(address) as address, request_id
           from events
           where (txid, seq) > ($1, $2)
             and txid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
           order by txid, seq
           limit $3"#,
        position.txid,
        position.seq,
        limit,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn ensure_partition(
    conn: &mut PgConnection,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!("select events_ensure_partition($1)", at).execute(conn).await?;
    Ok(())
}

/// After a logical restore the transaction counter is younger than the rows. They are all
/// committed, so their order by `seq` is final: give them transaction id 0.
pub(super) async fn settle_restored(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let restored = sqlx::query_scalar!(
        r#"select exists (select 1 from events where txid > pg_current_xact_id()::text::bigint) as "restored!""#
    )
    .fetch_one(&mut *conn)
    .await?;
    if restored {
        sqlx::query!("alter table events disable trigger events_append_only")
            .execute(&mut *conn)
            .await?;
        sqlx::query!("update events set txid = 0").execute(&mut *conn).await?;
        sqlx::query!("alter table events enable trigger events_append_only")
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

//! SQL of the queue.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Job, NewJob, Status};
use crate::base::id::{JobId, ProjectId, UserId};
use crate::base::{Actor, Timestamp};

type Result<T> = std::result::Result<T, sqlx::Error>;

struct Row {
    id: JobId,
    project_id: Option<ProjectId>,
    name: String,
    status: String,
    attempt: i32,
    max_attempts: i32,
    run_at: Timestamp,
    cancel_requested: bool,
    progress: Value,
    error_code: Option<String>,
    error: Option<String>,
    user_id: Option<UserId>,
    actor_name: String,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl From<Row> for Job {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            project_id: row.project_id,
            name: row.name,
            // The column's check names the same words.
            status: row.status.parse().unwrap_or(Status::Failed),
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            run_at: row.run_at,
            cancel_requested: row.cancel_requested,
            progress: row.progress,
            error_code: row.error_code,
            error: row.error,
            user_id: row.user_id,
            actor_name: row.actor_name,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

pub(super) async fn insert(
    conn: &mut PgConnection,
    id: JobId,
    new: &NewJob<'_>,
    actor: &Actor,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "insert into jobs (id, kind, project_id, name, max_attempts, run_at, user_id, actor_name,
                           created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $6, $6)",
        id.uuid(),
        new.kind,
        new.project.map(|id| id.uuid()),
        new.name,
        new.max_attempts,
        now,
        actor.user_id.map(|id| id.uuid()),
        actor.name,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn lock_project(
    conn: &mut PgConnection,
    kind: &str,
    project: ProjectId,
) -> Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended($1 || $2::uuid::text, 36)) as locked",
        kind,
        project.uuid()
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

pub(super) async fn count_open(
    conn: &mut PgConnection,
    kind: &str,
    project: ProjectId,
) -> Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from jobs
           where project_id = $2 and kind = $1 and status in ('queued', 'running')"#,
        kind,
        project.uuid(),
    )
    .fetch_one(conn)
    .await
}

/// Takes the job that waits longest, of the project with the fewest runs; runs whose lease ended
/// count as waiting.
pub(super) async fn claim(
    conn: &mut PgConnection,
    kind: &str,
    lease: Uuid,
    until: Timestamp,
    now: Timestamp,
) -> Result<Option<Job>> {
    let row = sqlx::query_as!(
        Row,
        r#"update jobs
           set status = 'running', lease = $2, lease_until = $3, attempt = attempt + 1,
               started_at = coalesce(started_at, $4), updated_at = $4
           where id = (
               select j.id from jobs j
               where j.kind = $1
                 and ((j.status = 'queued' and j.run_at <= $4)
                   or (j.status = 'running' and j.lease_until < $4))
               order by (select count(*) from jobs r
                         where r.kind = $1 and r.status = 'running' and r.lease_until >= $4
                           and r.project_id is not distinct from j.project_id),
                        j.run_at, j.id
               limit 1
               for update skip locked)
           returning id as "id: JobId", project_id as "project_id: ProjectId", name, status,
                     attempt, max_attempts, run_at, cancel_requested, progress, error_code, error,
                     user_id as "user_id: UserId", actor_name, created_at, started_at,
                     finished_at"#,
        kind,
        lease,
        until,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Job::from))
}

/// Renews a lease: whether the end of the job was asked for; `None` when the lease is lost.
pub(super) async fn renew(
    conn: &mut PgConnection,
    id: JobId,
    lease: Uuid,
    until: Timestamp,
) -> Result<Option<bool>> {
    sqlx::query_scalar!(
        "update jobs set lease_until = $3 where id = $1 and lease = $2
         returning cancel_requested",
        id.uuid(),
        lease,
        until,
    )
    .fetch_optional(conn)
    .await
}

/// How a run leaves its job.
pub(super) struct Left<'a> {
    pub status: Status,
    pub run_at: Timestamp,
    /// Attempts that count from now on.
    pub attempt: i32,
    pub progress: Option<&'a Value>,
    pub error: Option<(&'a str, &'a str)>,
}

/// Ends a run; `false` when its lease was lost.
pub(super) async fn leave(
    conn: &mut PgConnection,
    id: JobId,
    lease: Uuid,
    left: &Left<'_>,
    now: Timestamp,
) -> Result<bool> {
    let (code, message) = left.error.unzip();
    let done = sqlx::query!(
        "update jobs
         set status = $3, run_at = $4, attempt = $5, progress = coalesce($6, progress),
             error_code = $7, error = $8, lease = null, lease_until = null, updated_at = $9::timestamptz,
             finished_at = case when $3 = 'queued' then null else $9::timestamptz end
         where id = $1 and lease = $2",
        id.uuid(),
        lease,
        left.status.as_str(),
        left.run_at,
        left.attempt,
        left.progress,
        code,
        message,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn cancel(
    conn: &mut PgConnection,
    id: JobId,
    now: Timestamp,
) -> Result<Option<Status>> {
    let status = sqlx::query_scalar!(
        "update jobs
         set cancel_requested = true,
             status = case when status = 'queued' then 'cancelled' else status end,
             finished_at = case when status = 'queued' then $2::timestamptz else null end,
             updated_at = $2::timestamptz
         where id = $1 and status in ('queued', 'running')
         returning status",
        id.uuid(),
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(status.and_then(|status| status.parse().ok()))
}

pub(super) async fn retry(
    conn: &mut PgConnection,
    id: JobId,
    actor: &Actor,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query!(
        "update jobs
         set status = 'queued', attempt = 0, run_at = $2, cancel_requested = false,
             finished_at = null, started_at = null, error_code = null, error = null, user_id = $3,
             actor_name = $4, updated_at = $2
         where id = $1 and status in ('failed', 'cancelled')",
        id.uuid(),
        now,
        actor.user_id.map(|id| id.uuid()),
        actor.name,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn prune(
    conn: &mut PgConnection,
    before: Timestamp,
    per_project: i64,
) -> Result<u64> {
    let done = sqlx::query!(
        "delete from jobs
         where id in (
             select id from (
                 select id, finished_at,
                        row_number() over (partition by project_id, kind
                                           order by finished_at desc, id desc) as n
                 from jobs where finished_at is not null) finished
             where finished_at < $1 or n > $2
             limit 1000)",
        before,
        per_project,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

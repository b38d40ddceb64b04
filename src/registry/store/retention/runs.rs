//! SQL of runs.

use sqlx::PgConnection;

use crate::base::id::{PlanId, ProjectId, RunId};
use crate::base::{Result, Timestamp};
use crate::registry::retention::{Run, Status, Trigger};

/// Records a run. A plan has one run: the run that exists is the answer then.
pub(in crate::registry) async fn insert(conn: &mut PgConnection, run: &Run) -> Result<RunId> {
    let made = sqlx::query_scalar!(
        r#"insert into retention_runs
               (id, project_id, plan_id, trigger, status, started_by, total, created_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8)
           on conflict on constraint retention_runs_plan_id_key do nothing
           returning id as "id: RunId""#,
        run.id.uuid(),
        run.project_id.uuid(),
        run.plan.map(PlanId::uuid),
        run.trigger.as_str(),
        run.status.as_str(),
        run.started_by,
        run.total,
        run.created_at,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(id) = made {
        return Ok(id);
    }
    Ok(sqlx::query_scalar!(
        r#"select id as "id: RunId" from retention_runs where plan_id = $1"#,
        run.plan.map(PlanId::uuid),
    )
    .fetch_one(conn)
    .await?)
}

#[derive(Debug)]
struct RunRow {
    id: RunId,
    project_id: ProjectId,
    plan: Option<PlanId>,
    trigger: String,
    status: String,
    started_by: String,
    message: String,
    total: i64,
    removed_tags: i64,
    removed_images: i64,
    skipped: i64,
    freed_bytes: i64,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl From<RunRow> for Run {
    fn from(row: RunRow) -> Self {
        Self {
            id: row.id,
            project_id: row.project_id,
            plan: row.plan,
            trigger: match row.trigger.as_str() {
                "schedule" => Trigger::Schedule,
                _ => Trigger::Manual,
            },
            status: Status::parse(&row.status),
            started_by: row.started_by,
            message: row.message,
            total: row.total,
            removed_tags: row.removed_tags,
            removed_images: row.removed_images,
            skipped: row.skipped,
            freed_bytes: row.freed_bytes,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

/// Runs of a project, newest first; with `exactly`, that one.
pub(in crate::registry) async fn list(
    conn: &mut PgConnection,
    project: ProjectId,
    exactly: Option<RunId>,
    after: Option<(Timestamp, uuid::Uuid)>,
    limit: u32,
) -> Result<Vec<Run>> {
    let (after_at, after_id) = after.unzip();
    let rows = sqlx::query_as!(
        RunRow,
        r#"select id as "id: RunId", project_id as "project_id: ProjectId",
                  plan_id as "plan: PlanId", trigger, status, started_by, message, total,
                  removed_tags, removed_images, skipped, freed_bytes, created_at, started_at,
                  finished_at
           from retention_runs
           where project_id = $1 and ($2::uuid is null or id = $2)
             and ($3::timestamptz is null or (created_at, id) < ($3, $4::uuid))
           order by created_at desc, id desc limit $5"#,
        project.uuid(),
        exactly.map(RunId::uuid),
        after_at,
        after_id,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Run::from).collect())
}

/// The oldest run that is not finished, other than `except`.
pub(in crate::registry) async fn next_open(
    conn: &mut PgConnection,
    except: &[uuid::Uuid],
) -> Result<Option<Run>> {
    let row = sqlx::query_as!(
        RunRow,
        r#"select id as "id: RunId", project_id as "project_id: ProjectId",
                  plan_id as "plan: PlanId", trigger, status, started_by, message, total,
                  removed_tags, removed_images, skipped, freed_bytes, created_at, started_at,
                  finished_at
           from retention_runs
           where status in ('planning', 'running') and not id = any($1)
           order by created_at limit 1"#,
        except,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Run::from))
}

/// Whether a project has a run that is not finished.
pub(in crate::registry) async fn has_open(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select 1 from retention_runs
                          where project_id = $1 and status in ('planning', 'running')) as "open!""#,
        project.uuid(),
    )
    .fetch_one(conn)
    .await?)
}

/// Whether anything is to be done: an open run, or rules whose time has come.
pub(in crate::registry) async fn is_work(conn: &mut PgConnection, now: Timestamp) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select 1 from retention_runs where status in ('planning', 'running'))
                  or exists (select 1 from retention_policies where next_run_at <= $1)
                  as "work!""#,
        now,
    )
    .fetch_one(conn)
    .await?)
}

/// Begins to apply a plan.
pub(in crate::registry) async fn begin(
    conn: &mut PgConnection,
    id: RunId,
    plan: PlanId,
    total: i64,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query!(
        "update retention_runs
         set status = 'running', plan_id = $2, total = $3, started_at = coalesce(started_at, $4)
         where id = $1 and status in ('planning', 'running')
           and (plan_id is null or plan_id = $2)",
        id.uuid(),
        plan.uuid(),
        total,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a run; the run as it is then, or none when another server has ended it.
pub(in crate::registry) async fn finish(
    conn: &mut PgConnection,
    id: RunId,
    status: Status,
    message: &str,
    now: Timestamp,
) -> Result<Option<Run>> {
    let row = sqlx::query_as!(
        RunRow,
        r#"update retention_runs set status = $2, message = $3, finished_at = $4
           where id = $1 and status in ('planning', 'running')
           returning id as "id: RunId", project_id as "project_id: ProjectId",
                     plan_id as "plan: PlanId", trigger, status, started_by, message, total,
                     removed_tags, removed_images, skipped, freed_bytes, created_at, started_at,
                     finished_at"#,
        id.uuid(),
        status.as_str(),
        message,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Run::from))
}

/// Skips all that a run has not done yet.
pub(in crate::registry) async fn skip_rest(
    conn: &mut PgConnection,
    id: RunId,
    plan: PlanId,
    skip: &crate::registry::retention::Skip,
) -> Result<()> {
    sqlx::query!(
        "with rest as (
             update retention_items set outcome = 'skipped', skip = $3
             where plan_id = $2 and removes and outcome is null returning 1)
         update retention_runs set skipped = skipped + (select count(*) from rest)
         where id = $1",
        id.uuid(),
        plan.uuid(),
        super::json(skip)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets the reports of old runs: all but the `keep` newest of each project that has more. The
/// plans go with the next [`super::plans::forget`].
pub(in crate::registry) async fn forget(conn: &mut PgConnection, keep: i64) -> Result<()> {
    sqlx::query!(
        "delete from retention_runs where id in (
             select id from (
                 select id, status, row_number() over
                     (partition by project_id order by created_at desc, id desc) as place
                 from retention_runs) r
             where place > $1 and status not in ('planning', 'running') limit 1000)",
        keep,
    )
    .execute(conn)
    .await?;
    Ok(())
}

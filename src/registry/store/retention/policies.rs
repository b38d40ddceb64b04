//! SQL of the rules of projects.

use serde_json::Value;
use sqlx::PgConnection;

use crate::base::Timestamp;
use crate::base::id::ProjectId;

/// The rules of a project as they are stored.
#[derive(Debug)]
pub(in crate::registry) struct PolicyRow {
    pub project_id: ProjectId,
    pub rules: Value,
    pub schedule: String,
    pub hour: i16,
    pub weekday: i16,
    pub accepts_empty: bool,
    pub generation: i64,
    pub next_run_at: Option<Timestamp>,
    pub updated_by: String,
    pub updated_at: Timestamp,
}

pub(in crate::registry) async fn find(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<Option<PolicyRow>, sqlx::Error> {
    sqlx::query_as!(
        PolicyRow,
        r#"select project_id as "project_id: ProjectId", rules, schedule, hour, weekday,
                  accepts_empty, generation, next_run_at, updated_by, updated_at
           from retention_policies where project_id = $1"#,
        project.uuid(),
    )
    .fetch_optional(conn)
    .await
}

/// Replaces the rules, if they are still at the generation before; false when they are not.
pub(in crate::registry) async fn put(
    conn: &mut PgConnection,
    row: &PolicyRow,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into retention_policies as p
             (project_id, rules, schedule, hour, weekday, accepts_empty, generation, next_run_at,
              updated_by, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict on constraint retention_policies_pkey do update
         set rules = excluded.rules, schedule = excluded.schedule, hour = excluded.hour,
             weekday = excluded.weekday, accepts_empty = excluded.accepts_empty,
             generation = excluded.generation, next_run_at = excluded.next_run_at,
             updated_by = excluded.updated_by, updated_at = excluded.updated_at
         where p.generation = excluded.generation - 1",
        row.project_id.uuid(),
        row.rules,
        row.schedule,
        row.hour,
        row.weekday,
        row.accepts_empty,
        row.generation,
        row.next_run_at,
        row.updated_by,
        row.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One policy whose time has come, locked.
pub(in crate::registry) async fn lock_due(
    conn: &mut PgConnection,
    now: Timestamp,
) -> Result<Option<PolicyRow>, sqlx::Error> {
    sqlx::query_as!(
        PolicyRow,
        r#"select project_id as "project_id: ProjectId", rules, schedule, hour, weekday,
                  accepts_empty, generation, next_run_at, updated_by, updated_at
           from retention_policies where next_run_at <= $1
           order by next_run_at limit 1 for update skip locked"#,
        now,
    )
    .fetch_optional(conn)
    .await
}

pub(in crate::registry) async fn set_next_run(
    conn: &mut PgConnection,
    project: ProjectId,
    next: Option<Timestamp>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update retention_policies set next_run_at = $2 where project_id = $1",
        project.uuid(),
        next,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The generation of the rules, and whether they may leave a repository without tags; holds the
/// row, so that the rules do not change before the transaction ends.
pub(in crate::registry) async fn hold(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<Option<(i64, bool)>, sqlx::Error> {
    let row = sqlx::query!(
        "select generation, accepts_empty from retention_policies
         where project_id = $1 for share",
        project.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| (r.generation, r.accepts_empty)))
}

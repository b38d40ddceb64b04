//! SQL of revisions.

use sqlx::PgConnection;

use super::{NewRevision, RevisionRow, json};
use crate::base::id::{DeploymentId, ProjectId, RevisionId};
use crate::base::{Result, Timestamp};
use crate::engine::view::{RevisionOutcome, RolloutFailure};

/// Revisions of one deployment, newest first; one number, or all.
pub(in crate::engine) async fn list(
    conn: &mut PgConnection,
    deployment: DeploymentId,
    number: Option<i64>,
) -> Result<Vec<RevisionRow>> {
    Ok(sqlx::query_as!(
        RevisionRow,
        r#"select id as "id: _", deployment_id as "deployment_id: _", number, template, images,
                  cause, created_by, created_at, started_at, progressed_at, finished_at, outcome,
                  failure, previous
           from revisions
           where deployment_id = $1 and ($2::bigint is null or number = $2)
           order by number desc"#,
        deployment.uuid(),
        number,
    )
    .fetch_all(conn)
    .await?)
}

/// The current revision of each deployment.
pub(in crate::engine) async fn current_of(
    conn: &mut PgConnection,
    deployments: &[DeploymentId],
) -> Result<Vec<RevisionRow>> {
    let ids: Vec<uuid::Uuid> = deployments.iter().map(|id| id.uuid()).collect();
    Ok(sqlx::query_as!(
        RevisionRow,
        r#"select r.id as "id: _", r.deployment_id as "deployment_id: _", r.number, r.template,
                  r.images, r.cause, r.created_by, r.created_at, r.started_at, r.progressed_at,
                  r.finished_at, r.outcome, r.failure, r.previous
           from revisions r
           join deployments d on d.id = r.deployment_id and d.current_revision = r.number
           where d.id = any($1)"#,
        &ids,
    )
    .fetch_all(conn)
    .await?)
}

/// Inserts the next revision, which supersedes those still under way; its number.
pub(in crate::engine) async fn insert(
    conn: &mut PgConnection,
    deployment: DeploymentId,
    previous: Option<i64>,
    new: &NewRevision,
    now: Timestamp,
) -> Result<i64> {
    sqlx::query!(
        "update revisions set outcome = 'superseded', finished_at = $2
         where deployment_id = $1 and outcome in ('pending', 'progressing')",
        deployment.uuid(),
        now,
    )
    .execute(&mut *conn)
    .await?;
    Ok(sqlx::query_scalar!(
        r#"insert into revisions
            (id, deployment_id, number, template, images, template_hash, cause, created_by,
             created_at, previous)
         values ($1, $2,
                 (select coalesce(max(number), 0) + 1 from revisions where deployment_id = $2),
                 $3, $4, $5, $6, $7, $8, $9)
         returning number"#,
        RevisionId::new(now).uuid(),
        deployment.uuid(),
        json(&new.template)?,
        json(&new.images)?,
        new.hash()?,
        new.cause,
        new.created_by,
        now,
        previous,
    )
    .fetch_one(conn)
    .await?)
}

/// Deletes old revisions over the limit; never one in use, current or stable.
pub(in crate::engine) async fn prune(
    conn: &mut PgConnection,
    deployment: DeploymentId,
    keep: u32,
) -> Result<()> {
    sqlx::query!(
        "delete from revisions r using deployments d
         where r.deployment_id = $1 and d.id = r.deployment_id
           and r.number <> d.current_revision
           and r.number is distinct from d.stable_revision
           and not exists (select 1 from replicas where revision_id = r.id)
           and r.number not in (select number from revisions
                                where deployment_id = $1 order by number desc limit $2)",
        deployment.uuid(),
        i64::from(keep) + 1,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How a rollout stands now.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Standing {
    pub(in crate::engine) outcome: RevisionOutcome,
    pub(in crate::engine) started_at: Option<Timestamp>,
    pub(in crate::engine) progressed_at: Option<Timestamp>,
    pub(in crate::engine) finished_at: Option<Timestamp>,
}

pub(in crate::engine) async fn set_standing(
    conn: &mut PgConnection,
    id: RevisionId,
    standing: &Standing,
    failure: Option<&RolloutFailure>,
) -> Result<()> {
    sqlx::query!(
        "update revisions
         set outcome = $2, started_at = $3, progressed_at = $4, finished_at = $5,
             failure = coalesce($6, failure)
         where id = $1",
        id.uuid(),
        standing.outcome.as_str(),
        standing.started_at,
        standing.progressed_at,
        standing.finished_at,
        failure.map(json).transpose()?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Restarts the clock of a rollout that was paused.
pub(in crate::engine) async fn touch(
    conn: &mut PgConnection,
    deployment: DeploymentId,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "update revisions set progressed_at = $2
         where deployment_id = $1 and outcome = 'progressing'",
        deployment.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// `environment/name` and images of every revision that has replicas, in these projects.
pub(in crate::engine) async fn running(
    conn: &mut PgConnection,
    projects: Option<&[ProjectId]>,
) -> Result<Vec<(String, serde_json::Value)>> {
    let projects: Option<Vec<uuid::Uuid>> =
        projects.map(|ids| ids.iter().map(|id| id.uuid()).collect());
    Ok(sqlx::query!(
        r#"select distinct e.name || '/' || d.name as "path!", v.images
           from replicas r
           join revisions v on v.id = r.revision_id
           join deployments d on d.id = r.deployment_id
           join environments e on e.id = d.environment_id
           where ($1::uuid[] is null or e.project_id = any($1))"#,
        projects.as_deref(),
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| (row.path, row.images))
    .collect())
}

/// A revision that can run again, with what it pins.
#[derive(Debug)]
pub(in crate::engine) struct PinnedRow {
    pub(in crate::engine) project_id: ProjectId,
    /// `environment/name`.
    pub(in crate::engine) path: String,
    pub(in crate::engine) number: i64,
    pub(in crate::engine) current: bool,
    pub(in crate::engine) stable: bool,
    pub(in crate::engine) images: serde_json::Value,
}

/// Every revision whose images are written with `prefix`, current ones first. Each revision that
/// has a row can be rolled back to, and those with replicas have one.
pub(in crate::engine) async fn pinned(
    conn: &mut PgConnection,
    prefix: &str,
) -> Result<Vec<PinnedRow>, sqlx::Error> {
    sqlx::query_as!(
        PinnedRow,
        r#"select e.project_id as "project_id: ProjectId", e.name || '/' || d.name as "path!",
                  v.number, v.number = d.current_revision as "current!",
                  v.number is not distinct from d.stable_revision as "stable!", v.images
           from revisions v
           join deployments d on d.id = v.deployment_id
           join environments e on e.id = d.environment_id
           where exists (select 1 from jsonb_object_keys(v.images) as k (name)
                         where starts_with(k.name, $1))
           order by 4 desc, 5 desc, v.number desc"#,
        prefix,
    )
    .fetch_all(conn)
    .await
}

/// The same, of revisions that pin `digest`.
pub(in crate::engine) async fn pinning(
    conn: &mut PgConnection,
    digest: &crate::base::Digest,
) -> Result<Vec<PinnedRow>, sqlx::Error> {
    // A digest holds no character that a path would have to escape.
    let path = format!("$.* ? (@ == \"{digest}\")");
    sqlx::query_as!(
        PinnedRow,
        r#"select e.project_id as "project_id: ProjectId", e.name || '/' || d.name as "path!",
                  v.number, v.number = d.current_revision as "current!",
                  v.number is not distinct from d.stable_revision as "stable!", v.images
           from revisions v
           join deployments d on d.id = v.deployment_id
           join environments e on e.id = d.environment_id
           where v.images @? $1::text::jsonpath
           order by 4 desc, 5 desc, v.number desc limit 10"#,
        path,
    )
    .fetch_all(conn)
    .await
}

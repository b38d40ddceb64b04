//! SQL of imports; joined with their jobs, because one without the other means nothing.

use serde_json::Value;
use sqlx::PgConnection;

use super::Result;
use crate::base::id::{JobId, ProjectId, SourceId};
use crate::base::{Digest, RepositoryName, Timestamp};
use crate::import::{Import, ImportBlob, Progress, Scope};
use crate::jobs::Status;

/// What a run copies.
#[derive(Debug)]
pub(in crate::import) struct Request {
    pub project_id: ProjectId,
    pub source_id: Option<SourceId>,
    pub source_name: Option<String>,
    pub url: String,
    pub source_repository: String,
    pub source_reference: Option<String>,
    pub tag_pattern: Option<String>,
    pub target_tag: Option<String>,
    pub with_referrers: bool,
    pub repository: RepositoryName,
    pub planned_at: Option<Timestamp>,
}

pub(in crate::import) async fn insert(
    conn: &mut PgConnection,
    job: JobId,
    request: &Request,
) -> Result<()> {
    sqlx::query!(
        "insert into imports (job_id, project_id, source_id, source_name, url, source_repository,
                              source_reference, tag_pattern, target_tag, with_referrers, repository)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        job.uuid(),
        request.project_id.uuid(),
        request.source_id.map(|id| id.uuid()),
        request.source_name,
        request.url,
        request.source_repository,
        request.source_reference,
        request.tag_pattern,
        request.target_tag,
        request.with_referrers,
        request.repository.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::import) async fn find_request(
    conn: &mut PgConnection,
    job: JobId,
) -> Result<Option<Request>> {
    sqlx::query_as!(
        Request,
        r#"select project_id as "project_id: ProjectId", source_id as "source_id: SourceId",
                  source_name, url, source_repository, source_reference, tag_pattern, target_tag,
                  with_referrers, repository as "repository: RepositoryName", planned_at
           from imports where job_id = $1"#,
        job.uuid(),
    )
    .fetch_optional(conn)
    .await
}

struct Row {
    id: JobId,
    status: String,
    cancel_requested: bool,
    attempt: i32,
    max_attempts: i32,
    run_at: Timestamp,
    error_code: Option<String>,
    error: Option<String>,
    name: String,
    source_name: Option<String>,
    source_reference: Option<String>,
    tag_pattern: Option<String>,
    with_referrers: bool,
    repository: RepositoryName,
    planned: bool,
    progress: Value,
    manifests: i64,
    manifests_done: i64,
    tags: i64,
    blobs: i64,
    blobs_done: i64,
    blobs_present: i64,
    bytes: i64,
    bytes_done: i64,
    bytes_present: i64,
    actor_name: String,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl From<Row> for Import {
    fn from(row: Row) -> Self {
        // The column's check names the same words.
        let status: Status = row.status.parse().unwrap_or(Status::Failed);
        // The rows of a finished import are gone; its counts are kept.
        let progress = if status == Status::Succeeded {
            serde_json::from_value(row.progress).unwrap_or_default()
        } else {
            Progress {
                manifests: row.manifests,
                manifests_done: row.manifests_done,
                blobs: row.blobs,
                blobs_done: row.blobs_done,
                blobs_present: row.blobs_present,
                bytes: row.bytes,
                bytes_done: row.bytes_done,
                bytes_present: row.bytes_present,
                tags: row.tags,
            }
        };
        Self {
            id: row.id,
            status,
            cancel_requested: row.cancel_requested,
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            run_at: row.run_at,
            error_code: row.error_code,
            error: row.error,
            from: row.name,
            source: row.source_name,
            scope: if row.source_reference.is_some() { Scope::Image } else { Scope::Repository },
            tag_pattern: row.tag_pattern,
            with_referrers: row.with_referrers,
            repository: row.repository,
            planned: row.planned,
            progress,
            requested_by: row.actor_name,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

/// Imports of a project, newest first, or the one named, with how far they are.
pub(in crate::import) async fn list(
    conn: &mut PgConnection,
    project: ProjectId,
    only: Option<JobId>,
    after: Option<(Timestamp, JobId)>,
    limit: i64,
) -> Result<Vec<Import>> {
    let (after_at, after_id) = after.unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"select j.id as "id: JobId", j.status, j.cancel_requested, j.attempt, j.max_attempts,
                  j.run_at, j.error_code, j.error, j.name, i.source_name, i.source_reference,
                  i.tag_pattern, i.with_referrers, i.repository as "repository: RepositoryName",
                  i.planned_at is not null as "planned!", j.progress,
                  m.manifests as "manifests!", m.manifests_done as "manifests_done!",
                  m.tags as "tags!", b.blobs as "blobs!", b.blobs_done as "blobs_done!",
                  b.blobs_present as "blobs_present!", b.bytes as "bytes!",
                  b.bytes_done as "bytes_done!", b.bytes_present as "bytes_present!",
                  j.actor_name, j.created_at, j.started_at, j.finished_at
           from jobs j
           join imports i on i.job_id = j.id
           cross join lateral (
               select count(*) as manifests, count(*) filter (where pushed) as manifests_done,
                      coalesce(sum(cardinality(tags)), 0)::bigint as tags
               from import_manifests where job_id = j.id) m
           cross join lateral (
               select count(*) as blobs,
                      count(*) filter (where state in ('copied', 'present')) as blobs_done,
                      count(*) filter (where state = 'present') as blobs_present,
                      coalesce(sum(b.size), 0)::bigint as bytes,
                      coalesce(sum(case when state in ('copied', 'present') then b.size
                                        else least(coalesce(u.received, 0), b.size) end),
                               0)::bigint as bytes_done,
                      coalesce(sum(b.size) filter (where state = 'present'), 0)::bigint
                          as bytes_present
               from import_blobs b left join uploads u on u.id = b.upload_id
               where b.job_id = j.id) b
           where j.project_id = $1 and j.kind = 'import' and ($2::uuid is null or j.id = $2)
             and ($3::timestamptz is null or (j.created_at, j.id) < ($3, $4::uuid))
           order by j.created_at desc, j.id desc
           limit $5"#,
        project.uuid(),
        only.map(|id| id.uuid()),
        after_at,
        after_id.map(|id| id.uuid()),
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Import::from).collect())
}

/// Blobs of an import that is not done: those that move, then those that wait, then the others.
pub(in crate::import) async fn list_blobs(
    conn: &mut PgConnection,
    job: JobId,
    limit: i64,
) -> Result<Vec<ImportBlob>> {
    sqlx::query_as!(
        ImportBlob,
        r#"select b.digest as "digest: Digest", b.media_type, b.size,
                  (case when b.state in ('copied', 'present') then b.size
                        else least(coalesce(u.received, 0), b.size) end) as "received!", b.state
           from import_blobs b left join uploads u on u.id = b.upload_id
           where b.job_id = $1
           order by array_position(array['copying', 'waiting', 'copied', 'present'], b.state),
                    b.position
           limit $2"#,
        job.uuid(),
        limit,
    )
    .fetch_all(conn)
    .await
}

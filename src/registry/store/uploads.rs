//! SQL of uploads in progress.

use sqlx::PgConnection;

use crate::base::id::{ProjectId, RepositoryId, UploadId, UserId};
use crate::base::{RepositoryName, Timestamp};
use crate::registry::UploadProgress;

/// An upload as its requests need it.
#[derive(Debug)]
pub(in crate::registry) struct UploadRow {
    pub repository_id: RepositoryId,
    pub project_id: ProjectId,
    pub received: i64,
    /// Bytes that still fit into the project, whatever this upload already holds; `None`: no limit.
    pub room: Option<i64>,
}

/// What became of starting an upload.
#[derive(Debug)]
pub(in crate::registry) struct Started {
    pub is_started: bool,
    /// The project is full, so that whatever the upload brings is refused.
    pub is_full: bool,
}

/// Starts an upload unless the user or the installation has too many, or the project is full.
/// Uploads that start at the same instant may pass the limits by their number.
///
/// Losing the row in a crash loses nothing that was promised, so its commit does not wait for
/// the disk.
pub(in crate::registry) async fn insert(
    conn: &mut PgConnection,
    id: UploadId,
    repository: RepositoryId,
    user: Option<UserId>,
    now: Timestamp,
    (per_user, in_all): (i64, i64),
) -> Result<Started, sqlx::Error> {
    sqlx::query_as!(
        Started,
        r#"with fullness as (
               select q.bytes + c.bytes >= coalesce(q.max_bytes, $7)
                      or q.manifests + c.manifests >= coalesce(q.max_manifests, $7) as is_full
               from repositories r
               join project_usage q on q.project_id = r.project_id
               cross join lateral (
                   select coalesce(sum(bytes), 0)::bigint as bytes,
                          coalesce(sum(manifests), 0)::bigint as manifests
                   from project_usage_changes where project_id = q.project_id) c
               where r.id = $2 and (q.max_bytes is not null or q.max_manifests is not null)
           ), started as (
               insert into uploads (id, repository_id, user_id, received, created_at, updated_at)
               select $1, $2, $3, 0, $4, $4
               from (select set_config('synchronous_commit', 'off', true)) as relaxed
               where (select count(*) from uploads where user_id = $3) < $5
                 and (select count(*) from uploads) < $6
                 and not exists (select 1 from fullness where is_full)
               returning id
           )
           select exists (select 1 from started) as "is_started!",
                  coalesce((select is_full from fullness), false) as "is_full!""#,
        id.uuid(),
        repository.uuid(),
        user.map(|id| id.uuid()),
        now,
        per_user,
        in_all,
        i64::MAX,
    )
    .fetch_one(conn)
    .await
}

/// An upload of this user in this repository.
pub(in crate::registry) async fn find(
    conn: &mut PgConnection,
    id: UploadId,
    repository: &RepositoryName,
    user: Option<UserId>,
) -> Result<Option<UploadRow>, sqlx::Error> {
    sqlx::query_as!(
        UploadRow,
        r#"select u.repository_id as "repository_id: RepositoryId",
                  r.project_id as "project_id: ProjectId", u.received,
                  case when q.max_bytes is not null then
                      q.max_bytes - q.bytes
                      - (select coalesce(sum(bytes), 0)::bigint from project_usage_changes
                         where project_id = r.project_id)
                  end as room
           from uploads u
           join repositories r on r.id = u.repository_id
           left join project_usage q on q.project_id = r.project_id
           where u.id = $1 and r.name = $2 and u.user_id is not distinct from $3"#,
        id.uuid(),
        repository.as_str(),
        user.map(|id| id.uuid()),
    )
    .fetch_optional(conn)
    .await
}

/// Notes that `received` bytes are on disk; `false` when the upload is gone. A lost note only
/// makes a resumed upload start earlier, so the commit does not wait for the disk.
pub(in crate::registry) async fn advance(
    conn: &mut PgConnection,
    id: UploadId,
    received: i64,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update uploads set received = $2, updated_at = $3
         from (select set_config('synchronous_commit', 'off', true)) as relaxed
         where id = $1",
        id.uuid(),
        received,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(in crate::registry) async fn delete(
    conn: &mut PgConnection,
    id: UploadId,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!("delete from uploads where id = $1", id.uuid()).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes uploads idle since `before`, of one user or of all.
pub(in crate::registry) async fn delete_idle(
    conn: &mut PgConnection,
    before: Timestamp,
    user: Option<UserId>,
) -> Result<Vec<UploadId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"delete from uploads where updated_at < $1 and ($2::uuid is null or user_id = $2)
           returning id as "id: UploadId""#,
        before,
        user.map(|id| id.uuid()),
    )
    .fetch_all(conn)
    .await
}

/// Deletes uploads that began before `before`.
pub(in crate::registry) async fn delete_old(
    conn: &mut PgConnection,
    before: Timestamp,
) -> Result<Vec<UploadId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"delete from uploads where created_at < $1 returning id as "id: UploadId""#,
        before,
    )
    .fetch_all(conn)
    .await
}

/// Those of `ids` that have no row.
pub(in crate::registry) async fn without_row(
    conn: &mut PgConnection,
    ids: &[uuid::Uuid],
) -> Result<Vec<UploadId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select d.id as "id!: UploadId" from unnest($1::uuid[]) as d (id)
           where not exists (select 1 from uploads u where u.id = d.id)"#,
        ids,
    )
    .fetch_all(conn)
    .await
}

/// Uploads in a project, newest first.
pub(in crate::registry) async fn list(
    conn: &mut PgConnection,
    project: ProjectId,
    limit: i64,
) -> Result<Vec<UploadProgress>, sqlx::Error> {
    sqlx::query_as!(
        UploadProgress,
        r#"select u.id as "id: UploadId", r.name as "repository: RepositoryName",
                  (select name from users where users.id = u.user_id) as user, u.received,
                  u.created_at as started_at, u.updated_at
           from uploads u join repositories r on r.id = u.repository_id
           where r.project_id = $1
           order by u.created_at desc, u.id desc
           limit $2"#,
        project.uuid(),
        limit,
    )
    .fetch_all(conn)
    .await
}

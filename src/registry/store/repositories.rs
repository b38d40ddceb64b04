//! SQL of repositories and their pull counters.

use chrono::NaiveDate;
use sqlx::PgConnection;

use super::usage;
use crate::base::id::{ProjectId, RepositoryId};
use crate::base::{RepositoryName, TagName, Timestamp};
use crate::registry::Repository;

/// Makes the repository; `None` when it exists.
pub(in crate::registry) async fn insert(
    conn: &mut PgConnection,
    id: RepositoryId,
    project: ProjectId,
    name: &RepositoryName,
    now: Timestamp,
) -> Result<Option<RepositoryId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"insert into repositories (id, project_id, name, created_at, updated_at)
           values ($1, $2, $3, $4, $4)
           on conflict on constraint repositories_name_key do nothing
           returning id as "id: RepositoryId""#,
        id.uuid(),
        project.uuid(),
        name.as_str(),
        now,
    )
    .fetch_optional(conn)
    .await
}

pub(in crate::registry) async fn find(
    conn: &mut PgConnection,
    name: &RepositoryName,
) -> Result<Option<(RepositoryId, ProjectId)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select id as "id: RepositoryId", project_id as "project_id: ProjectId"
           from repositories where name = $1"#,
        name.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| (r.id, r.project_id)))
}

/// The same, held against deletion until the transaction ends. A transaction that will refer to
/// the repository holds it first, so that a deletion does not wait for it in turn.
pub(in crate::registry) async fn hold(
    conn: &mut PgConnection,
    name: &RepositoryName,
) -> Result<Option<(RepositoryId, ProjectId)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select id as "id: RepositoryId", project_id as "project_id: ProjectId"
           from repositories where name = $1 for key share"#,
        name.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| (r.id, r.project_id)))
}

/// Deletes the repository with all that hangs on it, and releases what that cost.
pub(in crate::registry) async fn delete(
    conn: &mut PgConnection,
    id: RepositoryId,
) -> Result<bool, sqlx::Error> {
    // Nobody can add to it from here on; what others are removing is waited for, not counted.
    let held =
        sqlx::query!("select 1 as one from repositories where id = $1 for update", id.uuid())
            .fetch_optional(&mut *conn)
            .await?;
    if held.is_none() {
        return Ok(false);
    }
    let digests = sqlx::query_scalar!(
        "delete from repository_blobs where repository_id = $1 returning blob_digest",
        id.uuid(),
    )
    .fetch_all(&mut *conn)
    .await?;
    let repositories = vec![id.uuid(); digests.len()];
    usage::release_links(&mut *conn, &repositories, &digests).await?;
    sqlx::query!(
        "with gone as (
             delete from manifests where repository_id = $1 returning size
         )
         insert into project_usage_changes (project_id, bytes, manifests)
         select r.project_id, -sum(g.size), -count(*)
         from gone g, repositories r where r.id = $1
         group by r.project_id",
        id.uuid(),
    )
    .execute(&mut *conn)
    .await?;
    let done =
        sqlx::query!("delete from repositories where id = $1", id.uuid()).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Repositories of a project by name; with `exactly`, that one.
pub(in crate::registry) async fn list(
    conn: &mut PgConnection,
    project: ProjectId,
    exactly: Option<&RepositoryName>,
    query: Option<&str>,
    after: Option<&str>,
    today: NaiveDate,
    limit: u32,
) -> Result<Vec<Repository>, sqlx::Error> {
    sqlx::query_as!(
        Repository,
        r#"select r.id as "id: RepositoryId", r.project_id as "project_id: ProjectId",
                  r.name as "name: RepositoryName", r.description, r.created_at,
                  (select count(*) from tags t where t.repository_id = r.id) as "tag_count!",
                  (select t.name from tags t where t.repository_id = r.id
                   order by t.updated_at desc, t.name desc limit 1) as "latest_tag: TagName",
                  (select coalesce(sum(b.size), 0)::bigint from repository_blobs rb
                   join blobs b on b.digest = rb.blob_digest
                   where rb.repository_id = r.id) as "size!",
                  (select coalesce(sum(p.pulls), 0)::bigint from pull_counts p
                   where p.repository_id = r.id and p.day > $5::date - 30) as "pulls_30d!",
                  (select max(m.created_at) from manifests m
                   where m.repository_id = r.id) as pushed_at
           from repositories r
           where r.project_id = $1
             and ($2::text is null or r.name = $2)
             and ($3::text is null or position(lower($3) in r.name) > 0)
             and ($4::text is null or r.name > $4)
           order by r.name
           limit $6"#,
        project.uuid(),
        exactly.map(RepositoryName::as_str),
        query,
        after,
        today,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await
}

/// Names of repositories in `projects` (`None`: all) after `last`.
pub(in crate::registry) async fn names(
    conn: &mut PgConnection,
    projects: Option<&[uuid::Uuid]>,
    last: Option<&str>,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select name from repositories
           where ($1::uuid[] is null or project_id = any($1))
             and ($2::text is null or name > $2)
           order by name
           limit $3"#,
        projects,
        last,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Adds pulls; counts of repositories that are gone are dropped.
pub(in crate::registry) async fn add_pulls(
    conn: &mut PgConnection,
    repositories: &[uuid::Uuid],
    days: &[NaiveDate],
    pulls: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into pull_counts (repository_id, day, pulls)
         select c.repository_id, c.day, c.pulls
         from unnest($1::uuid[], $2::date[], $3::bigint[]) as c (repository_id, day, pulls)
         join repositories r on r.id = c.repository_id
         order by c.repository_id, c.day
         on conflict on constraint pull_counts_pkey
         do update set pulls = pull_counts.pulls + excluded.pulls",
        repositories,
        days,
        pulls,
    )
    .execute(conn)
    .await?;
    Ok(())
}

//! SQL of stored sources. Only [`access`] reads a secret.

use sqlx::PgConnection;

use super::Result;
use crate::base::id::{ProjectId, SourceId};
use crate::base::{SourceName, Timestamp};
use crate::import::Source;

/// A source to insert.
pub(in crate::import) struct NewRow<'a> {
    pub id: SourceId,
    pub project: ProjectId,
    pub name: &'a SourceName,
    pub url: &'a str,
    pub token_host: Option<&'a str>,
    pub username: &'a str,
    pub secret: Option<&'a [u8]>,
}

/// `false` when the project has `most` already.
pub(in crate::import) async fn insert(
    conn: &mut PgConnection,
    row: &NewRow<'_>,
    most: i64,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query!(
        "insert into import_sources
             (id, project_id, name, url, token_host, username, secret, created_at, updated_at)
         select $1, $2, $3, $4, $5, $6, $7, $8, $8
         where (select count(*) from import_sources where project_id = $2) < $9",
        row.id.uuid(),
        row.project.uuid(),
        row.name.as_str(),
        row.url,
        row.token_host,
        row.username,
        row.secret,
        now,
        most,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(in crate::import) async fn list(
    conn: &mut PgConnection,
    project: ProjectId,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Source>> {
    sqlx::query_as!(
        Source,
        r#"select id as "id: SourceId", name as "name: SourceName", url, token_host, username,
                  secret is not null as "has_secret!", generation, created_at, updated_at
           from import_sources
           where project_id = $1 and ($2::text is null or name > $2)
           order by name limit $3"#,
        project.uuid(),
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

pub(in crate::import) async fn find(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &SourceName,
) -> Result<Option<Source>> {
    sqlx::query_as!(
        Source,
        r#"select id as "id: SourceId", name as "name: SourceName", url, token_host, username,
                  secret is not null as "has_secret!", generation, created_at, updated_at
           from import_sources where project_id = $1 and name = $2"#,
        project.uuid(),
        name.as_str(),
    )
    .fetch_optional(conn)
    .await
}

pub(in crate::import) async fn lock(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &SourceName,
) -> Result<Option<Source>> {
    sqlx::query_as!(
        Source,
        r#"select id as "id: SourceId", name as "name: SourceName", url, token_host, username,
                  secret is not null as "has_secret!", generation, created_at, updated_at
           from import_sources where project_id = $1 and name = $2 for update"#,
        project.uuid(),
        name.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Changes all fields; the secret only if `secret.0`.
pub(in crate::import) async fn update(
    conn: &mut PgConnection,
    id: SourceId,
    (url, token_host, username): (&str, Option<&str>, &str),
    secret: (bool, Option<&[u8]>),
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "update import_sources
         set url = $2, token_host = $3, username = $4,
             secret = case when $5 then $6 else secret end,
             generation = generation + 1, updated_at = $7
         where id = $1",
        id.uuid(),
        url,
        token_host,
        username,
        secret.0,
        secret.1,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::import) async fn delete(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &SourceName,
) -> Result<Option<SourceId>> {
    sqlx::query_scalar!(
        r#"delete from import_sources where project_id = $1 and name = $2
           returning id as "id: SourceId""#,
        project.uuid(),
        name.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// What a run needs of a source.
pub(in crate::import) struct Access {
    pub url: String,
    pub token_host: Option<String>,
    pub username: String,
    pub secret: Option<Vec<u8>>,
}

pub(in crate::import) async fn access(
    conn: &mut PgConnection,
    id: SourceId,
) -> Result<Option<Access>> {
    sqlx::query_as!(
        Access,
        "select url, token_host, username, secret from import_sources where id = $1",
        id.uuid()
    )
    .fetch_optional(conn)
    .await
}

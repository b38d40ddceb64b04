//! SQL of what rules are evaluated on, read in bounded batches by key.

use sqlx::PgConnection;

use crate::base::id::{ManifestId, ProjectId, RepositoryId};
use crate::base::{Digest, ProjectName, RepositoryName, Result, Timestamp};

/// Rows of one batch.
const BATCH: i64 = 5_000;

/// The project's name; none when it is gone.
pub(in crate::registry) async fn project_name(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<Option<ProjectName>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select name as "name: ProjectName" from projects where id = $1"#,
        project.uuid(),
    )
    .fetch_optional(conn)
    .await
}

/// Repositories of a project by name.
pub(in crate::registry) async fn repositories(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<Vec<(RepositoryId, RepositoryName)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id as "id: RepositoryId", name as "name: RepositoryName"
           from repositories where project_id = $1 order by name"#,
        project.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.id, r.name)).collect())
}

/// A manifest.
#[derive(Debug)]
pub(in crate::registry) struct ManifestRow {
    pub id: ManifestId,
    pub digest: Digest,
    pub size: i64,
    pub pushed_at: Timestamp,
    pub pulled_at: Option<Timestamp>,
    pub subject: Option<Digest>,
    pub children: Vec<Digest>,
}

/// Manifests of a repository, at most `most` and one.
pub(in crate::registry) async fn manifests(
    conn: &mut PgConnection,
    repository: RepositoryId,
    most: usize,
) -> Result<Vec<ManifestRow>, sqlx::Error> {
    let mut found: Vec<ManifestRow> = Vec::new();
    loop {
        let after = found.last().map(|row| row.id.uuid());
        let rows = sqlx::query_as!(
            ManifestRow,
            r#"select m.id as "id: ManifestId", m.digest as "digest: Digest",
                      m.total_size as size, m.pushed_at, p.pulled_at as "pulled_at?",
                      m.subject_digest as "subject: Digest",
                      array(select f.digest from manifest_references f
                            where f.manifest_id = m.id and f.kind = 'manifest')
                          as "children!: Vec<Digest>"
               from manifests m left join manifest_pulls p on p.manifest_id = m.id
               where m.repository_id = $1 and ($2::uuid is null or m.id > $2)
               order by m.id limit $3"#,
            repository.uuid(),
            after,
            BATCH,
        )
        .fetch_all(&mut *conn)
        .await?;
        let full = rows.len() as i64 == BATCH;
        found.extend(rows);
        if !full || found.len() > most {
            return Ok(found);
        }
    }
}

/// A tag.
#[derive(Debug)]
pub(in crate::registry) struct TagRow {
    pub name: String,
    pub manifest_id: ManifestId,
    pub pushed_at: Timestamp,
}

/// Tags of a repository by name, at most `most` and one.
pub(in crate::registry) async fn tags(
    conn: &mut PgConnection,
    repository: RepositoryId,
    most: usize,
) -> Result<Vec<TagRow>, sqlx::Error> {
    let mut found: Vec<TagRow> = Vec::new();
    loop {
        let after = found.last().map(|row| row.name.clone());
        let rows = sqlx::query_as!(
            TagRow,
            r#"select name, manifest_id as "manifest_id: ManifestId", pushed_at
               from tags
               where repository_id = $1 and ($2::text is null or name > $2)
               order by name limit $3"#,
            repository.uuid(),
            after,
            BATCH,
        )
        .fetch_all(&mut *conn)
        .await?;
        let full = rows.len() as i64 == BATCH;
        found.extend(rows);
        if !full || found.len() > most {
            return Ok(found);
        }
    }
}

//! SQL of checks and scrubs: what is recorded about blobs, manifests and tags, all of it.

use sqlx::PgConnection;

use crate::base::id::ManifestId;
use crate::base::{Digest, RepositoryName, Timestamp};
use crate::registry::Corrupt;

/// A blob as checks see it.
#[derive(Debug, Clone)]
pub(in crate::registry) struct Listed {
    pub digest: Digest,
    pub size: i64,
    pub stored_at: Timestamp,
    pub quarantined: bool,
    /// Some other digest leads to it.
    pub has_alias: bool,
}

/// Blobs by digest, after `after`.
pub(in crate::registry) async fn list(
    conn: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query_as!(
        Listed,
        r#"select b.digest as "digest: Digest", b.size, b.stored_at,
                  b.quarantined_at is not null as "quarantined!",
                  exists (select 1 from blob_aliases a where a.blob_digest = b.digest)
                      as "has_alias!"
           from blobs b where b.digest > $1 order by b.digest limit $2"#,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

pub(in crate::registry) async fn find(
    conn: &mut PgConnection,
    digest: &Digest,
) -> Result<Option<Listed>, sqlx::Error> {
    sqlx::query_as!(
        Listed,
        r#"select b.digest as "digest: Digest", b.size, b.stored_at,
                  b.quarantined_at is not null as "quarantined!", false as "has_alias!"
           from blobs b where b.digest = $1"#,
        digest.to_string(),
    )
    .fetch_optional(conn)
    .await
}

/// Whether an alias other than `found` leads to the blob.
pub(in crate::registry) async fn has_false_alias(
    conn: &mut PgConnection,
    stored: &Digest,
    found: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select 1 from blob_aliases
                          where blob_digest = $1 and digest <> $2) as "is!""#,
        stored.to_string(),
        found,
    )
    .fetch_one(conn)
    .await
}

/// Removes aliases of the blob; the next push by such a digest makes the right one.
pub(in crate::registry) async fn delete_aliases(
    conn: &mut PgConnection,
    stored: &Digest,
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from blob_aliases where blob_digest = $1", stored.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes the blob out of service, if its file is still that of `stored_at` and it is in service.
pub(in crate::registry) async fn quarantine(
    conn: &mut PgConnection,
    digest: &Digest,
    fault: &str,
    stored_at: Timestamp,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update blobs set quarantined_at = $4, fault = $2
         where digest = $1 and stored_at = $3 and quarantined_at is null",
        digest.to_string(),
        fault,
        stored_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Blobs out of service, by digest, after `after`.
pub(in crate::registry) async fn corrupt(
    conn: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<Corrupt>, sqlx::Error> {
    sqlx::query_as!(
        Corrupt,
        r#"select b.digest as "digest: Digest", b.size, b.fault as "fault!",
                  b.quarantined_at as "since!",
                  array(select r.name from repository_blobs rb
                        join repositories r on r.id = rb.repository_id
                        where rb.blob_digest = b.digest
                        order by r.name limit 20) as "repositories!"
           from blobs b
           where b.quarantined_at is not null and b.digest > $1
           order by b.digest limit $2"#,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// When the oldest blob arrived.
pub(in crate::registry) async fn oldest(
    conn: &mut PgConnection,
) -> Result<Option<Timestamp>, sqlx::Error> {
    sqlx::query_scalar!("select min(created_at) from blobs").fetch_one(conn).await
}

/// The repositories a blob is visible in; `None` when the blob is gone.
pub(in crate::registry) async fn linked_from(
    conn: &mut PgConnection,
    digest: &Digest,
) -> Result<Option<Vec<String>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select array(select r.name from repository_blobs rb
                        join repositories r on r.id = rb.repository_id
                        where rb.blob_digest = b.digest
                        order by r.name limit 20) as "names!"
           from blobs b where b.digest = $1"#,
        digest.to_string(),
    )
    .fetch_optional(conn)
    .await
}

/// A manifest as checks see it.
#[derive(Debug)]
pub(in crate::registry) struct StoredManifest {
    pub id: ManifestId,
    pub repository: RepositoryName,
    pub digest: Digest,
    pub media_type: String,
    pub content: Vec<u8>,
}

/// Manifests by id, after `after`.
pub(in crate::registry) async fn stored_after(
    conn: &mut PgConnection,
    after: ManifestId,
    limit: i64,
) -> Result<Vec<StoredManifest>, sqlx::Error> {
    sqlx::query_as!(
        StoredManifest,
        r#"select m.id as "id: ManifestId", r.name as "repository: RepositoryName",
                  m.digest as "digest: Digest", m.media_type, m.content
           from manifests m join repositories r on r.id = m.repository_id
           where m.id > $1 order by m.id limit $2"#,
        after.uuid(),
        limit,
    )
    .fetch_all(conn)
    .await
}

pub(in crate::registry) async fn delete_references(
    conn: &mut PgConnection,
    manifest: ManifestId,
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from manifest_references where manifest_id = $1", manifest.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// A blob that a manifest needs and its repository does not link.
#[derive(Debug)]
pub(in crate::registry) struct Unlinked {
    pub repository: RepositoryName,
    pub manifest: Digest,
    pub digest: Digest,
    /// The blob, when it is stored.
    pub stored: Option<Digest>,
}

/// Such blobs, the first thousand. Layers that are not distributed need not be here.
pub(in crate::registry) async fn unlinked(
    conn: &mut PgConnection,
) -> Result<Vec<Unlinked>, sqlx::Error> {
    sqlx::query_as!(
        Unlinked,
        r#"select r.name as "repository: RepositoryName", m.digest as "manifest: Digest",
                  f.digest as "digest: Digest", b.digest as "stored?: Digest"
           from manifest_references f
           join manifests m on m.id = f.manifest_id
           join repositories r on r.id = m.repository_id
           left join blob_aliases a on a.digest = f.digest
           left join blobs b on b.digest = coalesce(a.blob_digest, f.digest)
           where f.kind <> 'manifest'
             and f.media_type not like '%nondistributable%'
             and f.media_type not like '%.foreign.%'
             and not exists (
                 select 1 from repository_blobs rb
                 where rb.repository_id = m.repository_id
                   and rb.blob_digest = coalesce(a.blob_digest, f.digest))
           order by r.name, m.digest, f.digest
           limit 1000"#,
    )
    .fetch_all(conn)
    .await
}

/// Tags that lead to a manifest of another repository: repository and tag, the first thousand.
pub(in crate::registry) async fn strays(
    conn: &mut PgConnection,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select r.name as repository, t.name as tag
         from tags t
         join repositories r on r.id = t.repository_id
         join manifests m on m.id = t.manifest_id
         where m.repository_id <> t.repository_id
         order by r.name, t.name limit 1000"
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.repository, r.tag)).collect())
}

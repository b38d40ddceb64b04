//! SQL of deleted manifests and the blobs that are kept for them.

use sqlx::PgConnection;
use uuid::Uuid;

use super::tags::Mover;
use crate::base::id::{ManifestId, ProjectId, RepositoryId};
use crate::base::{Digest, Reference, TagName, Timestamp};
use crate::registry::deleted::DeletedImage;
use crate::registry::label::Chip;

/// Copies manifests to tombstones, with their tags, their labels and the blobs they need. A
/// tombstone of the same digest that a push made void is replaced.
pub(in crate::registry) async fn bury(
    conn: &mut PgConnection,
    manifests: &[Uuid],
    mover: Mover<'_>,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from deleted_manifests d using manifests m
         where m.id = any($1) and d.repository_id = m.repository_id and d.digest = m.digest",
        manifests,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into deleted_manifests
             (id, repository_id, digest, media_type, content, size, artifact_type, subject_digest,
              config_digest, config_media_type, annotations, total_size, config, pushed_by,
              created_at, tags, labels, deleted_by, client, deleted_at, expires_at)
         select m.id, m.repository_id, m.digest, m.media_type, m.content, m.size, m.artifact_type,
                m.subject_digest, m.config_digest, m.config_media_type, m.annotations,
                m.total_size, m.config, m.pushed_by, m.created_at,
                array(select t.name from tags t where t.manifest_id = m.id order by t.name),
                array(select l.label_id from manifest_labels l where l.manifest_id = m.id),
                $2, $3, $4, $5
         from manifests m where m.id = any($1)",
        manifests,
        mover.name,
        mover.client,
        now,
        until,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into deleted_manifest_blobs (repository_id, blob_digest, manifest_id)
         select distinct rb.repository_id, rb.blob_digest, m.id
         from manifests m
         join manifest_references f on f.manifest_id = m.id and f.kind <> 'manifest'
         left join blob_aliases a on a.digest = f.digest
         join repository_blobs rb on rb.repository_id = m.repository_id
                                 and rb.blob_digest = coalesce(a.blob_digest, f.digest)
         where m.id = any($1)",
        manifests,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Tombstones newest first, those that a push made void left out; with `exactly`, the newest that
/// has this digest or had this tag.
pub(in crate::registry) async fn list(
    conn: &mut PgConnection,
    repository: RepositoryId,
    exactly: Option<&Reference>,
    now: Timestamp,
    after: Option<(Timestamp, ManifestId)>,
    limit: u32,
) -> Result<Vec<(ManifestId, DeletedImage)>, sqlx::Error> {
    let (tag, digest) = match exactly {
        Some(Reference::Tag(tag)) => (Some(tag.as_str()), None),
        Some(Reference::Digest(digest)) => (None, Some(digest.to_string())),
        None => (None, None),
    };
    let (after_at, after_id) = after.unzip();
    let rows = sqlx::query!(
        r#"select d.id as "id: ManifestId", d.digest as "digest: Digest", d.media_type,
                  coalesce(d.artifact_type, d.config_media_type) as artifact_type, d.total_size,
                  d.pushed_by, d.created_at, d.tags as "tags: Vec<TagName>", d.deleted_by,
                  d.client, d.deleted_at, d.expires_at,
                  array(select l.color || ':' || l.name from labels l
                        where l.id = any(d.labels) order by l.name) as "labels!: Vec<String>",
                  (select b.blob_digest from deleted_manifest_blobs b
                   where b.manifest_id = d.id and not exists (
                       select 1 from repository_blobs rb
                       where rb.repository_id = b.repository_id
                         and rb.blob_digest = b.blob_digest)
                   order by b.blob_digest limit 1) as "missing: Digest"
           from deleted_manifests d
           where d.repository_id = $1 and d.expires_at > $2
             and ($3::text is null or d.tags @> array[$3])
             and ($4::text is null or d.digest = $4)
             and ($5::timestamptz is null or (d.deleted_at, d.id) < ($5, $6::uuid))
             and not exists (select 1 from manifests m
                             where m.repository_id = d.repository_id and m.digest = d.digest)
           order by d.deleted_at desc, d.id desc
           limit $7"#,
        repository.uuid(),
        now,
        tag,
        digest,
        after_at,
        after_id.map(ManifestId::uuid),
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let image = DeletedImage {
                digest: r.digest,
                media_type: r.media_type,
                artifact_type: r.artifact_type,
                total_size: r.total_size,
                pushed_by: r.pushed_by,
                pushed_at: r.created_at,
                tags: r.tags,
                labels: Chip::gathered(r.labels),
                deleted_by: r.deleted_by,
                client: r.client,
                deleted_at: r.deleted_at,
                restorable_until: r.expires_at,
                missing: r.missing,
            };
            (r.id, image)
        })
        .collect())
}

/// A tombstone being restored or purged.
#[derive(Debug)]
pub(in crate::registry) struct Tombstone {
    pub id: ManifestId,
    pub media_type: String,
    pub content: Vec<u8>,
    pub tags: Vec<String>,
    pub labels: Vec<Uuid>,
    pub deleted_by: String,
}

/// Finds a tombstone whose window has not ended, and locks it.
pub(in crate::registry) async fn lock(
    conn: &mut PgConnection,
    repository: RepositoryId,
    digest: &Digest,
    now: Timestamp,
) -> Result<Option<Tombstone>, sqlx::Error> {
    sqlx::query_as!(
        Tombstone,
        r#"select id as "id: ManifestId", media_type, content, tags, labels, deleted_by
           from deleted_manifests
           where repository_id = $1 and digest = $2 and expires_at > $3
           for update"#,
        repository.uuid(),
        digest.to_string(),
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Makes the manifest again as it was and charges the project: its bytes; `None` when one with its
/// digest is there.
pub(in crate::registry) async fn unearth(
    conn: &mut PgConnection,
    id: ManifestId,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with stored as (
               insert into manifests
                   (id, repository_id, digest, media_type, content, size, artifact_type,
                    subject_digest, config_digest, config_media_type, annotations, total_size,
                    config, pushed_by, created_at)
               select id, repository_id, digest, media_type, content, size, artifact_type,
                      subject_digest, config_digest, config_media_type, annotations, total_size,
                      config, pushed_by, created_at
               from deleted_manifests where id = $1
               on conflict on constraint manifests_repository_id_digest_key do nothing
               returning repository_id, size
           ), charged as (
               insert into project_usage_changes (project_id, bytes, manifests)
               select r.project_id, s.size, 1
               from stored s join repositories r on r.id = s.repository_id
           )
           select size as "size!" from stored"#,
        id.uuid(),
    )
    .fetch_optional(conn)
    .await
}

/// Gives a restored manifest those of its labels that still exist.
pub(in crate::registry) async fn relabel(
    conn: &mut PgConnection,
    tombstone: &Tombstone,
    by: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if tombstone.labels.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into manifest_labels (manifest_id, label_id, created_by, created_at)
         select $1, l.id, $3, $4 from labels l where l.id = any($2)
         on conflict on constraint manifest_labels_pkey do nothing",
        tombstone.id.uuid(),
        &tombstone.labels,
        by,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a tombstone and lets go of its blobs.
pub(in crate::registry) async fn forget(
    conn: &mut PgConnection,
    id: ManifestId,
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from deleted_manifests where id = $1", id.uuid()).execute(conn).await?;
    Ok(())
}

/// Tombstones of one repository that were removed together.
#[derive(Debug)]
pub(in crate::registry) struct Expired {
    pub repository: RepositoryId,
    pub project: ProjectId,
    pub name: String,
    pub digests: Vec<String>,
}

/// Removes up to `limit` tombstones whose window has ended.
pub(in crate::registry) async fn expire(
    conn: &mut PgConnection,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Expired>, sqlx::Error> {
    sqlx::query_as!(
        Expired,
        r#"with ended as (
               select id from deleted_manifests where expires_at <= $1
               order by expires_at limit $2 for update skip locked
           ), gone as (
               delete from deleted_manifests d using ended where d.id = ended.id
               returning d.repository_id, d.digest
           )
           select r.id as "repository: RepositoryId", r.project_id as "project: ProjectId", r.name,
                  array_agg(gone.digest order by gone.digest) as "digests!"
           from gone join repositories r on r.id = gone.repository_id
           group by r.id, r.project_id, r.name"#,
        now,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Digests of tombstones that need a blob in a repository.
pub(in crate::registry) async fn needing(
    conn: &mut PgConnection,
    repository: RepositoryId,
    stored: &Digest,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select d.digest from deleted_manifest_blobs b
         join deleted_manifests d on d.id = b.manifest_id
         where b.repository_id = $1 and b.blob_digest = $2
         order by d.digest limit $3",
        repository.uuid(),
        stored.to_string(),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Which of `digests` are in the repository (`true`) or deleted and restorable (`false`).
pub(in crate::registry) async fn fates(
    conn: &mut PgConnection,
    repository: RepositoryId,
    digests: &[String],
    now: Timestamp,
) -> Result<Vec<(Digest, bool)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select digest as "digest!: Digest", bool_or(is_here) as "is_here!" from (
               select digest, true as is_here from manifests
               where repository_id = $1 and digest = any($2)
               union all
               select digest, false from deleted_manifests
               where repository_id = $1 and digest = any($2) and expires_at > $3
           ) as found
           group by digest"#,
        repository.uuid(),
        digests,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.digest, r.is_here)).collect())
}

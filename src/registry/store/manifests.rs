//! SQL of manifests and what they refer to.

use serde_json::Value;
use sqlx::PgConnection;

use crate::base::id::{ManifestId, ProjectId, RepositoryId};
use crate::base::{Digest, ImageRef, Reference, RepositoryName, TagName, Timestamp};
use crate::registry::{Descriptor, ResolvedImage};

/// A manifest as it is served.
#[derive(Debug)]
pub(in crate::registry) struct ServedRow {
    pub id: ManifestId,
    pub repository_id: RepositoryId,
    pub digest: Digest,
    pub media_type: String,
    pub content: Vec<u8>,
}

pub(in crate::registry) async fn find_served(
    conn: &mut PgConnection,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Option<ServedRow>, sqlx::Error> {
    match reference {
        Reference::Tag(tag) => sqlx::query_as!(
            ServedRow,
            r#"select m.id as "id: ManifestId", m.repository_id as "repository_id: RepositoryId",
                          m.digest as "digest: Digest", m.media_type, m.content
                   from repositories r
                   join tags t on t.repository_id = r.id
                   join manifests m on m.id = t.manifest_id
                   where r.name = $1 and t.name = $2"#,
            repository.as_str(),
            tag.as_str(),
        )
        .fetch_optional(conn)
        .await,
        Reference::Digest(digest) => sqlx::query_as!(
            ServedRow,
            r#"select m.id as "id: ManifestId", m.repository_id as "repository_id: RepositoryId",
                          m.digest as "digest: Digest", m.media_type, m.content
                   from repositories r
                   join manifests m on m.repository_id = r.id
                   where r.name = $1 and m.digest = $2"#,
            repository.as_str(),
            digest.to_string(),
        )
        .fetch_optional(conn)
        .await,
    }
}

pub(in crate::registry) async fn resolve(
    conn: &mut PgConnection,
    image: &ImageRef,
) -> Result<Option<ResolvedImage>, sqlx::Error> {
    let (tag, digest) = match &image.reference {
        Reference::Tag(tag) => (Some(tag.as_str()), None),
        Reference::Digest(digest) => (None, Some(digest.to_string())),
    };
    sqlx::query_as!(
        ResolvedImage,
        r#"select r.name as "repository: RepositoryName", r.project_id as "project_id: ProjectId",
                  m.digest as "digest: Digest", m.media_type
           from repositories r
           join manifests m on m.repository_id = r.id
           where r.name = $1
             and m.id = coalesce(
                 (select t.manifest_id from tags t where t.repository_id = r.id and t.name = $2),
                 (select d.id from manifests d where d.repository_id = r.id and d.digest = $3))"#,
        image.repository.as_str(),
        tag,
        digest,
    )
    .fetch_optional(conn)
    .await
}

/// A manifest to store.
#[derive(Debug)]
pub(in crate::registry) struct NewManifest<'a> {
    pub id: ManifestId,
    pub repository: RepositoryId,
    pub digest: &'a Digest,
    pub media_type: &'a str,
    pub content: &'a [u8],
    pub artifact_type: Option<&'a str>,
    pub subject: Option<&'a Digest>,
    pub config_digest: Option<&'a Digest>,
    pub config_media_type: Option<&'a str>,
    pub annotations: Value,
    pub total_size: i64,
    pub config: Option<Value>,
    pub pushed_by: &'a str,
    pub now: Timestamp,
}

/// The row of a digest after [`insert`].
#[derive(Debug)]
pub(in crate::registry) struct Stored {
    pub id: ManifestId,
    pub media_type: String,
    pub created: bool,
    /// Bytes of the manifest itself.
    pub size: i64,
    /// The project has a limit.
    pub limited: bool,
}

/// Stores a manifest and charges the project, or finds the row of the same digest and locks it. A
/// tombstone of the same digest is void from now on.
pub(in crate::registry) async fn insert(
    conn: &mut PgConnection,
    new: &NewManifest<'_>,
) -> Result<Stored, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        r#"with void as (
               delete from deleted_manifests where repository_id = $2 and digest = $3
           ), stored as (
               insert into manifests
                   (id, repository_id, digest, media_type, content, size, artifact_type,
                    subject_digest, config_digest, config_media_type, annotations, total_size,
                    config, pushed_by, created_at, pushed_at)
               values ($1, $2, $3, $4, $5, length($5::bytea), $6, $7, $8, $9, $10, $11, $12, $13,
                       $14, $14)
               on conflict on constraint manifests_repository_id_digest_key
               do update set pushed_at = excluded.pushed_at
               returning id, repository_id, media_type, size, (xmax = 0) as created
           ), charged as (
               insert into project_usage_changes (project_id, bytes, manifests)
               select r.project_id, s.size, 1
               from stored s join repositories r on r.id = s.repository_id
               where s.created
           )
           select id as "id!: ManifestId", media_type as "media_type!", created as "created!",
                  size as "size!",
                  exists (select 1 from repositories r
                          join project_usage u on u.project_id = r.project_id
                          where r.id = $2
                            and (u.max_bytes is not null or u.max_manifests is not null))
                      as "limited!"
           from stored"#,
        new.id.uuid(),
        new.repository.uuid(),
        new.digest.to_string(),
        new.media_type,
        new.content,
        new.artifact_type,
        new.subject.map(Digest::to_string),
        new.config_digest.map(Digest::to_string),
        new.config_media_type,
        new.annotations,
        new.total_size,
        new.config,
        new.pushed_by,
        new.now,
    )
    .fetch_one(conn)
    .await
}

/// A reference to store.
#[derive(Debug)]
pub(in crate::registry) struct NewReference {
    pub kind: &'static str,
    pub position: i32,
    pub descriptor: Descriptor,
}

pub(in crate::registry) async fn insert_references(
    conn: &mut PgConnection,
    manifest: ManifestId,
    references: &[NewReference],
) -> Result<(), sqlx::Error> {
    let kinds: Vec<&str> = references.iter().map(|r| r.kind).collect();
    let digests: Vec<String> = references.iter().map(|r| r.descriptor.digest.to_string()).collect();
    let positions: Vec<i32> = references.iter().map(|r| r.position).collect();
    let types: Vec<&str> = references.iter().map(|r| r.descriptor.media_type.as_str()).collect();
    let sizes: Vec<i64> = references.iter().map(|r| r.descriptor.size).collect();
    let platforms: Vec<Option<&str>> =
        references.iter().map(|r| r.descriptor.platform.as_deref()).collect();
    sqlx::query!(
        "insert into manifest_references
             (manifest_id, kind, digest, position, media_type, size, platform)
         select $1, f.kind, f.digest, f.position, f.media_type, f.size, f.platform
         from unnest($2::text[], $3::text[], $4::int[], $5::text[], $6::bigint[], $7::text[])
              as f (kind, digest, position, media_type, size, platform)",
        manifest.uuid(),
        &kinds as &[&str],
        &digests,
        &positions,
        &types as &[&str],
        &sizes,
        &platforms as &[Option<&str>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sum of the sizes of those of `digests` that are in the repository.
pub(in crate::registry) async fn children_size(
    conn: &mut PgConnection,
    repository: RepositoryId,
    digests: &[String],
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce(sum(total_size), 0)::bigint as "size!" from manifests
           where repository_id = $1 and digest = any($2)"#,
        repository.uuid(),
        digests,
    )
    .fetch_one(conn)
    .await
}

/// Deletes a manifest and what hangs on it, and releases what it cost; tags first, see
/// `tags::delete_of_manifest`.
pub(in crate::registry) async fn delete(
    conn: &mut PgConnection,
    id: ManifestId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with gone as (
             delete from manifests where id = $1 returning repository_id, size
         )
         insert into project_usage_changes (project_id, bytes, manifests)
         select r.project_id, -g.size, -1
         from gone g join repositories r on r.id = g.repository_id",
        id.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Finds a manifest of a repository and locks both, the repository only against its deletion.
pub(in crate::registry) async fn lock(
    conn: &mut PgConnection,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<(ManifestId, RepositoryId)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select m.id as "id: ManifestId", m.repository_id as "repository_id: RepositoryId"
           from repositories r join manifests m on m.repository_id = r.id
           where r.name = $1 and m.digest = $2
           for key share of r for update of m"#,
        repository.as_str(),
        digest.to_string(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| (r.id, r.repository_id)))
}

/// Holds a manifest against removal; false when there is none.
pub(in crate::registry) async fn hold(
    conn: &mut PgConnection,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query_scalar!(
        r#"select 1 as "one!" from repositories r join manifests m on m.repository_id = r.id
           where r.name = $1 and m.digest = $2
           for key share of m"#,
        repository.as_str(),
        digest.to_string(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// A manifest as the image page needs it.
#[derive(Debug)]
pub(in crate::registry) struct ImageRow {
    pub id: ManifestId,
    pub digest: Digest,
    pub media_type: String,
    pub content: Vec<u8>,
    pub artifact_type: Option<String>,
    pub subject: Option<Digest>,
    pub annotations: Value,
    pub total_size: i64,
    pub config: Option<Value>,
    pub pushed_by: String,
    pub created_at: Timestamp,
    pub tags: Vec<TagName>,
    pub labels: Vec<String>,
}

pub(in crate::registry) async fn find_image(
    conn: &mut PgConnection,
    repository: RepositoryId,
    reference: &Reference,
) -> Result<Option<ImageRow>, sqlx::Error> {
    let (tag, digest) = match reference {
        Reference::Tag(tag) => (Some(tag.as_str()), None),
        Reference::Digest(digest) => (None, Some(digest.to_string())),
    };
    sqlx::query_as!(
        ImageRow,
        r#"select m.id as "id: ManifestId", m.digest as "digest: Digest", m.media_type, m.content,
                  m.artifact_type, m.subject_digest as "subject: Digest", m.annotations,
                  m.total_size, m.config, m.pushed_by, m.created_at,
                  array(select t.name from tags t where t.manifest_id = m.id
                        order by t.updated_at desc, t.name desc limit 100) as "tags!: Vec<TagName>",
                  array(select l.color || ':' || l.name
                        from manifest_labels ml join labels l on l.id = ml.label_id
                        where ml.manifest_id = m.id order by l.name) as "labels!: Vec<String>"
           from manifests m
           where m.repository_id = $1
             and m.id = coalesce(
                 (select t.manifest_id from tags t where t.repository_id = $1 and t.name = $2),
                 (select d.id from manifests d where d.repository_id = $1 and d.digest = $3))"#,
        repository.uuid(),
        tag,
        digest,
    )
    .fetch_optional(conn)
    .await
}

/// What a manifest refers to, in order, each with its kind.
pub(in crate::registry) async fn references(
    conn: &mut PgConnection,
    manifest: ManifestId,
) -> Result<Vec<(String, Descriptor)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select kind, digest as "digest: Digest", media_type, size, platform
           from manifest_references where manifest_id = $1 order by kind, position"#,
        manifest.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let descriptor = Descriptor {
                media_type: r.media_type,
                digest: r.digest,
                size: r.size,
                platform: r.platform,
            };
            (r.kind, descriptor)
        })
        .collect())
}

/// A manifest whose subject is another.
#[derive(Debug)]
pub(in crate::registry) struct ReferrerRow {
    pub digest: Digest,
    pub media_type: String,
    pub size: i64,
    pub artifact_type: Option<String>,
    pub annotations: Value,
}

/// Referrers of `subject` by digest, after `last`.
pub(in crate::registry) async fn referrers(
    conn: &mut PgConnection,
    repository: RepositoryId,
    subject: &Digest,
    artifact_type: Option<&str>,
    last: Option<&Digest>,
    limit: i64,
) -> Result<Vec<ReferrerRow>, sqlx::Error> {
    sqlx::query_as!(
        ReferrerRow,
        r#"select digest as "digest: Digest", media_type, size,
                  coalesce(artifact_type, config_media_type) as artifact_type, annotations
           from manifests
           where repository_id = $1 and subject_digest = $2
             and ($3::text is null or coalesce(artifact_type, config_media_type) = $3)
             and ($4::text is null or digest > $4)
           order by digest
           limit $5"#,
        repository.uuid(),
        subject.to_string(),
        artifact_type,
        last.map(Digest::to_string),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// A manifest that refers to an image or to one of its referrers.
#[derive(Debug)]
pub(in crate::registry) struct AccessoryRow {
    pub digest: Digest,
    pub subject: Option<Digest>,
    pub media_type: String,
    pub artifact_type: Option<String>,
    pub config_media_type: Option<String>,
    pub layer_media_type: Option<String>,
    pub tag: Option<TagName>,
    pub size: i64,
    pub pushed_by: String,
    pub created_at: Timestamp,
}

/// Referrers of `subject` and of those, down to `depth`; what `tags` name; and the children of the
/// index tagged `list`. A digest depends on its subject's, so there are no circles.
pub(in crate::registry) async fn accessories(
    conn: &mut PgConnection,
    repository: RepositoryId,
    subject: &Digest,
    tags: &[String],
    list: &str,
    depth: i32,
    limit: i64,
) -> Result<Vec<AccessoryRow>, sqlx::Error> {
    sqlx::query_as!(
        AccessoryRow,
        r#"with recursive found as (
               select m.id, m.digest, m.subject_digest, null::text as tag, 1 as depth
               from manifests m where m.repository_id = $1 and m.subject_digest = $2
               union all
               select m.id, m.digest, m.subject_digest, null, f.depth + 1
               from found f
               join manifests m on m.repository_id = $1 and m.subject_digest = f.digest
               where f.depth < $4),
           named as (
               select t.manifest_id as id, t.name as tag from tags t
               where t.repository_id = $1 and t.name = any($3)
               union
               select m.id, t.name from tags t
               join manifest_references r on r.manifest_id = t.manifest_id and r.kind = 'manifest'
               join manifests m on m.repository_id = $1 and m.digest = r.digest
               where t.repository_id = $1 and t.name = $6)
           select m.digest as "digest!: Digest", m.subject_digest as "subject: Digest",
                  m.media_type as "media_type!", m.artifact_type, m.config_media_type,
                  (select r.media_type from manifest_references r
                   where r.manifest_id = m.id and r.kind = 'layer' order by r.position limit 1)
                      as layer_media_type,
                  a.tag as "tag: TagName", m.size as "size!", m.pushed_by as "pushed_by!",
                  m.created_at as "created_at!"
           from (select id, null::text as tag from found
                 union all
                 select n.id, n.tag from named n where n.id not in (select id from found)
                 limit $5) a
           join manifests m on m.id = a.id
           order by m.created_at, m.digest"#,
        repository.uuid(),
        subject.to_string(),
        tags,
        depth,
        limit,
        list,
    )
    .fetch_all(conn)
    .await
}

/// Those of `digests` that are referrers of `subject` by their own word.
pub(in crate::registry) async fn referrers_among(
    conn: &mut PgConnection,
    repository: RepositoryId,
    subject: &Digest,
    digests: &[String],
) -> Result<Vec<Digest>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select digest as "digest: Digest" from manifests
           where repository_id = $1 and subject_digest = $2 and digest = any($3)"#,
        repository.uuid(),
        subject.to_string(),
        digests,
    )
    .fetch_all(conn)
    .await
}

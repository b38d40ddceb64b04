//! SQL of tags and the history of their moves.

use sqlx::PgConnection;

use crate::base::id::{ManifestId, RepositoryId};
use crate::base::{Digest, TagName, Timestamp};
use crate::registry::deleted::DeletedTag;
use crate::registry::label::Chip;
use crate::registry::{Tag, TagMove, version};

/// Points tags at a manifest. `names` must be sorted, so that two pushes lock in one order.
pub(in crate::registry) async fn set(
    conn: &mut PgConnection,
    repository: RepositoryId,
    names: &[String],
    manifest: ManifestId,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let keys: Vec<Vec<u8>> = names.iter().map(|name| version::key(name)).collect();
    sqlx::query!(
        "insert into tags
             (repository_id, name, manifest_id, created_at, updated_at, pushed_at, version_key)
         select $1, n.name, $3, $4, $4, $4, n.key
         from unnest($2::text[], $5::bytea[]) as n (name, key)
         on conflict on constraint tags_pkey do update
         set manifest_id = excluded.manifest_id,
             pushed_at = excluded.pushed_at,
             updated_at = case when tags.manifest_id = excluded.manifest_id
                               then tags.updated_at else excluded.updated_at end",
        repository.uuid(),
        names,
        manifest.uuid(),
        now,
        &keys,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Points those of the tags at a manifest that do not exist; their names.
pub(in crate::registry) async fn add(
    conn: &mut PgConnection,
    repository: RepositoryId,
    names: &[String],
    manifest: ManifestId,
    now: Timestamp,
) -> Result<Vec<String>, sqlx::Error> {
    let keys: Vec<Vec<u8>> = names.iter().map(|name| version::key(name)).collect();
    sqlx::query_scalar!(
        "insert into tags (repository_id, name, manifest_id, created_at, updated_at, version_key)
         select $1, n.name, $3, $4, $4, n.key from unnest($2::text[], $5::bytea[]) as n (name, key)
         on conflict on constraint tags_pkey do nothing
         returning name",
        repository.uuid(),
        names,
        manifest.uuid(),
        now,
        &keys,
    )
    .fetch_all(conn)
    .await
}

/// Who moved a tag, and with what.
#[derive(Debug, Clone, Copy)]
pub(in crate::registry) struct Mover<'a> {
    pub name: &'a str,
    pub client: &'a str,
}

/// Records where tags went (`None`: removed) and tells where each was before. Tags that did not
/// move get no row and are not in the answer. The tags' rows must be locked: then the last row
/// of the history is the truth even between two pushes that race.
pub(in crate::registry) async fn record_moves(
    conn: &mut PgConnection,
    repository: RepositoryId,
    names: &[String],
    to: Option<&Digest>,
    mover: Mover<'_>,
    now: Timestamp,
) -> Result<Vec<(String, Option<Digest>)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"insert into tag_history
               (repository_id, tag, from_digest, to_digest, actor_name, client, created_at)
           select $1, n.name, p.to_digest, $3, $4, $5, $6
           from unnest($2::text[]) as n (name)
           left join lateral (
               select h.to_digest from tag_history h
               where h.repository_id = $1 and h.tag = n.name
               order by h.id desc limit 1) p on true
           where p.to_digest is distinct from $3
           returning tag, from_digest as "from_digest: Digest""#,
        repository.uuid(),
        names,
        to.map(Digest::to_string),
        mover.name,
        mover.client,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.tag, r.from_digest)).collect())
}

pub(in crate::registry) async fn delete(
    conn: &mut PgConnection,
    repository: RepositoryId,
    name: &TagName,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "delete from tags where repository_id = $1 and name = $2",
        repository.uuid(),
        name.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes all tags of a manifest; their names.
pub(in crate::registry) async fn delete_of_manifest(
    conn: &mut PgConnection,
    manifest: ManifestId,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!("delete from tags where manifest_id = $1 returning name", manifest.uuid())
        .fetch_all(conn)
        .await
}

/// Names in byte order after `last`.
pub(in crate::registry) async fn names(
    conn: &mut PgConnection,
    repository: RepositoryId,
    last: Option<&str>,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select name from tags
         where repository_id = $1 and ($2::text is null or name > $2)
         order by name limit $3",
        repository.uuid(),
        last,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Which tags of a repository.
#[derive(Debug, Clone, Copy)]
pub(in crate::registry) struct Only<'a> {
    /// Part of the name, whatever its case.
    pub text: Option<&'a str>,
    /// A label of the image.
    pub label: Option<&'a str>,
}

struct TagRow {
    name: TagName,
    digest: Digest,
    media_type: String,
    total_size: i64,
    pushed_by: String,
    updated_at: Timestamp,
    aliases: Vec<TagName>,
    platforms: Vec<String>,
    labels: Vec<String>,
}

impl From<TagRow> for Tag {
    fn from(row: TagRow) -> Self {
        Self {
            name: row.name,
            digest: row.digest,
            media_type: row.media_type,
            total_size: row.total_size,
            pushed_by: row.pushed_by,
            updated_at: row.updated_at,
            aliases: row.aliases,
            platforms: row.platforms,
            labels: Chip::gathered(row.labels),
        }
    }
}

/// Tags with what people want to know, newest move first.
pub(in crate::registry) async fn list(
    conn: &mut PgConnection,
    repository: RepositoryId,
    only: Only<'_>,
    after: Option<(Timestamp, String)>,
    limit: u32,
) -> Result<Vec<Tag>, sqlx::Error> {
    let (after_at, after_name) = after.unzip();
    let rows = sqlx::query_as!(
        TagRow,
        r#"select t.name as "name!: TagName", t.digest as "digest!: Digest",
                  t.media_type as "media_type!", t.total_size as "total_size!",
                  t.updated_at as "updated_at!", t.pushed_by as "pushed_by!",
                  t.aliases as "aliases!: Vec<TagName>", t.platforms as "platforms!: Vec<String>",
                  t.labels as "labels!: Vec<String>"
           from listed_tags t
           where t.repository_id = $1
             and ($2::text is null or position(lower($2) in lower(t.name)) > 0)
             and ($3::text is null or exists (
                 select 1 from manifest_labels ml join labels l on l.id = ml.label_id
                 where ml.manifest_id = t.manifest_id and l.name = $3))
             and ($4::timestamptz is null or (t.updated_at, t.name) < ($4, $5::text))
           order by t.updated_at desc, t.name desc
           limit $6"#,
        repository.uuid(),
        only.text,
        only.label,
        after_at,
        after_name,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Tag::from).collect())
}

/// The same, newest version first (see [`version`]).
pub(in crate::registry) async fn list_versions(
    conn: &mut PgConnection,
    repository: RepositoryId,
    only: Only<'_>,
    after: Option<(Vec<u8>, String)>,
    limit: u32,
) -> Result<Vec<Tag>, sqlx::Error> {
    let (after_key, after_name) = after.unzip();
    let rows = sqlx::query_as!(
        TagRow,
        r#"select t.name as "name!: TagName", t.digest as "digest!: Digest",
                  t.media_type as "media_type!", t.total_size as "total_size!",
                  t.updated_at as "updated_at!", t.pushed_by as "pushed_by!",
                  t.aliases as "aliases!: Vec<TagName>", t.platforms as "platforms!: Vec<String>",
                  t.labels as "labels!: Vec<String>"
           from listed_tags t
           where t.repository_id = $1
             and ($2::text is null or position(lower($2) in lower(t.name)) > 0)
             and ($3::text is null or exists (
                 select 1 from manifest_labels ml join labels l on l.id = ml.label_id
                 where ml.manifest_id = t.manifest_id and l.name = $3))
             and ($4::bytea is null or (t.version_key, t.name) < ($4, $5::text))
           order by t.version_key desc, t.name desc
           limit $6"#,
        repository.uuid(),
        only.text,
        only.label,
        after_key,
        after_name,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Tag::from).collect())
}

/// Makes version keys that are missing, of up to `limit` tags; how many.
pub(in crate::registry) async fn fill_version_keys(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select repository_id, name from tags where version_key = ''::bytea limit $1"#,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    let repositories: Vec<_> = rows.iter().map(|r| r.repository_id).collect();
    let keys: Vec<_> = rows.iter().map(|r| version::key(&r.name)).collect();
    let names: Vec<_> = rows.into_iter().map(|r| r.name).collect();
    sqlx::query!(
        "update tags t set version_key = n.key
         from unnest($1::uuid[], $2::text[], $3::bytea[]) as n (repository_id, name, key)
         where t.repository_id = n.repository_id and t.name = n.name",
        &repositories,
        &names,
        &keys,
    )
    .execute(conn)
    .await?;
    Ok(names.len() as u64)
}

/// Whether a tag ever pointed at a digest.
pub(in crate::registry) async fn was_at(
    conn: &mut PgConnection,
    repository: RepositoryId,
    tag: &TagName,
    digest: &Digest,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select 1 from tag_history
                          where repository_id = $1 and tag = $2 and to_digest = $3) as "was!""#,
        repository.uuid(),
        tag.as_str(),
        digest.to_string(),
    )
    .fetch_one(conn)
    .await
}

/// Tags whose last move, after `since`, was their removal while their manifest stayed; each with
/// the key it is paged by.
pub(in crate::registry) async fn removed(
    conn: &mut PgConnection,
    repository: RepositoryId,
    since: Timestamp,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<(i64, DeletedTag)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select h.id, h.tag as "tag: TagName", h.from_digest as "digest!: Digest",
                  h.actor_name, h.client, h.created_at
           from tag_history h
           where h.repository_id = $1 and h.to_digest is null and h.created_at > $2
             and ($3::bigint is null or h.id < $3)
             and exists (select 1 from manifests m
                         where m.repository_id = $1 and m.digest = h.from_digest)
             and not exists (select 1 from tag_history n
                             where n.repository_id = $1 and n.tag = h.tag and n.id > h.id)
           order by h.id desc
           limit $4"#,
        repository.uuid(),
        since,
        after,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let tag = DeletedTag {
                tag: r.tag,
                digest: r.digest,
                deleted_by: r.actor_name,
                client: r.client,
                deleted_at: r.created_at,
            };
            (r.id, tag)
        })
        .collect())
}

/// Moves, newest first, each with the key it is paged by.
pub(in crate::registry) async fn history(
    conn: &mut PgConnection,
    repository: RepositoryId,
    tag: Option<&TagName>,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<(i64, TagMove)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, tag as "tag: TagName", from_digest as "from: Digest",
                  to_digest as "to: Digest", actor_name, client, created_at
           from tag_history
           where repository_id = $1
             and ($2::text is null or tag = $2)
             and ($3::bigint is null or id < $3)
           order by id desc
           limit $4"#,
        repository.uuid(),
        tag.map(TagName::as_str),
        after,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let moved = TagMove {
                tag: r.tag,
                from: r.from,
                to: r.to,
                actor_name: r.actor_name,
                client: r.client,
                at: r.created_at,
            };
            (r.id, moved)
        })
        .collect())
}

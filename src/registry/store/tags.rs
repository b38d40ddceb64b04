//! SQL of tags and the history of their moves.

use sqlx::PgConnection;

use crate::base::id::{ManifestId, RepositoryId};
use crate::base::{Digest, TagName, Timestamp};
use crate::registry::{Tag, TagMove};

/// Points tags at a manifest. `names` must be sorted, so that two pushes lock in one order.
pub(in crate::registry) async fn set(
    conn: &mut PgConnection,
    repository: RepositoryId,
    names: &[String],
    manifest: ManifestId,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into tags (repository_id, name, manifest_id, created_at, updated_at)
         select $1, n.name, $3, $4, $4 from unnest($2::text[]) as n (name)
         on conflict on constraint tags_pkey do update
         set manifest_id = excluded.manifest_id,
             updated_at = case when tags.manifest_id = excluded.manifest_id
                               then tags.updated_at else excluded.updated_at end",
        repository.uuid(),
        names,
        manifest.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
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

/// Tags with what people want to know, newest move first.
pub(in crate::registry) async fn list(
    conn: &mut PgConnection,
    repository: RepositoryId,
    query: Option<&str>,
    after: Option<(Timestamp, String)>,
    limit: u32,
) -> Result<Vec<Tag>, sqlx::Error> {
    let (after_at, after_name) = after.unzip();
    sqlx::query_as!(
        Tag,
        r#"select t.name as "name: TagName", m.digest as "digest: Digest", m.media_type,
                  m.total_size, t.updated_at,
                  coalesce((select h.actor_name from tag_history h
                            where h.repository_id = t.repository_id and h.tag = t.name
                            order by h.id desc limit 1), m.pushed_by) as "pushed_by!",
                  array(select o.name from tags o
                        where o.manifest_id = t.manifest_id and o.name <> t.name
                        order by o.name limit 20) as "aliases!: Vec<TagName>",
                  array(select f.platform from manifest_references f
                        where f.manifest_id = m.id and f.kind = 'manifest'
                          and f.platform is not null
                        union all
                        select concat(m.config->'config'->>'os', '/',
                                      m.config->'config'->>'architecture')
                        where m.config->'config'->>'architecture' <> ''
                        limit 20) as "platforms!: Vec<String>"
           from tags t join manifests m on m.id = t.manifest_id
           where t.repository_id = $1
             and ($2::text is null or position(lower($2) in lower(t.name)) > 0)
             and ($3::timestamptz is null or (t.updated_at, t.name) < ($3, $4::text))
           order by t.updated_at desc, t.name desc
           limit $5"#,
        repository.uuid(),
        query,
        after_at,
        after_name,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await
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

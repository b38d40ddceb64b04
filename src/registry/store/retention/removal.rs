//! SQL of one removal: the row of the plan, what stands in the way now, and the outcome.

use sqlx::PgConnection;

use crate::base::id::{ManifestId, PlanId, RepositoryId, RunId};
use crate::base::{Digest, Result, Timestamp};
use crate::registry::retention::Skip;

/// Locks a row that nobody has dealt with; false when somebody has.
pub(in crate::registry) async fn claim(
    conn: &mut PgConnection,
    plan: PlanId,
    position: i64,
) -> Result<bool> {
    let row = sqlx::query_scalar!(
        r#"select 1 as "one!" from retention_items
           where plan_id = $1 and position = $2 and removes and outcome is null for update"#,
        plan.uuid(),
        position,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// A tag or manifest as it is now.
#[derive(Debug)]
pub(in crate::registry) struct Present {
    pub digest: Digest,
    pub pushed_at: Timestamp,
    pub pulled_at: Option<Timestamp>,
}

/// Locks a manifest; false when it is gone. Before its tags, as a push does.
pub(in crate::registry) async fn lock_manifest(
    conn: &mut PgConnection,
    id: ManifestId,
) -> Result<bool> {
    let row = sqlx::query_scalar!(
        r#"select 1 as "one!" from manifests where id = $1 for update"#,
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// A tag with the manifest that it points at; the tag is locked.
pub(in crate::registry) async fn lock_tag(
    conn: &mut PgConnection,
    repository: RepositoryId,
    tag: &str,
) -> Result<Option<Present>> {
    Ok(sqlx::query_as!(
        Present,
        r#"select m.digest as "digest: Digest", t.pushed_at,
                  (select p.pulled_at from manifest_pulls p where p.manifest_id = m.id) as pulled_at
           from tags t join manifests m on m.id = t.manifest_id
           where t.repository_id = $1 and t.name = $2
           for update of t"#,
        repository.uuid(),
        tag,
    )
    .fetch_optional(conn)
    .await?)
}

/// A manifest that was locked.
pub(in crate::registry) async fn manifest(
    conn: &mut PgConnection,
    id: ManifestId,
) -> Result<Option<Present>> {
    Ok(sqlx::query_as!(
        Present,
        r#"select m.digest as "digest: Digest", m.pushed_at, p.pulled_at as "pulled_at?"
           from manifests m left join manifest_pulls p on p.manifest_id = m.id
           where m.id = $1"#,
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?)
}

/// What holds a manifest of a repository now.
#[derive(Debug)]
pub(in crate::registry) struct Holders {
    pub has_tag: bool,
    pub index: Option<Digest>,
    pub subject: Option<Digest>,
    /// A referrer that the plan does not remove.
    pub referrer: Option<Digest>,
}

pub(in crate::registry) async fn holders(
    conn: &mut PgConnection,
    plan: PlanId,
    repository: RepositoryId,
    id: ManifestId,
    digest: &Digest,
) -> Result<Holders> {
    Ok(sqlx::query_as!(
        Holders,
        r#"select exists (select 1 from tags where manifest_id = $3) as "has_tag!",
                  (select o.digest from manifest_references f
                   join manifests o on o.id = f.manifest_id
                   where f.digest = $4 and f.kind = 'manifest' and o.repository_id = $2
                     and o.id <> $3 limit 1) as "index: Digest",
                  (select s.digest from manifests m
                   join manifests s on s.repository_id = m.repository_id
                                   and s.digest = m.subject_digest
                   where m.id = $3 and s.id <> m.id) as "subject: Digest",
                  (select r.digest from manifests r
                   where r.repository_id = $2 and r.subject_digest = $4 and r.id <> $3
                     and not exists (select 1 from retention_items i
                                     where i.plan_id = $1 and i.manifest_id = r.id
                                       and i.tag is null and i.removes)
                   limit 1) as "referrer: Digest""#,
        plan.uuid(),
        repository.uuid(),
        id.uuid(),
        digest.to_string(),
    )
    .fetch_one(conn)
    .await?)
}

/// Whether a repository holds a manifest.
pub(in crate::registry) async fn has_manifest(
    conn: &mut PgConnection,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select 1 from manifests
                          where repository_id = $1 and digest = $2) as "there!""#,
        repository.uuid(),
        digest.to_string(),
    )
    .fetch_one(conn)
    .await?)
}

/// Bytes of blobs that only this manifest names, in the whole registry.
pub(in crate::registry) async fn own_bytes(conn: &mut PgConnection, id: ManifestId) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"select coalesce(sum(b.size), 0)::bigint as "bytes!"
           from (select distinct coalesce(a.blob_digest, f.digest) as digest
                 from manifest_references f left join blob_aliases a on a.digest = f.digest
                 where f.manifest_id = $1 and f.kind in ('config', 'layer')) n
           join blobs b on b.digest = n.digest
           where not exists (
               select 1 from manifest_references o
               where o.digest in (select b.digest union all
                                  select a.digest from blob_aliases a
                                  where a.blob_digest = b.digest)
                 and o.kind in ('config', 'layer') and o.manifest_id <> $1)"#,
        id.uuid(),
    )
    .fetch_one(conn)
    .await?)
}

/// What a removal did to the sums of its run.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::registry) struct Sums {
    pub tags: i64,
    pub images: i64,
    pub bytes: i64,
}

/// Notes a removal.
pub(in crate::registry) async fn note_removed(
    conn: &mut PgConnection,
    run: RunId,
    plan: PlanId,
    position: i64,
    sums: Sums,
) -> Result<()> {
    sqlx::query!(
        "with item as (update retention_items set outcome = 'removed'
                       where plan_id = $2 and position = $3)
         update retention_runs
         set removed_tags = removed_tags + $4, removed_images = removed_images + $5,
             freed_bytes = freed_bytes + $6
         where id = $1",
        run.uuid(),
        plan.uuid(),
        position,
        sums.tags,
        sums.images,
        sums.bytes,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that something was not removed, and why.
pub(in crate::registry) async fn note_skipped(
    conn: &mut PgConnection,
    run: RunId,
    plan: PlanId,
    position: i64,
    skip: &Skip,
) -> Result<()> {
    sqlx::query!(
        "with item as (update retention_items set outcome = 'skipped', skip = $4
                       where plan_id = $2 and position = $3)
         update retention_runs set skipped = skipped + 1 where id = $1",
        run.uuid(),
        plan.uuid(),
        position,
        super::json(skip)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

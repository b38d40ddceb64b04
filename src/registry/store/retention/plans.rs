//! SQL of plans and their rows.

use serde_json::Value;
use sqlx::PgConnection;

use super::{json, parse};
use crate::base::id::{ManifestId, PlanId, ProjectId, RepositoryId, RunId};
use crate::base::{Digest, RepositoryName, Result, Timestamp};
use crate::registry::retention::{Item, ItemFilter, Outcome, Plan, rule};

/// Starts a plan; it is not ready yet.
pub(in crate::registry) async fn insert(conn: &mut PgConnection, plan: &Plan) -> Result<()> {
    sqlx::query!(
        "insert into retention_plans
             (id, project_id, generation, rules, created_by, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        plan.id.uuid(),
        plan.project_id.uuid(),
        plan.generation,
        rule::stored(&plan.rules),
        plan.created_by,
        plan.created_at,
        plan.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds rows to a plan that is being written.
pub(in crate::registry) async fn insert_items(
    conn: &mut PgConnection,
    plan: PlanId,
    items: &[Item],
) -> Result<()> {
    let positions: Vec<i64> = items.iter().map(|i| i.position).collect();
    let repository_ids: Vec<uuid::Uuid> = items.iter().map(|i| i.repository_id.uuid()).collect();
    let repositories: Vec<&str> = items.iter().map(|i| i.repository.as_str()).collect();
    let tags: Vec<Option<&str>> = items.iter().map(|i| i.tag.as_deref()).collect();
    let manifests: Vec<uuid::Uuid> = items.iter().map(|i| i.manifest_id.uuid()).collect();
    let digests: Vec<String> = items.iter().map(|i| i.digest.to_string()).collect();
    let sizes: Vec<i64> = items.iter().map(|i| i.size).collect();
    let pushed: Vec<Timestamp> = items.iter().map(|i| i.pushed_at).collect();
    let pulled: Vec<Option<Timestamp>> = items.iter().map(|i| i.pulled_at).collect();
    let removes: Vec<bool> = items.iter().map(|i| i.removes).collect();
    let reasons: Vec<Value> = items.iter().map(|i| json(&i.reason)).collect::<Result<_>>()?;
    sqlx::query!(
        "insert into retention_items
             (plan_id, position, repository_id, repository, tag, manifest_id, digest, size,
              pushed_at, pulled_at, removes, reason)
         select $1, i.* from unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::uuid[],
              $7::text[], $8::bigint[], $9::timestamptz[], $10::timestamptz[], $11::boolean[],
              $12::jsonb[]) as i",
        plan.uuid(),
        &positions,
        &repository_ids,
        &repositories as &[&str],
        &tags as &[Option<&str>],
        &manifests,
        &digests,
        &sizes,
        &pushed,
        &pulled as &[Option<Timestamp>],
        &removes,
        &reasons,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Bytes of blobs that no manifest would name once the plan is applied.
pub(in crate::registry) async fn freed_bytes(conn: &mut PgConnection, plan: PlanId) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"with gone as materialized (
               select manifest_id from retention_items
               where plan_id = $1 and removes and tag is null),
           named as (
               select distinct coalesce(a.blob_digest, f.digest) as digest
               from gone g
               join manifest_references f on f.manifest_id = g.manifest_id
               left join blob_aliases a on a.digest = f.digest
               where f.kind in ('config', 'layer'))
           select coalesce(sum(b.size), 0)::bigint as "bytes!"
           from named n join blobs b on b.digest = n.digest
           where not exists (
               select 1 from manifest_references o
               where o.digest in (select b.digest union all
                                  select a.digest from blob_aliases a
                                  where a.blob_digest = b.digest)
                 and o.kind in ('config', 'layer')
                 and not exists (select 1 from gone g where g.manifest_id = o.manifest_id))"#,
        plan.uuid(),
    )
    .fetch_one(conn)
    .await?)
}

/// Writes the sums of a plan and makes it visible.
pub(in crate::registry) async fn finish(conn: &mut PgConnection, plan: &Plan) -> Result<()> {
    sqlx::query!(
        "update retention_plans
         set ready = true, kept_tags = $2, removed_tags = $3, kept_images = $4,
             removed_images = $5, repositories = $6, untouched = $7, emptied = $8,
             freed_bytes = $9
         where id = $1",
        plan.id.uuid(),
        plan.kept_tags,
        plan.removed_tags,
        plan.kept_images,
        plan.removed_images,
        plan.repositories,
        plan.untouched,
        plan.emptied,
        plan.freed_bytes,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A plan that is ready.
pub(in crate::registry) async fn find(
    conn: &mut PgConnection,
    project: ProjectId,
    id: PlanId,
) -> Result<Option<Plan>> {
    let row = sqlx::query!(
        r#"select p.id as "id: PlanId", p.project_id as "project_id: ProjectId", p.generation,
                  p.rules, p.created_by, p.created_at, p.expires_at, p.kept_tags, p.removed_tags,
                  p.kept_images, p.removed_images, p.repositories, p.untouched, p.emptied,
                  p.freed_bytes, r.id as "run?: RunId",
                  coalesce((select c.generation = p.generation from retention_policies c
                            where c.project_id = p.project_id), false) as "is_current!"
           from retention_plans p left join retention_runs r on r.plan_id = p.id
           where p.project_id = $1 and p.id = $2 and p.ready"#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Plan {
        id: row.id,
        project_id: row.project_id,
        generation: row.generation,
        rules: rule::read(row.rules)?,
        created_by: row.created_by,
        created_at: row.created_at,
        expires_at: row.expires_at,
        kept_tags: row.kept_tags,
        removed_tags: row.removed_tags,
        kept_images: row.kept_images,
        removed_images: row.removed_images,
        repositories: row.repositories,
        untouched: row.untouched,
        emptied: row.emptied,
        freed_bytes: row.freed_bytes,
        run: row.run,
        is_current: row.is_current,
    }))
}

/// Rows of a plan after a position.
pub(in crate::registry) async fn items(
    conn: &mut PgConnection,
    plan: PlanId,
    filter: &ItemFilter,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<Item>> {
    let rows = sqlx::query_as!(
        ItemRow,
        r#"select position, repository_id as "repository_id: RepositoryId",
                  repository as "repository: RepositoryName", tag,
                  manifest_id as "manifest_id: ManifestId", digest as "digest: Digest", size,
                  pushed_at, pulled_at, removes, reason, outcome, skip
           from retention_items
           where plan_id = $1 and ($2::boolean is null or removes = $2)
             and ($3::text is null or outcome = $3)
             and ($4::text is null or position($4 in repository || ':' || coalesce(tag, digest)) > 0)
             and ($5::bigint is null or position > $5)
           order by position limit $6"#,
        plan.uuid(),
        filter.removes,
        filter.outcome,
        filter.text,
        after,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(ItemRow::item).collect()
}

/// What a run has to do next, in order.
pub(in crate::registry) async fn open_items(
    conn: &mut PgConnection,
    plan: PlanId,
    limit: i64,
) -> Result<Vec<Item>> {
    let rows = sqlx::query_as!(
        ItemRow,
        r#"select position, repository_id as "repository_id: RepositoryId",
                  repository as "repository: RepositoryName", tag,
                  manifest_id as "manifest_id: ManifestId", digest as "digest: Digest", size,
                  pushed_at, pulled_at, removes, reason, outcome, skip
           from retention_items
           where plan_id = $1 and removes and outcome is null
           order by position limit $2"#,
        plan.uuid(),
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(ItemRow::item).collect()
}

#[derive(Debug)]
struct ItemRow {
    position: i64,
    repository_id: RepositoryId,
    repository: RepositoryName,
    tag: Option<String>,
    manifest_id: ManifestId,
    digest: Digest,
    size: i64,
    pushed_at: Timestamp,
    pulled_at: Option<Timestamp>,
    removes: bool,
    reason: Value,
    outcome: Option<String>,
    skip: Option<Value>,
}

impl ItemRow {
    fn item(self) -> Result<Item> {
        let outcome = match (self.outcome.as_deref(), self.skip) {
            (None, _) => None,
            (Some("skipped"), Some(skip)) => Some(Outcome::Skipped(parse(skip)?)),
            _ => Some(Outcome::Removed),
        };
        Ok(Item {
            position: self.position,
            repository_id: self.repository_id,
            repository: self.repository,
            tag: self.tag,
            manifest_id: self.manifest_id,
            digest: self.digest,
            size: self.size,
            pushed_at: self.pushed_at,
            pulled_at: self.pulled_at,
            removes: self.removes,
            reason: parse(self.reason)?,
            outcome,
        })
    }
}

/// Forgets plans that nobody applied, a day after they ended; also those a crash left half done.
/// At most `limit` plans.
pub(in crate::registry) async fn forget(
    conn: &mut PgConnection,
    before: Timestamp,
    limit: i64,
) -> Result<()> {
    sqlx::query!(
        "delete from retention_plans where id in (
             select p.id from retention_plans p
             where p.expires_at < $1
               and not exists (select 1 from retention_runs r where r.plan_id = p.id)
             limit $2)",
        before,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(())
}

//! SQL of what projects store, and of how much they may.
//!
//! The use of a project is its row in `project_usage` plus its rows in `project_usage_changes`.
//! A change is written by the statement that makes or removes a link or a manifest, so the two
//! cannot part; [`settle_within`] moves changes into the row.

use sqlx::PgConnection;

use crate::base::id::ProjectId;
use crate::base::{ProjectName, RepositoryName, Timestamp};
use crate::registry::quota::{Amount, Drift, Limits, Quota, RepositoryUse};

/// The counter of a project and its limits, changes that are not settled included.
#[derive(Debug, Clone, Copy)]
pub(in crate::registry) struct Counter {
    pub bytes: i64,
    pub manifests: i64,
    pub max_bytes: Option<i64>,
    pub max_manifests: Option<i64>,
    pub generation: i64,
    pub updated_at: Option<Timestamp>,
}

pub(in crate::registry) async fn counter(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<Counter, sqlx::Error> {
    sqlx::query_as!(
        Counter,
        r#"select coalesce(u.bytes, 0) + c.bytes as "bytes!",
                  coalesce(u.manifests, 0) + c.manifests as "manifests!",
                  u.max_bytes as "max_bytes?", u.max_manifests as "max_manifests?",
                  coalesce(u.generation, 0) as "generation!", u.updated_at as "updated_at?"
           from (select coalesce(sum(bytes), 0)::bigint as bytes,
                        coalesce(sum(manifests), 0)::bigint as manifests
                 from project_usage_changes where project_id = $1) c
           left join project_usage u on u.project_id = $1"#,
        project.uuid(),
    )
    .fetch_one(conn)
    .await
}

/// The counter of a project with a limit; `None`: it has none.
pub(in crate::registry) async fn limited(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<Option<Counter>, sqlx::Error> {
    sqlx::query_as!(
        Counter,
        r#"select u.bytes + c.bytes as "bytes!", u.manifests + c.manifests as "manifests!",
                  u.max_bytes, u.max_manifests, u.generation,
                  u.updated_at as "updated_at?"
           from project_usage u
           cross join lateral (
               select coalesce(sum(bytes), 0)::bigint as bytes,
                      coalesce(sum(manifests), 0)::bigint as manifests
               from project_usage_changes where project_id = u.project_id) c
           where u.project_id = $1
             and (u.max_bytes is not null or u.max_manifests is not null)"#,
        project.uuid(),
    )
    .fetch_optional(conn)
    .await
}

/// Whether a repository of the project links the blob, so that another link is free.
pub(in crate::registry) async fn has_blob(
    conn: &mut PgConnection,
    project: ProjectId,
    digest: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (
               select 1 from project_blobs
               where project_id = $1 and links > 0
                 and blob_digest =
                     coalesce((select a.blob_digest from blob_aliases a where a.digest = $2), $2)
           ) as "has!""#,
        project.uuid(),
        digest,
    )
    .fetch_one(conn)
    .await
}

/// Locks the row of a project that has a limit, until the transaction ends; `false`: it has none.
///
/// The last lock of a transaction: whoever holds it waits for nothing but its commit.
pub(in crate::registry) async fn lock_limited(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        "select 1 as one from project_usage
         where project_id = $1 and (max_bytes is not null or max_manifests is not null)
         for no key update",
        project.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Settles the changes that are visible, among them the caller's own, unless they make the use
/// grow beyond a limit; `false` then. The row must be locked.
pub(in crate::registry) async fn settle_within(
    conn: &mut PgConnection,
    project: ProjectId,
    grown: Amount,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "with settled as (
             delete from project_usage_changes where project_id = $1 returning bytes, manifests
         ), sum as (
             select coalesce(sum(bytes), 0)::bigint as bytes,
                    coalesce(sum(manifests), 0)::bigint as manifests
             from settled
         )
         update project_usage u
         set bytes = u.bytes + sum.bytes, manifests = u.manifests + sum.manifests
         from sum
         where u.project_id = $1
           and (u.max_bytes is null or $2::bigint <= 0 or u.bytes + sum.bytes <= u.max_bytes)
           and (u.max_manifests is null or $3::bigint <= 0
                or u.manifests + sum.manifests <= u.max_manifests)",
        project.uuid(),
        grown.bytes,
        grown.manifests,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Projects with changes that are not settled.
pub(in crate::registry) async fn unsettled(
    conn: &mut PgConnection,
) -> Result<Vec<ProjectId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select distinct project_id as "id: ProjectId" from project_usage_changes
           order by 1 limit 1000"#
    )
    .fetch_all(conn)
    .await
}

/// Makes the row when it is missing, and locks it.
pub(in crate::registry) async fn lock(
    conn: &mut PgConnection,
    project: ProjectId,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into project_usage (project_id, updated_at) values ($1, $2)
         on conflict on constraint project_usage_pkey do update set bytes = project_usage.bytes",
        project.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes back what links that were just removed cost: the blobs of which the project has no other
/// link. Locks the counts in one order, after the links and the blobs.
pub(in crate::registry) async fn release_links(
    conn: &mut PgConnection,
    repositories: &[uuid::Uuid],
    digests: &[String],
) -> Result<(), sqlx::Error> {
    if digests.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with lost as (
             select r.project_id, g.digest, count(*) as n
             from unnest($1::uuid[], $2::text[]) as g (repository_id, digest)
             join repositories r on r.id = g.repository_id
             group by r.project_id, g.digest
         ), held as materialized (
             select pb.project_id, pb.blob_digest, l.n
             from project_blobs pb
             join lost l on l.project_id = pb.project_id and l.digest = pb.blob_digest
             order by pb.project_id, pb.blob_digest
             for update of pb
         ), counted as (
             update project_blobs pb set links = pb.links - h.n
             from held h
             where pb.project_id = h.project_id and pb.blob_digest = h.blob_digest
             returning pb.project_id, pb.blob_digest, pb.links
         )
         insert into project_usage_changes (project_id, bytes, manifests)
         select c.project_id, -sum(b.size), 0
         from counted c join blobs b on b.digest = c.blob_digest
         where c.links = 0
         group by c.project_id",
        repositories,
        digests,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets counts of blobs that a project no longer links.
pub(in crate::registry) async fn forget_released(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from project_blobs pb
         using (select project_id, blob_digest from project_blobs
                where project_id = $1 and links <= 0
                order by blob_digest limit 1000 for update skip locked) gone
         where pb.project_id = gone.project_id and pb.blob_digest = gone.blob_digest
           and pb.links = 0",
        project.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets the limits; the row must be locked.
pub(in crate::registry) async fn set_limits(
    conn: &mut PgConnection,
    project: ProjectId,
    limits: Limits,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update project_usage
         set max_bytes = $2, max_manifests = $3, generation = generation + 1, updated_at = $4
         where project_id = $1",
        project.uuid(),
        limits.bytes,
        limits.artifacts,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How far the counter of a project is from what it stores, in one look.
pub(in crate::registry) async fn drift(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<Drift, sqlx::Error> {
    sqlx::query_as!(
        Drift,
        r#"select coalesce(blobs.bytes, 0)::bigint + manifests.bytes as "bytes!",
                  manifests.n as "artifacts!",
                  coalesce(u.bytes, 0) + changes.bytes as "counted_bytes!",
                  coalesce(u.manifests, 0) + changes.manifests as "counted_artifacts!",
                  (select count(*)
                   from (select rb.blob_digest, count(*) as links
                         from repositories r join repository_blobs rb on rb.repository_id = r.id
                         where r.project_id = $1 group by rb.blob_digest) t
                   full join (select blob_digest, links from project_blobs
                              where project_id = $1 and links <> 0) pb
                     on pb.blob_digest = t.blob_digest
                   where t.links is distinct from pb.links) as "blobs!"
           from (select sum(b.size) as bytes
                 from blobs b
                 where exists (select 1 from repositories r
                               join repository_blobs rb on rb.repository_id = r.id
                               where r.project_id = $1 and rb.blob_digest = b.digest)) blobs
           cross join (select coalesce(sum(m.size), 0)::bigint as bytes, count(*) as n
                       from repositories r join manifests m on m.repository_id = r.id
                       where r.project_id = $1) manifests
           cross join (select coalesce(sum(bytes), 0)::bigint as bytes,
                              coalesce(sum(manifests), 0)::bigint as manifests
                       from project_usage_changes where project_id = $1) changes
           left join project_usage u on u.project_id = $1"#,
        project.uuid(),
    )
    .fetch_one(conn)
    .await
}

/// Corrects the link counts of a project by what they are off, in one look.
pub(in crate::registry) async fn mend_links(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into project_blobs (project_id, blob_digest, links)
         select $1, coalesce(t.blob_digest, pb.blob_digest),
                coalesce(t.links, 0) - coalesce(pb.links, 0)
         from (select rb.blob_digest, count(*) as links
               from repositories r join repository_blobs rb on rb.repository_id = r.id
               where r.project_id = $1 group by rb.blob_digest) t
         full join (select blob_digest, links from project_blobs where project_id = $1) pb
           on pb.blob_digest = t.blob_digest
         where coalesce(t.links, 0) <> coalesce(pb.links, 0)
         order by 2
         on conflict on constraint project_blobs_pkey
         do update set links = project_blobs.links + excluded.links",
        project.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a change.
pub(in crate::registry) async fn add(
    conn: &mut PgConnection,
    project: ProjectId,
    amount: Amount,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into project_usage_changes (project_id, bytes, manifests) values ($1, $2, $3)",
        project.uuid(),
        amount.bytes,
        amount.manifests,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Projects by name with their use and limits.
pub(in crate::registry) async fn list(
    conn: &mut PgConnection,
    query: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Quota>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select p.id as "id: ProjectId", p.name as "name: ProjectName",
                  coalesce(u.bytes, 0) + c.bytes as "bytes!",
                  coalesce(u.manifests, 0) + c.manifests as "manifests!",
                  u.max_bytes as "max_bytes?", u.max_manifests as "max_manifests?",
                  coalesce(u.generation, 0) as "generation!", u.updated_at as "updated_at?"
           from projects p
           left join project_usage u on u.project_id = p.id
           cross join lateral (
               select coalesce(sum(bytes), 0)::bigint as bytes,
                      coalesce(sum(manifests), 0)::bigint as manifests
               from project_usage_changes where project_id = p.id) c
           where ($1::text is null or position(lower($1) in p.name) > 0)
             and ($2::text is null or p.name > $2)
           order by p.name
           limit $3"#,
        query,
        after,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await?;
    let quota = |r: Counter, project, name| Quota::of(project, name, &r);
    Ok(rows
        .into_iter()
        .map(|r| {
            let counter = Counter {
                bytes: r.bytes,
                manifests: r.manifests,
                max_bytes: r.max_bytes,
                max_manifests: r.max_manifests,
                generation: r.generation,
                updated_at: r.updated_at,
            };
            quota(counter, r.id, r.name)
        })
        .collect())
}

/// Repositories of a project that link the most bytes.
pub(in crate::registry) async fn largest(
    conn: &mut PgConnection,
    project: ProjectId,
    limit: i64,
) -> Result<Vec<RepositoryUse>, sqlx::Error> {
    sqlx::query_as!(
        RepositoryUse,
        r#"select r.name as "name: RepositoryName", b.bytes as "bytes!", m.n as "artifacts!"
           from repositories r
           cross join lateral (
               select coalesce(sum(b.size), 0)::bigint as bytes
               from repository_blobs rb join blobs b on b.digest = rb.blob_digest
               where rb.repository_id = r.id) b
           cross join lateral (
               select count(*) as n from manifests where repository_id = r.id) m
           where r.project_id = $1
           order by b.bytes desc, r.name
           limit $2"#,
        project.uuid(),
        limit,
    )
    .fetch_all(conn)
    .await
}

//! SQL about the heap of blobs that nobody needs.

use sqlx::PgConnection;

use crate::base::{Digest, Timestamp};

/// A blob that nobody needs.
#[derive(Debug)]
pub(in crate::registry) struct ReclaimableRow {
    pub digest: Digest,
    pub size: i64,
    pub touched_at: Timestamp,
    pub repositories: Vec<String>,
}

/// Blobs of which no link is kept, by digest, after `after`; with `before`, only those that a
/// collection would remove: untouched since then, and no upload holds one of their repositories.
pub(in crate::registry) async fn reclaimable(
    conn: &mut PgConnection,
    before: Option<Timestamp>,
    after: &str,
    limit: i64,
) -> Result<Vec<ReclaimableRow>, sqlx::Error> {
    sqlx::query_as!(
        ReclaimableRow,
        r#"select b.digest as "digest: Digest", b.size, b.touched_at,
                  array(select r.name from repository_blobs rb
                        join repositories r on r.id = rb.repository_id
                        where rb.blob_digest = b.digest
                        order by r.name limit 20) as "repositories!"
           from blobs b
           where b.digest > $2
             and not exists (
                 select 1 from repository_blobs rb
                 join kept_links n on n.repository_id = rb.repository_id
                                    and n.blob_digest = rb.blob_digest
                 where rb.blob_digest = b.digest)
             and ($1::timestamptz is null or (
                 b.touched_at < $1
                 and not exists (
                     select 1 from repository_blobs rb
                     join uploads u on u.repository_id = rb.repository_id
                     where rb.blob_digest = b.digest and u.updated_at >= $1)))
           order by b.digest
           limit $3"#,
        before,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Sums over the store.
#[derive(Debug)]
pub(in crate::registry) struct Sums {
    pub blobs: i64,
    pub bytes: i64,
    pub ready_blobs: i64,
    pub ready_bytes: i64,
    pub pending_blobs: i64,
    pub pending_bytes: i64,
    /// When the pending ones were touched, first and last.
    pub pending_from: Option<Timestamp>,
    pub pending_until: Option<Timestamp>,
    pub uploads: i64,
    pub corrupt: i64,
}

pub(in crate::registry) async fn sums(
    conn: &mut PgConnection,
    before: Timestamp,
) -> Result<Sums, sqlx::Error> {
    sqlx::query_as!(
        Sums,
        r#"with loose as (
               select b.size, b.touched_at,
                      b.touched_at < $1 and not exists (
                          select 1 from repository_blobs rb
                          join uploads u on u.repository_id = rb.repository_id
                          where rb.blob_digest = b.digest and u.updated_at >= $1) as ready
               from blobs b
               where not exists (
                   select 1 from repository_blobs rb
                   join kept_links n on n.repository_id = rb.repository_id
                                      and n.blob_digest = rb.blob_digest
                   where rb.blob_digest = b.digest)
           )
           select (select count(*) from blobs) as "blobs!",
                  (select coalesce(sum(size), 0)::bigint from blobs) as "bytes!",
                  (select count(*) from uploads) as "uploads!",
                  (select count(*) from blobs where quarantined_at is not null) as "corrupt!",
                  count(*) filter (where ready) as "ready_blobs!",
                  coalesce(sum(size) filter (where ready), 0)::bigint as "ready_bytes!",
                  count(*) filter (where not ready) as "pending_blobs!",
                  coalesce(sum(size) filter (where not ready), 0)::bigint as "pending_bytes!",
                  min(touched_at) filter (where not ready) as pending_from,
                  max(touched_at) filter (where not ready) as pending_until
           from loose"#,
        before,
    )
    .fetch_one(conn)
    .await
}

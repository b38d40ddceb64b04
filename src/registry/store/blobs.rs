//! SQL of blobs, their other digests, and the links that make them visible in a repository.
//!
//! Whether a repository needs a blob is said in one place, the view `needed_links`. Whatever makes
//! a link also counts it and charges the project (`usage`); whatever removes one releases it.
//! A blob in quarantine does not exist for clients until it is pushed again.

use sqlx::PgConnection;

use super::usage;
use crate::base::id::{RepositoryId, UploadId};
use crate::base::{Digest, RepositoryName, Timestamp};

/// A blob that a repository links.
#[derive(Debug, Clone)]
pub(in crate::registry) struct Linked {
    pub repository_id: RepositoryId,
    /// The SHA-256 it is stored under.
    pub stored: Digest,
    pub size: i64,
    pub touched_at: Timestamp,
}

pub(in crate::registry) async fn find_linked(
    conn: &mut PgConnection,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<Linked>, sqlx::Error> {
    sqlx::query_as!(
        Linked,
        r#"select r.id as "repository_id: RepositoryId", b.digest as "stored: Digest", b.size,
                  b.touched_at
           from repositories r
           join repository_blobs rb on rb.repository_id = r.id
           join blobs b on b.digest = rb.blob_digest
           where r.name = $1 and b.quarantined_at is null
             and rb.blob_digest =
                 coalesce((select a.blob_digest from blob_aliases a where a.digest = $2), $2)"#,
        repository.as_str(),
        digest.to_string(),
    )
    .fetch_optional(conn)
    .await
}

/// Notes that a push relies on the blob. Waits for a collection that is deciding about it.
pub(in crate::registry) async fn touch(
    conn: &mut PgConnection,
    stored: &Digest,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update blobs set touched_at = greatest(touched_at, $2) where digest = $1",
        stored.to_string(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What recording an upload did.
#[derive(Debug)]
pub(in crate::registry) struct Finished {
    /// `false`: the upload was cancelled meanwhile.
    pub is_done: bool,
    /// Bytes by which the project's use grew.
    pub grown: i64,
    /// The blob was in quarantine.
    pub healed: bool,
    /// The project has a limit.
    pub limited: bool,
}

/// What a link costs.
#[derive(Debug)]
pub(in crate::registry) struct Charge {
    /// Bytes by which the project's use grew.
    pub grown: i64,
    /// The project has a limit.
    pub limited: bool,
}

/// Records a finished upload: the blob, its link, what that costs, and the end of the upload.
/// Keeps the blob's row locked until the transaction ends.
pub(in crate::registry) async fn finish_upload(
    conn: &mut PgConnection,
    upload: UploadId,
    repository: RepositoryId,
    stored: &Digest,
    size: i64,
    now: Timestamp,
) -> Result<Finished, sqlx::Error> {
    sqlx::query_as!(
        Finished,
        r#"with stored as (
               insert into blobs (digest, size, created_at, touched_at, stored_at)
               values ($1, $2, $3, $3, $3)
               on conflict on constraint blobs_pkey
               do update set touched_at = greatest(blobs.touched_at, excluded.touched_at),
                             stored_at = excluded.stored_at,
                             quarantined_at = null, fault = null
               returning digest, size
           ), place as (
               select r.id, r.project_id, s.digest, s.size
               from stored s, repositories r where r.id = $4
               for key share of r
           ), linked as (
               insert into repository_blobs (repository_id, blob_digest, created_at)
               select id, digest, $3 from place
               on conflict on constraint repository_blobs_pkey do nothing
               returning blob_digest
           ), counted as (
               insert into project_blobs (project_id, blob_digest, links)
               select p.project_id, l.blob_digest, 1 from linked l, place p
               on conflict on constraint project_blobs_pkey
               do update set links = project_blobs.links + 1
               returning links
           ), charged as (
               insert into project_usage_changes (project_id, bytes, manifests)
               select p.project_id, p.size, 0 from counted c, place p where c.links = 1
               returning bytes
           ), finished as (
               delete from uploads where id = $5 returning id
           )
           select exists (select 1 from finished) as "is_done!",
                  coalesce((select bytes from charged), 0) as "grown!",
                  exists (select 1 from blobs where digest = $1 and quarantined_at is not null)
                      as "healed!",
                  exists (select 1 from place p
                          join project_usage u on u.project_id = p.project_id
                          where u.max_bytes is not null or u.max_manifests is not null)
                      as "limited!""#,
        stored.to_string(),
        size,
        now,
        repository.uuid(),
        upload.uuid(),
    )
    .fetch_one(conn)
    .await
}

pub(in crate::registry) async fn insert_alias(
    conn: &mut PgConnection,
    alias: &Digest,
    stored: &Digest,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into blob_aliases (digest, blob_digest) values ($1, $2)
         on conflict on constraint blob_aliases_pkey do nothing",
        alias.to_string(),
        stored.to_string(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A repository that links the blob: `from`, or any in `projects` (`None`: all).
pub(in crate::registry) async fn find_mount_source(
    conn: &mut PgConnection,
    digest: &Digest,
    from: Option<&RepositoryName>,
    projects: Option<&[uuid::Uuid]>,
) -> Result<Option<Digest>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select rb.blob_digest as "digest: Digest"
           from repository_blobs rb
           join repositories r on r.id = rb.repository_id
           join blobs b on b.digest = rb.blob_digest
           where b.quarantined_at is null
             and rb.blob_digest =
                 coalesce((select a.blob_digest from blob_aliases a where a.digest = $1), $1)
             and ($2::text is null or r.name = $2)
             and ($3::uuid[] is null or r.project_id = any($3))
           limit 1"#,
        digest.to_string(),
        from.map(RepositoryName::as_str),
        projects,
    )
    .fetch_optional(conn)
    .await
}

/// Links a blob whose row and repository are locked.
pub(in crate::registry) async fn link(
    conn: &mut PgConnection,
    repository: RepositoryId,
    stored: &Digest,
    now: Timestamp,
) -> Result<Charge, sqlx::Error> {
    sqlx::query_as!(
        Charge,
        r#"with linked as (
               insert into repository_blobs (repository_id, blob_digest, created_at)
               values ($1, $2, $3)
               on conflict on constraint repository_blobs_pkey do nothing
               returning repository_id, blob_digest
           ), counted as (
               insert into project_blobs (project_id, blob_digest, links)
               select r.project_id, l.blob_digest, 1
               from linked l join repositories r on r.id = l.repository_id
               on conflict on constraint project_blobs_pkey
               do update set links = project_blobs.links + 1
               returning project_id, blob_digest, links
           ), charged as (
               insert into project_usage_changes (project_id, bytes, manifests)
               select c.project_id, b.size, 0
               from counted c join blobs b on b.digest = c.blob_digest where c.links = 1
               returning bytes
           )
           select coalesce((select bytes from charged), 0) as "grown!",
                  exists (select 1 from repositories r
                          join project_usage u on u.project_id = r.project_id
                          where r.id = $1
                            and (u.max_bytes is not null or u.max_manifests is not null))
                      as "limited!""#,
        repository.uuid(),
        stored.to_string(),
        now,
    )
    .fetch_one(conn)
    .await
}

/// A blob that a manifest wants and the repository has.
#[derive(Debug)]
pub(in crate::registry) struct Wanted {
    /// As the manifest names it.
    pub digest: Digest,
    pub stored: Digest,
    pub size: i64,
}

/// Which of `digests` the repository links. The links stay locked until the transaction ends, so
/// that no collection removes them before the manifest is there.
pub(in crate::registry) async fn lock_wanted(
    conn: &mut PgConnection,
    repository: RepositoryId,
    digests: &[String],
) -> Result<Vec<Wanted>, sqlx::Error> {
    sqlx::query_as!(
        Wanted,
        r#"select w.digest as "digest!: Digest", b.digest as "stored: Digest", b.size
           from unnest($2::text[]) as w (digest)
           left join blob_aliases a on a.digest = w.digest
           join repository_blobs rb on rb.repository_id = $1
                                   and rb.blob_digest = coalesce(a.blob_digest, w.digest)
           join blobs b on b.digest = rb.blob_digest and b.quarantined_at is null
           for key share of rb"#,
        repository.uuid(),
        digests,
    )
    .fetch_all(conn)
    .await
}

/// Removes the link, unless a manifest of the repository needs the blob; deleted ones do not
/// count.
pub(in crate::registry) async fn unlink(
    conn: &mut PgConnection,
    repository: RepositoryId,
    stored: &Digest,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "delete from repository_blobs rb
         where rb.repository_id = $1 and rb.blob_digest = $2
           and not exists (
               select 1 from needed_links n
               where n.repository_id = rb.repository_id and n.blob_digest = rb.blob_digest)",
        repository.uuid(),
        stored.to_string(),
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    usage::release_links(conn, &[repository.uuid()], &[stored.to_string()]).await?;
    Ok(true)
}

/// Locks the link, whatever needs it; `false` when it is absent.
pub(in crate::registry) async fn lock_link(
    conn: &mut PgConnection,
    repository: RepositoryId,
    stored: &Digest,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        "select 1 as one from repository_blobs where repository_id = $1 and blob_digest = $2 for update",
        repository.uuid(),
        stored.to_string(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Locks up to `limit` links that are not kept, of blobs untouched since `before`. An upload that
/// moved since then is a lease on all links of its repository: its push may rely on what it found
/// there. Candidates only: what was committed while this waited must be checked again.
pub(in crate::registry) async fn lock_loose_links(
    conn: &mut PgConnection,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<(uuid::Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select rb.repository_id, rb.blob_digest
         from repository_blobs rb
         join blobs b on b.digest = rb.blob_digest
         where b.touched_at < $1
           and not exists (
               select 1 from kept_links n
               where n.repository_id = rb.repository_id and n.blob_digest = rb.blob_digest)
           and not exists (
               select 1 from uploads u
               where u.repository_id = rb.repository_id and u.updated_at >= $1)
         limit $2
         for update of rb, b skip locked",
        before,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.repository_id, r.blob_digest)).collect())
}

/// Deletes those of the locked links that are still not needed; how many.
pub(in crate::registry) async fn delete_loose_links(
    conn: &mut PgConnection,
    repositories: &[uuid::Uuid],
    digests: &[String],
    before: Timestamp,
) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query!(
        "delete from repository_blobs rb
         using unnest($1::uuid[], $2::text[]) as c (repository_id, digest), blobs b
         where rb.repository_id = c.repository_id and rb.blob_digest = c.digest
           and b.digest = rb.blob_digest and b.touched_at < $3
           and not exists (
               select 1 from kept_links n
               where n.repository_id = rb.repository_id and n.blob_digest = rb.blob_digest)
           and not exists (
               select 1 from uploads u
               where u.repository_id = rb.repository_id and u.updated_at >= $3)
         returning rb.repository_id, rb.blob_digest",
        repositories,
        digests,
        before,
    )
    .fetch_all(&mut *conn)
    .await?;
    let (repositories, digests): (Vec<_>, Vec<_>) =
        gone.into_iter().map(|r| (r.repository_id, r.blob_digest)).unzip();
    usage::release_links(conn, &repositories, &digests).await?;
    Ok(digests.len() as u64)
}

/// Locks up to `limit` blobs without a link, untouched since `before`. Candidates only.
pub(in crate::registry) async fn lock_loose(
    conn: &mut PgConnection,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select b.digest from blobs b
         where b.touched_at < $1
           and not exists (select 1 from repository_blobs rb where rb.blob_digest = b.digest)
         order by b.digest
         limit $2
         for update skip locked",
        before,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Deletes those of the locked blobs that are still without a link: digest and size of each.
pub(in crate::registry) async fn delete_loose(
    conn: &mut PgConnection,
    digests: &[String],
    before: Timestamp,
) -> Result<Vec<(Digest, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"delete from blobs b
           where b.digest = any($1) and b.touched_at < $2
             and not exists (select 1 from repository_blobs rb where rb.blob_digest = b.digest)
           returning b.digest as "digest: Digest", b.size"#,
        digests,
        before,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.digest, r.size)).collect())
}

/// Takes the key of a digest that has no row: until the transaction is rolled back, nobody can
/// record this blob. `false` when it has a row.
pub(in crate::registry) async fn hold_absent(
    conn: &mut PgConnection,
    digest: &Digest,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into blobs (digest, size, created_at, touched_at, stored_at)
         values ($1, 0, $2, $2, $2)
         on conflict on constraint blobs_pkey do nothing",
        digest.to_string(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Those of `digests` that have no row.
pub(in crate::registry) async fn without_row(
    conn: &mut PgConnection,
    digests: &[String],
) -> Result<Vec<Digest>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select d.digest as "digest!: Digest" from unnest($1::text[]) as d (digest)
           where not exists (select 1 from blobs b where b.digest = d.digest)"#,
        digests,
    )
    .fetch_all(conn)
    .await
}

//! SQL of plans: what an import copies, and what of it is here.

use sqlx::PgConnection;

use super::Result;
use crate::base::id::{JobId, UploadId};
use crate::base::{Digest, Timestamp};
use crate::import::plan::Plan;

/// Writes a plan down, in place of one that was begun.
pub(in crate::import) async fn insert(
    conn: &mut PgConnection,
    job: JobId,
    plan: &Plan,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!("delete from import_manifests where job_id = $1", job.uuid())
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from import_blobs where job_id = $1", job.uuid())
        .execute(&mut *conn)
        .await?;
    for (position, manifest) in (0i32..).zip(&plan.manifests) {
        let tags: Vec<String> = manifest.tags.iter().map(ToString::to_string).collect();
        sqlx::query!(
            "insert into import_manifests (job_id, position, digest, media_type, content, tags)
             values ($1, $2, $3, $4, $5, $6)",
            job.uuid(),
            position,
            manifest.digest.to_string(),
            manifest.media_type,
            &manifest.content[..],
            &tags,
        )
        .execute(&mut *conn)
        .await?;
    }
    let digests: Vec<String> = plan.blobs.iter().map(|b| b.digest.to_string()).collect();
    let types: Vec<String> = plan.blobs.iter().map(|b| b.media_type.clone()).collect();
    let sizes: Vec<i64> = plan.blobs.iter().map(|b| b.size).collect();
    sqlx::query!(
        "insert into import_blobs (job_id, position, digest, media_type, size)
         select $1, n::integer, digest, media_type, size
         from unnest($2::text[], $3::text[], $4::bigint[])
              with ordinality as blob (digest, media_type, size, n)",
        job.uuid(),
        &digests,
        &types,
        &sizes,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("update imports set planned_at = $2 where job_id = $1", job.uuid(), now)
        .execute(conn)
        .await?;
    Ok(())
}

/// A manifest of the plan.
pub(in crate::import) struct ManifestRow {
    pub position: i32,
    pub digest: Digest,
    pub media_type: String,
    pub content: Vec<u8>,
}

/// The next manifest that is not pushed.
pub(in crate::import) async fn next_manifest(
    conn: &mut PgConnection,
    job: JobId,
) -> Result<Option<ManifestRow>> {
    sqlx::query_as!(
        ManifestRow,
        r#"select position, digest as "digest: Digest", media_type, content
           from import_manifests where job_id = $1 and not pushed
           order by position limit 1"#,
        job.uuid(),
    )
    .fetch_optional(conn)
    .await
}

pub(in crate::import) async fn mark_pushed(
    conn: &mut PgConnection,
    job: JobId,
    position: i32,
) -> Result<()> {
    sqlx::query!(
        "update import_manifests set pushed = true where job_id = $1 and position = $2",
        job.uuid(),
        position,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The next manifest after `after` that has tags, with them.
pub(in crate::import) async fn next_tagged(
    conn: &mut PgConnection,
    job: JobId,
    after: i32,
) -> Result<Option<(ManifestRow, Vec<String>)>> {
    let row = sqlx::query!(
        r#"select position, digest as "digest: Digest", media_type, content, tags
           from import_manifests
           where job_id = $1 and position > $2 and cardinality(tags) > 0
           order by position limit 1"#,
        job.uuid(),
        after,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| {
        let manifest = ManifestRow {
            position: r.position,
            digest: r.digest,
            media_type: r.media_type,
            content: r.content,
        };
        (manifest, r.tags)
    }))
}

/// A blob of the plan and the upload that receives it.
pub(in crate::import) struct BlobRow {
    pub digest: Digest,
    pub size: i64,
    pub upload_id: Option<UploadId>,
}

/// Those of `digests` that are not here yet, as far as the plan knows.
pub(in crate::import) async fn missing_blobs(
    conn: &mut PgConnection,
    job: JobId,
    digests: &[String],
) -> Result<Vec<BlobRow>> {
    sqlx::query_as!(
        BlobRow,
        r#"select digest as "digest: Digest", size, upload_id as "upload_id: UploadId"
           from import_blobs
           where job_id = $1 and digest = any($2) and state in ('waiting', 'copying')
           order by position"#,
        job.uuid(),
        digests,
    )
    .fetch_all(conn)
    .await
}

pub(in crate::import) async fn mark_blob(
    conn: &mut PgConnection,
    job: JobId,
    digest: &Digest,
    state: &str,
    upload: Option<UploadId>,
) -> Result<()> {
    sqlx::query!(
        "update import_blobs set state = $3, upload_id = $4 where job_id = $1 and digest = $2",
        job.uuid(),
        digest.to_string(),
        state,
        upload.map(|id| id.uuid()),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets that blobs are here: a collection took one between its arrival and its manifest.
pub(in crate::import) async fn recheck(
    conn: &mut PgConnection,
    job: JobId,
    digests: &[String],
) -> Result<()> {
    sqlx::query!(
        "update import_blobs set state = 'waiting', upload_id = null
         where job_id = $1 and digest = any($2)",
        job.uuid(),
        digests,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Uploads that a job still holds.
pub(in crate::import) async fn uploads(
    conn: &mut PgConnection,
    job: JobId,
) -> Result<Vec<UploadId>> {
    sqlx::query_scalar!(
        r#"select upload_id as "upload_id!: UploadId" from import_blobs
           where job_id = $1 and upload_id is not null"#,
        job.uuid(),
    )
    .fetch_all(conn)
    .await
}

/// Removes a plan that is carried out.
pub(in crate::import) async fn delete(conn: &mut PgConnection, job: JobId) -> Result<()> {
    sqlx::query!("delete from import_manifests where job_id = $1", job.uuid())
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from import_blobs where job_id = $1", job.uuid()).execute(conn).await?;
    Ok(())
}

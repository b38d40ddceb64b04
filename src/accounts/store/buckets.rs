//! SQL of rate buckets.

use sqlx::PgConnection;

use super::Result;
use crate::base::Timestamp;

/// A bucket as kept.
pub(in crate::accounts) struct BucketRow {
    pub tokens: f64,
    pub updated_at: Timestamp,
}

/// The bucket `key`, full if it is new, locked until the transaction ends.
pub(in crate::accounts) async fn lock_bucket(
    conn: &mut PgConnection,
    key: &str,
    size: f64,
    now: Timestamp,
) -> Result<BucketRow> {
    sqlx::query!(
        "insert into rate_buckets (key, tokens, updated_at) values ($1, $2, $3)
         on conflict (key) do nothing",
        key,
        size,
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_as!(
        BucketRow,
        "select tokens, updated_at from rate_buckets where key = $1 for update",
        key,
    )
    .fetch_one(conn)
    .await
}

pub(in crate::accounts) async fn set_bucket(
    conn: &mut PgConnection,
    key: &str,
    tokens: f64,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "update rate_buckets set tokens = $2, updated_at = $3 where key = $1",
        key,
        tokens,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::accounts) async fn refill_bucket(
    conn: &mut PgConnection,
    key: &str,
    size: f64,
) -> Result<()> {
    sqlx::query!(
        "update rate_buckets set tokens = least($2::double precision, tokens + 1) where key = $1",
        key,
        size,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::accounts) async fn delete_stale_buckets(
    conn: &mut PgConnection,
    before: Timestamp,
) -> Result<()> {
    sqlx::query!("delete from rate_buckets where updated_at < $1", before).execute(conn).await?;
    Ok(())
}

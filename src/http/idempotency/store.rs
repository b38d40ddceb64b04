//! SQL of idempotency keys.

use sqlx::PgConnection;

use crate::base::Timestamp;
use crate::base::id::UserId;

/// What is known of a key.
pub(super) struct Known {
    pub request: Vec<u8>,
    pub created_at: Timestamp,
    pub status: Option<i16>,
    pub location: Option<String>,
    pub body: Option<Vec<u8>>,
}

pub(super) async fn delete_before(
    conn: &mut PgConnection,
    before: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from idempotency_keys where created_at < $1", before)
        .execute(conn)
        .await?;
    Ok(())
}

/// Claims a key unless it is known or the user has `most` already. A claim from before `dead`
/// that was never answered is taken over.
pub(super) async fn claim(
    conn: &mut PgConnection,
    user: UserId,
    key: &str,
    request: &[u8],
    now: Timestamp,
    dead: Timestamp,
    most: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into idempotency_keys as k (user_id, key, request, created_at)
         select $1, $2, $3, $4
         where (select count(*) from idempotency_keys where user_id = $1) < $6
         on conflict (user_id, key) do update set created_at = excluded.created_at
         where k.status is null and k.created_at < $5 and k.request = excluded.request",
        user.uuid(),
        key,
        request,
        now,
        dead,
        most,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn find(
    conn: &mut PgConnection,
    user: UserId,
    key: &str,
) -> Result<Option<Known>, sqlx::Error> {
    sqlx::query_as!(
        Known,
        "select request, created_at, status, location, body from idempotency_keys
         where user_id = $1 and key = $2",
        user.uuid(),
        key,
    )
    .fetch_optional(conn)
    .await
}

pub(super) async fn answer(
    conn: &mut PgConnection,
    user: UserId,
    key: &str,
    status: i16,
    location: Option<&str>,
    body: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update idempotency_keys set status = $3, location = $4, body = $5
         where user_id = $1 and key = $2",
        user.uuid(),
        key,
        status,
        location,
        body,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn release(
    conn: &mut PgConnection,
    user: UserId,
    key: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from idempotency_keys where user_id = $1 and key = $2 and status is null",
        user.uuid(),
        key,
    )
    .execute(conn)
    .await?;
    Ok(())
}

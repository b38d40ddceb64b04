//! SQL of installation secrets.

use sqlx::PgConnection;

use super::Result;
use crate::base::Timestamp;

pub(in crate::accounts) async fn find_secret(
    conn: &mut PgConnection,
    name: &str,
) -> Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("select ciphertext from installation_secrets where name = $1", name)
        .fetch_optional(conn)
        .await
}

/// Keeps a secret unless there is one of that name already.
pub(in crate::accounts) async fn insert_secret(
    conn: &mut PgConnection,
    name: &str,
    ciphertext: &[u8],
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "insert into installation_secrets (name, ciphertext, created_at) values ($1, $2, $3)
         on conflict (name) do nothing",
        name,
        ciphertext,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

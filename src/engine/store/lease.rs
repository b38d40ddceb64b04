//! Leadership: a session-level advisory lock says who leads now, and a token that rises with each
//! leader keeps an old one from writing.
//!
//! The lock dies with its connection, so a killed server is succeeded at once, without waiting
//! for a lease to run out. A server that was only paused still believes it leads; the token
//! check inside each of its transactions refuses it.

use sqlx::PgConnection;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Postgres};

use crate::base::{Result, Timestamp};
use crate::db::Db;

/// Key of the advisory lock; any number that nothing else uses.
const LOCK: i64 = 7_041_777;
const NAME: &str = "engine";

/// Leadership while it is held.
#[derive(Debug)]
pub(in crate::engine) struct Lease {
    conn: PoolConnection<Postgres>,
    /// Rises with each leader.
    pub(in crate::engine) token: i64,
}

/// Tries to become the leader.
pub(in crate::engine) async fn acquire(
    db: &Db,
    holder: &str,
    now: Timestamp,
) -> Result<Option<Lease>> {
    let mut conn = db.read().await?;
    let locked = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "locked!""#, LOCK)
        .fetch_one(&mut *conn)
        .await?;
    if !locked {
        return Ok(None);
    }
    // The lock must never go back to the pool with its connection.
    conn.close_on_drop();
    let token = sqlx::query_scalar!(
        "insert into leases (name, holder, token, acquired_at) values ($1, $2, 1, $3)
         on conflict (name) do update
         set holder = excluded.holder, token = leases.token + 1, acquired_at = excluded.acquired_at
         returning token",
        NAME,
        holder,
        now,
    )
    .fetch_one(&mut *conn)
    .await?;
    Ok(Some(Lease { conn, token }))
}

impl Lease {
    /// Whether the connection that holds the lock still lives.
    pub(in crate::engine) async fn is_held(&mut self) -> bool {
        self.conn.ping().await.is_ok()
    }

    /// Gives leadership up.
    pub(in crate::engine) async fn release(mut self) {
        // The connection is closed right after, which unlocks as well.
        let _ = sqlx::query_scalar!("select pg_advisory_unlock($1)", LOCK)
            .fetch_one(&mut *self.conn)
            .await;
    }
}

/// Whether `token` is still the leader's; holds the row until the transaction ends, so that a
/// new leader waits for what is under way.
pub(in crate::engine) async fn check(conn: &mut PgConnection, token: i64) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"select 1 as "one!" from leases where name = $1 and token = $2 for share"#,
        NAME,
        token,
    )
    .fetch_optional(conn)
    .await?;
    Ok(held.is_some())
}

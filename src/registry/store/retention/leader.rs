//! Which server works on runs: the one whose connection holds an advisory lock. The lock dies
//! with the connection, so a killed server is succeeded at once. Correctness does not rest on
//! it: each removal checks its own row.

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use crate::base::Result;
use crate::db::Db;

/// Key of the advisory lock; any number that nothing else uses.
const LOCK: i64 = 7_041_734;

/// Leadership while it is held; dropping it closes the connection and so gives it up.
#[derive(Debug)]
pub(in crate::registry) struct Leader {
    _conn: PoolConnection<Postgres>,
}

/// Tries to become the one.
pub(in crate::registry) async fn acquire(db: &Db) -> Result<Option<Leader>> {
    let mut conn = db.read().await?;
    let locked = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "locked!""#, LOCK)
        .fetch_one(&mut *conn)
        .await?;
    if !locked {
        return Ok(None);
    }
    // The lock must never go back to the pool with its connection.
    conn.close_on_drop();
    Ok(Some(Leader { _conn: conn }))
}

//! PostgreSQL: the pool, transactions that wake listeners, migrations, constraint errors.

pub mod constraint;
pub mod embedded;
pub mod types;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{PgPool, Postgres};
use tokio::sync::watch;

use crate::base::{Error, ErrorKind, Result};

pub use constraint::OnConstraint;

/// A handle on the database; clones share one pool.
#[derive(Clone)]
pub struct Db {
    pool: PgPool,
    changed: Arc<watch::Sender<u64>>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Db")
    }
}

/// How a pool is sized and bounded.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Most connections.
    pub max_connections: u32,
    /// How long a request may wait for a connection.
    pub acquire_timeout: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { max_connections: 20, acquire_timeout: Duration::from_secs(3) }
    }
}

impl Db {
    /// Connects with statement, lock and idle-in-transaction timeouts set on every connection.
    pub async fn connect(options: PgConnectOptions, limits: PoolLimits) -> Result<Self> {
        let options = options.application_name("portolan").options([
            ("statement_timeout", "10s"),
            ("lock_timeout", "3s"),
            ("idle_in_transaction_session_timeout", "30s"),
            ("timezone", "UTC"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(limits.max_connections)
            .acquire_timeout(limits.acquire_timeout)
            .connect_with(options)
            .await
            .map_err(|e| Error::unavailable("the database does not answer").with_source(e))?;
        Ok(Self { pool, changed: Arc::new(watch::channel(0).0) })
    }

    /// The same for `postgres://…`. A broken URL is `Invalid`, and its password is not repeated.
    pub async fn connect_url(url: &str, limits: PoolLimits) -> Result<Self> {
        let options = url.parse::<PgConnectOptions>().map_err(|_| {
            Error::invalid(
                "DATABASE_URL",
                "is not a PostgreSQL URL; write postgres://USER:PASSWORD@HOST/DATABASE",
            )
        })?;
        Self::connect(options, limits).await
    }

    /// Applies the migrations that are missing. Safe to run by several instances at once.
    pub async fn migrate(&self) -> Result<()> {
        sqlx::migrate!()
            .run(&self.pool)
            .await
            .map_err(|e| Error::internal("migrating the database", e))
    }

    /// A connection for reading.
    pub async fn read(&self) -> Result<PoolConnection<Postgres>> {
        Ok(self.pool.acquire().await?)
    }

    /// Starts a transaction.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(Tx {
            inner: self.pool.begin().await?,
            appended: AtomicBool::new(false),
            changed: Arc::clone(&self.changed),
        })
    }

    /// Ticks after every local commit that appended an event. The value means nothing; read the
    /// log. Changes of other instances tick it through `LISTEN` (see `events::listen`).
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Ticks [`Db::changes`].
    pub fn announce_change(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// The pool, for `LISTEN` and for tests.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        let mut conn = self.read().await?;
        sqlx::Connection::ping(&mut *conn).await?;
        Ok(())
    }

    /// Closes the pool; waits for connections in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction. Dropping it rolls back; [`Tx::commit`] makes it durable and then wakes whoever
/// follows the event log, if an event was appended.
pub struct Tx {
    inner: sqlx::Transaction<'static, Postgres>,
    appended: AtomicBool,
    changed: Arc<watch::Sender<u64>>,
}

impl Tx {
    /// Notes that an event was appended in this transaction.
    pub fn mark_appended(&self) {
        self.appended.store(true, Ordering::Relaxed);
    }

    /// The connection, for store functions.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    /// Commits and wakes listeners.
    pub async fn commit(self) -> Result<()> {
        self.inner.commit().await?;
        if self.appended.into_inner() {
            self.changed.send_modify(|n| *n = n.wrapping_add(1));
        }
        Ok(())
    }
}

impl std::ops::Deref for Tx {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl std::ops::DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

impl From<sqlx::Error> for Error {
    /// Trouble reaching the database is `Unavailable`; everything else is a bug. Absence is never
    /// an error: stores use `fetch_optional`.
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::WorkerCrashed => {
                Self::unavailable("the database does not answer").with_source(error)
            }
            // Class 57 is operator intervention (shutdown, statement timeout), 55P03 a lock
            // timeout, 40 a serialization failure or deadlock: all worth another try.
            sqlx::Error::Database(db)
                if db.code().is_some_and(|c| {
                    c.starts_with("57") || c.starts_with("40") || c == "55P03" || c == "53300"
                }) =>
            {
                Self::unavailable("the database is busy").with_source(error)
            }
            _ => Self::new(ErrorKind::Internal, "internal", "database query").with_source(error),
        }
    }
}

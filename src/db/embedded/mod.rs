//! A private PostgreSQL in the data directory, for installations that bring none.
//!
//! The cluster lives in `<data_dir>/postgres` and listens on a unix socket only. PostgreSQL
//! refuses to run as root: started by root, it runs as the user `postgres` (else `portolan`, else
//! `nobody`), and only its cluster and its socket directory belong to that user. Where that user
//! cannot reach the data directory (below `/root`, say), the cluster is made in
//! `/var/lib/portolan/<hash of the data directory>/postgres` and `<data_dir>/postgres` is a link
//! to it; the log says so.
//!
//! Everybody who may enter the socket directory (mode 0700) is trusted. `<data_dir>/postgres.lock`
//! keeps a second server out, so a postmaster found at the start is one that a killed server left
//! behind: it is taken over if it answers on the same socket, otherwise stopped in order. A
//! postmaster that dies is started again. `<data_dir>/postgres.log` is bounded.

mod owner;
mod place;
mod postmaster;
mod programs;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::place::Place;
use self::programs::Programs;
use crate::base::{Error, Result};

/// How often the log is measured.
const LOG_PERIOD: Duration = Duration::from_secs(30);
/// Pause before a postmaster that died is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// A running private cluster. Stop it with [`EmbeddedPostgres::stop`]; dropping it only asks the
/// postmaster to shut down and does not wait.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    options: PgConnectOptions,
    /// Process id of the postmaster, 0 when there is none to stop.
    pid: Arc<AtomicI32>,
    stop: CancellationToken,
    keeper: Option<JoinHandle<Result<()>>>,
    _lock: File,
}

impl EmbeddedPostgres {
    /// Starts the cluster of `data_dir`, making it at the first call, and waits until it answers.
    ///
    /// # Errors
    /// `postgres_missing` when PostgreSQL is not installed, `postgres_in_use` when another server
    /// runs on this data directory; otherwise what keeps the cluster from starting.
    pub async fn start(data_dir: &Path) -> Result<Self> {
        Self::start_with(data_dir, &programs::search_path().await).await
    }

    /// Like [`EmbeddedPostgres::start`], with the directories to look for PostgreSQL in.
    pub async fn start_with(data_dir: &Path, search: &[PathBuf]) -> Result<Self> {
        std::fs::create_dir_all(data_dir)
            .map_err(|e| place::io("cannot make the data directory", data_dir, e))?;
        let data_dir = std::fs::canonicalize(data_dir)
            .map_err(|e| place::io("cannot open the data directory", data_dir, e))?;
        let lock = lock(&data_dir)?;
        let place = Place::find(&data_dir)?;
        let programs = Programs::find(search, place.version()?).await?;
        if !place.is_initialized() {
            place.initialize(&programs).await?;
        }
        place.make_socket_dir()?;
        let keeper = Keeper { pid: Arc::default(), place, programs };
        let child = keeper.launch().await?;
        let options = keeper.place.options();
        let (pid, stop) = (Arc::clone(&keeper.pid), CancellationToken::new());
        let keeper = tokio::spawn(keeper.run(child, stop.clone()));
        Ok(Self { options, pid, stop, keeper: Some(keeper), _lock: lock })
    }

    /// How to connect: as the owner of the database `portolan`.
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Shuts the cluster down and waits for it. Connections that are still open are cut.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        match self.keeper.take() {
            Some(keeper) => {
                keeper.await.map_err(|e| Error::internal("stopping the embedded PostgreSQL", e))?
            }
            None => Ok(()),
        }
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.abort();
            postmaster::signal(self.pid.swap(0, Ordering::SeqCst), rustix::process::Signal::INT);
        }
    }
}

/// Locks the data directory against a second server. The lock ends with the process.
fn lock(data_dir: &Path) -> Result<File> {
    let path = data_dir.join("postgres.lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|e| place::io("cannot open the lock", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::conflict(
            "postgres_in_use",
            format!(
                "another portolan runs on the data directory {}; stop it, or name another with \
                 --data-dir",
                data_dir.display()
            ),
        )),
        Err(TryLockError::Error(e)) => Err(place::io("cannot lock", &path, e)),
    }
}

/// Keeps one postmaster on one cluster.
struct Keeper {
    pid: Arc<AtomicI32>,
    place: Place,
    programs: Programs,
}

impl Keeper {
    /// Takes over the postmaster that runs, or starts one. `None`: it is not our child.
    async fn launch(&self) -> Result<Option<Child>> {
        if let Some(pid) = postmaster::adopt(&self.place).await? {
            tracing::info!(
                postgres.pid = pid,
                "took over the embedded PostgreSQL that ran already"
            );
            self.pid.store(pid, Ordering::SeqCst);
            return Ok(None);
        }
        let mut child = postmaster::spawn(&self.place, &self.programs)?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        self.pid.store(pid, Ordering::SeqCst);
        if let Err(error) = postmaster::wait_ready(&self.place, &mut child).await {
            postmaster::shut_down(&self.place, pid, Some(&mut child)).await?;
            return Err(error);
        }
        Ok(Some(child))
    }

    async fn run(self, mut child: Option<Child>, stop: CancellationToken) -> Result<()> {
        let mut measure = tokio::time::interval(LOG_PERIOD);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    let pid = self.pid.swap(0, Ordering::SeqCst);
                    return postmaster::shut_down(&self.place, pid, child.as_mut()).await;
                }
                () = postmaster::gone(&self.place, self.pid.load(Ordering::SeqCst), child.as_mut()) => {
                    self.pid.store(0, Ordering::SeqCst);
                    tracing::error!(
                        postgres.log = %self.place.log().display(),
                        "the embedded PostgreSQL died and is started again"
                    );
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(RESTART_PAUSE) => {}
                    }
                    child = match self.launch().await {
                        Ok(child) => child,
                        Err(error) => {
                            tracing::error!(error = %error.chain(), "the embedded PostgreSQL does not start");
                            None
                        }
                    };
                }
                _ = measure.tick() => self.place.bound_log(),
            }
        }
    }
}

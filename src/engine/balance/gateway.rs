//! The process `portolan gateway`: serves ports as the last table says, with or without a server.
//!
//! # Design notes
//!
//! It runs beside the server so that a restart of the server, or of the database, stops no
//! traffic. It keeps its table on disk and restores it at start. One gateway owns a socket (a lock
//! beside it); the lock ends with the process, however it ends.
//!
//! *Hand-over* to a newer program: told to stop, a gateway closes its ports, removes its socket
//! and gives up the lock at once, and only then lets its connections finish, up to
//! [`limits::DRAIN`]. The newer one opens the ports as soon as they are free (it tries again every
//! second what was taken). In between, for some milliseconds, new connections are refused;
//! sharing ports by `SO_REUSEPORT` was rejected, because it hides from us that somebody else has a
//! port, and drops what waits in the older one's queue.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::control::{Control, Hello};
use super::ports::Ports;
use super::{limits, state_file};
use crate::base::{Error, Result};

/// Control connections at a time.
const CONTROLLERS: usize = 16;
/// How long a start waits for an older gateway that is about to give up the lock.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// What a gateway runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it takes tables from; the lock lies beside it.
    pub socket: PathBuf,
    /// Where it opens ports.
    pub address: IpAddr,
    /// Where it keeps its table.
    pub state_file: PathBuf,
}

/// Serves until `stop` (or a server says so), then lets connections finish.
///
/// # Errors
/// `Conflict` if another gateway has the socket; `Unavailable` if the socket cannot be made.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<()> {
    let Settings { socket, address, state_file } = settings;
    let lock = lock(&socket).await?;
    let control_socket = bind(&socket)?;
    raise_descriptor_limit();
    let ports = Arc::new(Ports::new(address));
    restore(&ports, &state_file).await;
    tracing::info!(gateway.socket = %socket.display(), gateway.address = %address, "the gateway is up");

    let stop = stop.child_token();
    let hello = Hello::new(address);
    let control = Arc::new(Control { ports: ports.clone(), hello, state_file, stop: stop.clone() });
    tokio::select! {
        () = stop.cancelled() => {}
        () = accept(&control_socket, control) => {}
        () = maintain(&ports) => {}
    }

    ports.close().await;
    drop(control_socket);
    if let Err(error) = std::fs::remove_file(&socket) {
        tracing::warn!(error = %error, "the control socket could not be removed");
    }
    drop(lock);
    drain(&ports).await;
    tracing::info!("the gateway is down");
    Ok(())
}

async fn lock(socket: &Path) -> Result<File> {
    let path = socket.with_extension("lock");
    let unavailable = |error: io::Error| {
        Error::unavailable(format!("the gateway's lock {} cannot be used", path.display()))
            .with_source(error)
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(unavailable)?;
    let patience = tokio::time::Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if tokio::time::Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::conflict(
                    "gateway_running",
                    format!("another gateway serves {}; stop it first", socket.display()),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(unavailable(error)),
        }
    }
}

/// Makes the socket; what an ended gateway left is removed, which the lock makes safe.
fn bind(socket: &Path) -> Result<UnixListener> {
    let attempt = || {
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        std::fs::set_permissions(socket, Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    attempt().map_err(|error| {
        Error::unavailable(format!("the gateway's socket {} cannot be made", socket.display()))
            .with_source(error)
    })
}

/// Every proxied connection takes two descriptors; the customary soft limit is too low for that.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(error = %error, "the limit of open files could not be raised");
    }
}

async fn restore(ports: &Ports, state_file: &Path) {
    match state_file::load(state_file) {
        Ok(None) => {}
        Ok(Some(table)) => {
            let (_, report) = ports.apply(&table).await;
            tracing::info!(
                table.generation = report.generation,
                ports.open = report.ports.len(),
                ports.failed = report.problems.len(),
                "the last table is in force again"
            );
        }
        Err(error) => {
            tracing::error!(error = %error, file = %state_file.display(), "the last table cannot be read; no port is open until the server sends one");
        }
    }
}

async fn accept(socket: &UnixListener, control: Arc<Control>) {
    let controllers = Arc::new(Semaphore::new(CONTROLLERS));
    loop {
        let Ok(permit) = controllers.clone().acquire_owned().await else { return };
        match socket.accept().await {
            Ok((stream, _)) => {
                let serving = control.clone();
                let tasks = control.ports.shared.tasks.clone();
                tasks.spawn(async move {
                    if let Err(error) = serving.serve(stream).await {
                        tracing::warn!(error = %error, "a control connection broke off");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "a control connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn maintain(ports: &Ports) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        ports.reopen().await;
        ports.sweep().await;
    }
}

async fn drain(ports: &Ports) {
    let shared = &ports.shared;
    shared.tasks.close();
    if tokio::time::timeout(limits::DRAIN, shared.tasks.wait()).await.is_err() {
        tracing::warn!(connections = shared.tasks.len(), "some connections did not finish in time");
        shared.kill.cancel();
        shared.tasks.wait().await;
    }
}

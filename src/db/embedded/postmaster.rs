//! The postmaster: starting it, knowing that it lives, stopping it in order.
//!
//! Its working directory is the cluster, and so is that of its workers: whatever runs on the
//! cluster is found in `/proc`, whoever started it and whatever `postmaster.pid` says.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use super::place::{Place, io};
use super::programs::Programs;
use crate::base::{Error, Result};

/// Recovery after a crash replays at most `max_wal_size`.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long a fast shutdown may take (it writes a checkpoint), and then an immediate one.
const FAST_LIMIT: Duration = Duration::from_secs(30);
const IMMEDIATE_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "port=5432",
    "unix_socket_permissions=0700",
    "max_connections=60",
    "shared_buffers=64MB",
    "max_wal_size=512MB",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "logging_collector=off",
    "log_destination=stderr",
    "log_checkpoints=off",
    // Statements and their parameters hold what must not be in a log.
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
    "cluster_name=portolan",
];

pub(super) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // A process that is gone needs no signal.
        kill_process(pid, signal).ok();
    }
}

/// Starts a postmaster in its own process group, so that a Ctrl-C meant for this process does not
/// reach it.
pub(super) fn spawn(place: &Place, programs: &Programs) -> Result<Child> {
    let log = place.open_log()?;
    let mut command = programs.command("postgres");
    command.arg("-D").arg(&place.cluster);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    let mut sockets = OsString::from("unix_socket_directories=\"");
    sockets.push(&place.socket_dir);
    sockets.push("\"");
    command.arg("-c").arg(sockets).process_group(0);
    place.owner.run(&mut command);
    command
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|e| Error::internal("starting PostgreSQL", e))
}

async fn connect(place: &Place, database: &str) -> sqlx::Result<PgConnection> {
    match timeout(Duration::from_secs(3), place.options().database(database).connect()).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// Connects; makes the database if it is not there yet.
async fn probe(place: &Place) -> sqlx::Result<()> {
    let absent = |e: &sqlx::Error| {
        e.as_database_error().and_then(|e| e.code()).is_some_and(|code| code == "3D000")
    };
    match connect(place, "portolan").await {
        Ok(conn) => conn.close().await,
        Err(e) if absent(&e) => {
            let mut conn = connect(place, "postgres").await?;
            sqlx::raw_sql("create database portolan").execute(&mut conn).await?;
            conn.close().await
        }
        Err(e) => Err(e),
    }
}

/// Waits until the postmaster takes connections.
pub(super) async fn wait_ready(place: &Place, child: &mut Child) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let failure = match probe(place).await {
            Ok(()) => return Ok(()),
            Err(e) => e,
        };
        let ended = child.try_wait().map_err(|e| Error::internal("watching PostgreSQL", e))?;
        if ended.is_some() || Instant::now() > deadline {
            let source = if ended.is_some() { place.log_tail() } else { failure.to_string() };
            return Err(Error::unavailable(format!(
                "the embedded PostgreSQL does not start; see {}",
                place.log().display()
            ))
            .with_source(source));
        }
        sleep(POLL).await;
    }
}

/// Processes that work in the cluster. Zombies have no working directory.
fn processes(cluster: &Path) -> Vec<i32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|d| d == cluster))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn lives(cluster: &Path, pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == cluster)
}

/// The postmaster that a killed server left behind, if it answers on our socket. Any other process
/// on the cluster has ended when this returns `None`.
pub(super) async fn adopt(place: &Place) -> Result<Option<i32>> {
    let path = place.cluster.join("postmaster.pid");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let pid = lines.first().and_then(|line| line.trim().parse::<i32>().ok());
    if let Some(pid) = pid.filter(|pid| lives(&place.cluster, *pid)) {
        let ours = lines.get(4).is_some_and(|dir| Path::new(dir) == place.socket_dir);
        let deadline = Instant::now() + START_LIMIT;
        while ours && lives(&place.cluster, pid) && Instant::now() < deadline {
            match probe(place).await {
                Ok(()) => return Ok(Some(pid)),
                // It is starting up, or shutting down: then it is gone in a moment.
                Err(e)
                    if e.as_database_error().and_then(|e| e.code()).as_deref() == Some("57P03") =>
                {
                    sleep(POLL).await;
                }
                Err(_) => break,
            }
        }
        shut_down(place, pid, None).await?;
    }
    // Workers of a postmaster that was killed end by themselves when they notice.
    let deadline = Instant::now() + IMMEDIATE_LIMIT;
    while let Some(worker) = processes(&place.cluster).first() {
        if Instant::now() > deadline {
            return Err(Error::unavailable(format!(
                "process {worker} still works on the cluster {}; end it first",
                place.cluster.display()
            )));
        }
        sleep(POLL).await;
    }
    // Nothing works on the cluster, so the numbers in these files are nobody's, somebody else's or
    // a zombie's, all of which PostgreSQL could take for a postmaster.
    if Path::new("/proc/self").exists() {
        for stale in [path, place.socket_dir.join(".s.PGSQL.5432.lock")] {
            match std::fs::remove_file(&stale) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io("cannot remove", &stale, e));
                }
                _ => {}
            }
        }
    }
    Ok(None)
}

/// Returns when the postmaster is gone.
pub(super) async fn gone(place: &Place, pid: i32, child: Option<&mut Child>) {
    match child {
        Some(child) => drop(child.wait().await),
        None => {
            while lives(&place.cluster, pid) {
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Stops the postmaster: fast (connections are cut, a checkpoint is written), and if that takes too
/// long at once (the next start recovers).
pub(super) async fn shut_down(
    place: &Place,
    pid: i32,
    mut child: Option<&mut Child>,
) -> Result<()> {
    for (how, limit) in [(Signal::INT, FAST_LIMIT), (Signal::QUIT, IMMEDIATE_LIMIT)] {
        // A child that was waited for has no id, and its number may be another's.
        let ended = match &mut child {
            Some(child) => child.id().is_none(),
            None => !lives(&place.cluster, pid),
        };
        if ended {
            return Ok(());
        }
        signal(pid, how);
        if timeout(limit, gone(place, pid, child.as_deref_mut())).await.is_ok() {
            return Ok(());
        }
        tracing::warn!(postgres.pid = pid, "the embedded PostgreSQL takes long to stop");
    }
    Err(Error::unavailable(format!("the embedded PostgreSQL (process {pid}) does not stop")))
}

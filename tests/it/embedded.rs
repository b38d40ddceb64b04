//! The private PostgreSQL: its data outlives every way to die.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portolan::db::embedded::EmbeddedPostgres;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};

async fn run(options: &PgConnectOptions, sql: &'static str) -> PgConnection {
    let mut conn = options.connect().await.expect("connect");
    sqlx::raw_sql(sql).execute(&mut conn).await.expect(sql);
    conn
}

async fn ask(options: &PgConnectOptions, sql: &'static str) -> String {
    let mut conn = options.connect().await.expect("connect");
    let row = sqlx::raw_sql(sql).fetch_one(&mut conn).await.expect(sql);
    conn.close().await.expect("close");
    row.get(0)
}

const WRITE: &str = "create table kept (what text); insert into kept values ('still here')";
const READ: &str = "select what from kept";

fn postmaster(data_dir: &Path) -> i32 {
    let file = std::fs::read_to_string(data_dir.join("postgres/postmaster.pid")).expect("pid file");
    file.lines().next().expect("a line").trim().parse().expect("a number")
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
}

fn dir_with_mode(mode: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(dir.path(), mode).expect("set the mode");
    dir
}

/// A directory that PostgreSQL's user can enter.
fn data_dir() -> tempfile::TempDir {
    dir_with_mode(0o711)
}

#[tokio::test]
async fn data_outlives_a_stop_and_the_second_start_is_quick() {
    let dir = data_dir();
    let postgres = EmbeddedPostgres::start(dir.path()).await.expect("first start");
    run(&postgres.options(), WRITE).await.close().await.expect("close");
    // An open connection does not hold up the stop.
    let idle = run(&postgres.options(), "select 1").await;
    postgres.stop().await.expect("stop");
    drop(idle);
    assert!(!dir.path().join("postgres/postmaster.pid").exists(), "it was shut down in order");

    let begun = Instant::now();
    let postgres = EmbeddedPostgres::start(dir.path()).await.expect("second start");
    assert_eq!(ask(&postgres.options(), READ).await, "still here");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "took {took:?}");
    for (setting, wanted) in [
        ("show fsync", "on"),
        ("show data_checksums", "on"),
        ("show listen_addresses", ""),
        ("show server_encoding", "UTF8"),
        ("select datcollate from pg_database where datname = 'portolan'", "C.UTF-8"),
    ] {
        assert_eq!(ask(&postgres.options(), setting).await, wanted, "{setting}");
    }
    postgres.stop().await.expect("stop");
}

#[tokio::test]
async fn only_one_server_runs_on_a_data_directory() {
    let dir = data_dir();
    let postgres = EmbeddedPostgres::start(dir.path()).await.expect("start");
    let error = EmbeddedPostgres::start(dir.path()).await.expect_err("a second one");
    assert_eq!(error.code(), "postgres_in_use", "{error:?}");
    postgres.stop().await.expect("stop");
}

#[tokio::test]
async fn a_killed_postmaster_is_started_again_with_its_data() {
    let dir = data_dir();
    let postgres = EmbeddedPostgres::start(dir.path()).await.expect("start");
    run(&postgres.options(), WRITE).await.close().await.expect("close");
    let killed = postmaster(dir.path());
    kill(killed);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(mut conn) = postgres.options().connect().await
            && let Ok(row) = sqlx::raw_sql(READ).fetch_one(&mut conn).await
            && postmaster(dir.path()) != killed
        {
            assert_eq!(row.get::<String, _>(0), "still here");
            break;
        }
        assert!(Instant::now() < deadline, "it did not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    postgres.stop().await.expect("stop");
}

/// Not a test: the server that [`hold`] starts and kills.
#[tokio::test]
#[ignore = "run by other tests, in a process of its own"]
async fn holder() {
    let dir = PathBuf::from(std::env::var("HELD_DATA_DIR").expect("told by the test"));
    let postgres = EmbeddedPostgres::start(&dir).await.expect("start");
    run(&postgres.options(), WRITE).await.close().await.expect("close");
    eprintln!("held");
    std::future::pending::<()>().await;
}

/// Starts a server in another process, kills it once it has written, and returns the process id of
/// the postmaster that is left.
fn hold(dir: &Path) -> i32 {
    let mut server = Command::new(std::env::current_exe().expect("this program"))
        .args(["embedded::holder", "--exact", "--ignored", "--nocapture"])
        .env("HELD_DATA_DIR", dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the server");
    let stderr = BufReader::new(server.stderr.take().expect("its output"));
    let held = stderr.lines().any(|line| line.expect("a line") == "held");
    server.kill().expect("kill the server");
    server.wait().expect("reap the server");
    assert!(held, "the server did not start");
    postmaster(dir)
}

#[tokio::test]
async fn an_orphan_of_a_killed_server_is_taken_over() {
    let dir = data_dir();
    let orphan = hold(dir.path());
    let postgres = EmbeddedPostgres::start(dir.path()).await.expect("start");
    assert_eq!(postmaster(dir.path()), orphan, "it still runs");
    assert_eq!(ask(&postgres.options(), READ).await, "still here");
    postgres.stop().await.expect("stop");
    assert!(!dir.path().join("postgres/postmaster.pid").exists(), "it was stopped");
}

#[tokio::test]
async fn a_stale_pid_file_is_no_obstacle() {
    let dir = data_dir();
    kill(hold(dir.path()));
    // The number belongs to another process by now.
    let path = dir.path().join("postgres/postmaster.pid");
    let text = std::fs::read_to_string(&path).expect("pid file");
    let (_, rest) = text.split_once('\n').expect("lines");
    std::fs::write(&path, format!("{}\n{rest}", std::process::id())).expect("write");
    let postgres = EmbeddedPostgres::start(dir.path()).await.expect("start");
    assert_eq!(ask(&postgres.options(), READ).await, "still here");
    postgres.stop().await.expect("stop");
}

#[tokio::test]
async fn a_long_path_gets_a_short_socket() {
    let parent = data_dir();
    let dir = parent.path().join("d".repeat(120));
    let postgres = EmbeddedPostgres::start(&dir).await.expect("start");
    let socket = postgres.options().get_socket().expect("a socket").clone();
    assert!(socket.as_os_str().len() < 100, "{socket:?}");
    postgres.stop().await.expect("stop");
    std::fs::remove_dir_all(socket).expect("remove the socket directory");
}

#[tokio::test]
async fn a_closed_data_directory_links_to_its_cluster() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = dir_with_mode(0o700);
    let postgres = EmbeddedPostgres::start(dir.path()).await.expect("start");
    let cluster = std::fs::read_link(dir.path().join("postgres")).expect("a link");
    assert!(cluster.starts_with("/var/lib/portolan"), "{cluster:?}");
    run(&postgres.options(), WRITE).await.close().await.expect("close");
    postgres.stop().await.expect("stop");
    let postgres = EmbeddedPostgres::start(dir.path()).await.expect("start again");
    assert_eq!(ask(&postgres.options(), READ).await, "still here");
    postgres.stop().await.expect("stop");
    std::fs::remove_dir_all(cluster.parent().expect("a parent")).expect("clean up");
}

#[tokio::test]
async fn without_postgresql_the_error_says_what_to_install() {
    let dir = data_dir();
    let nowhere = [dir.path().join("nowhere")];
    let error = EmbeddedPostgres::start_with(dir.path(), &nowhere).await.expect_err("none");
    assert_eq!(error.code(), "postgres_missing");
    assert!(error.to_string().contains("apt-get install postgresql"), "{error}");
}

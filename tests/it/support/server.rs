//! The real binary, started on free ports with a data directory of its own, and a small client
//! for its JSON API.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::Value;

/// Password of the first admin in tests.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// An address on loopback nobody listens on.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    listener.local_addr().expect("address")
}

/// How a server is started.
pub struct ServerSettings {
    /// `None`: the embedded PostgreSQL.
    pub database_url: Option<String>,
    /// More environment.
    pub env: Vec<(String, String)>,
}

/// A running `portolan serve`; killed when dropped, its gateway with it.
pub struct Server {
    pub listen: SocketAddr,
    pub tls_listen: SocketAddr,
    pub data_dir: PathBuf,
    settings: ServerSettings,
    child: Option<Child>,
    _temp: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts a server in a fresh data directory and waits until it is ready.
    pub async fn start(settings: ServerSettings) -> Self {
        let temp = tempfile::tempdir().expect("temporary directory");
        let mut server = Self {
            listen: free_address(),
            tls_listen: free_address(),
            data_dir: temp.path().to_owned(),
            settings,
            child: None,
            _temp: Some(temp),
        };
        server.spawn().await;
        server
    }

    /// Starts the process again on the same data directory and ports.
    pub async fn spawn(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(&self.data_dir)
            .arg("--listen")
            .arg(self.listen.to_string())
            .arg("--tls-listen")
            .arg(self.tls_listen.to_string())
            .env("PORTOLAN_ADMIN_PASSWORD", ADMIN_PASSWORD)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log file"))
            .stderr(log);
        if let Some(url) = &self.settings.database_url {
            command.env("DATABASE_URL", url);
        }
        command.envs(self.settings.env.iter().map(|(k, v)| (k, v)));
        self.child = Some(command.spawn().expect("the binary starts"));
        let url = format!("http://{}/readyz", self.listen);
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(answer) = reqwest::get(&url).await
                && answer.status() == StatusCode::OK
            {
                return;
            }
            let exited = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten());
            assert!(exited.is_none(), "the server ended: {exited:?}\n{}", self.log());
            assert!(Instant::now() < deadline, "the server is not ready\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log_path(&self) -> PathBuf {
        self.data_dir.join("test-server.log")
    }

    /// What the server printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// `kill -9`, at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to stop, as Ctrl-C does, and waits.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// A client of the JSON API as `name`.
    pub fn client(&self, name: &str, password: &str) -> ApiClient {
        ApiClient {
            http: reqwest::Client::new(),
            base: self.url(),
            name: name.to_owned(),
            password: password.to_owned(),
        }
    }

    /// The first admin's client.
    pub fn admin(&self) -> ApiClient {
        self.client("admin", ADMIN_PASSWORD)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        stop_gateway(&self.data_dir);
        if std::thread::panicking() {
            eprintln!("--- server log ---\n{}", self.log());
        }
    }
}

fn stop_gateway(data_dir: &Path) {
    let _ = Command::new(env!("CARGO_BIN_EXE_portolan"))
        .arg("gateway")
        .arg("--stop")
        .arg("--data-dir")
        .arg(data_dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// Speaks to the JSON API with HTTP Basic.
#[derive(Clone)]
pub struct ApiClient {
    http: reqwest::Client,
    base: String,
    name: String,
    password: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub text: String,
}

impl Answer {
    /// Fails the test unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }
}

impl ApiClient {
    /// Sends `body` as it is, with the content type of JSON.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<String>) -> Answer {
        let answer = self
            .http
            .request(method, format!("{}{path}", self.base))
            .basic_auth(&self.name, Some(&self.password))
            .header("content-type", "application/json")
            .body(body.into())
            .send()
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        let location =
            answer.headers().get("location").and_then(|v| v.to_str().ok()).map(str::to_owned);
        Answer { status, location, text: answer.text().await.expect("a body") }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, body.to_string()).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "").await
    }
}

/// Asks `check` until it answers, at most `seconds`.
#[track_caller]
pub fn eventually<'a, T, F, Fut>(
    seconds: u64,
    what: &'a str,
    mut check: F,
) -> impl Future<Output = T> + use<'a, T, F, Fut>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            if let Some(value) = check().await {
                return value;
            }
            assert!(Instant::now() < deadline, "{caller}: not within {seconds} s: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

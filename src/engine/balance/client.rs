//! The server's side of the control socket, and starting the gateway that answers on it.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::control::{self, Hello, Line, PROTOCOL, Reply, Request};
use super::gateway::Settings;
use super::{Balancer, Report, Table};
use crate::base::{Error, Result};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for a started gateway to answer.
const START: Duration = Duration::from_secs(3);
/// Longest wait for an older gateway to give up its socket.
const HAND_OVER: Duration = Duration::from_secs(3);

/// Speaks to the gateway on a socket; connects when needed, and again after a failure.
#[derive(Debug)]
pub struct GatewayClient {
    socket: PathBuf,
    line: Mutex<Option<Line>>,
}

impl GatewayClient {
    /// Does not connect yet.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, line: Mutex::new(None) }
    }

    /// Tells the gateway to hand over its ports and end; connections are let finish.
    pub async fn stop(&self) -> Result<()> {
        self.call(&Request::Stop).await.map(|_| ())
    }

    async fn call(&self, request: &Request) -> Result<Reply> {
        let mut line = self.line.lock().await;
        // A kept connection may belong to a gateway that has ended; every verb may be repeated.
        let kept = line.take();
        let was_kept = kept.is_some();
        let mut outcome = timeout(PATIENCE, self.exchange(kept, request)).await;
        if was_kept && matches!(outcome, Ok(Err(_))) {
            outcome = timeout(PATIENCE, self.exchange(None, request)).await;
        }
        match outcome {
            Ok(Ok((open, reply))) => {
                *line = Some(open);
                Ok(reply)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::unavailable(format!(
                "the gateway did not answer within {} seconds",
                PATIENCE.as_secs()
            ))),
        }
    }

    async fn exchange(&self, kept: Option<Line>, request: &Request) -> Result<(Line, Reply)> {
        let mut line = match kept {
            Some(line) => line,
            None => {
                let (line, hello) = greet(&self.socket).await.map_err(|e| self.unreachable(e))?;
                if hello.protocol != PROTOCOL && !matches!(request, Request::Stop) {
                    return Err(Error::unavailable(format!(
                        "the gateway speaks another protocol ({}, not {PROTOCOL}); restart the server to replace it",
                        hello.protocol
                    )));
                }
                line
            }
        };
        control::send(&mut line, request).await.map_err(|e| self.unreachable(e))?;
        let reply = control::receive(&mut line).await.map_err(|e| self.unreachable(e))?;
        Ok((line, reply))
    }

    fn unreachable(&self, error: io::Error) -> Error {
        Error::unavailable(format!(
            "the gateway does not answer on {}; see its log",
            self.socket.display()
        ))
        .with_source(error)
    }

    async fn ask_report(&self, request: &Request) -> Result<Report> {
        match self.call(request).await? {
            Reply::Report { report } => Ok(report),
            Reply::Refused { code, message } => Err(refusal(&code, message)),
            Reply::Done => Err(Error::unavailable("the gateway gave an unexpected answer")),
        }
    }
}

fn refusal(code: &str, message: String) -> Error {
    match code {
        "port_in_use" => Error::conflict("port_in_use", message),
        _ => Error::unavailable(format!("the gateway refused: {message}")),
    }
}

#[async_trait::async_trait]
impl Balancer for GatewayClient {
    async fn apply(&self, table: &Table) -> Result<Report> {
        self.ask_report(&Request::Apply { table: table.clone() }).await
    }

    async fn report(&self) -> Result<Report> {
        self.ask_report(&Request::Report).await
    }

    async fn check_port(&self, port: u16) -> Result<()> {
        match self.call(&Request::CheckPort { port }).await? {
            Reply::Refused { code, message } => Err(refusal(&code, message)),
            _ => Ok(()),
        }
    }
}

async fn greet(socket: &Path) -> io::Result<(Line, Hello)> {
    let attempt = async {
        let mut line = control::line(UnixStream::connect(socket).await?);
        let hello = control::receive(&mut line).await?;
        Ok((line, hello))
    };
    timeout(PATIENCE, attempt).await?
}

/// Makes sure that a gateway of this version answers on the socket: leaves a running one alone,
/// replaces one of another version or address, starts one where none answers. The started process
/// is in its own process group, so that a signal to the server's does not end it, and gets nothing
/// of the server's environment.
///
/// # Errors
/// `Unavailable` with the reason, if none answers within 3 seconds.
pub async fn ensure_running(binary: &Path, settings: Settings, log_file: &Path) -> Result<()> {
    let wanted = Hello::new(settings.address);
    if let Ok((mut line, hello)) = greet(&settings.socket).await {
        let is_wanted = (hello.protocol, &hello.version, hello.address)
            == (wanted.protocol, &wanted.version, wanted.address);
        if is_wanted {
            return Ok(());
        }
        tracing::info!(gateway.version = %hello.version, gateway.process = hello.process, "an older gateway is replaced");
        replace(&mut line, &settings.socket).await?;
    }
    start(binary, &settings, log_file).await
}

async fn replace(line: &mut Line, socket: &Path) -> Result<()> {
    let stuck = || {
        Error::unavailable(
            "the running gateway is of another version and does not stop; end its process",
        )
    };
    control::send(line, &Request::Stop).await.map_err(|e| stuck().with_source(e))?;
    let patience = Instant::now() + HAND_OVER;
    while UnixStream::connect(socket).await.is_ok() {
        if Instant::now() >= patience {
            return Err(stuck());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn start(binary: &Path, settings: &Settings, log_file: &Path) -> Result<()> {
    let failed = |why: &str| {
        Error::unavailable(format!(
            "the gateway could not be started: {why}; see {}",
            log_file.display()
        ))
    };
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log_file)
        .map_err(|e| failed("its log cannot be written").with_source(e))?;
    let log_too =
        log.try_clone().map_err(|e| failed("its log cannot be written").with_source(e))?;
    let mut child = Command::new(binary)
        .arg("gateway")
        .arg("--socket")
        .arg(&settings.socket)
        .arg("--address")
        .arg(settings.address.to_string())
        .arg("--state")
        .arg(&settings.state_file)
        .env_clear()
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .spawn()
        .map_err(|e| failed("the program cannot be run").with_source(e))?;
    let patience = Instant::now() + START;
    loop {
        if greet(&settings.socket).await.is_ok() {
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(failed(&format!("it ended with {status}")));
        }
        if Instant::now() >= patience {
            return Err(failed("it did not answer within 3 seconds"));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

//! How a probe asks: one HTTP request, one TCP connection, or one command.
//!
//! A container may answer anything, so the answer's head and body are bounded, redirects are not
//! followed, and what is shown of it is cleaned.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::health::Kind;
use crate::base::Timestamp;
use crate::engine::runtime::clean::summary;
use crate::engine::runtime::{ContainerId, Runtime};
use crate::engine::spec::{Exec, HttpGet, Probe};
use crate::engine::view::ProbeAnswer;

/// Most characters shown of a body or of a command's output.
const SHOWN: usize = 200;
/// Most bytes read of a body.
const BODY_LIMIT: usize = 4096;
/// Most bytes of an answer's head.
const HEAD_LIMIT: usize = 16 << 10;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Target {
    pub container: ContainerId,
    /// Address on the environment's network, for http and tcp.
    pub address: Option<IpAddr>,
}

/// Asks once. Takes `timeoutSeconds` at most and never fails: trouble is an answer, too. `at` is
/// the time to note in the answer.
pub async fn run(
    kind: Kind,
    probe: &Probe,
    target: &Target,
    runtime: &dyn Runtime,
    at: Timestamp,
) -> ProbeAnswer {
    let seconds = probe.timeout_seconds.max(1);
    let limit = Duration::from_secs(seconds.into());
    let outcome = tokio::time::timeout(limit, ask(probe, target, runtime, limit)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {seconds} s")));
    ProbeAnswer {
        at,
        probe: kind.as_str().to_owned(),
        success: outcome.is_ok(),
        answer: outcome.unwrap_or_else(|text| text),
    }
}

async fn ask(
    probe: &Probe,
    target: &Target,
    runtime: &dyn Runtime,
    limit: Duration,
) -> Result<String, String> {
    if let Some(exec) = &probe.exec {
        return ask_command(exec, target, runtime, limit).await;
    }
    let address = target.address.ok_or("the container has no address")?;
    if let Some(get) = &probe.http_get {
        return ask_http(get, address).await;
    }
    let tcp = probe.tcp_socket.as_ref().ok_or("the probe asks nothing")?;
    connect(address, tcp.port).await?;
    Ok(format!("port {} accepts connections", tcp.port))
}

async fn ask_command(
    exec: &Exec,
    target: &Target,
    runtime: &dyn Runtime,
    limit: Duration,
) -> Result<String, String> {
    let output = runtime
        .exec(&target.container, &exec.command, limit)
        .await
        .map_err(|e| e.public_message().to_owned())?;
    let shown = summary(output.output.as_bytes(), SHOWN);
    let colon = if shown.is_empty() { "" } else { ": " };
    let text = format!("exit code {}{colon}{shown}", output.code);
    if output.code == 0 { Ok(text) } else { Err(text) }
}

async fn connect(address: IpAddr, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((address, port)).await.map_err(|e| in_words(&e))
}

fn in_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset => "connection reset".to_owned(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "address not reachable".to_owned()
        }
        _ => summary(error.to_string().as_bytes(), SHOWN),
    }
}

async fn ask_http(get: &HttpGet, address: IpAddr) -> Result<String, String> {
    let request = request(get, address)?;
    let stream = connect(address, get.port).await?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_LIMIT)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|e| no_http(&e))?;
    // Aborted when this returns, which closes the connection whatever the container does.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(|e| no_http(&e))?;
    let status = response.status();
    let text = status.canonical_reason().map_or_else(
        || status.as_u16().to_string(),
        |reason| format!("{} {reason}", status.as_u16()),
    );
    if (200..400).contains(&status.as_u16()) {
        return Ok(text);
    }
    let body = summary(&start_of(response.into_body()).await, SHOWN);
    Err(if body.is_empty() { text } else { format!("{text}: {body}") })
}

fn request(get: &HttpGet, address: IpAddr) -> Result<http::Request<Empty<Bytes>>, String> {
    let host = std::net::SocketAddr::new(address, get.port).to_string();
    let mut request = http::Request::get(get.path.as_str());
    let given = |name: &str| get.http_headers.iter().any(|h| h.name.eq_ignore_ascii_case(name));
    if !given("host") {
        request = request.header(http::header::HOST, host);
    }
    if !given("user-agent") {
        request = request.header(http::header::USER_AGENT, "portolan-probe");
    }
    for header in &get.http_headers {
        request = request.header(header.name.as_str(), header.value.as_str());
    }
    request
        .header(http::header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| "the probe's path or headers make no valid HTTP request".to_owned())
}

fn no_http(error: &hyper::Error) -> String {
    if error.is_parse() || error.is_parse_too_large() {
        return "the answer is not HTTP".to_owned();
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return "connection closed without an answer".to_owned();
    }
    let cause = std::error::Error::source(error).and_then(|e| e.downcast_ref::<std::io::Error>());
    cause.map_or_else(|| "connection closed without an answer".to_owned(), in_words)
}

/// The first bytes of a body; what cannot be read is left out.
async fn start_of(mut body: hyper::body::Incoming) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < BODY_LIMIT {
        let Some(Ok(frame)) = body.frame().await else { break };
        if let Some(data) = frame.data_ref() {
            let room = BODY_LIMIT - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    read
}

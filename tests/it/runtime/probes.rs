//! Probes against real listeners.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use portolan::base::{Clock as _, Secret, SystemClock};
use portolan::engine::probe::check::{self, Target};
use portolan::engine::probe::health::Kind;
use portolan::engine::runtime::fake::{Call, FakeRuntime};
use portolan::engine::runtime::{ExecOutput, PinnedImage, Runtime as _};
use portolan::engine::spec::Probe;
use portolan::engine::view::ProbeAnswer;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::docker;

fn runtime() -> FakeRuntime {
    FakeRuntime::new(Arc::new(SystemClock))
}

async fn ask_of(runtime: &FakeRuntime, id: &str, probe: serde_json::Value) -> ProbeAnswer {
    let probe: Probe = serde_json::from_value(probe).expect("a probe");
    let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let target = Target { container: id.to_owned(), address };
    check::run(Kind::Readiness, &probe, &target, runtime, SystemClock.now()).await
}

async fn ask(probe: serde_json::Value) -> (bool, String) {
    let answer = ask_of(&runtime(), "none", probe).await;
    assert_eq!(answer.probe, "readiness");
    (answer.success, answer.answer)
}

/// Answers one connection with `reply` and returns its port and, later, what it was asked.
async fn answering(reply: impl Into<Vec<u8>>) -> (u16, tokio::task::JoinHandle<String>) {
    let reply = reply.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut request = vec![0; 4096];
        let n = stream.read(&mut request).await.expect("read");
        // The prober may have seen enough.
        let _ = stream.write_all(&reply).await;
        String::from_utf8_lossy(&request[..n]).into_owned()
    });
    (port, asked)
}

async fn http(reply: impl Into<Vec<u8>>) -> (bool, String) {
    let (port, _asked) = answering(reply).await;
    ask(json!({ "httpGet": { "port": port } })).await
}

#[tokio::test]
async fn http_succeeds_from_200_to_399_and_follows_nothing() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(http(ok).await, (true, "200 OK".to_owned()));
    let moved = "HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n";
    assert_eq!(http(moved).await, (true, "302 Found".to_owned()));
}

#[tokio::test]
async fn http_failures_show_the_start_of_the_body_cleaned() {
    let reply = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n\
                 warming\n\x1b[2J up";
    let text = "503 Service Unavailable: warming ␛[2J up".to_owned();
    assert_eq!(http(reply).await, (false, text));
    let mut endless = b"HTTP/1.1 500 Internal Server Error\r\n\r\n".to_vec();
    endless.extend(vec![b'x'; 1 << 20]);
    let (success, text) = http(endless).await;
    assert!(!success);
    assert_eq!(text, format!("500 Internal Server Error: {}…", "x".repeat(200)));
}

#[tokio::test]
async fn http_trouble_is_told_in_words() {
    assert_eq!(http("hello\r\n\r\n").await, (false, "the answer is not HTTP".to_owned()));
    let closed = (false, "connection closed without an answer".to_owned());
    assert_eq!(http("").await, closed);
    let mut long = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    long.extend(vec![b'x'; 64 << 10]);
    assert_eq!(http(long).await, (false, "the answer is not HTTP".to_owned()));
    let unused = crate::support::server::free_address().port();
    let refused = (false, "connection refused".to_owned());
    assert_eq!(ask(json!({ "httpGet": { "port": unused } })).await, refused);
}

#[tokio::test]
async fn http_sends_path_and_headers() {
    let (port, asked) = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let headers = json!([{ "name": "Host", "value": "shop" }, { "name": "X-A", "value": "b" }]);
    let probe =
        json!({ "httpGet": { "port": port, "path": "/ready?x=1", "httpHeaders": headers } });
    assert_eq!(ask(probe).await, (true, "204 No Content".to_owned()));
    let asked = asked.await.expect("asked").to_ascii_lowercase();
    assert!(asked.starts_with("get /ready?x=1 http/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nhost: shop\r\n") && asked.contains("\r\nx-a: b\r\n"), "{asked}");
    assert_eq!(asked.matches("host:").count(), 1);
}

#[tokio::test]
async fn silence_ends_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let silent = (false, "no answer within 1 s".to_owned());
    assert_eq!(ask(json!({ "httpGet": { "port": port } })).await, silent);
}

#[tokio::test]
async fn tcp_asks_for_a_connection_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let open = (true, format!("port {port} accepts connections"));
    assert_eq!(ask(json!({ "tcpSocket": { "port": port } })).await, open);
    drop(listener);
    let refused = (false, "connection refused".to_owned());
    assert_eq!(ask(json!({ "tcpSocket": { "port": port } })).await, refused);
}

#[tokio::test]
async fn commands_answer_by_their_exit_code() {
    let runtime = runtime();
    let image = PinnedImage {
        repository: "demo/hello".parse().expect("a name"),
        digest: portolan::base::Digest::sha256(b"hello"),
    };
    runtime.pull(&image, &Secret::new(String::new())).await.expect("pull");
    runtime.ensure_network("portolan-demo").await.expect("a network");
    let spec = docker::spec(&image, "portolan-demo", "fake");
    let id = runtime.create(&spec).await.expect("create");
    runtime.start(&id).await.expect("start");
    let probe = json!({ "exec": { "command": ["/check"] } });
    let good = ask_of(&runtime, &id, probe.clone()).await;
    assert_eq!((good.success, good.answer.as_str()), (true, "exit code 0"));
    runtime.set_exec(|_, _| ExecOutput { code: 1, output: "no\r\ndisk".to_owned() });
    let bad = ask_of(&runtime, &id, probe.clone()).await;
    assert_eq!((bad.success, bad.answer.as_str()), (false, "exit code 1: no disk"));
    runtime.slow(Call::Exec, Duration::from_secs(60));
    let slow = ask_of(&runtime, &id, probe).await;
    assert_eq!((slow.success, slow.answer.as_str()), (false, "no answer within 1 s"));
}

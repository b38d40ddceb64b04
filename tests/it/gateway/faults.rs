//! Malformed, slow and broken peers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portolan::engine::balance::Balancer;
use portolan::engine::spec::PortProtocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Gateway, LOCALHOST, Replica, client, free_port, listener, raw, url};

async fn serve() -> (Gateway, Replica, u16) {
    let gateway = Gateway::start().await;
    let replica = Replica::http("a").await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Http, [&replica.endpoint])]).await;
    (gateway, replica, port)
}

#[tokio::test]
async fn malformed_requests_are_refused_and_reach_no_replica() {
    let (_gateway, replica, port) = serve().await;
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(70));
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(17 * 1024));
    let huge = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(200 * 1024));
    let corpus: &[&str] = &[
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nabcde",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n folded: x\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
        "TRACE / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/9.9\r\nhost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\u{0}\u{1}\u{2}\u{3}\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        &many,
        &long,
        &huge,
    ];
    for request in corpus {
        let answer = raw(port, request.as_bytes()).await;
        let shown: String = request.chars().take(80).collect();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{shown:?} → {answer}");
    }
    assert_eq!(replica.served(), 0);
    assert_eq!(client().get(url(port, "/")).send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn chunked_uploads_on_a_kept_connection_pass() {
    let (_gateway, _replica, port) = serve().await;
    let mut stream = TcpStream::connect((LOCALHOST, port)).await.expect("connects");
    for _ in 0..3 {
        let request =
            b"POST /size HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        stream.write_all(request).await.expect("writes");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n3") {
            answer.push(stream.read_u8().await.expect("a byte"));
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_client_that_sends_no_head_is_closed_after_ten_seconds() {
    let (_gateway, _replica, port) = serve().await;
    for start in ["", "GET / HTTP/1.1\r\nhost: a\r\n"] {
        let began = Instant::now();
        let mut stream = TcpStream::connect((LOCALHOST, port)).await.expect("connects");
        stream.write_all(start.as_bytes()).await.expect("writes");
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut rest))
            .await
            .expect("closed in time")
            .ok();
        assert!(began.elapsed() >= Duration::from_secs(9), "{start:?}");
    }
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_is_let_go_after_thirty_seconds() {
    let (gateway, replica, port) = serve().await;
    let connect = async || TcpStream::connect((LOCALHOST, port)).await.expect("connects");
    let mut no_body = connect().await;
    let request = b"POST /size HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc";
    no_body.write_all(request).await.expect("writes");
    let mut no_reader = connect().await;
    let request = b"GET /stream?1000000000 HTTP/1.1\r\nhost: a\r\n\r\n";
    no_reader.write_all(request).await.expect("writes");
    let in_flight = async || {
        gateway.client.report().await.expect("a report").in_flight[&replica.endpoint.replica]
    };
    super::rig::eventually("both are in flight", async || in_flight().await == 2).await;
    let began = Instant::now();
    while in_flight().await > 0 {
        assert!(began.elapsed() < Duration::from_secs(45), "{} are left", in_flight().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(25));
}

/// A replica that gives `answers`, one for each read, then closes.
async fn broken(answers: &'static [&'static [u8]]) -> (Replica, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let replica = Replica::tcp(move |mut stream| {
        let count = count.clone();
        async move {
            let mut bytes = [0u8; 4096];
            for answer in answers {
                let Ok(1..) = stream.read(&mut bytes).await else { return };
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(answer).await;
            }
        }
    })
    .await;
    (replica, asked)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_request_that_may_do_harm_twice_is_sent_once() {
    let gateway = Gateway::start().await;
    let (replica, asked) = broken(&[b""]).await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Http, [&replica.endpoint])]).await;
    let answer = client().post(url(port, "/")).body("once").send().await.expect("an answer");
    assert_eq!(answer.status(), 502);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(gateway.client.report().await.expect("a report").ports[&port].failures, 1);
}

#[tokio::test]
async fn a_replica_that_closes_after_every_answer_fails_no_request() {
    let gateway = Gateway::start().await;
    let (replica, _) = broken(&[OK]).await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Http, [&replica.endpoint])]).await;
    let http = client();
    for _ in 0..50 {
        let sent = http.post(url(port, "/")).body("body").send();
        assert_eq!(sent.await.expect("an answer").status(), 200);
    }
}

#[tokio::test]
async fn an_idempotent_request_without_an_answer_goes_to_another_replica() {
    let gateway = Gateway::start().await;
    let (bad, asked) = broken(&[b""]).await;
    let good = Replica::http("good").await;
    let port = free_port();
    let endpoints = [bad.endpoint.clone(), good.endpoint.clone()];
    gateway.apply(vec![listener(port, PortProtocol::Http, &endpoints)]).await;
    for _ in 0..10 {
        let sent = client().put(url(port, "/echo")).body("kept").send();
        assert_eq!(sent.await.expect("an answer").text().await.expect("a body"), "kept");
    }
    let retries = gateway.client.report().await.expect("a report").ports[&port].retries;
    assert_eq!(retries, asked.load(Ordering::SeqCst));
    assert!(retries > 0);
}

#[tokio::test]
async fn an_answer_cut_short_is_seen_as_such() {
    let gateway = Gateway::start().await;
    let (replica, _) = broken(&[b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"]).await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Http, [&replica.endpoint])]).await;
    let answer = async { client().get(url(port, "/")).send().await?.text().await };
    assert!(answer.await.is_err());
    assert_eq!(gateway.client.report().await.expect("a report").ports[&port].failures, 1);
}

#[tokio::test]
async fn nonsense_from_a_replica_is_a_bad_gateway() {
    let gateway = Gateway::start().await;
    let (replica, asked) = broken(&[b"SSH-2.0-OpenSSH\r\n"]).await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Http, [&replica.endpoint])]).await;
    let answer = client().get(url(port, "/")).send().await.expect("an answer");
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.text().await.expect("a body"), "the replica gave no answer\n");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "it answered, so it is not asked again");
}

//! What passes between client and replica.

use std::time::Duration;

use portolan::engine::balance::Balancer;
use portolan::engine::spec::PortProtocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Gateway, LOCALHOST, Replica, client, eventually, free_port, listener, raw, url};

async fn serve() -> (Gateway, Replica, u16) {
    let gateway = Gateway::start().await;
    let replica = Replica::http("a").await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Auto, [&replica.endpoint])]).await;
    (gateway, replica, port)
}

#[tokio::test]
async fn the_replica_sees_the_peer_and_the_host_whatever_the_client_claims() {
    let (_gateway, _replica, port) = serve().await;
    let seen = raw(
        port,
        b"GET /seen?q=1 HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nX-Kept: 1\r\n\r\n",
    )
    .await;
    let body = seen.split("\r\n\r\n").nth(1).expect("a body");
    assert!(body.starts_with("GET /seen?q=1 HTTP/1.1\n"), "{body}");
    let mut headers: Vec<_> = body.lines().skip(1).collect();
    headers.sort_unstable();
    assert_eq!(
        headers,
        [
            "forwarded: for=127.0.0.1;host=\"shop.example\";proto=http",
            "host: shop.example",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: shop.example",
            "x-forwarded-proto: http",
            "x-kept: 1",
        ]
    );
}

#[tokio::test]
async fn an_upgraded_connection_passes_bytes_and_counts_as_in_flight() {
    let (gateway, replica, port) = serve().await;
    let in_flight = async || {
        gateway.client.report().await.expect("a report").in_flight[&replica.endpoint.replica]
    };
    let mut stream = TcpStream::connect((LOCALHOST, port)).await.expect("connects");
    stream
        .write_all(
            b"GET /switch HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n",
        )
        .await
        .expect("writes");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8(head).expect("text").to_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: echo"), "{head}");
    stream.write_all(b"ping").await.expect("writes");
    let mut echo = [0u8; 4];
    stream.read_exact(&mut echo).await.expect("an echo");
    assert_eq!(&echo, b"ping");
    assert_eq!(in_flight().await, 1);
    drop(stream);
    eventually("it ended", async || in_flight().await == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn big_bodies_stream_both_ways_in_little_memory() {
    let (_gateway, _replica, port) = serve().await;
    const SIZE: usize = 256 << 20;
    let mut answer =
        client().get(url(port, &format!("/stream?{SIZE}"))).send().await.expect("an answer");
    let mut size = 0;
    while let Some(chunk) = answer.chunk().await.expect("a chunk") {
        size += chunk.len();
    }
    assert_eq!(size, SIZE);
    let chunk = bytes::Bytes::from(vec![b'y'; 64 * 1024]);
    let chunks = futures_util::stream::iter(
        (0..SIZE / chunk.len()).map(move |_| Ok::<_, std::io::Error>(chunk.clone())),
    );
    let sent = client().post(url(port, "/size")).body(reqwest::Body::wrap_stream(chunks)).send();
    let size = sent.await.expect("an answer").text().await.expect("a body");
    assert_eq!(size, SIZE.to_string());
    let status = std::fs::read_to_string("/proc/self/status").expect("this process");
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("peak memory");
    let kilobytes: usize = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kilobytes < 160 << 10, "client, gateway and replica took {kilobytes} kB at most");
}

#[tokio::test]
async fn the_first_bytes_of_an_answer_do_not_wait_for_the_rest() {
    let (_gateway, _replica, port) = serve().await;
    let mut stream = TcpStream::connect((LOCALHOST, port)).await.expect("connects");
    stream
        .write_all(
            b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n",
        )
        .await
        .expect("writes");
    let mut seen = Vec::new();
    let first = async {
        while !seen.ends_with(b"2\r\nab\r\n") {
            seen.push(stream.read_u8().await.expect("a byte"));
        }
    };
    tokio::time::timeout(Duration::from_secs(5), first)
        .await
        .expect("the first chunk comes at once");
    stream.write_all(b"0\r\n\r\n").await.expect("writes");
}

#[tokio::test]
async fn every_kind_of_message_keeps_its_framing() {
    let (_gateway, replica, port) = serve().await;
    let http = client();
    let head = http.head(url(port, "/")).send().await.expect("an answer");
    assert_eq!(head.headers()["content-length"], "1");
    for size in [0, 1, 70_000] {
        for method in [reqwest::Method::POST, reqwest::Method::PUT, reqwest::Method::DELETE] {
            let sent = http.request(method, url(port, "/echo")).body("z".repeat(size)).send();
            let echo = sent.await.expect("an answer").text().await.expect("a body");
            assert_eq!(echo.len(), size);
        }
    }
    let old = raw(port, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200") && old.ends_with("\r\n\r\na"), "{old}");
    let absolute = raw(
        port,
        b"GET http://shop.example/seen HTTP/1.1\r\nhost: other\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(
        absolute.contains("GET /seen") && absolute.contains("host: shop.example"),
        "{absolute}"
    );
    assert!(replica.served() > 10);
}

#[tokio::test]
async fn connections_to_replicas_are_reused() {
    let gateway = Gateway::start().await;
    let opened = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = opened.clone();
    let replica = Replica::tcp(move |mut stream| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            let mut bytes = [0u8; 4096];
            while let Ok(1..) = stream.read(&mut bytes).await {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Http, [&replica.endpoint])]).await;
    let http = client();
    for _ in 0..50 {
        assert_eq!(http.get(url(port, "/")).send().await.expect("an answer").status(), 200);
    }
    assert_eq!(opened.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_with_prior_knowledge_is_balanced_per_request() {
    let gateway = Gateway::start().await;
    let replicas = [Replica::http("a").await, Replica::http("b").await];
    let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("one");
    for protocol in [PortProtocol::Auto, PortProtocol::Http] {
        let port = free_port();
        let endpoints = replicas.iter().map(|r| &r.endpoint);
        gateway.apply(vec![listener(port, protocol, endpoints)]).await;
        let before = [replicas[0].served(), replicas[1].served()];
        let answers = (0..40).map(|_| http.get(url(port, "/seen")).send());
        for answer in futures_util::future::join_all(answers).await {
            let answer = answer.expect("an answer");
            assert_eq!(answer.version(), reqwest::Version::HTTP_2);
            let seen = answer.text().await.expect("a body");
            assert!(
                seen.contains("HTTP/2.0") && seen.contains("x-forwarded-for: 127.0.0.1"),
                "{seen}"
            );
        }
        for (replica, before) in replicas.iter().zip(before) {
            assert!(replica.served() > before + 5, "{protocol:?}");
        }
        let echo = http.post(url(port, "/echo")).body("z".repeat(300_000)).send().await;
        assert_eq!(echo.expect("an answer").text().await.expect("a body").len(), 300_000);
    }
    let report = gateway.client.report().await.expect("a report");
    assert!(report.in_flight.values().all(|n| *n == 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_survives_the_death_of_a_replica() {
    let gateway = Gateway::start().await;
    let (doomed, other) = (Replica::http("doomed").await, Replica::http("other").await);
    let port = free_port();
    let endpoints = [&doomed.endpoint, &other.endpoint];
    gateway.apply(vec![listener(port, PortProtocol::Auto, endpoints)]).await;
    let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("one");
    let get = async || http.get(url(port, "/")).send().await.expect("an answer").status();
    for _ in 0..10 {
        assert_eq!(get().await, 200);
    }
    doomed.kill().await;
    for _ in 0..20 {
        assert_eq!(get().await, 200);
    }
}

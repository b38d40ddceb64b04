//! Clients that say little, read little or come in crowds hold nothing for long.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::response::sse::{self, Sse};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::stream;
use portolan::base::SystemClock;
use portolan::http::layers;
use portolan::http::limits::{HEAD_BYTES, HEAD_FIELDS, Limits};
use portolan::http::serve::{Connections, Endless, Listener, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const SHORT: Duration = Duration::from_millis(400);

fn short() -> Limits {
    Limits {
        first_byte: SHORT,
        head: SHORT,
        body_gap: SHORT,
        write_gap: SHORT,
        per_address: 5,
        drain: Duration::from_secs(5),
        ..Limits::default()
    }
}

/// The real listener and layers over routes that read their body, answer with 64 MiB, or do not
/// end.
async fn start(limits: Limits) -> (SocketAddr, CancellationToken) {
    let big = || async { Bytes::from(vec![0u8; 64 << 20]) };
    let followed = || async {
        let body = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        (Extension(Endless), body)
    };
    let routes = Router::new()
        .route("/", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/big", get(big))
        .route(
            "/events",
            get(|| async { Sse::new(stream::pending::<Result<sse::Event, Infallible>>()) }),
        )
        .route("/followed", get(followed));
    let app = layers::wrap(routes, std::sync::Arc::new(SystemClock), &limits, false);
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind");
    let address = socket.local_addr().expect("address");
    let stop = CancellationToken::new();
    let listener = Listener { socket, tls: None, connections: Connections::default(), limits };
    tokio::spawn(serve(listener, app, stop.clone()));
    (address, stop)
}

/// How long until the server closes a connection on which only `said` was sent.
async fn held(address: SocketAddr, said: &[u8]) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(said).await.expect("write");
    let mut answer = Vec::new();
    let ended =
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "still open after 10 s: {:?}", String::from_utf8_lossy(said));
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn half_said_things_do_not_hold_a_connection() {
    let (address, _stop) = start(short()).await;
    for said in [
        "",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
        // Answered, and then idle.
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let held = held(address, said.as_bytes()).await;
        assert!(held < Duration::from_secs(5), "{said:?} held it for {held:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_nobody_reads_is_given_up() {
    let (address, _stop) = start(short()).await;
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
    // Long enough for several gaps; what the kernel holds then arrives, the rest never does.
    tokio::time::sleep(SHORT * 5).await;
    let mut read = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut read))
        .await
        .expect("the connection ends");
    assert!(read.len() < 64 << 20, "everything was kept for a client that did not read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_from_one_address_is_turned_away() {
    let (address, _stop) = start(Limits { first_byte: Duration::from_secs(30), ..short() }).await;
    let mut crowd = Vec::new();
    for _ in 0..5 {
        crowd.push(TcpStream::connect(address).await.expect("connect"));
    }
    // The sixth is closed at once, although the five have said nothing yet.
    let mut sixth = TcpStream::connect(address).await.expect("connect");
    let mut byte = [0u8; 1];
    let read = tokio::time::timeout(Duration::from_secs(5), sixth.read(&mut byte)).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
    drop(crowd);
    crate::support::server::eventually(5, "places are free again", || async {
        let answer = reqwest::Client::new().post(format!("http://{address}/")).body("ok").send();
        answer.await.ok().filter(|answer| answer.status() == 200).map(|_| ())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_two_readers_could_understand_differently_are_refused() {
    let (address, _stop) = start(short()).await;
    let many = (0..=HEAD_FIELDS).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let large = format!("x: {}\r\n", "a".repeat(HEAD_BYTES));
    for (said, status) in [
        ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n".to_owned(), "400"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
                .to_owned(),
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
             0\r\n\r\n"
                .to_owned(),
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
            "400",
        ),
        ("POST / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), "400"),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "405"),
        (format!("POST / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), "431"),
        (format!("POST / HTTP/1.1\r\nHost: a\r\n{large}\r\n"), "431"),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.write_all(said.as_bytes()).await.expect("write");
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        assert!(line.contains(status), "{:?}: {line}", said.get(..60).unwrap_or(&said));
    }
}

/// Says one thing after the other on one connection and returns the answers' statuses, up to the
/// server's end of it.
async fn conversation(address: SocketAddr, said: &[&str]) -> Vec<String> {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    let mut answers = Vec::new();
    for part in said {
        if stream.write_all(part.as_bytes()).await.is_err() {
            break;
        }
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match tokio::time::timeout(Duration::from_secs(5), stream.read_u8()).await {
                Ok(Ok(byte)) => head.push(byte),
                _ => return answers,
            }
        }
        let head = String::from_utf8(head).expect("text").to_lowercase();
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).expect("short");
        let mut body = vec![0; length.parse().expect("a number")];
        stream.read_exact(&mut body).await.expect("the body");
        answers.push(head.split(' ').nth(1).expect("a status").to_owned());
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_takes_chunked_bodies_and_refuses_a_smuggled_length_later() {
    let (address, _stop) = start(Limits::default()).await;
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   13\r\nContent-Length: 1\r\n\r\n0\r\n\r\n";
    let lengthy = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
    let both = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\
                \r\n0\r\n\r\n";
    let said = [chunked, lengthy, chunked, chunked, both, lengthy];
    let answers = conversation(address, &said).await;
    assert_eq!(answers, ["200", "200", "200", "200", "400"], "and the connection ends");
    // Sent before the first is answered: understood, and nothing after it is.
    let ahead = format!("{lengthy}{chunked}");
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(format!("{ahead}{lengthy}").as_bytes()).await.expect("write");
    let mut answers = String::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answers));
    read.await.expect("the connection ends").expect("text");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_finished_when_the_server_stops() {
    let limits = Limits { body_gap: Duration::from_secs(10), ..short() };
    let (address, stop) = start(limits).await;
    let mut stream = TcpStream::connect(address).await.expect("connect");
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha";
    stream.write_all(head).await.expect("write");
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.cancel();
    crate::support::server::eventually(5, "nothing new is accepted", || async {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
    stream.write_all(b"lf").await.expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('4'), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_an_end_do_not_hold_up_a_stop() {
    let limits = Limits { drain: Duration::from_secs(30), ..short() };
    let (address, stop) = start(limits).await;
    let mut open = Vec::new();
    for path in ["/events", "/followed"] {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let ask = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.expect("write");
        let mut head = [0u8; 15];
        stream.read_exact(&mut head).await.expect("the answer begins");
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        open.push(stream);
    }
    stop.cancel();
    for mut stream in open {
        let mut rest = String::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut rest));
        ended.await.expect("ended by the stop").expect("an orderly end");
        assert!(rest.ends_with("0\r\n\r\n"), "cut off: {rest}");
    }
}

#[test]
fn the_limits_in_force_are_those_of_the_security_baseline() {
    let limits = Limits::default();
    assert_eq!(limits.first_byte, Duration::from_secs(10));
    assert_eq!(limits.head, Duration::from_secs(10));
    assert_eq!(limits.body_gap, Duration::from_secs(30));
    assert_eq!(limits.write_gap, Duration::from_secs(30));
    assert_eq!((limits.per_address, limits.connections), (100, 10_000));
    assert_eq!((HEAD_BYTES, HEAD_FIELDS), (16 * 1024, 64));
}

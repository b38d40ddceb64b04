//! Ports that pass bytes.

use std::time::Duration;

use portolan::engine::balance::Balancer;
use portolan::engine::spec::PortProtocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{
    Gateway, LOCALHOST, NONE, Replica, draining, eventually, free_port, listener, raw,
};

/// Reads to the end, then answers with what it read, reversed.
async fn reverser() -> Replica {
    Replica::tcp(|mut stream| async move {
        let mut bytes = Vec::new();
        if stream.read_to_end(&mut bytes).await.is_ok() {
            bytes.reverse();
            let _ = stream.write_all(&bytes).await;
        }
    })
    .await
}

/// Greets first, then echoes.
async fn greeter() -> Replica {
    Replica::tcp(|mut stream| async move {
        let _ = stream.write_all(b"220 ready\r\n").await;
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect((LOCALHOST, port)).await.expect("connects")
}

#[tokio::test]
async fn an_ended_direction_leaves_the_other_open() {
    let gateway = Gateway::start().await;
    let replica = reverser().await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Tcp, [&replica.endpoint])]).await;
    let mut stream = connect(port).await;
    stream.write_all(b"abc").await.expect("writes");
    stream.shutdown().await.expect("half-closes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reads");
    assert_eq!(answer, "cba");
}

#[tokio::test]
async fn a_protocol_where_the_server_speaks_first_passes_an_automatic_port() {
    let gateway = Gateway::start().await;
    let replica = greeter().await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Auto, [&replica.endpoint])]).await;
    let mut stream = connect(port).await;
    let mut greeting = [0u8; 11];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut greeting))
        .await
        .expect("a greeting in time")
        .expect("a greeting");
    assert_eq!(&greeting, b"220 ready\r\n");
}

#[tokio::test]
async fn a_draining_replica_keeps_its_connections_until_they_end() {
    let gateway = Gateway::start().await;
    let replica = greeter().await;
    let port = free_port();
    let in_flight = async || {
        gateway.client.report().await.expect("a report").in_flight[&replica.endpoint.replica]
    };
    gateway.apply(vec![listener(port, PortProtocol::Tcp, [&replica.endpoint])]).await;
    let mut stream = connect(port).await;
    let mut greeting = [0u8; 11];
    stream.read_exact(&mut greeting).await.expect("a greeting");
    gateway.apply(vec![listener(port, PortProtocol::Tcp, [draining(&replica.endpoint)])]).await;
    assert_eq!(in_flight().await, 1);
    stream.write_all(b"still here").await.expect("writes");
    let mut echo = [0u8; 10];
    stream.read_exact(&mut echo).await.expect("an echo");
    drop(stream);
    eventually("the connection ended", async || in_flight().await == 0).await;
}

#[tokio::test]
async fn without_replicas_the_connection_is_closed() {
    let gateway = Gateway::start().await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Tcp, NONE)]).await;
    assert_eq!(raw(port, b"").await, "");
}

#[tokio::test]
async fn connections_avoid_a_replica_that_is_gone() {
    let gateway = Gateway::start().await;
    let (gone, alive) = (greeter().await, greeter().await);
    let port = free_port();
    let endpoints = [gone.endpoint.clone(), alive.endpoint.clone()];
    gone.kill().await;
    gateway.apply(vec![listener(port, PortProtocol::Tcp, &endpoints)]).await;
    for _ in 0..10 {
        let mut greeting = [0u8; 11];
        connect(port).await.read_exact(&mut greeting).await.expect("a greeting");
    }
}

//! Tables, restarts, and who may have a socket and a port.

use portolan::base::ErrorKind;
use portolan::engine::balance::gateway;
use portolan::engine::balance::{Balancer, Table};
use portolan::engine::spec::PortProtocol;
use tokio_util::sync::CancellationToken;

use super::rig::{Gateway, LOCALHOST, NONE, Replica, client, eventually, free_port, listener, url};

#[tokio::test]
async fn the_last_table_is_served_after_a_restart_without_a_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let replica = Replica::http("a").await;
    let port = free_port();
    let gateway = Gateway::start_in(dir.path().to_owned()).await;
    gateway.apply(vec![listener(port, PortProtocol::Http, [&replica.endpoint])]).await;
    gateway.stop().await;
    assert!(client().get(url(port, "/")).send().await.is_err(), "the port is closed");

    let gateway = Gateway::start_in(dir.path().to_owned()).await;
    let response = client().get(url(port, "/")).send().await.expect("an answer");
    assert_eq!(response.text().await.expect("a body"), "a");
    assert_eq!(gateway.client.report().await.expect("a report").generation, 1);
}

#[tokio::test]
async fn a_second_gateway_on_the_socket_is_refused() {
    let first = Gateway::start().await;
    let second = gateway::run(first.settings.clone(), CancellationToken::new());
    let error = second.await.expect_err("refused");
    assert_eq!(error.code(), "gateway_running");
    assert!(first.client.report().await.is_ok(), "the first goes on");
}

#[tokio::test]
async fn a_client_survives_a_restart_of_the_gateway() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Gateway::start_in(dir.path().to_owned()).await;
    let kept = first.client.clone();
    first.stop().await;
    assert_eq!(kept.report().await.expect_err("nobody there").kind(), ErrorKind::Unavailable);
    let _second = Gateway::start_in(dir.path().to_owned()).await;
    assert!(kept.report().await.is_ok());
}

#[tokio::test]
async fn an_older_table_changes_nothing() {
    let gateway = Gateway::start().await;
    let table = |generation| Table {
        generation,
        listeners: vec![listener(free_port(), PortProtocol::Http, NONE)],
    };
    let newer = gateway.client.apply(&table(9)).await.expect("applied");
    let older = gateway.client.apply(&table(8)).await.expect("answered");
    assert_eq!(newer, older);
}

#[tokio::test]
async fn a_port_in_use_is_a_problem_until_it_is_free() {
    let gateway = Gateway::start().await;
    let taken = std::net::TcpListener::bind((LOCALHOST, 0)).expect("a port");
    let port = taken.local_addr().expect("an address").port();

    let refused = gateway.client.check_port(port).await.expect_err("taken");
    assert_eq!(refused.code(), "port_in_use");
    let holder = format!("(process {})", std::process::id());
    assert!(refused.public_message().contains(&holder), "{refused}");

    let report = gateway.apply(vec![listener(port, PortProtocol::Http, NONE)]).await;
    assert!(report.problems[&port].contains(&holder), "{report:?}");
    drop(taken);
    eventually("the port is opened", async || {
        gateway.client.report().await.expect("a report").problems.is_empty()
    })
    .await;
    let served = gateway.client.check_port(port).await.expect_err("served by us");
    assert!(served.public_message().contains("test/service"), "{served}");
    gateway.apply(Vec::new()).await;
    gateway.client.check_port(port).await.expect("free once the table is in force");
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight() {
    let gateway = Gateway::start().await;
    let replica = Replica::http("a").await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Http, [&replica.endpoint])]).await;
    let slow = tokio::spawn(async move {
        client().get(url(port, "/gate")).send().await.expect("an answer").status()
    });
    eventually("it is in flight", async || replica.served() == 1).await;
    gateway.client.stop().await.expect("told");
    eventually("the port is closed", async || {
        tokio::net::TcpStream::connect((LOCALHOST, port)).await.is_err()
    })
    .await;
    replica.gate.cancel();
    assert_eq!(slow.await.expect("no panic"), 200);
    gateway.stop().await;
}

#[test]
fn the_socket_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let gateway = Gateway::start().await;
        let mode = std::fs::metadata(&gateway.settings.socket).expect("a socket").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    });
}

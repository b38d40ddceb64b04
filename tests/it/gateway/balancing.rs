//! Which replica gets the work, and who waits for what when endpoints change.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use portolan::engine::balance::Balancer;
use portolan::engine::spec::{Algorithm, PortProtocol};

use super::rig::{
    Gateway, NONE, Replica, client, draining, eventually, free_port, listener, raw, url,
};

async fn get(client: &reqwest::Client, url: &str) -> String {
    let response = client.get(url).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    response.text().await.expect("a body")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequential_requests_reach_all_three_replicas() {
    let gateway = Gateway::start().await;
    let replicas = [Replica::http("a").await, Replica::http("b").await, Replica::http("c").await];
    let endpoints: Vec<_> = replicas.iter().map(|r| r.endpoint.clone()).collect();
    let http = client();
    for algorithm in [Algorithm::PeakEwma, Algorithm::LeastConnections, Algorithm::RoundRobin] {
        let port = free_port();
        let mut listener = listener(port, PortProtocol::Auto, &endpoints);
        listener.algorithm = algorithm;
        gateway.apply(vec![listener]).await;
        let mut seen = HashSet::new();
        for _ in 0..15 {
            seen.insert(get(&http, &url(port, "/")).await);
        }
        assert_eq!(seen.len(), 3, "{algorithm:?}");
    }
}

#[tokio::test]
async fn without_replicas_http_says_so() {
    let gateway = Gateway::start().await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Http, NONE)]).await;
    let response = client().get(url(port, "/")).send().await.expect("an answer");
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(response.text().await.expect("a body"), "no ready replicas\n");
}

#[tokio::test]
async fn a_request_waits_for_a_replica_to_appear() {
    let gateway = Gateway::start().await;
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Http, NONE)]).await;
    let asked = tokio::spawn(async move { get(&client(), &url(port, "/")).await });
    eventually("the request arrived", async || {
        gateway.client.report().await.expect("a report").ports[&port].requests == 1
    })
    .await;
    let replica = Replica::http("late").await;
    gateway.apply(vec![listener(port, PortProtocol::Http, [&replica.endpoint])]).await;
    assert_eq!(asked.await.expect("no panic"), "late");
}

#[tokio::test]
async fn draining_waits_for_what_is_in_flight_and_gives_no_new_work() {
    let gateway = Gateway::start().await;
    let (old, new) = (Replica::http("old").await, Replica::http("new").await);
    let port = free_port();
    gateway.apply(vec![listener(port, PortProtocol::Http, [&old.endpoint])]).await;
    let http = client();
    let slow = tokio::spawn({
        let http = http.clone();
        async move { get(&http, &url(port, "/gate")).await }
    });
    eventually("the slow request is in flight", async || old.served() == 1).await;

    let report = gateway
        .apply(vec![listener(
            port,
            PortProtocol::Http,
            [draining(&old.endpoint), new.endpoint.clone()],
        )])
        .await;
    assert_eq!(report.in_flight[&old.endpoint.replica], 1);
    for _ in 0..20 {
        assert_eq!(get(&http, &url(port, "/")).await, "new");
    }
    old.gate.cancel();
    assert_eq!(slow.await.expect("no panic"), "old");
    eventually("nothing is in flight", async || {
        gateway.client.report().await.expect("a report").in_flight[&old.endpoint.replica] == 0
    })
    .await;
}

/// Clients that keep their connections and clients that open new ones, until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(port: u16) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let tasks = (0..8)
            .map(|number| {
                let (stop, answered) = (stop.clone(), answered.clone());
                tokio::spawn(async move {
                    let kept = client();
                    let mut failures = Vec::new();
                    while !stop.load(Ordering::SeqCst) {
                        let outcome = if number % 2 == 0 {
                            match kept.get(url(port, "/")).send().await {
                                Ok(answer) if answer.status() == 200 => Ok(()),
                                Ok(answer) => Err(answer.status().to_string()),
                                Err(error) => Err(format!("{error:?}")),
                            }
                        } else {
                            let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
                            let answer = raw(port, request).await;
                            if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
                        };
                        answered.fetch_add(1, Ordering::SeqCst);
                        failures.extend(outcome.err());
                    }
                    failures
                })
            })
            .collect();
        Self { stop, answered, tasks }
    }

    /// Waits until so many more requests were answered.
    async fn pass(&self, requests: u64) {
        let goal = self.answered.load(Ordering::SeqCst) + requests;
        eventually("the load goes on", async || self.answered.load(Ordering::SeqCst) >= goal).await;
    }

    async fn failures(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        let mut failures = Vec::new();
        for task in self.tasks {
            failures.extend(task.await.expect("no panic"));
        }
        failures
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_replicas_are_replaced_under_load() {
    let gateway = Gateway::start().await;
    let port = free_port();
    let mut old = Replica::http("0").await;
    gateway.apply(vec![listener(port, PortProtocol::Auto, [&old.endpoint])]).await;
    let load = Load::start(port);
    for name in ["1", "2", "3", "4", "5", "6"] {
        load.pass(50).await;
        let new = Replica::http(name).await;
        let both = [draining(&old.endpoint), new.endpoint.clone()];
        gateway.apply(vec![listener(port, PortProtocol::Auto, &both)]).await;
        let replica = old.endpoint.replica;
        eventually("the old one is drained", async || {
            gateway.client.report().await.expect("a report").in_flight[&replica] == 0
        })
        .await;
        old.kill().await;
        gateway.apply(vec![listener(port, PortProtocol::Auto, [&new.endpoint])]).await;
        old = new;
    }
    load.pass(50).await;
    let failures = load.failures().await;
    assert!(failures.is_empty(), "{} failures, first: {:?}", failures.len(), failures.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_replica_without_notice_fails_only_what_it_had_in_flight() {
    let gateway = Gateway::start().await;
    let port = free_port();
    let (doomed, other) = (Replica::http("doomed").await, Replica::http("other").await);
    let endpoints = [doomed.endpoint.clone(), other.endpoint.clone()];
    gateway.apply(vec![listener(port, PortProtocol::Auto, &endpoints)]).await;
    let load = Load::start(port);
    load.pass(200).await;
    doomed.kill().await;
    load.pass(200).await;
    let failures = load.failures().await;
    assert!(failures.is_empty(), "{} failures, first: {:?}", failures.len(), failures.first());
    assert_eq!(gateway.client.report().await.expect("a report").ports[&port].failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_comes_back_gets_work_again() {
    let gateway = Gateway::start().await;
    let (gone, other) = (Replica::http("gone").await, Replica::http("other").await);
    let (port, address) = (free_port(), gone.endpoint.address);
    let endpoints = [gone.endpoint.clone(), other.endpoint.clone()];
    gateway.apply(vec![listener(port, PortProtocol::Http, &endpoints)]).await;
    gone.kill().await;
    let http = client();
    for _ in 0..20 {
        assert_eq!(get(&http, &url(port, "/")).await, "other");
    }
    let back = tokio::net::TcpListener::bind(address).await.expect("the port is free");
    let came = tokio::spawn(async move { back.accept().await.is_ok() });
    eventually("it is tried again", async || {
        let _ =
            tokio::time::timeout(Duration::from_millis(50), http.get(url(port, "/")).send()).await;
        came.is_finished()
    })
    .await;
}

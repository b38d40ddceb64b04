//! The gateway beside nginx and HAProxy: the same replicas, the same load, in turns in one run.
//!
//! `cargo bench --bench gateway`. Needs `wrk`, `nginx` and `haproxy` in the path; a peer that is
//! missing is left out. Prints requests per second and the 99th percentile of each round's best,
//! and the ratios. Figures of one machine under other load are not comparable; ratios are.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints its result and ends at the first fault"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portolan::engine::balance::client::GatewayClient;
use portolan::engine::balance::gateway::{self, Settings};
use portolan::engine::balance::{Balancer, Endpoint, EndpointState, Listener, Table};
use portolan::engine::spec::{Algorithm, PortProtocol};
use tokio_util::sync::CancellationToken;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const REPLICAS: [u16; 3] = [18101, 18102, 18103];
const GATEWAY: u16 = 18110;
const NGINX: u16 = 18111;
const HAPROXY: u16 = 18112;
const ROUNDS: usize = 3;

/// A process that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Its master ends its workers when told politely.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn spawn(program: &str, args: &[&str]) -> Option<Running> {
    let child =
        Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.ok().map(Running)
}

fn nginx(dir: &Path, name: &str, workers: usize, http: &str) -> Option<Running> {
    let config = dir.join(format!("{name}.conf"));
    let text = format!(
        "daemon off; worker_processes {workers}; pid {dir}/{name}.pid; error_log /dev/null;
         events {{ worker_connections 4096; }}
         http {{ access_log off; keepalive_requests 1000000; {http} }}",
        dir = dir.display()
    );
    std::fs::write(&config, text).expect("the configuration is written");
    spawn("nginx", &["-c", config.to_str()?])
}

fn haproxy(dir: &Path) -> Option<Running> {
    let servers: String =
        REPLICAS.iter().map(|p| format!("  server s{p} 127.0.0.1:{p}\n")).collect();
    let text = format!(
        "global\n  nbthread 2\n  maxconn 8192\ndefaults\n  mode http\n  timeout connect 1s\n  \
         timeout client 60s\n  timeout server 60s\n  http-reuse always\n  option forwardfor\n\
         frontend f\n  bind 127.0.0.1:{HAPROXY}\n  default_backend b\nbackend b\n{servers}"
    );
    let config = dir.join("haproxy.cfg");
    std::fs::write(&config, text).expect("the configuration is written");
    spawn("haproxy", &["-db", "-f", config.to_str()?])
}

/// Requests per second and the 99th percentile as `wrk` prints it.
fn wrk(port: u16, path: &str, connections: u32) -> (f64, String) {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), "-d4s", "--latency"])
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output()
        .expect("wrk runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let after = |label: &str| {
        let line = text.lines().find(|l| l.trim_start().starts_with(label))?;
        line.split_whitespace().last().map(str::to_owned)
    };
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let rate = after("Requests/sec").and_then(|r| r.parse().ok()).expect("a rate");
    (rate, after("99%").unwrap_or_default())
}

async fn reachable(port: u16) -> bool {
    for _ in 0..100 {
        if tokio::net::TcpStream::connect((LOCALHOST, port)).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

fn table() -> Table {
    let endpoints = REPLICAS.iter().map(|port| Endpoint {
        replica: uuid::Uuid::from_u128(u128::from(*port)).into(),
        address: SocketAddr::new(LOCALHOST, *port),
        state: EndpointState::Active,
    });
    let listener = Listener {
        port: GATEWAY,
        service: uuid::Uuid::nil().into(),
        name: "bench/service:80".to_owned(),
        protocol: PortProtocol::Auto,
        algorithm: Algorithm::default(),
        endpoints: endpoints.collect(),
    };
    Table { generation: 1, listeners: vec![listener] }
}

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("10k"), vec![b'x'; 10 * 1024]).expect("a file");
    let locations = format!(
        "location = / {{ return 200 'hello from a replica'; }} location /10k {{ root {}; }}",
        dir.path().display()
    );
    let listens: String = REPLICAS.iter().map(|p| format!("listen 127.0.0.1:{p}; ")).collect();
    let replicas = nginx(dir.path(), "replicas", 1, &format!("server {{ {listens} {locations} }}"));
    let servers: String = REPLICAS.iter().map(|p| format!("server 127.0.0.1:{p}; ")).collect();
    let proxy = format!(
        "upstream u {{ {servers} keepalive 128; keepalive_requests 1000000; }}
         server {{ listen 127.0.0.1:{NGINX}; location / {{ proxy_pass http://u;
           proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $http_host;
           proxy_set_header X-Forwarded-For $remote_addr; }} }}"
    );
    let peers = (nginx(dir.path(), "proxy", 2, &proxy), haproxy(dir.path()));
    assert!(reachable(REPLICAS[0]).await, "nginx serves the replicas");

    let settings = Settings {
        socket: dir.path().join("gateway.sock"),
        address: LOCALHOST,
        state_file: dir.path().join("gateway.json"),
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(gateway::run(settings.clone(), stop.clone()));
    let client = GatewayClient::new(settings.socket);
    while client.apply(&table()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    for (path, connections) in [("/", 32), ("/", 128), ("/10k", 32)] {
        let mut best = Vec::new();
        for round in 0..ROUNDS {
            for (index, (name, port)) in
                [("portolan", GATEWAY), ("nginx", NGINX), ("haproxy", HAPROXY)]
                    .into_iter()
                    .enumerate()
            {
                if round == 0 {
                    best.push((name, 0.0, String::new()));
                }
                if reachable(port).await {
                    let measured =
                        tokio::task::spawn_blocking(move || wrk(port, path, connections)).await;
                    let (rate, p99) = measured.expect("wrk ends");
                    if rate > best[index].1 {
                        best[index] = (name, rate, p99);
                    }
                }
            }
        }
        let ours = best[0].1;
        for (name, rate, p99) in best {
            println!(
                "GET {path} over {connections} connections: {name:<9} {rate:>9.0}/s, p99 {p99}, portolan/{name} {:.2}",
                ours / rate
            );
        }
    }
    stop.cancel();
    running.await.expect("no panic").expect("no error");
    drop((replicas, peers));
}

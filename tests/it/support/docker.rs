//! A real Docker Engine for one test: an image it can pull from a small registry of the test's
//! own, a network, and removal of everything at the end.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portolan::base::id::{DeploymentId, ReplicaId};
use portolan::base::{Clock as _, Cpu, Digest, Memory, Secret, SystemClock};
use portolan::engine::runtime::docker::DockerRuntime;
use portolan::engine::runtime::{ContainerSpec, PinnedImage};
use serde_json::Value;

use super::images::{self, TestImage};

/// The token the test's registry asks for.
pub const TOKEN: &str = "a-token.of-the.test_registry";

/// A random suffix for names on the shared engine.
pub fn suffix() -> String {
    let mut bytes = [0u8; 4];
    aws_lc_rs::rand::fill(&mut bytes).expect("random");
    hex::encode(bytes)
}

/// Runs `docker` and returns what it prints.
pub fn docker(args: &[&str]) -> String {
    let done = Command::new("docker").args(args).output().expect("docker runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "docker {args:?}: {said}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// `docker inspect` of one object.
pub fn docker_inspect(id: &str) -> Value {
    let all: Value = serde_json::from_str(&docker(&["inspect", id])).expect("JSON");
    all[0].clone()
}

/// Waits until `condition` holds, 20 s at most.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Serves one image to whoever shows the token.
pub struct ImageServer {
    pub address: SocketAddr,
    pub manifests_served: Arc<AtomicUsize>,
}

impl ImageServer {
    pub async fn start(image: TestImage) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let served = Arc::new(AtomicUsize::new(0));
        let router = Router::new()
            .route("/v2/", axum::routing::get(base))
            .route("/v2/{project}/{name}/{kind}/{reference}", axum::routing::get(content))
            .with_state((Arc::new(image), Arc::clone(&served)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, manifests_served: served }
    }
}

fn refused(headers: &HeaderMap) -> Option<Response> {
    let expected = format!("Bearer {TOKEN}");
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    (given != Some(expected.as_str())).then(|| {
        let challenge = "Bearer realm=\"http://127.0.0.1:9/token\",service=\"test\"";
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#;
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], body).into_response()
    })
}

async fn base(headers: HeaderMap) -> Response {
    refused(&headers).unwrap_or_else(|| "{}".into_response())
}

async fn content(
    State((image, served)): State<(Arc<TestImage>, Arc<AtomicUsize>)>,
    Path((_, _, kind, reference)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = refused(&headers) {
        return refused;
    }
    if kind == "manifests" && reference == image.digest().to_string() {
        served.fetch_add(1, Ordering::Relaxed);
        let kind = [(header::CONTENT_TYPE, images::OCI_MANIFEST)];
        return (kind, image.manifest.clone()).into_response();
    }
    let blob = image.blobs().find(|b| Digest::sha256(b).to_string() == reference);
    match blob {
        Some(blob) if kind == "blobs" => blob.clone().into_response(),
        _ => (
            StatusCode::NOT_FOUND,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
        )
            .into_response(),
    }
}

/// What a test has on the engine; removed when dropped.
pub struct TestDocker {
    pub runtime: DockerRuntime,
    pub suffix: String,
    pub registry: ImageServer,
    pub image: PinnedImage,
    pub network: String,
}

impl TestDocker {
    /// The image of a small web server, not pulled yet.
    pub async fn start() -> Self {
        Self::with_image(images::hello("1")).await
    }

    pub async fn with_image(image: TestImage) -> Self {
        let suffix = suffix();
        let image_digest = image.digest();
        let registry = ImageServer::start(image).await;
        let host = registry.address.to_string();
        Self {
            runtime: runtime_with_key(&suffix, &host),
            network: format!("portolan-test-{suffix}"),
            image: PinnedImage {
                repository: "demo/hello".parse().expect("a name"),
                digest: image_digest,
            },
            registry,
            suffix,
        }
    }

    pub fn spec(&self) -> ContainerSpec {
        spec(&self.image, &self.network, &self.suffix)
    }

    /// The image's name on the engine.
    pub fn reference(&self) -> String {
        let PinnedImage { repository, digest } = &self.image;
        format!("{}/{repository}@{digest}", self.registry.address)
    }
}

/// A runtime on the local engine that seals with `key`.
pub fn runtime_with_key(key: &str, registry_host: &str) -> DockerRuntime {
    let host = std::env::var("DOCKER_HOST").ok();
    let key = Secret::new(key.as_bytes().to_vec());
    DockerRuntime::new(host.as_deref(), registry_host.to_owned(), key).expect("a runtime")
}

/// A container that a test may start; `suffix` marks it for removal.
pub fn spec(image: &PinnedImage, network: &str, suffix: &str) -> ContainerSpec {
    let now = SystemClock.now();
    let replica = ReplicaId::new(now);
    ContainerSpec {
        replica,
        deployment: DeploymentId::new(now),
        attempt: 0,
        name: format!("portolan-test-{suffix}-{replica}-0"),
        hostname: "hello".to_owned(),
        image: image.clone(),
        command: Vec::new(),
        args: Vec::new(),
        working_dir: None,
        env: vec![("GREETING".to_owned(), "hello".to_owned())],
        user: None,
        cpu_limit: Cpu::from_millis(500),
        memory_limit: Memory::from_bytes(32 << 20),
        cpu_request: Cpu::from_millis(50),
        pids_limit: 64,
        read_only_root: false,
        bind_low_ports: false,
        network: network.to_owned(),
        labels: vec![("test".to_owned(), suffix.to_owned())],
    }
}

impl Drop for TestDocker {
    fn drop(&mut self) {
        let quietly = |args: &[&str]| {
            let done = Command::new("docker").args(args).output().expect("docker runs");
            String::from_utf8_lossy(&done.stdout).into_owned()
        };
        let label = format!("label=test={}", self.suffix);
        let left = quietly(&["ps", "-aq", "--filter", &label]);
        let mut remove = vec!["rm", "-fv"];
        remove.extend(left.split_whitespace());
        if remove.len() > 2 {
            quietly(&remove);
        }
        // Also those that another installation of the same test made.
        let filter = format!("name={}", self.network);
        for id in quietly(&["network", "ls", "-q", "--filter", &filter]).split_whitespace() {
            quietly(&["network", "rm", id]);
        }
        quietly(&["rmi", &self.reference()]);
    }
}

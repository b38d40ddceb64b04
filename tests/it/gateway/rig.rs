//! A gateway in this process, replicas that can be killed, and tables between them.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portolan::base::Result;
use portolan::base::id::{ReplicaId, ServiceId};
use portolan::engine::balance::client::GatewayClient;
use portolan::engine::balance::gateway::{self, Settings};
use portolan::engine::balance::{Balancer, Endpoint, EndpointState, Listener, Report, Table};
use portolan::engine::spec::{Algorithm, PortProtocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Waits for a condition, at most ten seconds.
pub async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "not within ten seconds: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port nobody listens on at the moment.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind((LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

pub fn replica_id() -> ReplicaId {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("random");
    ReplicaId::from(uuid::Uuid::from_bytes(bytes))
}

/// A running gateway.
pub struct Gateway {
    pub client: Arc<GatewayClient>,
    pub settings: Settings,
    generation: AtomicU64,
    stop: CancellationToken,
    running: Option<JoinHandle<Result<()>>>,
    _dir: Option<tempfile::TempDir>,
}

impl Gateway {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut gateway = Self::start_in(dir.path().to_owned()).await;
        gateway._dir = Some(dir);
        gateway
    }

    pub async fn start_in(dir: PathBuf) -> Self {
        let settings = Settings {
            socket: dir.join("gateway.sock"),
            address: LOCALHOST,
            state_file: dir.join("gateway.json"),
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(gateway::run(settings.clone(), stop.clone()));
        let client = Arc::new(GatewayClient::new(settings.socket.clone()));
        eventually("the gateway answers", async || client.report().await.is_ok()).await;
        let generation = AtomicU64::new(1);
        Self { client, settings, generation, stop, running: Some(running), _dir: None }
    }

    /// Puts these listeners in force.
    pub async fn apply(&self, listeners: Vec<Listener>) -> Report {
        let generation = self.generation.fetch_add(1, Ordering::SeqCst);
        let report = self.client.apply(&Table { generation, listeners }).await.expect("applied");
        assert_eq!(report.generation, generation);
        report
    }

    /// Stops accepting and waits until all is drained.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let running = self.running.take().expect("running");
        running.await.expect("no panic").expect("no error");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// No endpoints.
pub const NONE: [Endpoint; 0] = [];

/// A listener over `endpoints`.
pub fn listener<I>(port: u16, protocol: PortProtocol, endpoints: I) -> Listener
where
    I: IntoIterator<Item: Borrow<Endpoint>>,
{
    Listener {
        port,
        service: ServiceId::from(uuid::Uuid::nil()),
        name: format!("test/service:{port}"),
        protocol,
        algorithm: Algorithm::default(),
        endpoints: endpoints.into_iter().map(|e| e.borrow().clone()).collect(),
    }
}

pub fn draining(endpoint: &Endpoint) -> Endpoint {
    Endpoint { state: EndpointState::Draining, ..endpoint.clone() }
}

/// A replica that can be killed with everything it has open.
pub struct Replica {
    pub endpoint: Endpoint,
    pub served: Arc<AtomicU64>,
    /// While cancelled, requests to `/gate` are let go.
    pub gate: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    /// One that speaks HTTP: `/` answers `name`; see [`answer`] for the rest.
    pub async fn http(name: &'static str) -> Self {
        let served = Arc::new(AtomicU64::new(0));
        let gate = CancellationToken::new();
        let state = (served.clone(), gate.clone());
        Self::serve(served, gate, 0, move |stream| {
            let (served, gate) = state.clone();
            async move {
                let service = service_fn(move |request| {
                    served.fetch_add(1, Ordering::SeqCst);
                    answer(name, gate.clone(), request)
                });
                let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .await;
            }
        })
        .await
    }

    /// One that does `work` on every connection.
    pub async fn tcp<F, Fut>(work: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::serve(Arc::default(), CancellationToken::new(), 0, work).await
    }

    async fn serve<F, Fut>(
        served: Arc<AtomicU64>,
        gate: CancellationToken,
        port: u16,
        work: F,
    ) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((LOCALHOST, port)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("accepts");
                connections.spawn(work(stream));
                while connections.try_join_next().is_some() {}
            }
        });
        let endpoint = Endpoint { replica: replica_id(), address, state: EndpointState::Active };
        Self { endpoint, served, gate, task }
    }

    /// Ends it with everything in flight.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }
}

type Body = BoxBody<Bytes, hyper::Error>;

fn text(text: impl Into<Bytes>) -> Response<Body> {
    Response::new(Full::new(text.into()).map_err(|e| match e {}).boxed())
}

async fn answer(
    name: &'static str,
    gate: CancellationToken,
    mut request: Request<Incoming>,
) -> std::result::Result<Response<Body>, Infallible> {
    Ok(match request.uri().path() {
        // Waits until the test opens the gate.
        "/gate" => {
            gate.cancelled().await;
            text(name)
        }
        // The request as it came.
        "/seen" => {
            let mut seen =
                format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
            for (header, value) in request.headers() {
                seen.push_str(&format!("{header}: {}\n", value.to_str().expect("text")));
            }
            text(seen)
        }
        // The body comes back as it goes in.
        "/echo" => Response::new(request.into_body().boxed()),
        // How long the body was.
        "/size" => {
            let mut size = 0u64;
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                size += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            text(size.to_string())
        }
        // As many bytes as the query says.
        "/stream" => {
            let size: usize = request.uri().query().expect("a size").parse().expect("a number");
            let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
            let chunks = futures_util::stream::iter(0..size.div_ceil(chunk.len()))
                .map(move |_| Ok::<_, hyper::Error>(Frame::data(chunk.clone())));
            Response::new(BodyExt::boxed(StreamBody::new(chunks)))
        }
        // Switches to an echo of bytes.
        "/switch" => {
            let switched = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(switched.await.expect("switched"));
                let mut bytes = [0u8; 1024];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    if stream.write_all(&bytes[..count]).await.is_err() {
                        break;
                    }
                }
            });
            let mut response = text("");
            *response.status_mut() = hyper::StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("connection", "upgrade".parse().expect("valid"));
            response.headers_mut().insert("upgrade", "echo".parse().expect("valid"));
            response
        }
        _ => text(name),
    })
}

/// Sends raw bytes and returns everything until the gateway closes.
pub async fn raw(port: u16, request: &[u8]) -> String {
    let mut stream = TcpStream::connect((LOCALHOST, port)).await.expect("connects");
    stream.write_all(request).await.expect("writes");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
    read.await.expect("the gateway closes").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

pub fn url(port: u16, path: &str) -> String {
    format!("http://{}{path}", SocketAddr::new(LOCALHOST, port))
}

/// A client that keeps connections.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .build()
        .expect("a client")
}

//! One open port: its accept loop, its present route, its totals.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::Connections;
use super::route::Route;
use super::sniff::Spoken;
use super::upstream::{Lease, Upstream};
use super::{PortTotals, http, relay, sniff};
use crate::engine::spec::PortProtocol;

const BACKLOG: u32 = 4096;

/// Counters of one port.
#[derive(Debug, Default)]
pub struct Totals {
    requests: AtomicU64,
    failures: AtomicU64,
    retries: AtomicU64,
}

impl Totals {
    pub fn began(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
    pub fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
    pub fn read(&self) -> PortTotals {
        PortTotals {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
        }
    }
}

/// What all ports share.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    pub connections: Connections,
    /// Every task that serves a connection.
    pub tasks: TaskTracker,
    /// Ends what still runs when the time for draining is over.
    pub kill: CancellationToken,
}

/// A port and where its work goes.
#[derive(Debug)]
pub struct Port {
    pub totals: Totals,
    route: ArcSwap<Route>,
    changed: Notify,
    turn: AtomicU64,
    shared: Shared,
    /// Cancelled when the port is closed.
    stop: CancellationToken,
}

impl Port {
    pub fn new(route: Route, shared: Shared) -> Arc<Self> {
        Arc::new(Self {
            totals: Totals::default(),
            route: ArcSwap::from_pointee(route),
            changed: Notify::new(),
            turn: AtomicU64::new(0),
            shared,
            stop: CancellationToken::new(),
        })
    }

    /// The present route.
    pub fn route(&self) -> Arc<Route> {
        self.route.load_full()
    }

    /// Replaces the route; connections stay open.
    pub fn set_route(&self, route: Route) {
        self.route.store(Arc::new(route));
        self.changed.notify_waiters();
    }

    /// Gives work to an endpoint that was not `tried`; `None` when there is none.
    pub fn lease(&self, tried: &[Arc<Upstream>]) -> Option<Lease> {
        // An endpoint leaves the route before it stops taking work, so a newer route differs.
        for _ in 0..3 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(lease) = self.route.load().lease(tried, turn)? {
                return Some(lease);
            }
        }
        None
    }

    /// Waits for another route, at most for `time`.
    pub async fn changed_within(&self, time: Duration) {
        // Elapsing is the common case, not a failure.
        let _ = tokio::time::timeout(time, self.changed.notified()).await;
    }

    /// Runs `work` until it ends or the gateway does.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let kill = self.shared.kill.child_token();
        self.shared.tasks.spawn(async move {
            kill.run_until_cancelled_owned(work).await;
        });
    }

    /// Stops accepting. Requests in flight are finished; TCP connections last until they end.
    pub fn close(&self) {
        self.stop.cancel();
    }

    /// Accepts until the port is closed, then gives the listener up.
    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.clone().admit(stream, peer),
                Err(error) => {
                    tracing::warn!(listener.name = %self.route.load().name, error = %error, "a connection could not be accepted");
                    // Out of descriptors: others close theirs meanwhile.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    fn admit(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Some(admitted) = self.shared.connections.admit(peer.ip()) else {
            tracing::debug!(peer = %peer, "a connection over the limit was closed");
            return;
        };
        let stop = self.stop.child_token();
        let port = self.clone();
        self.spawn(async move {
            let spoken = match port.route.load().protocol {
                PortProtocol::Http => sniff::http_version(&stream).await,
                PortProtocol::Tcp => Some(Spoken::Other),
                PortProtocol::Auto => Some(sniff::spoken(&stream).await),
            };
            match spoken {
                Some(Spoken::Http1) => http::serve::http1(stream, peer, port, stop).await,
                Some(Spoken::Http2) => http::serve::http2(stream, peer, port, stop).await,
                Some(Spoken::Other) => relay::serve(stream, port, stop).await,
                None => {}
            }
            drop(admitted);
        });
    }
}

/// Runs the tasks of HTTP/2 connections as the port's.
#[derive(Debug, Clone)]
pub struct Tasks(pub Arc<Port>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, work: F) {
        self.0.spawn(work);
    }
}

/// Opens a listening port. Accepted connections inherit keep-alive probes and no delay.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_keepalive(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

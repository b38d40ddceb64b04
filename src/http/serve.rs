//! The listeners: accepts, bounds connections, speaks HTTP/1 and HTTP/2 with or without TLS, and
//! drains when told to stop.
//!
//! # Design notes
//!
//! `axum::serve` sets no timeouts, so a client that says nothing holds a connection for ever.
//! hyper's head timeout needs a timer, and its protocol detection has none at all; hence the wait
//! for a first byte before it is asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Version, header};
use axum::response::Response;
use futures_util::StreamExt as _;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::limits::{HEAD_BYTES, HEAD_FIELDS, Limits, STREAMS};
use crate::wire::{Framing, Heads, Paced};

/// Pause after an accept that failed for want of descriptors, so that the loop does not spin.
const BREATH: std::time::Duration = std::time::Duration::from_millis(50);

/// Counts open connections of all listeners that share it.
#[derive(Debug, Clone, Default)]
pub struct Connections(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

struct Admitted(Connections, IpAddr);

impl Connections {
    fn admit(&self, address: IpAddr, limits: &Limits) -> Option<Admitted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.total >= limits.connections || own >= limits.per_address {
            return None;
        }
        counts.by_address.insert(address, own + 1);
        counts.total += 1;
        Some(Admitted(self.clone(), address))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(own) = counts.by_address.get_mut(&self.1) {
            *own -= 1;
            if *own == 0 {
                counts.by_address.remove(&self.1);
            }
        }
    }
}

/// One listener.
pub struct Listener {
    pub socket: TcpListener,
    /// `None`: plain HTTP.
    pub tls: Option<TlsAcceptor>,
    pub connections: Connections,
    pub limits: Limits,
}

/// Serves `app` until `stop`; then accepts nothing more and lets open requests finish for at most
/// [`Limits::drain`].
pub async fn serve(listener: Listener, app: Router, stop: CancellationToken) {
    let Listener { socket, tls, connections, limits } = listener;
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // One connection too many is closed unanswered: answering costs what is short.
                let Some(seat) = connections.admit(peer.ip(), &limits) else { continue };
                let (app, tls, stop) = (app.clone(), tls.clone(), stop.clone());
                tasks.spawn(async move {
                    connection(stream, peer, tls, app, limits, stop).await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(socket);
    tasks.close();
    if timeout(limits.drain, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections are cut off after the drain time");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    app: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    // A small answer must not wait for the acknowledgement of the piece before it.
    let _ = stream.set_nodelay(true);
    let first = async { stream.peek(&mut [0u8; 1]).await };
    let spoke = tokio::select! {
        () = stop.cancelled() => return,
        spoke = timeout(limits.first_byte, first) => matches!(spoke, Ok(Ok(1))),
    };
    if !spoke {
        return;
    }
    match tls {
        None => speak(stream, peer, app, limits, stop).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(limits.first_byte, tls.accept(stream)).await {
                speak(stream, peer, app, limits, stop).await;
            }
        }
    }
}

/// Answers a request; `app` learns its [`Framing`]. An answer to one whose head was not seen ends
/// the connection, so that nothing after it is taken for a request (RFC 9112, section 6.1).
async fn answer(app: Router, heads: &Heads, mut request: Request<Body>) -> Response {
    heads.pause();
    let is_multiplexed = request.version() == Version::HTTP_2;
    let framing = heads.framing(request.method(), request.headers());
    request.extensions_mut().insert(framing);
    let mut response = app.oneshot(request).await.unwrap_or_else(|e| match e {});
    if !is_multiplexed {
        heads.resume();
    }
    if framing == Framing::Unseen {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An answer that ends only when its client goes, e.g. a followed log. Put it into a response's
/// extensions and the answer ends when the server stops; event streams need no mark.
#[derive(Debug, Clone, Copy)]
pub struct Endless;

/// Ends an endless answer at `stop`: there is nothing in it to wait for.
fn end_with(stop: CancellationToken, response: Response) -> Response {
    let is_events = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    if !is_events && response.extensions().get::<Endless>().is_none() {
        return response;
    }
    response.map(|body| {
        let body = body.into_data_stream().take_until(stop.cancelled_owned());
        Body::from_stream(body)
    })
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: SocketAddr,
    app: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let heads = Heads::new(HEAD_BYTES);
    let stream = Paced::new(stream, limits.write_gap, heads.clone());
    let stopping = stop.clone();
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let (app, heads, stop) = (app.clone(), heads.clone(), stopping.clone());
        async move {
            let response = answer(app, &heads, request).await;
            Ok::<_, Infallible>(end_with(stop, response))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(HEAD_FIELDS)
        .max_buf_size(HEAD_BYTES.max(64 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES as u32)
        .keep_alive_interval(limits.write_gap)
        .keep_alive_timeout(limits.head);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // How a connection ends concerns its client only.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_connections() {
        let connections = Connections::default();
        let limits = Limits { per_address: 3, ..Limits::default() };
        let greedy = IpAddr::from([192, 0, 2, 1]);
        let held: Vec<_> = std::iter::from_fn(|| connections.admit(greedy, &limits)).collect();
        assert_eq!(held.len(), 3);
        assert!(connections.admit(IpAddr::from([192, 0, 2, 2]), &limits).is_some());
        drop(held);
        assert!(connections.admit(greedy, &limits).is_some());
    }
}

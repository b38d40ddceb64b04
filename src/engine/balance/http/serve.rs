//! One client connection: reads requests, bounds their heads and the time between them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::body::AnswerBody;
use super::forward::{Client, forward};
use super::headers::Peer;
use super::watch::Watch;
use crate::engine::balance::limits;
use crate::engine::balance::port::{Port, Tasks};
use crate::wire::Paced;

/// Serves HTTP/1.1 until either side closes, the connection idles too long, or `stop`; then what
/// is in flight is finished and the client is told to close.
pub async fn http1(stream: TcpStream, peer: SocketAddr, port: Arc<Port>, stop: CancellationToken) {
    let client = client(&stream, peer, port);
    let watch = client.watch.clone();
    let service = service_fn(move |request| answer(client.clone(), request));
    let connection = http1::Builder::new()
        .max_headers(limits::HEAD_FIELDS)
        .max_header_size(limits::HEAD_BYTES)
        .max_buf_size(limits::BUFFER_BYTES)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(paced(stream, &watch)), service)
        .with_upgrades();
    let connection = pin!(connection);
    drive(connection, |connection| connection.graceful_shutdown(), &watch, stop).await;
}

/// Serves HTTP/2 likewise.
pub async fn http2(stream: TcpStream, peer: SocketAddr, port: Arc<Port>, stop: CancellationToken) {
    let client = client(&stream, peer, port.clone());
    let watch = client.watch.clone();
    let service = service_fn(move |request| answer(client.clone(), request));
    let connection = http2::Builder::new(Tasks(port))
        .timer(TokioTimer::new())
        .keep_alive_interval(limits::PING)
        .keep_alive_timeout(limits::PING)
        .max_concurrent_streams(limits::STREAMS)
        .max_header_list_size(u32::try_from(limits::HEAD_BYTES).unwrap_or(u32::MAX))
        .max_send_buf_size(limits::BUFFER_BYTES)
        .serve_connection(TokioIo::new(paced(stream, &watch)), service);
    let connection = pin!(connection);
    drive(connection, |connection| connection.graceful_shutdown(), &watch, stop).await;
}

fn paced(stream: TcpStream, watch: &Watch) -> Paced<TcpStream> {
    Paced::new(stream, limits::STALL, watch.heads.clone())
}

fn client(stream: &TcpStream, peer: SocketAddr, port: Arc<Port>) -> Arc<Client> {
    let authority = stream.local_addr().ok().and_then(|a| a.to_string().parse().ok());
    Arc::new(Client {
        peer: Peer::new(peer.ip()),
        authority: authority.unwrap_or(HeaderValue::from_static("localhost")),
        port,
        watch: Watch::new(),
    })
}

async fn answer(
    client: Arc<Client>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    Ok(forward(&client, request).await)
}

async fn drive<C: Future>(
    mut connection: Pin<&mut C>,
    shut_down: impl Fn(Pin<&mut C>),
    watch: &Watch,
    stop: CancellationToken,
) {
    let mut look = pin!(tokio::time::sleep(watch.next_look()));
    let mut stopped = pin!(stop.cancelled_owned());
    let mut is_stopping = false;
    loop {
        tokio::select! {
            biased;
            // How a connection ends concerns its client only.
            _ = &mut connection => return,
            () = &mut stopped, if !is_stopping => {
                is_stopping = true;
                shut_down(connection.as_mut());
            }
            () = &mut look => {
                if watch.is_over() {
                    return;
                }
                look.as_mut().reset(tokio::time::Instant::now() + watch.next_look());
            }
        }
    }
}

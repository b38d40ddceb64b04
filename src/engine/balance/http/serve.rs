//! One client connection: reads requests, bounds their heads and the time between them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::forward::{Client, forward};
use super::headers::Peer;
use super::watch::{Watch, Watched};
use crate::engine::balance::limits;
use crate::engine::balance::port::Port;

/// Serves until either side closes, the connection idles too long, or `stop`; then what is in
/// flight is finished and the client is told to close.
pub async fn serve(stream: TcpStream, peer: SocketAddr, port: Arc<Port>, stop: CancellationToken) {
    let authority = stream.local_addr().ok().and_then(|a| a.to_string().parse().ok());
    let watch = Watch::new();
    let client = Arc::new(Client {
        peer: Peer::new(peer.ip()),
        authority: authority.unwrap_or(HeaderValue::from_static("localhost")),
        port,
        watch: watch.clone(),
    });
    let service = service_fn(move |request| {
        let client = client.clone();
        async move { Ok::<_, Infallible>(forward(&client, request).await) }
    });
    let stream = TokioIo::new(Watched::new(stream, watch.clone()));
    let connection = http1::Builder::new()
        .max_headers(limits::HEAD_FIELDS)
        .max_header_size(limits::HEAD_BYTES)
        .max_buf_size(limits::BUFFER_BYTES)
        .header_read_timeout(None)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut connection = pin!(connection);
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
                connection.as_mut().graceful_shutdown();
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

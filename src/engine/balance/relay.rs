//! The L4 half: two byte streams joined until both are closed.
//!
//! An end of one direction is passed on and the other direction goes on (half-close). A pair
//! without a byte either way for [`limits::QUIET_RELAY`] is closed.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::http::pool::connect;
use super::limits;
use super::port::Port;

const COPY_BYTES: usize = 16 * 1024;

/// Joins a client to an endpoint. When none can be reached, waits up to [`limits::HOLD`] for one
/// to appear, then closes the client's connection.
pub async fn serve(client: TcpStream, port: Arc<Port>, stop: CancellationToken) {
    let totals = &port.totals;
    totals.began();
    let started = std::time::Instant::now();
    let mut tried = Vec::new();
    loop {
        let Some(lease) = port.lease(&tried) else {
            if started.elapsed() >= limits::HOLD || stop.is_cancelled() {
                totals.failed();
                return;
            }
            tried.clear();
            port.changed_within(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let upstream = lease.upstream().clone();
        match connect(upstream.address).await {
            Ok(replica) => {
                upstream.connected();
                upstream.answered(lease.started.elapsed());
                join(client, replica).await;
                return;
            }
            Err(error) => {
                tracing::debug!(replica.id = %upstream.replica, error = %error, "a replica could not be reached; another is tried");
                upstream.unreachable();
                totals.retried();
                tried.push(upstream);
            }
        }
    }
}

/// Copies both ways until both directions ended, one failed, or nothing moved for long.
pub async fn join<A, B>(client: A, replica: B)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let moved = Arc::new(AtomicU64::new(limits::uptime()));
    let mut client = Noticed { stream: client, moved: moved.clone() };
    let mut replica = replica;
    let mut copy = pin!(tokio::io::copy_bidirectional_with_sizes(
        &mut client,
        &mut replica,
        COPY_BYTES,
        COPY_BYTES
    ));
    let quiet = u64::try_from(limits::QUIET_RELAY.as_millis()).unwrap_or(u64::MAX);
    let mut look = tokio::time::interval(limits::QUIET_RELAY / 60);
    loop {
        tokio::select! {
            biased;
            // How a connection ends concerns its two ends only.
            _ = &mut copy => return,
            _ = look.tick() => {
                if limits::uptime().saturating_sub(moved.load(Ordering::Relaxed)) > quiet {
                    return;
                }
            }
        }
    }
}

/// The raw stream of a connection that switched protocols.
pub fn upgraded(stream: Upgraded) -> TokioIo<Upgraded> {
    TokioIo::new(stream)
}

/// Notes when bytes last moved.
struct Noticed<S> {
    stream: S,
    moved: Arc<AtomicU64>,
}

impl<S> Noticed<S> {
    fn note<T>(&self, poll: Poll<T>) -> Poll<T> {
        if poll.is_ready() {
            self.moved.store(limits::uptime(), Ordering::Relaxed);
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noticed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.note(poll)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noticed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

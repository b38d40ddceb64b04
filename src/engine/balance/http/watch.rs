//! The clock of one client connection: wakes its task now and then and says when it was idle too
//! long; and the stream wrapper that ends writes nobody reads and remembers the request's head.
//!
//! *Head bytes*: what was read since the last request ended, kept only to see a `Content-Length`
//! that the parser drops beside `Transfer-Encoding`.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::engine::balance::limits::{self, uptime, uptime_in};

/// Longest time between two looks at a connection.
pub const TICK: Duration = Duration::from_secs(5);

/// What the connection, its stream and its requests share.
#[derive(Debug)]
pub struct Watch {
    /// When the connection ends for want of a request; `u64::MAX` while one is served.
    deadline: AtomicU64,
    recording: AtomicBool,
    head: Mutex<Vec<u8>>,
}

impl Watch {
    /// A connection that has yet to send its first request.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            deadline: AtomicU64::new(uptime_in(limits::FIRST_HEAD)),
            recording: AtomicBool::new(true),
            head: Mutex::new(Vec::new()),
        })
    }

    /// A request's head was read. Returns the head bytes.
    pub fn busy(&self) -> Vec<u8> {
        self.deadline.store(u64::MAX, Ordering::Relaxed);
        self.recording.store(false, Ordering::Relaxed);
        std::mem::take(&mut self.head.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The request was answered in full.
    pub fn idle(&self) {
        self.deadline.store(uptime_in(limits::KEEP_ALIVE), Ordering::Relaxed);
        self.recording.store(true, Ordering::Relaxed);
    }

    /// Whether the connection waited too long for a request.
    pub fn is_over(&self) -> bool {
        uptime() >= self.deadline.load(Ordering::Relaxed)
    }

    /// Time until the next look.
    pub fn next_look(&self) -> Duration {
        let left = self.deadline.load(Ordering::Relaxed).saturating_sub(uptime());
        Duration::from_millis(left.max(1)).min(TICK)
    }

    fn record(&self, bytes: &[u8]) {
        if self.recording.load(Ordering::Relaxed) {
            let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
            let room = limits::HEAD_BYTES.saturating_sub(head.len());
            head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

/// Time since something began to wait.
#[derive(Debug, Default)]
pub struct Stall(Option<u64>);

impl Stall {
    /// Notes that it waits; whether it has for longer than `most`.
    pub fn waits(&mut self, most: Duration) -> bool {
        let now = uptime();
        let since = *self.0.get_or_insert(now);
        now.saturating_sub(since) > u64::try_from(most.as_millis()).unwrap_or(u64::MAX)
    }

    /// It moved.
    pub fn moved(&mut self) {
        self.0 = None;
    }
}

/// A client's stream.
#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    watch: Arc<Watch>,
    write: Stall,
}

impl Watched {
    pub fn new(stream: TcpStream, watch: Arc<Watch>) -> Self {
        Self { stream, watch, write: Stall::default() }
    }

    fn written<T>(&mut self, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_pending() {
            if self.write.waits(limits::STALL) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else {
            self.write.moved();
        }
        poll
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.watch.record(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

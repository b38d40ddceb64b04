//! The clock of one client connection: wakes its task now and then and says when it was idle too
//! long; and the stream wrapper that ends writes nobody reads and remembers the request's head.
//!
//! *Head bytes*: what was read since the last request ended, kept only to see a `Content-Length`
//! that the parser drops beside `Transfer-Encoding`.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::engine::balance::limits::{self, uptime, uptime_in};

/// Longest time between two looks at a connection.
pub const TICK: Duration = Duration::from_secs(5);

/// What the connection, its stream and its requests share.
#[derive(Debug)]
pub struct Watch {
    /// Requests being served; HTTP/2 has several.
    active: AtomicU32,
    /// When the connection ends if none is served.
    deadline: AtomicU64,
    recording: AtomicBool,
    head: Mutex<Vec<u8>>,
}

impl Watch {
    /// A connection that has yet to send its first request.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            active: AtomicU32::new(0),
            deadline: AtomicU64::new(uptime_in(limits::FIRST_HEAD)),
            recording: AtomicBool::new(true),
            head: Mutex::new(Vec::new()),
        })
    }

    /// A request's head was read.
    pub fn busy(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.recording.store(false, Ordering::Relaxed);
    }

    /// Looks at the head bytes of the request being served.
    pub fn with_head<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.head.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The request was answered in full.
    pub fn idle(&self) {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.deadline.store(uptime_in(limits::KEEP_ALIVE), Ordering::Relaxed);
        self.recording.store(true, Ordering::Relaxed);
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the connection waited too long for a request.
    pub fn is_over(&self) -> bool {
        self.active.load(Ordering::Relaxed) == 0
            && uptime() >= self.deadline.load(Ordering::Relaxed)
    }

    /// Time until the next look.
    pub fn next_look(&self) -> Duration {
        let left = self.deadline.load(Ordering::Relaxed).saturating_sub(uptime());
        if left == 0 { TICK } else { Duration::from_millis(left).min(TICK) }
    }

    fn record(&self, bytes: &[u8]) {
        if self.recording.load(Ordering::Relaxed) {
            let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
            let room = limits::HEAD_BYTES.saturating_sub(head.len());
            head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

/// Time since something began to wait. Looked at whenever the waiting task wakes: a task that a
/// connection's clock wakes needs no more; one without it (an HTTP/2 stream) brings its own.
#[derive(Debug, Default)]
pub struct Stall {
    since: Option<u64>,
    clock: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// With a clock of its own.
    pub fn with_clock() -> Self {
        Self { since: None, clock: Some(Box::pin(sleep(TICK))) }
    }

    /// Notes that it waits; whether it has for longer than `most`.
    pub fn waits(&mut self, most: Duration, cx: &mut Context<'_>) -> bool {
        if let Some(clock) = &mut self.clock {
            while clock.as_mut().poll(cx).is_ready() {
                clock.as_mut().reset(Instant::now() + TICK);
            }
        }
        let now = uptime();
        let since = *self.since.get_or_insert(now);
        now.saturating_sub(since) > u64::try_from(most.as_millis()).unwrap_or(u64::MAX)
    }

    /// It moved.
    pub fn moved(&mut self) {
        self.since = None;
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

    fn written<T>(
        &mut self,
        poll: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if poll.is_pending() {
            if self.write.waits(limits::STALL, cx) {
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
        self.written(poll, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(poll, cx)
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

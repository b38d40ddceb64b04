//! What the portal's listeners and the gateway's ports both ask of a client's stream: that it
//! takes what is written to it, and that its requests can be read in one way only.
//!
//! # Design notes
//!
//! The HTTP/1 parser drops a `Content-Length` beside `Transfer-Encoding`, so that no later layer
//! sees what RFC 9112, section 6.1 calls an attempt at request smuggling. Hence [`Heads`]: the raw
//! bytes since the last request, kept only while a head is awaited.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Method;
use http::header::{HeaderMap, TRANSFER_ENCODING};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// The bytes read since the last request ended, shared by a stream and its requests.
#[derive(Debug)]
pub struct Heads {
    /// Most bytes kept.
    most: usize,
    recording: AtomicBool,
    bytes: Mutex<Vec<u8>>,
}

impl Heads {
    /// Keeps up to `most` bytes, from now on.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, recording: AtomicBool::new(true), bytes: Mutex::default() })
    }

    /// A head was read: what follows is a body.
    pub fn pause(&self) {
        self.recording.store(false, Ordering::Relaxed);
    }

    /// The next head is awaited.
    pub fn resume(&self) {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.recording.store(true, Ordering::Relaxed);
    }

    /// How the body of the request just read is framed, as its sender wrote it.
    pub fn framing(&self, method: &Method, headers: &HeaderMap) -> Framing {
        if !headers.contains_key(TRANSFER_ENCODING) {
            return Framing::Clear;
        }
        framing(method, headers, &self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, bytes: &[u8]) {
        if self.recording.load(Ordering::Relaxed) {
            let mut kept = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
            let room = self.most.saturating_sub(kept.len());
            kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

/// Whether two readers agree where a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Clear,
    /// Two ways to read it.
    Ambiguous,
    /// The raw head was not seen: it was sent before the answer to the request before it.
    Unseen,
}

/// Judges a request with `Transfer-Encoding`: that has to be exactly `chunked`, without a length.
fn framing(method: &Method, headers: &HeaderMap, head: &[u8]) -> Framing {
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let only = encodings.next().is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && encodings.next().is_none();
    if !only {
        return Framing::Ambiguous;
    }
    let start = head.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(head.len());
    let mut lines = head[start..].split(|b| *b == b'\n');
    let is_start = lines.next().is_some_and(|line| {
        line.strip_prefix(method.as_str().as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b' '))
    });
    if !is_start {
        return Framing::Unseen;
    }
    let has_length = lines
        .take_while(|line| !line.trim_ascii().is_empty())
        .any(|line| line.len() >= 15 && line[..15].eq_ignore_ascii_case(b"content-length:"));
    if has_length { Framing::Ambiguous } else { Framing::Clear }
}

/// A stream whose writes may not stall: a client that stops reading an answer loses its
/// connection instead of holding it.
#[derive(Debug)]
pub struct Paced<S> {
    stream: S,
    most: Duration,
    heads: Arc<Heads>,
    /// Runs while a write waits; made by the first that does.
    alarm: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl<S> Paced<S> {
    /// Ends `stream` when a write waits for longer than `most`; shows what is read to `heads`.
    pub fn new(stream: S, most: Duration, heads: Arc<Heads>) -> Self {
        Self { stream, most, heads, alarm: None, waits: false }
    }

    fn watched<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.waits = false;
            return poll;
        }
        let most = self.most;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(most)));
        if !self.waits {
            self.waits = true;
            alarm.as_mut().reset(Instant::now() + most);
        }
        match alarm.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.heads.record(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watched(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watched(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.watched(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watched(cx, poll)
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    #[test]
    fn what_can_be_read_two_ways_is_told_from_what_was_not_seen() {
        let mut chunked = HeaderMap::new();
        chunked.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let judge = |headers: &HeaderMap, said: &[u8]| {
            let heads = Heads::new(1024);
            heads.record(said);
            heads.framing(&Method::POST, headers)
        };
        let plain = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                      Content-Length: 4\r\n";
        assert_eq!(judge(&chunked, plain), Framing::Clear, "a body may say what it likes");
        let smuggled =
            b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(judge(&chunked, smuggled), Framing::Ambiguous);
        assert_eq!(judge(&chunked, b""), Framing::Unseen);
        assert_eq!(judge(&chunked, b"5\r\nhello\r\n0\r\n\r\n"), Framing::Unseen);
        assert_eq!(judge(&HeaderMap::new(), b""), Framing::Clear, "no encoding, nothing to ask");
        let mut two = chunked.clone();
        two.append(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        assert_eq!(judge(&two, plain), Framing::Ambiguous);
        let mut other = HeaderMap::new();
        other.insert(TRANSFER_ENCODING, HeaderValue::from_static("gzip, chunked"));
        assert_eq!(judge(&other, plain), Framing::Ambiguous);
    }

    #[test]
    fn bodies_are_not_kept_and_heads_are_bounded() {
        let heads = Heads::new(8);
        heads.record(b"0123456789");
        assert_eq!(heads.bytes.lock().unwrap().len(), 8);
        heads.pause();
        heads.record(b"body");
        heads.resume();
        assert!(heads.bytes.lock().unwrap().is_empty());
        heads.record(b"POST");
        assert_eq!(*heads.bytes.lock().unwrap(), b"POST");
    }
}

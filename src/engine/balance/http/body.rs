//! Bodies on their way through: passed on frame by frame, never gathered (except small ones kept
//! for a repeat), with an end to waiting.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::BoxError;
use super::pool::Link;
use super::watch::{Stall, Watch};
use crate::engine::balance::limits;
use crate::engine::balance::port::Port;
use crate::engine::balance::upstream::Lease;

/// What a replica gets.
#[derive(Debug)]
pub enum RequestBody {
    /// Whole, so that it can be sent again.
    Whole(Option<Bytes>),
    /// As the client sends it.
    Stream(Incoming, Stall),
}

impl RequestBody {
    /// A copy to send again, unless it is a stream.
    pub fn replay(&self) -> Option<Self> {
        match self {
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Stream(..) => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Stream(incoming, stall) => match Pin::new(incoming).poll_frame(cx) {
                Poll::Pending if stall.waits(limits::STALL, cx) => {
                    Poll::Ready(Some(Err("the client stopped sending its request".into())))
                }
                Poll::Pending => Poll::Pending,
                Poll::Ready(frame) => {
                    stall.moved();
                    Poll::Ready(frame.map(|f| f.map_err(Into::into)))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Self::Stream(incoming, _) => incoming.size_hint(),
        }
    }
}

/// What a client gets. The connection waits for its next request once this is dropped.
#[derive(Debug)]
pub struct AnswerBody {
    content: Content,
    watch: Option<Arc<Watch>>,
}

#[derive(Debug)]
enum Content {
    Text(Option<Bytes>),
    Relayed(Box<Relayed>),
}

/// An answer's body, the connection it comes from, and the count of what is in flight.
#[derive(Debug)]
pub struct Relayed {
    pub incoming: Incoming,
    pub port: Arc<Port>,
    stall: Stall,
    source: Option<(Link, Lease)>,
}

impl AnswerBody {
    /// The gateway's own words.
    pub fn text(text: Bytes) -> Self {
        Self { content: Content::Text((!text.is_empty()).then_some(text)), watch: None }
    }

    /// A replica's.
    pub fn relayed(incoming: Incoming, port: Arc<Port>, link: Link, lease: Lease) -> Self {
        let stall = if link.is_shared() { Stall::with_clock() } else { Stall::default() };
        let relayed = Relayed { incoming, port, stall, source: Some((link, lease)) };
        Self { content: Content::Relayed(Box::new(relayed)), watch: None }
    }

    /// Tells `watch` when it is done.
    #[must_use]
    pub fn watched(mut self, watch: Arc<Watch>) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Gives the connection back at once when there is no body to wait for.
    pub fn settle(&mut self, cx: &mut Context<'_>) {
        if let Content::Relayed(relayed) = &mut self.content
            && relayed.incoming.is_end_stream()
        {
            relayed.finish(cx);
        }
    }
}

impl Relayed {
    /// The body was read in full: the work is off the replica's count, and the connection is
    /// kept unless either side means to close it.
    fn finish(&mut self, cx: &mut Context<'_>) {
        if let Some((mut link, lease)) = self.source.take() {
            link.drive(cx);
            if lease.upstream().is_active() {
                lease.upstream().pool.put(link);
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut poll = Pin::new(&mut self.incoming).poll_frame(cx);
        // Asking for a frame is what lets the connection read one.
        if poll.is_pending()
            && let Some((link, _)) = &mut self.source
        {
            link.drive(cx);
            poll = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        match poll {
            Poll::Pending if self.stall.waits(limits::QUIET_BODY, cx) => {
                self.fail("the replica stopped sending its answer".into())
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                self.stall.moved();
                if self.incoming.is_end_stream() {
                    self.finish(cx);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => self.fail(error.into()),
            Poll::Ready(None) => {
                self.finish(cx);
                Poll::Ready(None)
            }
        }
    }

    fn fail(&mut self, error: BoxError) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.source = None;
        self.port.totals.failed();
        Poll::Ready(Some(Err(error)))
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.idle();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().content {
            Content::Text(text) => Poll::Ready(text.take().map(|t| Ok(Frame::data(t)))),
            Content::Relayed(relayed) => relayed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_none(),
            Content::Relayed(relayed) => relayed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |t| t.len() as u64))
            }
            Content::Relayed(relayed) => relayed.incoming.size_hint(),
        }
    }
}

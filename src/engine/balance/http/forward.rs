//! One request: choose an endpoint, pass it on, pass the answer back; try another endpoint when
//! that cannot do harm.
//!
//! *Harmless* to repeat: a request of which nothing was sent (the connection could not be opened,
//! or a kept one turned out closed), and an idempotent one that got no byte of an answer and whose
//! body is at hand. When no endpoint is left, the request waits up to [`limits::HOLD`] for one to
//! appear or come back, so that the restart of a single replica is a pause, not an error.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode, Version, request};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::answer;
use super::body::{AnswerBody, RequestBody};
use super::headers::{self, Peer};
use super::pool::{Link, Silence};
use super::watch::{Stall, Watch};
use crate::engine::balance::port::Port;
use crate::engine::balance::upstream::{Lease, Upstream};
use crate::engine::balance::{limits, relay};
use crate::wire::Heads;

/// How often a request may be sent (the second time only if that is harmless).
const MOST_SENDS: u32 = 2;
/// How often a request may meet an endpoint it cannot be sent to.
const MOST_DETOURS: u32 = 16;

/// The client side of a connection.
#[derive(Debug)]
pub struct Client {
    pub peer: Peer,
    /// What a request without Host was sent to.
    pub authority: HeaderValue,
    pub port: Arc<Port>,
    pub watch: Arc<Watch>,
}

type Answer = Response<AnswerBody>;

/// Answers one request.
pub async fn forward(client: &Client, mut request: Request<Incoming>) -> Answer {
    client.watch.busy();
    client.port.totals.began();
    let switch = headers::upgrade(request.headers()).map(|_| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    let answer = match admit(&parts, &client.watch.heads) {
        Ok(()) => {
            headers::to_replica(&mut parts, &client.peer, &client.authority);
            parts.extensions = http::Extensions::new();
            match gather(&parts, body).await {
                Some(body) => {
                    Attempts::new(client).run(Request::from_parts(parts, body), switch).await
                }
                None => answer::plain(StatusCode::REQUEST_TIMEOUT, "the request ended too early\n"),
            }
        }
        Err((status, line)) => answer::plain(status, line),
    };
    answer.map(|body| body.watched(client.watch.clone()))
}

fn admit(parts: &request::Parts, heads: &Heads) -> Result<(), (StatusCode, &'static str)> {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "this method is not passed on\n"));
    }
    headers::check(parts, heads).map_err(|line| (StatusCode::BAD_REQUEST, line))
}

/// Keeps a small body of an idempotent request, so that it can be sent again; leaves others to be
/// streamed. `None` when the client broke off or stalled.
async fn gather(parts: &request::Parts, body: Incoming) -> Option<RequestBody> {
    if body.is_end_stream() {
        return Some(RequestBody::Whole(None));
    }
    let is_small = body.size_hint().exact().is_some_and(|size| size <= limits::REPLAY_BYTES);
    if !is_small || !headers::is_idempotent(&parts.method) {
        let is_multiplexed = parts.version == Version::HTTP_2;
        let stall = if is_multiplexed { Stall::with_clock() } else { Stall::default() };
        return Some(RequestBody::Stream(body, stall));
    }
    let whole = tokio::time::timeout(limits::STALL, body.collect()).await.ok()?.ok()?;
    Some(RequestBody::Whole(Some(whole.to_bytes())))
}

struct Attempts<'c> {
    client: &'c Client,
    started: Instant,
    tried: Vec<Arc<Upstream>>,
    /// Whether any endpoint was met since the start.
    met: bool,
    sends: u32,
    detours: u32,
}

enum Outcome {
    Answered(Box<Answer>),
    Again(Box<Request<RequestBody>>),
}

impl<'c> Attempts<'c> {
    fn new(client: &'c Client) -> Self {
        let started = Instant::now();
        Self { client, started, tried: Vec::new(), met: false, sends: 0, detours: 0 }
    }

    async fn run(
        mut self,
        mut request: Request<RequestBody>,
        switch: Option<hyper::upgrade::OnUpgrade>,
    ) -> Answer {
        let mut switch = switch;
        loop {
            let Some(lease) = self.lease().await else {
                self.client.port.totals.failed();
                return if self.met { answer::no_answer() } else { answer::no_replicas() };
            };
            self.met = true;
            match self.attempt(lease, request, &mut switch).await {
                Outcome::Answered(answer) => return *answer,
                Outcome::Again(back) => {
                    self.client.port.totals.retried();
                    request = *back;
                }
            }
        }
    }

    /// The next endpoint; waits for one when there is none left.
    async fn lease(&mut self) -> Option<Lease> {
        while self.detours < MOST_DETOURS {
            if let Some(lease) = self.client.port.lease(&self.tried) {
                return Some(lease);
            }
            if self.started.elapsed() >= limits::HOLD {
                return None;
            }
            self.tried.clear();
            self.client.port.changed_within(Duration::from_millis(100)).await;
        }
        None
    }

    async fn attempt(
        &mut self,
        lease: Lease,
        request: Request<RequestBody>,
        switch: &mut Option<hyper::upgrade::OnUpgrade>,
    ) -> Outcome {
        let upstream = lease.upstream().clone();
        let is_idempotent = headers::is_idempotent(request.method());
        let age = if is_idempotent { limits::IDLE_LINK_AGE } else { limits::FRESH_LINK_AGE };
        let is_shared = request.version() == Version::HTTP_2;
        let kept = if is_shared { upstream.pool.get_shared() } else { upstream.pool.get(age) };
        let is_kept = kept.is_some();
        let opened = match kept {
            Some(link) => Ok(link),
            None if is_shared => {
                upstream.pool.open_shared(upstream.address, &self.client.port).await
            }
            None => Link::open(upstream.address).await,
        };
        let mut link = match opened {
            Ok(link) => link,
            Err(error) => {
                tracing::debug!(replica.id = %upstream.replica, error = %error, "a replica could not be reached; another is tried");
                upstream.unreachable();
                return self.detour(upstream, request);
            }
        };
        if !is_kept {
            upstream.connected();
        }
        let replay =
            (is_idempotent && self.sends + 1 < MOST_SENDS).then(|| copy(&request)).flatten();
        let sent = Instant::now();
        match link.exchange(request).await {
            Ok(response) => {
                upstream.answered(sent.elapsed());
                Outcome::Answered(Box::new(self.relay(response, link, lease, switch).await))
            }
            Err(Silence::Unsent(request)) => {
                upstream.pool.clear();
                if is_kept {
                    return Outcome::Again(request);
                }
                self.detour(upstream, *request)
            }
            Err(Silence::Broken(error)) => {
                self.sends += 1;
                upstream.pool.clear();
                match replay {
                    Some(request) if !error.is_parse() && !error.is_user() => {
                        if !is_kept {
                            self.tried.push(upstream);
                        }
                        Outcome::Again(Box::new(request))
                    }
                    _ => self.give_up(answer::no_answer()),
                }
            }
            Err(Silence::Late) => {
                upstream.answered(sent.elapsed());
                self.give_up(answer::late())
            }
        }
    }

    fn detour(&mut self, upstream: Arc<Upstream>, request: Request<RequestBody>) -> Outcome {
        self.tried.push(upstream);
        self.detours += 1;
        Outcome::Again(Box::new(request))
    }

    fn give_up(&self, answer: Answer) -> Outcome {
        self.client.port.totals.failed();
        Outcome::Answered(Box::new(answer))
    }

    /// Makes the client's answer from the replica's.
    async fn relay(
        &self,
        response: Response<Incoming>,
        link: Link,
        lease: Lease,
        switch: &mut Option<hyper::upgrade::OnUpgrade>,
    ) -> Answer {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(response, link, lease, switch.take());
        }
        let (mut parts, incoming) = response.into_parts();
        headers::strip_hop_by_hop(&mut parts.headers);
        parts.version = Version::HTTP_11;
        parts.extensions = http::Extensions::new();
        let mut body = AnswerBody::relayed(incoming, self.client.port.clone(), link, lease);
        poll_fn(|cx| {
            body.settle(cx);
            Poll::Ready(())
        })
        .await;
        Response::from_parts(parts, body)
    }

    /// Joins the two connections once both have switched protocols.
    fn switch(
        &self,
        mut response: Response<Incoming>,
        mut link: Link,
        lease: Lease,
        client: Option<hyper::upgrade::OnUpgrade>,
    ) -> Answer {
        let protocol = headers::upgrade(response.headers());
        let (Some(client), Some(protocol)) = (client, protocol) else {
            self.client.port.totals.failed();
            return answer::no_answer();
        };
        let replica = hyper::upgrade::on(&mut response);
        self.client.port.spawn(async move {
            let driven = async {
                let mut replica = std::pin::pin!(replica);
                poll_fn(|cx| {
                    link.drive(cx);
                    replica.as_mut().poll(cx)
                })
                .await
            };
            // A side that went away before the switch leaves nothing to join.
            if let (Ok(client), Ok(replica)) = tokio::join!(client, driven) {
                let (client, replica) = (relay::upgraded(client), relay::upgraded(replica));
                relay::join(client, replica).await;
            }
            drop(lease);
        });
        let mut answer = Response::new(AnswerBody::text(bytes::Bytes::new()));
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        headers::strip_hop_by_hop(answer.headers_mut());
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        answer.headers_mut().insert(UPGRADE, protocol);
        answer
    }
}

/// The same request to send again, if its body is at hand.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut again = Request::new(request.body().replay()?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    Some(again)
}

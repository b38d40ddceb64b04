//! One live stream per page: `GET /stream?topics=…` carries ready HTML fragments, rendered from
//! the same templates as the page.
//!
//! A stream is driven by the event log: when an event concerns one of its topics, the topic's
//! fragments are rendered again and those that changed are sent. Topics whose progress leaves no
//! events (uploads) are also rendered once a second while something moves. Every stream starts
//! with `resync` and all fragments, so that nothing between the page and the stream, or while a
//! client was away, is missed. Streams end after ten minutes and browsers reconnect, so that a
//! session that ended stops getting news.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use askama::Template;
use axum::extract::Query;
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use tokio::sync::mpsc;

use super::errors::Failure;
use super::shell::Shell;
use crate::base::id::SessionId;
use crate::base::{Error, Result};
use crate::events::{self, Position};

mod topic;

pub use topic::Topic;

/// Streams one session may hold, and all sessions together.
const PER_SESSION: usize = 8;
const IN_ALL: usize = 2000;
/// Topics one stream may follow.
const MAX_TOPICS: usize = 8;
const HEARTBEAT: Duration = Duration::from_secs(15);
const LIFETIME: Duration = Duration::from_secs(600);
/// Least time between two renderings, however many events come.
const PACE: Duration = Duration::from_millis(250);
/// Time between renderings while something moves that leaves no events.
const MOVING: Duration = Duration::from_secs(1);
/// Events read at once; more than that and everything is rendered anew.
const BATCH: i64 = 200;

/// A piece of a page that changes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Id of the element whose content it is.
    pub id: String,
    pub html: String,
}

impl Fragment {
    /// Renders a fragment.
    pub fn of(id: &str, template: &impl Template) -> Result<Self> {
        let html = template.render().map_err(|e| Error::internal("rendering a fragment", e))?;
        Ok(Self { id: id.to_owned(), html })
    }
}

static OPEN: LazyLock<Mutex<HashMap<SessionId, usize>>> = LazyLock::new(Mutex::default);

/// One place among the open streams; given back when dropped.
struct Seat(SessionId);

impl Seat {
    fn take(session: SessionId) -> Result<Self> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&session).copied().unwrap_or(0);
        if own >= PER_SESSION || open.values().sum::<usize>() >= IN_ALL {
            return Err(Error::rate_limited("too many live pages are open; close some", 5));
        }
        open.insert(session, own + 1);
        Ok(Self(session))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.0);
            }
        }
    }
}

#[derive(serde::Deserialize)]
pub(super) struct StreamQuery {
    #[serde(default)]
    topics: String,
}

/// `GET /stream`
pub(super) async fn follow(
    shell: Shell,
    Query(query): Query<StreamQuery>,
) -> std::result::Result<Response, Failure> {
    let topics: Vec<Topic> = query
        .topics
        .split(' ')
        .filter(|word| !word.is_empty())
        .take(MAX_TOPICS)
        .map(str::parse)
        .collect::<Result<_>>()?;
    if topics.is_empty() {
        return Err(Error::invalid("topics", "name what the page follows").into());
    }
    let Some(session) = shell.session.as_ref().map(|session| session.id) else {
        return Err(Error::unauthenticated("log in first").into());
    };
    let seat = Seat::take(session)?;
    // What the caller may not see must fail now, as a status, not as an empty stream.
    let mut follower = Follower { shell, topics, sent: HashMap::new(), moving: false };
    let first = follower.changed(|_| true).await?;
    let messages = messages_of(follower, first, seat);
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    let mut response = Sse::new(messages).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(
        axum::http::header::CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-transform"),
    );
    Ok(response)
}

struct Follower {
    shell: Shell,
    topics: Vec<Topic>,
    /// The fragments as last sent, by id.
    sent: HashMap<String, String>,
    /// Something moves that leaves no events.
    moving: bool,
}

impl Follower {
    /// Renders the topics that `wanted` names and returns the fragments that changed.
    async fn changed(&mut self, wanted: impl Fn(&Topic) -> bool) -> Result<Vec<Fragment>> {
        self.shell.t.now = self.shell.services.clock.now();
        let mut changed = Vec::new();
        for topic in self.topics.iter().filter(|topic| wanted(topic)) {
            let (fragments, moving) = topic.render(&self.shell).await?;
            self.moving = moving;
            for fragment in fragments {
                if self.sent.get(&fragment.id) != Some(&fragment.html) {
                    self.sent.insert(fragment.id.clone(), fragment.html.clone());
                    changed.push(fragment);
                }
            }
        }
        Ok(changed)
    }
}

fn message(fragment: &Fragment, position: Position) -> Message {
    let data = serde_json::json!({ "id": fragment.id, "html": fragment.html });
    Message::default().event("fragment").id(position.to_string()).data(data.to_string())
}

/// The messages of a follower until the client goes, the time is up, or a topic fails. The stream
/// drives the work itself: no task outlives the connection.
fn messages_of(
    follower: Follower,
    first: Vec<Fragment>,
    seat: Seat,
) -> impl Stream<Item = std::result::Result<Message, Infallible>> {
    let (send, receive) = mpsc::channel(16);
    let run = run(follower, first, send);
    let run = Box::pin(async move {
        let _seat = seat;
        run.await;
    });
    driven(run, receive)
}

/// Polls `work` and yields what it sends, until both are done.
fn driven<M>(
    work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    receive: mpsc::Receiver<M>,
) -> impl Stream<Item = std::result::Result<M, Infallible>> {
    futures_util::stream::unfold((Some(work), receive), |(work, mut receive)| async move {
        let Some(mut work) = work else {
            return receive.recv().await.map(|m| (Ok(m), (None, receive)));
        };
        tokio::select! {
            biased;
            message = receive.recv() => message.map(|m| (Ok(m), (Some(work), receive))),
            () = &mut work => receive.recv().await.map(|m| (Ok(m), (None, receive))),
        }
    })
}

async fn run(mut follower: Follower, first: Vec<Fragment>, send: mpsc::Sender<Message>) {
    let ends = tokio::time::Instant::now() + LIFETIME;
    if let Err(error) = talk(&mut follower, first, &send, ends).await {
        tracing::debug!(error = %error.chain(), "a live page ends");
    }
}

async fn talk(
    follower: &mut Follower,
    first: Vec<Fragment>,
    send: &mpsc::Sender<Message>,
    ends: tokio::time::Instant,
) -> Result<()> {
    let db = follower.shell.services.db.clone();
    let mut changes = db.changes();
    let mut position = events::head(&db).await?;
    let hello = Message::default().event("resync").id(position.to_string()).data("{}");
    if send.send(hello.retry(Duration::from_secs(3))).await.is_err() {
        return Ok(());
    }
    let mut ready = first;
    loop {
        for fragment in &ready {
            if send.send(message(fragment, position)).await.is_err() {
                return Ok(());
            }
        }
        let poll = if follower.moving { MOVING } else { Duration::from_secs(30) };
        let woken = tokio::select! {
            () = tokio::time::sleep_until(ends) => return Ok(()),
            () = send.closed() => return Ok(()),
            changed = changes.changed() => { if changed.is_err() { return Ok(()) } true }
            () = tokio::time::sleep(poll) => false,
        };
        if woken {
            tokio::time::sleep(PACE).await;
            changes.mark_unchanged();
        }
        let news = events::since(&db, position, BATCH).await?;
        if let Some(last) = news.last() {
            position = last.position();
        }
        let overflow = i64::try_from(news.len()).unwrap_or(BATCH) >= BATCH;
        if overflow {
            position = events::head(&db).await?;
        }
        // A row of a transaction that is still open hides younger rows for a moment; they are
        // read with the next change or, at the latest, with the next poll.
        let all = overflow || !woken;
        ready = follower.changed(|topic| all || news.iter().any(|e| topic.concerns(e))).await?;
    }
}

/// Shared by pages that show whether something is in progress.
pub(super) type Rendered = (Vec<Fragment>, bool);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_holds_a_bounded_number_of_streams() {
        let session = SessionId::from(uuid::Uuid::from_u128(7));
        let mut seats: Vec<_> = (0..PER_SESSION).map(|_| Seat::take(session)).collect();
        assert!(seats.iter().all(Result::is_ok));
        assert!(Seat::take(session).is_err(), "one too many");
        seats.pop();
        assert!(Seat::take(session).is_ok(), "a seat that was left is free");
    }
}

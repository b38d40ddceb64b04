//! The clock of one client connection: wakes its task now and then and says when it was idle too
//! long.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::engine::balance::limits::{self, uptime, uptime_in};
use crate::wire::Heads;

/// Longest time between two looks at a connection.
pub const TICK: Duration = Duration::from_secs(5);

/// What the connection, its stream and its requests share.
#[derive(Debug)]
pub struct Watch {
    /// Requests being served; HTTP/2 has several.
    active: AtomicU32,
    /// When the connection ends if none is served.
    deadline: AtomicU64,
    pub heads: Arc<Heads>,
}

impl Watch {
    /// A connection that has yet to send its first request.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            active: AtomicU32::new(0),
            deadline: AtomicU64::new(uptime_in(limits::FIRST_HEAD)),
            heads: Heads::new(limits::HEAD_BYTES),
        })
    }

    /// A request's head was read.
    pub fn busy(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.heads.pause();
    }

    /// The request was answered in full.
    pub fn idle(&self) {
        self.heads.resume();
        self.deadline.store(uptime_in(limits::KEEP_ALIVE), Ordering::Relaxed);
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

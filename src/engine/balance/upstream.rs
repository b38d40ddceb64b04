//! One endpoint at work: what it has in flight, how fast it answers, whether it can be reached.
//!
//! *Barred*: connecting failed, so it gets no work for a short time, doubling from 250 ms to 8 s.
//! When the time is over one request tries it; the others follow once that one got through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::ewma::SharedEwma;
use super::http::pool::Pool;
use super::limits;
use super::route::Load;
use crate::base::id::ReplicaId;

const FIRST_BAR_MILLIS: u64 = 250;
const LONGEST_BAR_MILLIS: u64 = 8000;

/// One replica's port.
#[derive(Debug)]
pub struct Upstream {
    pub replica: ReplicaId,
    pub address: SocketAddr,
    /// Idle connections to it.
    pub pool: Pool,
    active: AtomicBool,
    in_flight: AtomicU32,
    latency: SharedEwma,
    picked: AtomicU64,
    connect_failures: AtomicU32,
    barred_until: AtomicU64,
}

impl Upstream {
    /// An endpoint that takes work.
    pub fn new(replica: ReplicaId, address: SocketAddr) -> Self {
        Self {
            replica,
            address,
            pool: Pool::default(),
            active: AtomicBool::new(true),
            in_flight: AtomicU32::new(0),
            latency: SharedEwma::default(),
            picked: AtomicU64::new(0),
            connect_failures: AtomicU32::new(0),
            barred_until: AtomicU64::new(0),
        }
    }

    /// Whether it takes new work. A table that drains it first leaves it out of the route, then
    /// calls this: whoever still holds the old route either sees the change or is counted. One
    /// that takes work again starts unbarred.
    pub fn set_active(&self, active: bool) {
        let was_active = self.active.swap(active, Ordering::SeqCst);
        if !active {
            self.pool.clear();
        } else if !was_active {
            self.connected();
        }
    }

    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::SeqCst)
    }

    /// Requests and connections in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// What the algorithms weigh.
    pub fn load(&self, now: u64) -> Load {
        Load {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            latency: self.latency.get().at(wrapped(now)),
            picked: self.picked.load(Ordering::Relaxed),
        }
    }

    /// Whether it gets no work at `now`.
    pub fn is_barred(&self, now: u64) -> bool {
        now < self.barred_until.load(Ordering::Relaxed)
    }

    /// Takes the right to try it; of several that ask when a bar ends, one is told yes.
    pub fn claim(&self, now: u64) -> bool {
        let until = self.barred_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let next = now + u64::try_from(limits::CONNECT.as_millis()).unwrap_or(1000);
        let (set, failed) = (Ordering::Relaxed, Ordering::Relaxed);
        now >= until && self.barred_until.compare_exchange(until, next, set, failed).is_ok()
    }

    /// A connection was opened.
    pub fn connected(&self) {
        if self.connect_failures.load(Ordering::Relaxed) > 0 {
            self.connect_failures.store(0, Ordering::Relaxed);
            self.barred_until.store(0, Ordering::Relaxed);
        }
    }

    /// A connection could not be opened.
    pub fn unreachable(&self) {
        let failures = self.connect_failures.fetch_add(1, Ordering::Relaxed).min(10);
        let bar = (FIRST_BAR_MILLIS << failures).min(LONGEST_BAR_MILLIS);
        self.barred_until.store(limits::uptime_in(Duration::from_millis(bar)), Ordering::Relaxed);
        self.pool.clear();
    }

    /// A request was answered after `elapsed`.
    pub fn answered(&self, elapsed: Duration) {
        self.latency.observe(wrapped(limits::uptime()), elapsed.as_secs_f32() * 1e6);
    }
}

fn wrapped(millis: u64) -> u32 {
    (millis & 0xffff_ffff) as u32
}

/// One piece of work given to an endpoint, counted until it is dropped.
#[derive(Debug)]
pub struct Lease {
    upstream: Arc<Upstream>,
    pub started: Instant,
}

impl Lease {
    /// Counts one more in flight, unless the endpoint stopped taking work.
    pub fn take(upstream: &Arc<Upstream>) -> Option<Self> {
        upstream.in_flight.fetch_add(1, Ordering::SeqCst);
        let lease = Self { upstream: upstream.clone(), started: Instant::now() };
        upstream.picked.store(limits::micros(lease.started), Ordering::Relaxed);
        upstream.is_active().then_some(lease)
    }

    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.upstream.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream() -> Arc<Upstream> {
        let replica = ReplicaId::from(uuid::Uuid::nil());
        Arc::new(Upstream::new(replica, SocketAddr::from(([127, 0, 0, 1], 9))))
    }

    #[test]
    fn a_draining_endpoint_gives_no_lease_and_counts_none() {
        let upstream = upstream();
        let held = Lease::take(&upstream);
        upstream.set_active(false);
        assert!(Lease::take(&upstream).is_none());
        assert_eq!(upstream.in_flight(), 1);
        drop(held);
        assert_eq!(upstream.in_flight(), 0);
    }

    #[test]
    fn one_request_tries_an_endpoint_whose_bar_ended() {
        let upstream = upstream();
        upstream.unreachable();
        let later = limits::uptime() + FIRST_BAR_MILLIS + 1;
        assert!(upstream.is_barred(limits::uptime()));
        assert!(!upstream.is_barred(later));
        assert!(upstream.claim(later));
        assert!(!upstream.claim(later));
        upstream.connected();
        assert!(upstream.claim(later));
    }
}

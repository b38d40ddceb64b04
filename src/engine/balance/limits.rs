//! What the gateway bounds, and the counter of open connections.
//!
//! The figures are those of the platform's security baseline. One address may hold more
//! connections than on the portal, because whole offices and outer balancers come from one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From accepting to the end of the first request's head.
pub const FIRST_HEAD: Duration = Duration::from_secs(10);
/// Between two requests of a connection, the next head included.
pub const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Between two reads of a request's body, and between two writes to a client.
pub const STALL: Duration = Duration::from_secs(30);
/// Opening a connection to a replica.
pub const CONNECT: Duration = Duration::from_secs(1);
/// From a request sent to the head of its answer.
pub const ANSWER: Duration = Duration::from_secs(60);
/// Between two reads of an answer's body; event streams are quiet for long.
pub const QUIET_BODY: Duration = Duration::from_secs(300);
/// A TCP connection or upgraded connection without a byte either way.
pub const QUIET_RELAY: Duration = Duration::from_secs(3600);
/// How long a request waits for an endpoint to appear.
pub const HOLD: Duration = Duration::from_secs(1);
/// How long connections may finish after the gateway was told to stop.
pub const DRAIN: Duration = Duration::from_secs(30);
/// Before a connection that says nothing is taken for one where the server speaks first.
pub const SILENCE: Duration = Duration::from_millis(200);

/// Between probes of a busy HTTP/2 connection, and the wait for the answer to one.
pub const PING: Duration = Duration::from_secs(10);

/// Requests at a time on one HTTP/2 connection.
pub const STREAMS: u32 = 100;
/// Request line and headers, bytes.
pub const HEAD_BYTES: usize = 16 * 1024;
/// Headers of a request.
pub const HEAD_FIELDS: usize = 64;
/// Headers and bytes of a replica's answer head.
pub const ANSWER_HEAD: (usize, usize) = (128, 64 * 1024);
/// Largest buffer of one direction of one connection, bytes.
pub const BUFFER_BYTES: usize = 64 * 1024;
/// A body up to this size is kept, so that an idempotent request can be repeated.
pub const REPLAY_BYTES: u64 = 64 * 1024;
/// Idle connections kept per endpoint, and for how long.
pub const IDLE_LINKS: usize = 256;
pub const IDLE_LINK_AGE: Duration = Duration::from_secs(20);
/// Youngest age at which a kept connection is not trusted with a request that must not be
/// repeated: the replica may be closing it.
pub const FRESH_LINK_AGE: Duration = Duration::from_secs(1);
/// Open client connections.
pub const CONNECTIONS: usize = 10_000;
/// Open client connections of one address.
pub const CONNECTIONS_PER_ADDRESS: u32 = 2_000;
/// Largest message on the control socket, bytes.
pub const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Listeners of one table.
pub const LISTENERS: usize = 4096;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the process first asked; monotonic.
pub fn uptime() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A moment in microseconds of the same clock; orders choices.
pub fn micros(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(*START).as_micros()).unwrap_or(u64::MAX)
}

/// The moment `from` now, in terms of [`uptime`].
pub fn uptime_in(from: Duration) -> u64 {
    uptime().saturating_add(u64::try_from(from.as_millis()).unwrap_or(u64::MAX))
}

/// Counts open client connections, in total and by address.
#[derive(Debug, Default, Clone)]
pub struct Connections(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, u32>,
}

impl Connections {
    /// Counts one more, unless a limit is reached.
    pub fn admit(&self, address: IpAddr) -> Option<Admitted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= CONNECTIONS {
            return None;
        }
        let of_address = counts.by_address.entry(address).or_default();
        if *of_address >= CONNECTIONS_PER_ADDRESS {
            return None;
        }
        *of_address += 1;
        counts.total += 1;
        Some(Admitted { connections: self.clone(), address })
    }
}

/// One counted connection; dropping it counts it off.
#[derive(Debug)]
pub struct Admitted {
    connections: Connections,
    address: IpAddr,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total = counts.total.saturating_sub(1);
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_connections() {
        let connections = Connections::default();
        let greedy = IpAddr::from([192, 0, 2, 1]);
        let held: Vec<_> = std::iter::from_fn(|| connections.admit(greedy)).collect();
        assert_eq!(held.len() as u32, CONNECTIONS_PER_ADDRESS);
        assert!(connections.admit(IpAddr::from([192, 0, 2, 2])).is_some());
        drop(held);
        assert!(connections.admit(greedy).is_some());
    }
}

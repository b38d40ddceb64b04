//! What the portal's listeners bound, in one place, so that tests can shorten it.

use std::time::Duration;

/// Bounds of connections and requests (the platform's security baseline).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From accepting to the first byte, and for a TLS handshake.
    pub first_byte: Duration,
    /// For a whole request head; also how long a kept connection may be idle.
    pub head: Duration,
    /// Between two reads of a request's body; there is no total, because pushes take long.
    pub body_gap: Duration,
    /// Between two writes of an answer.
    pub write_gap: Duration,
    /// Open connections, and those of one address.
    pub connections: usize,
    pub per_address: usize,
    /// How long connections may finish after the server was told to stop.
    pub drain: Duration,
}

/// Request line and headers, bytes.
pub const HEAD_BYTES: usize = 16 * 1024;
/// Headers of a request.
pub const HEAD_FIELDS: usize = 64;
/// Requests at a time on one HTTP/2 connection.
pub const STREAMS: u32 = 100;

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body_gap: Duration::from_secs(30),
            write_gap: Duration::from_secs(30),
            connections: 10_000,
            per_address: 100,
            drain: Duration::from_secs(20),
        }
    }
}

//! The L7 half: HTTP balanced per request. A replica is spoken to in the version the client speaks:
//! HTTP/1.1, or HTTP/2 with prior knowledge (gRPC).
//!
//! With HTTP/1.1 one task serves a client's connection and also drives the connection to the
//! replica, so a request crosses no thread. Time is watched by that task's own coarse clock ([`watch`]) instead
//! of one timer per request.

pub mod answer;
pub mod body;
pub mod forward;
pub mod headers;
pub mod pool;
pub mod serve;
pub mod watch;

/// The error of bodies.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

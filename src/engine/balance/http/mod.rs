//! The L7 half: HTTP/1.1 in and out, balanced per request.
//!
//! One task serves one client connection and also drives the connection to the replica, so a
//! request crosses no thread. Time is watched by that task's own coarse clock ([`watch`]) instead
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

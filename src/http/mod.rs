//! The shell every face shares: who calls, how errors look, limits, cookies, CSRF, metrics.

pub mod access;
pub mod caller;
pub mod etag;
pub mod idempotency;
pub mod json;
pub mod layers;
pub mod limits;
pub mod problem;
pub mod query;
pub mod serve;
pub mod services;
pub mod status;
pub mod tls;

pub use access::{Access, RouteAccess};
pub use services::Services;

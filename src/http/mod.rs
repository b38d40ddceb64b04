//! The shell every face shares: who calls, how errors look, limits, cookies, CSRF, metrics.

pub mod access;
pub mod services;

pub use access::{Access, RouteAccess};
pub use services::Services;

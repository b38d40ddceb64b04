//! The one integration-test binary. Areas mirror `src/`; `support` starts what they need.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and is told by its environment where to find things"
)]

mod api;
mod architecture;
mod catalog;
mod clients;
mod conformance;
mod embedded;
mod engine;
mod events;
mod gateway;
mod identity;
mod import;
mod journey;
mod oci;
mod operations;
mod registry;
mod runtime;
mod slow_clients;
mod support;
mod web;

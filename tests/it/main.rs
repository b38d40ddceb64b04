//! The one integration-test binary. Areas mirror `src/`; `support` starts what they need.

mod api;
mod architecture;
mod cli;
mod engine;
mod gateway;
mod identity;
mod journey;
mod oci;
mod registry;
mod runtime;
mod support;
mod web;

//! Portolan: registry, application catalog and deployment engine in one binary.
//!
//! Modules form linear layers; each may use only those to its left:
//!
//! `base < wire < egress < config < db < events < jobs < tasks < accounts < catalog < registry <
//! import < engine < http < {api, oci, web} < app < cli`
//!
//! `base` has no I/O. `sqlx` stays in `db`, `events` and `*/store.rs`; `axum` starts at `http`;
//! `bollard` stays in `engine/runtime`, `reqwest` in `egress` and `import`. What a feature needs
//! from its right it declares as a port (a trait) and `app` plugs the adapter in.
//! `tests/it/architecture.rs` holds the code to this.

pub mod base;
pub mod config;
pub mod db;
pub mod egress;
pub mod events;
pub mod jobs;
pub mod tasks;
pub mod wire;

pub mod accounts;
pub mod catalog;
pub mod registry;

pub mod import;

pub mod engine;

pub mod http;

pub mod api;
pub mod oci;
pub mod web;

pub mod app;
pub mod lifecycle;
pub mod telemetry;

pub mod cli;

//! Imports from other registries: real ones on loopback, and one that misbehaves.

mod copies;
mod docker;
mod fake;
mod faults;
mod guard;
mod queue;
mod rig;
mod sources;

//! The runtime contract, on the fake and on a real Docker Engine.

mod contract;
mod docker;
mod policy;
mod probes;
mod pull;

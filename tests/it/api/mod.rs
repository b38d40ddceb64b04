//! The JSON API, in process.

mod journey;
mod rig;
mod strict;

//! The JSON API, in process.

mod access;
mod journey;
mod repeat;
mod rig;
mod strict;
mod versions;

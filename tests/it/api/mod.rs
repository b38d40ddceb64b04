//! The JSON API, in process.

mod access;
mod journey;
mod repeat;
mod retention;
mod rig;
mod strict;
mod versions;

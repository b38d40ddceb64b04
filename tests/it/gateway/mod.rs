//! The balancer with real sockets.

mod balancing;
mod control;
mod faults;
mod http;
mod rig;
mod tcp;

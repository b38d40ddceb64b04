//! The balancer with real sockets.

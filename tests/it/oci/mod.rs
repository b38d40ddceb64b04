//! The registry's HTTP face, in process and with real clients.

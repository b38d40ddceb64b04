//! Commands of the binary as processes.

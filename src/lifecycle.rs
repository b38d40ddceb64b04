//! Start, shutdown and the one place tasks are spawned on.

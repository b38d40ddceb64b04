//! The registry as its clients see it.

mod helper;

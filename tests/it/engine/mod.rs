//! The deployment engine over real PostgreSQL, with a node made of memory.

mod declare;
mod drive;
mod faults;
mod real;

//! The registry behind its HTTP face.

mod collection;
mod deleted;
mod images;
mod in_use;
mod quota;
mod retention;
mod soak;
mod soundness;
mod uploads;
mod versions;

//! The registry behind its HTTP face.

mod collection;
mod deleted;
mod images;
mod quota;
mod soak;
mod soundness;
mod uploads;
mod versions;

//! The registry behind its HTTP face.

mod collection;
mod deleted;
mod images;
mod in_use;
mod retention;
mod uploads;
mod versions;

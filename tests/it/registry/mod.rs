//! The registry behind its HTTP face.

mod collection;
mod deleted;
mod images;
mod uploads;
mod versions;

//! The registry behind its HTTP face.

mod collection;
mod images;
mod uploads;

//! The registry as its clients see it.

mod access;
mod blobs;
mod budget;
mod helper;
mod manifests;
mod token;
mod versions;

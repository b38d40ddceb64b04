//! The registry as its clients see it.

mod access;
mod authority;
mod blobs;
mod budget;
mod floods;
mod helper;
mod hostile;
mod manifests;
mod patterns;
mod quota;
mod token;
mod versions;
mod visitors;

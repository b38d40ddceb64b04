//! SQL of the registry, one file per kind of row.

pub(super) mod blobs;
pub(super) mod checks;
pub(super) mod deleted;
pub(super) mod heap;
pub(super) mod labels;
pub(super) mod manifests;
pub(super) mod pulls;
pub(super) mod repositories;
pub(super) mod retention;
pub(super) mod rules;
pub(super) mod runs;
pub(super) mod tags;
pub(super) mod uploads;
pub(super) mod usage;

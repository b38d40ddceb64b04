//! What was read from the database and still holds: every entry is void as soon as an event was
//! appended anywhere, and after a minute at the latest.
//!
//! The counter of changes is read *before* the database, so that a change during the read voids
//! what it might have missed.

use std::sync::Arc;

use chrono::Duration;
use moka::future::Cache as Moka;
use tokio::sync::watch;

use super::manifest::Manifest;
use super::store::blobs::Linked;
use crate::base::id::{RepositoryId, UserId};
use crate::base::{Actor, ActorKind, Digest, ProjectName, Reference, RepositoryName, Timestamp};
use crate::catalog::Project;

/// Longest that a removed member may still be served, should the wake-up of another instance
/// get lost.
const LONGEST: Duration = Duration::seconds(30);
/// Bytes of manifests kept.
const MANIFEST_BYTES: u64 = 64 * 1024 * 1024;
const ENTRIES: u64 = 10_000;

pub(super) type AccessKey =
    (ActorKind, Option<UserId>, crate::base::actor::PlatformRole, ProjectName);

/// All that is kept.
#[derive(Debug)]
pub(super) struct Cache {
    changes: watch::Receiver<u64>,
    pub(super) access: Moka<AccessKey, Entry<Project>>,
    pub(super) repositories: Moka<RepositoryName, Entry<RepositoryId>>,
    pub(super) manifests: Moka<(RepositoryName, Reference), Entry<Arc<Manifest>>>,
    pub(super) blobs: Moka<(RepositoryName, Digest), Entry<Linked>>,
}

/// When something was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    change: u64,
    at: Timestamp,
}

/// Something that was read.
#[derive(Debug, Clone)]
pub(super) struct Entry<T> {
    stamp: Stamp,
    value: T,
}

impl Stamp {
    /// Puts the stamp on what was read after it was taken.
    pub(super) fn on<T>(self, value: T) -> Entry<T> {
        Entry { stamp: self, value }
    }
}

impl<T> Entry<T> {
    /// The value, if nothing changed since it was read.
    pub(super) fn valid(self, cache: &Cache, now: Timestamp) -> Option<T> {
        let holds = self.stamp.change == *cache.changes.borrow() && now - self.stamp.at < LONGEST;
        holds.then_some(self.value)
    }
}

impl Cache {
    pub(super) fn new(changes: watch::Receiver<u64>) -> Self {
        Self {
            changes,
            access: Moka::new(ENTRIES),
            repositories: Moka::new(ENTRIES),
            manifests: Moka::builder()
                .max_capacity(MANIFEST_BYTES)
                .weigher(|_, entry: &Entry<Arc<Manifest>>| {
                    u32::try_from(entry.value.content.len() + 512).unwrap_or(u32::MAX)
                })
                .build(),
            blobs: Moka::new(ENTRIES),
        }
    }

    /// Taken before reading the database.
    pub(super) fn stamp(&self, now: Timestamp) -> Stamp {
        Stamp { change: *self.changes.borrow(), at: now }
    }

    pub(super) fn access_key(&self, actor: &Actor, project: &ProjectName) -> AccessKey {
        (actor.kind, actor.user_id, actor.platform_role, project.clone())
    }
}

//! Pull counters and times of last pulls: collected in memory, written every few seconds, so that
//! a pull never writes. A crash loses at most one period.
//!
//! Retention decides by the times of last pulls. It writes what this server has in memory first,
//! so only pulls through another server can be unknown to it, for at most one period.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use tokio_util::sync::CancellationToken;

use super::{Registry, store};
use crate::base::id::{ManifestId, RepositoryId};
use crate::base::{Result, Timestamp};
use crate::tasks::{self, Activator};

const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// Pulls not written yet.
#[derive(Debug, Default)]
pub(super) struct PullCounts(Mutex<Unwritten>);

#[derive(Debug, Default)]
struct Unwritten {
    counts: HashMap<(RepositoryId, NaiveDate), i64>,
    last: HashMap<ManifestId, Timestamp>,
}

impl PullCounts {
    pub(super) fn add(&self, repository: RepositoryId, day: NaiveDate) {
        *self.lock().counts.entry((repository, day)).or_default() += 1;
    }

    /// Notes that a manifest was asked for.
    pub(super) fn saw(&self, manifest: ManifestId, at: Timestamp) {
        let mut all = self.lock();
        let last = all.last.entry(manifest).or_insert(at);
        *last = at.max(*last);
    }

    /// When a manifest was last asked for, if that is not written yet.
    pub(super) fn last(&self, manifest: ManifestId) -> Option<Timestamp> {
        self.lock().last.get(&manifest).copied()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Unwritten> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Unwritten {
        std::mem::take(&mut *self.lock())
    }

    fn put_back(&self, unwritten: Unwritten) {
        let mut all = self.lock();
        for (key, pulls) in unwritten.counts {
            *all.counts.entry(key).or_default() += pulls;
        }
        for (manifest, at) in unwritten.last {
            let last = all.last.entry(manifest).or_insert(at);
            *last = at.max(*last);
        }
    }
}

impl Registry {
    /// Writes the pulls counted so far.
    pub async fn flush_pulls(&self) -> Result<()> {
        let mut unwritten = self.shared.pulls.take();
        let written = self.write_pulls(&mut unwritten).await;
        if written.is_err() {
            self.shared.pulls.put_back(unwritten);
        }
        written
    }

    /// Writes and takes out what was written.
    async fn write_pulls(&self, unwritten: &mut Unwritten) -> Result<()> {
        if unwritten.counts.is_empty() && unwritten.last.is_empty() {
            return Ok(());
        }
        let mut conn = self.db.read().await?;
        if !unwritten.counts.is_empty() {
            let counts = &unwritten.counts;
            let repositories: Vec<_> = counts.keys().map(|(id, _)| id.uuid()).collect();
            let days: Vec<_> = counts.keys().map(|(_, day)| *day).collect();
            let pulls: Vec<_> = counts.values().copied().collect();
            store::repositories::add_pulls(&mut conn, &repositories, &days, &pulls).await?;
            unwritten.counts.clear();
        }
        if !unwritten.last.is_empty() {
            let manifests: Vec<_> = unwritten.last.keys().map(|id| id.uuid()).collect();
            let at: Vec<_> = unwritten.last.values().copied().collect();
            store::pulls::note(&mut conn, &manifests, &at).await?;
            unwritten.last.clear();
        }
        Ok(())
    }

    /// Flushes until `stop`, and once more then.
    pub(super) async fn keep_counting(&self, stop: CancellationToken) {
        let work = || self.flush_pulls();
        tasks::drive("pull counts", FLUSH_EVERY, Activator::default(), stop, work).await;
        if let Err(error) = self.flush_pulls().await {
            tracing::warn!(error = %error.chain(), "the last pull counts were not written");
        }
    }
}

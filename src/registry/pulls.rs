//! Pull counters: added up in memory, written every few seconds, so that a pull never writes.
//! A crash loses at most one period; nothing is decided by these numbers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use tokio_util::sync::CancellationToken;

use super::{Registry, store};
use crate::base::Result;
use crate::base::id::RepositoryId;
use crate::tasks::{self, Activator};

const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// Pulls not written yet.
#[derive(Debug, Default)]
pub(super) struct PullCounts(Mutex<HashMap<(RepositoryId, NaiveDate), i64>>);

impl PullCounts {
    pub(super) fn add(&self, repository: RepositoryId, day: NaiveDate) {
        *self.lock().entry((repository, day)).or_default() += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(RepositoryId, NaiveDate), i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> HashMap<(RepositoryId, NaiveDate), i64> {
        std::mem::take(&mut *self.lock())
    }

    fn put_back(&self, counts: HashMap<(RepositoryId, NaiveDate), i64>) {
        let mut all = self.lock();
        for (key, pulls) in counts {
            *all.entry(key).or_default() += pulls;
        }
    }
}

impl Registry {
    /// Writes the pulls counted so far.
    pub async fn flush_pulls(&self) -> Result<()> {
        let counts = self.shared.pulls.take();
        if counts.is_empty() {
            return Ok(());
        }
        let repositories: Vec<_> = counts.keys().map(|(id, _)| id.uuid()).collect();
        let days: Vec<_> = counts.keys().map(|(_, day)| *day).collect();
        let pulls: Vec<_> = counts.values().copied().collect();
        let written = async {
            let mut conn = self.db.read().await?;
            store::repositories::add_pulls(&mut conn, &repositories, &days, &pulls).await?;
            Ok(())
        }
        .await;
        if written.is_err() {
            self.shared.pulls.put_back(counts);
        }
        written
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

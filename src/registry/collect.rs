//! Collection: removes what nobody needs, and never anything that somebody does.
//!
//! A link is *loose* when no manifest of its repository names the blob, deleted ones that can still
//! be restored included; a blob is loose when it
//! has no link. Both go once the blob was untouched for [`GRACE`].
//!
//! # Design notes
//!
//! Deciding and deleting are two statements of one transaction: the first locks candidates
//! (skipping what a push holds), the second looks again with a fresh view, so a manifest or touch
//! that committed in between is seen. A push locks the links it relies on, so it either comes
//! first and is seen, or finds the link gone and says so.
//!
//! A blob's file goes after the commit that removed its row, while the digest's key is held: a
//! new upload of the same bytes waits for that moment and then brings its own file. The rejected
//! option, one global lock, stops every push while it is held. A crash in between leaves a file
//! without a row, which the daily sweep removes the same way.

use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::{Registry, store};
use crate::base::{Actor, Digest, Result, Timestamp};
use crate::events::{self, NewEvent, Target};
use crate::tasks::{self, Activator};

/// How long a blob that nothing needs is kept after it was last relied on; also how long an idle
/// upload lives. The slowest push of one image must fit.
pub const GRACE: chrono::Duration = chrono::Duration::hours(24);
const EVERY: Duration = Duration::from_secs(10 * 60);
const SWEEP_EVERY: chrono::Duration = chrono::Duration::hours(24);
const BATCH: i64 = 200;

/// What one run removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    pub uploads: u64,
    pub links: u64,
    pub blobs: u64,
    pub bytes: i64,
}

impl Registry {
    /// Removes uploads, links and blobs that nobody needs any more.
    pub async fn collect(&self) -> Result<Collected> {
        let before = self.now() - GRACE;
        self.purge_expired().await?;
        let uploads = self.reap_idle(before, None).await?;
        let mut done = Collected { uploads, ..Collected::default() };
        loop {
            let removed = self.collect_links(before).await?;
            done.links += removed;
            if removed == 0 {
                break;
            }
        }
        loop {
            let removed = self.collect_blobs(before).await?;
            if removed.is_empty() {
                break;
            }
            done.blobs += removed.len() as u64;
            done.bytes += removed.iter().map(|(_, size)| size).sum::<i64>();
        }
        if done != Collected::default() {
            tracing::info!(
                uploads = done.uploads,
                links = done.links,
                blobs = done.blobs,
                bytes = done.bytes,
                "collected what no manifest needs"
            );
        }
        Ok(done)
    }

    async fn collect_links(&self, before: Timestamp) -> Result<u64> {
        let mut tx = self.db.begin().await?;
        let loose = store::blobs::lock_loose_links(tx.conn(), before, BATCH).await?;
        let (repositories, digests): (Vec<_>, Vec<_>) = loose.into_iter().unzip();
        if digests.is_empty() {
            return Ok(0);
        }
        let removed =
            store::blobs::delete_loose_links(tx.conn(), &repositories, &digests, before).await?;
        if removed > 0 {
            // The event also voids what instances remember about these links.
            let event = NewEvent::new(
                "registry.collect",
                Target::named("registry", "registry"),
                format!("{removed} blobs left repositories in which no manifest needs them"),
            );
            events::append(&mut tx, &*self.clock.0, &Actor::system(), event).await?;
        }
        tx.commit().await?;
        Ok(removed)
    }

    async fn collect_blobs(&self, before: Timestamp) -> Result<Vec<(Digest, i64)>> {
        let mut tx = self.db.begin().await?;
        let loose = store::blobs::lock_loose(tx.conn(), before, BATCH).await?;
        if loose.is_empty() {
            return Ok(Vec::new());
        }
        let removed = store::blobs::delete_loose(tx.conn(), &loose, before).await?;
        tx.commit().await?;
        for (digest, _) in &removed {
            self.remove_unclaimed(digest).await?;
        }
        Ok(removed)
    }

    /// Removes the file of a blob that has no row, while nobody can record the blob.
    async fn remove_unclaimed(&self, digest: &Digest) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let free = store::blobs::hold_absent(tx.conn(), digest, self.now()).await?;
        if free {
            self.blobs().remove_blob(digest).await?;
        }
        // Rolled back: the row only held the key.
        drop(tx);
        Ok(free)
    }

    /// Removes files that a crash left without a row, older than [`GRACE`]. Reads every
    /// directory of the store; runs daily.
    pub async fn sweep(&self) -> Result<u64> {
        let age = GRACE.to_std().unwrap_or(Duration::MAX);
        let now = SystemTime::from(self.now());
        let before = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut removed = 0;
        let blobs = self.blobs();
        let on_shelf = blobs.uploads_on_disk(before).await?;
        let ids: Vec<_> = on_shelf.iter().map(|id| id.uuid()).collect();
        let gone = store::uploads::without_row(&mut *self.db.read().await?, &ids).await?;
        for id in gone {
            blobs.remove_upload(id).await?;
            removed += 1;
        }
        for shard in 0..=u8::MAX {
            let digests = blobs.blobs_in_shard(shard, before).await?;
            let texts: Vec<_> = digests.iter().map(Digest::to_string).collect();
            let orphans = store::blobs::without_row(&mut *self.db.read().await?, &texts).await?;
            for digest in orphans {
                removed += u64::from(self.remove_unclaimed(&digest).await?);
            }
        }
        Ok(removed)
    }

    /// Gives tags of older installations their place among versions.
    pub async fn fill_version_keys(&self) -> Result<()> {
        let mut conn = self.db.read().await?;
        while store::tags::fill_version_keys(&mut conn, 1000).await? > 0 {}
        Ok(())
    }

    /// Collects until `stop`; sweeps daily.
    pub(super) async fn keep_clean(&self, stop: CancellationToken) {
        let swept = std::sync::Mutex::new(self.now());
        let work = || async {
            self.fill_version_keys().await?;
            self.collect().await?;
            let due = {
                let last = *swept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                self.now() - last >= SWEEP_EVERY
            };
            if due {
                self.sweep().await?;
                *swept.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = self.now();
            }
            Ok(())
        };
        tasks::drive("registry collection", EVERY, Activator::default(), stop, work).await;
    }
}

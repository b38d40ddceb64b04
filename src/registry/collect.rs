//! Collection: removes what nobody needs, and never anything that somebody does.
//!
//! A link is *loose* when its repository does not need the blob (view `kept_links`;
//! what deleted images need that can still be restored counts); a blob is
//! loose when it has no link. Both go once the blob was untouched for the grace period. Pushing,
//! mounting and looking at a blob (`HEAD`, `GET`) touch it, and an upload that still moves is a
//! lease on all links of its repository, so a push may take longer than the grace.
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

use std::time::SystemTime;

use super::upkeep::{Cause, Counts, Kind, READ, Run};
use super::{Registry, store};
use crate::accounts::rbac::require_platform;
use crate::base::id::{RunId, UploadId};
use crate::base::{Actor, Digest, Page, PageRequest, Result, Timestamp};
use crate::events::{self, NewEvent, Target};

/// Links or blobs removed in one transaction.
const BATCH: i64 = 200;
/// An upload ends then, even if it still moves.
const OLDEST_UPLOAD: chrono::Duration = chrono::Duration::days(7);

/// A blob that nobody needs.
#[derive(Debug, Clone)]
pub struct Reclaimable {
    pub digest: Digest,
    pub size: i64,
    /// When a push, mount or look last relied on it.
    pub touched_at: Timestamp,
    /// When a collection may remove it; in the past: the next one does.
    pub free_at: Timestamp,
    /// Repositories that still link it without needing it, at most 20.
    pub repositories: Vec<String>,
}

/// Blobs and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heap {
    pub blobs: i64,
    pub bytes: i64,
}

/// How clean the store is.
#[derive(Debug, Clone)]
pub struct StoreState {
    /// All blobs.
    pub stored: Heap,
    /// What the next collection removes.
    pub ready: Heap,
    /// What nobody needs but the grace still protects.
    pub pending: Heap,
    /// When the first and the last of those become free, if nobody touches them.
    pub pending_from: Option<Timestamp>,
    pub pending_until: Option<Timestamp>,
    pub open_uploads: i64,
    pub corrupt: i64,
    pub grace: chrono::Duration,
    /// Bytes per second; 0: scrubs run only when asked for.
    pub scrub_rate: u64,
    pub next_at: Timestamp,
    /// The newest run of each kind.
    pub last: Vec<Run>,
    /// How far the running scrub is, percent.
    pub scrubbed: Option<u8>,
}

impl Registry {
    /// Removes uploads, links and blobs that nobody needs any more, and records the run.
    pub async fn collect(&self) -> Result<Counts> {
        let system = Actor::system();
        let id = self.begin_run(Kind::Collection, Cause::Command, &system).await?;
        let done = self.collect_as(id).await;
        self.end_run(id, Kind::Collection, &system, done).await
    }

    /// The work of a collection; its record tells how far it is after every batch.
    pub(super) async fn collect_as(&self, id: RunId) -> Result<Counts> {
        let now = self.now();
        let before = now - self.upkeep.grace;
        self.purge_expired().await?;
        let mut done = Counts::default();
        let reaped =
            self.reap_idle(before, None).await? + self.reap_old(now - OLDEST_UPLOAD).await?;
        done.uploads = i64::try_from(reaped).unwrap_or(i64::MAX);
        loop {
            let removed = self.collect_links(before).await?;
            if removed == 0 {
                break;
            }
            done.links += i64::try_from(removed).unwrap_or(i64::MAX);
            self.beat(id, done, "").await?;
        }
        loop {
            let removed = self.collect_blobs(before).await?;
            if removed.is_empty() {
                break;
            }
            done.blobs += i64::try_from(removed.len()).unwrap_or(i64::MAX);
            done.bytes += removed.iter().map(|(_, size)| size).sum::<i64>();
            self.beat(id, done, "").await?;
        }
        Ok(done)
    }

    /// Blobs that nobody needs, by digest: exactly those that a collection would remove now, and
    /// with `pending` also those that the grace still protects.
    pub async fn reclaimable(
        &self,
        actor: &Actor,
        pending: bool,
        page: &PageRequest,
    ) -> Result<Page<Reclaimable>> {
        require_platform(actor, READ)?;
        let (limit, after) = (page.limit()?, page.after_key::<String>()?);
        let grace = self.upkeep.grace;
        let before = (!pending).then(|| self.now() - grace);
        let mut conn = self.db.read().await?;
        let after = after.unwrap_or_default();
        let rows =
            store::heap::reclaimable(&mut conn, before, &after, i64::from(limit) + 1).await?;
        let rows = rows.into_iter().map(|row| Reclaimable {
            free_at: row.touched_at + grace,
            digest: row.digest,
            size: row.size,
            touched_at: row.touched_at,
            repositories: row.repositories,
        });
        Ok(Page::from_rows(rows.collect(), limit, |row| row.digest.to_string()))
    }

    /// How clean the store is, and what keeps it so.
    pub async fn store_state(&self, actor: &Actor) -> Result<StoreState> {
        require_platform(actor, READ)?;
        let (now, grace) = (self.now(), self.upkeep.grace);
        let mut conn = self.db.read().await?;
        let sums = store::heap::sums(&mut conn, now - grace).await?;
        let last = store::runs::newest(&mut conn, now - super::upkeep::SILENCE).await?;
        drop(conn);
        let scrubbed = last.iter().find_map(|run| {
            let runs = run.kind == Kind::Scrub && run.finished_at.is_none();
            let all = sums.bytes.max(1);
            let percent = run.counts.bytes.saturating_mul(100) / all;
            runs.then(|| u8::try_from(percent.clamp(0, 100)).unwrap_or(100))
        });
        Ok(StoreState {
            stored: Heap { blobs: sums.blobs, bytes: sums.bytes },
            ready: Heap { blobs: sums.ready_blobs, bytes: sums.ready_bytes },
            pending: Heap { blobs: sums.pending_blobs, bytes: sums.pending_bytes },
            pending_from: sums.pending_from.map(|at| at + grace),
            pending_until: sums.pending_until.map(|at| at + grace),
            open_uploads: sums.uploads,
            corrupt: sums.corrupt,
            grace,
            scrub_rate: self.upkeep.scrub_rate,
            next_at: self.next_collection().await?,
            last,
            scrubbed,
        })
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
    pub(super) async fn remove_unclaimed(&self, digest: &Digest) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let free = store::blobs::hold_absent(tx.conn(), digest, self.now()).await?;
        if free {
            self.blobs().remove_blob(digest).await?;
        }
        // Rolled back: the row only held the key.
        drop(tx);
        Ok(free)
    }

    /// Removes files that a crash left without a row, older than the grace. Reads every directory
    /// of the store; runs daily.
    pub async fn sweep(&self) -> Result<u64> {
        let system = Actor::system();
        let id = self.begin_run(Kind::Sweep, Cause::Command, &system).await?;
        let done = self.sweep_as(id).await;
        let done = self.end_run(id, Kind::Sweep, &system, done).await?;
        Ok(u64::try_from(done.blobs + done.uploads).unwrap_or(0))
    }

    pub(super) async fn sweep_as(&self, id: RunId) -> Result<Counts> {
        let mut done = Counts::default();
        for upload in self.unclaimed_uploads().await? {
            self.discard(upload).await?;
            done.uploads += 1;
        }
        for shard in 0..=u8::MAX {
            for orphan in self.unclaimed_blobs(shard).await? {
                done.blobs += i64::from(self.remove_unclaimed(&orphan).await?);
            }
            self.beat(id, done, "").await?;
        }
        Ok(done)
    }

    /// Files older than this belong to nobody who is still pushing.
    fn before(&self) -> SystemTime {
        let age = self.upkeep.grace.to_std().unwrap_or(std::time::Duration::MAX);
        SystemTime::from(self.now()).checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Upload files without a row, older than the grace.
    pub(super) async fn unclaimed_uploads(&self) -> Result<Vec<UploadId>> {
        let on_shelf = self.blobs().uploads_on_disk(self.before()).await?;
        let ids: Vec<_> = on_shelf.iter().map(|id| id.uuid()).collect();
        Ok(store::uploads::without_row(&mut *self.db.read().await?, &ids).await?)
    }

    /// Blob files of one shard without a row, older than the grace.
    pub(super) async fn unclaimed_blobs(&self, shard: u8) -> Result<Vec<Digest>> {
        let digests = self.blobs().blobs_in_shard(shard, self.before()).await?;
        let texts: Vec<_> = digests.iter().map(Digest::to_string).collect();
        Ok(store::blobs::without_row(&mut *self.db.read().await?, &texts).await?)
    }

    /// Gives tags of older installations their place among versions.
    pub async fn fill_version_keys(&self) -> Result<()> {
        let mut conn = self.db.read().await?;
        while store::tags::fill_version_keys(&mut conn, 1000).await? > 0 {}
        Ok(())
    }
}

//! Scrub: reads every blob again, slowly, and takes what is no longer intact out of service.
//!
//! A pass goes through the blobs by digest and remembers how far it is, so it goes on after a
//! restart. A blob that is not what its digest says goes into *quarantine*: for clients it is
//! absent, so the next push of an image that has it brings it again, which lifts the quarantine.

use futures_util::StreamExt as _;
use serde_json::json;
use sha2::Digest as _;
use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::store::checks::Listed;
use super::upkeep::{Cause, Counts, Kind, READ, SILENCE};
use super::{Registry, store};
use crate::accounts::rbac::require_platform;
use crate::base::id::RunId;
use crate::base::{Actor, Algorithm, Digest, Page, PageRequest, Result, Timestamp};
use crate::events::{self, NewEvent, Outcome, Target};
use crate::tasks;

/// How often it is looked whether a pass is due.
const TICK: Duration = Duration::from_secs(60);
/// Time between the starts of two passes.
const PASS_EVERY: chrono::Duration = chrono::Duration::days(7);
/// Blobs listed at once.
const BATCH: i64 = 50;
/// How often a long read says that it goes on.
const BEAT_EVERY: Duration = Duration::from_secs(30);

/// A digest leads to the blob that it does not have; the blob itself is sound.
pub(super) const FALSE_ALIAS: &str = "wrong alias";

/// A blob that is out of service.
#[derive(Debug, Clone)]
pub struct Corrupt {
    pub digest: Digest,
    pub size: i64,
    /// `missing`, `wrong size`, `wrong content`.
    pub fault: String,
    pub since: Timestamp,
    /// Repositories that have it, at most 20.
    pub repositories: Vec<String>,
}

/// How far a run is, said again while a large blob is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress<'a> {
    pub run: RunId,
    pub counts: Counts,
    pub position: &'a str,
}

/// How fast a scrub reads: bytes per second; 0: as fast as it can.
#[derive(Debug)]
pub(super) struct Pace {
    rate: u64,
    from: Instant,
    read: u64,
}

impl Pace {
    pub(super) fn new(rate: u64) -> Self {
        Self { rate, from: Instant::now(), read: 0 }
    }

    /// Waits until `bytes` more may be read.
    async fn spend(&mut self, bytes: usize) {
        self.read = self.read.saturating_add(bytes as u64);
        if let Some(due) = self.read.saturating_mul(1000).checked_div(self.rate) {
            sleep_until(self.from + Duration::from_millis(due)).await;
        }
    }
}

impl Registry {
    /// Whether a blob's file is what its row says: `None`, or what is wrong with it. With `quick`
    /// only whether it is there and how long it is. Also compares its other digests.
    pub(super) async fn fault_of(
        &self,
        blob: &Listed,
        quick: bool,
        pace: &mut Pace,
        progress: Progress<'_>,
    ) -> Result<Option<&'static str>> {
        let len = self.blobs().blob_size(&blob.digest).await?;
        let Some(len) = len else { return Ok(Some("missing")) };
        let size = u64::try_from(blob.size).unwrap_or(0);
        if len != size {
            return Ok(Some("wrong size"));
        }
        if quick {
            return Ok(None);
        }
        let Some(reader) = self.open_stored(&blob.digest, &blob.digest, size).await? else {
            return Ok(Some("missing"));
        };
        let mut bytes = std::pin::pin!(reader.read(0..size));
        let mut hash = sha2::Sha256::new();
        let mut other = blob.has_alias.then(sha2::Sha512::new);
        let mut beaten = Instant::now();
        while let Some(chunk) = bytes.next().await {
            // A file that is cut meanwhile or cannot be read is not intact.
            let Ok(chunk) = chunk else { return Ok(Some("unreadable")) };
            hash.update(&chunk);
            if let Some(other) = &mut other {
                other.update(&chunk);
            }
            pace.spend(chunk.len()).await;
            if beaten.elapsed() >= BEAT_EVERY {
                beaten = Instant::now();
                self.beat(progress.run, progress.counts, progress.position).await?;
            }
        }
        if hex::encode(hash.finalize()) != blob.digest.hex() {
            return Ok(Some("wrong content"));
        }
        if let Some(found) = other.and_then(|h| Digest::from_hash(Algorithm::Sha512, &h.finalize()))
        {
            let conn = &mut *self.db.read().await?;
            if store::checks::has_false_alias(conn, &blob.digest, &found.to_string()).await? {
                return Ok(Some(FALSE_ALIAS));
            }
        }
        Ok(None)
    }

    /// Takes a blob out of service, unless it was pushed again since `blob` was listed. `false`
    /// then, and when it is in quarantine already.
    pub(super) async fn quarantine(&self, blob: &Listed, fault: &'static str) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let (digest, now) = (&blob.digest, self.now());
        if !store::checks::quarantine(tx.conn(), digest, fault, blob.stored_at, now).await? {
            return Ok(false);
        }
        let places = store::checks::linked_from(tx.conn(), digest).await?.unwrap_or_default();
        let whose = match places.as_slice() {
            [] => "no repository has it".to_owned(),
            some => format!("push an image with it again to {}", some.join(", ")),
        };
        let event = NewEvent::new(
            "blob.quarantine",
            Target::named("blob", digest),
            format!("Blob {} is corrupt ({fault}) and out of service; {whose}", digest.short()),
        )
        .outcome(Outcome::Failure)
        .detail(json!({ "digest": digest, "fault": fault, "repositories": places }));
        events::append(&mut tx, &*self.clock.0, &Actor::system(), event).await?;
        tx.commit().await?;
        tracing::error!(blob.digest = %digest, fault, "a blob is corrupt");
        Ok(true)
    }

    /// Blobs that are out of service, by digest.
    pub async fn corrupt_blobs(&self, actor: &Actor, page: &PageRequest) -> Result<Page<Corrupt>> {
        require_platform(actor, READ)?;
        let (limit, after) = (page.limit()?, page.after_key::<String>()?);
        let mut conn = self.db.read().await?;
        let after = after.unwrap_or_default();
        let rows = store::checks::corrupt(&mut conn, &after, i64::from(limit) + 1).await?;
        Ok(Page::from_rows(rows, limit, |row| row.digest.to_string()))
    }

    /// Goes on with the pass that is due or was asked for, until it is through or `stop`.
    pub async fn scrub(&self, stop: &CancellationToken) -> Result<()> {
        let now = self.now();
        let mut conn = self.db.read().await?;
        let mut taken = store::runs::take_scrub(&mut conn, now - SILENCE, now).await?;
        if taken.is_none() && self.upkeep.scrub_rate > 0 && self.scrub_is_due(now).await? {
            let (id, since) = (RunId::new(now), Some(now - PASS_EVERY));
            let system = Actor::system();
            let who = (Cause::Schedule, system.name.as_str());
            if store::runs::start(&mut conn, id, Kind::Scrub, who, since, now).await? {
                taken = Some((id, Counts::default(), String::new()));
            }
        }
        drop(conn);
        let Some((id, mut counts, mut position)) = taken else { return Ok(()) };
        let mut pace = Pace::new(self.upkeep.scrub_rate);
        loop {
            let rows = store::checks::list(&mut *self.db.read().await?, &position, BATCH).await?;
            if rows.is_empty() {
                self.end_run(id, Kind::Scrub, &Actor::system(), Ok(counts)).await?;
                return Ok(());
            }
            for blob in rows {
                if stop.is_cancelled() {
                    let conn = &mut *self.db.read().await?;
                    return Ok(store::runs::release_scrub(conn, id).await?);
                }
                let progress = Progress { run: id, counts, position: &position };
                let fault = self.fault_of(&blob, false, &mut pace, progress).await?;
                counts.blobs += 1;
                counts.bytes += blob.size;
                counts.faults += match fault {
                    None => 0,
                    Some(FALSE_ALIAS) => {
                        // The blob is sound; the next push by such a digest makes the right one.
                        let conn = &mut *self.db.read().await?;
                        store::checks::delete_aliases(conn, &blob.digest).await?;
                        1
                    }
                    Some(fault) => i64::from(self.quarantine(&blob, fault).await?),
                };
                position = blob.digest.to_string();
            }
            self.beat(id, counts, &position).await?;
        }
    }

    pub(super) async fn beat(&self, id: RunId, counts: Counts, position: &str) -> Result<()> {
        let mut conn = self.db.read().await?;
        Ok(store::runs::beat(&mut conn, id, counts, position, self.now()).await?)
    }

    /// A week after the last pass began; the first one a week after the oldest blob arrived.
    async fn scrub_is_due(&self, now: Timestamp) -> Result<bool> {
        let mut conn = self.db.read().await?;
        let last = store::runs::last_started(&mut conn).await?;
        let last = last.into_iter().find(|(kind, _)| *kind == Kind::Scrub).map(|(_, at)| at);
        let from = match last {
            Some(at) => Some(at),
            None => store::checks::oldest(&mut conn).await?,
        };
        Ok(from.is_some_and(|at| now - at >= PASS_EVERY))
    }

    pub(super) async fn keep_scrubbing(&self, stop: CancellationToken) {
        let activator = self.shared.scrubbing.clone();
        let until = stop.clone();
        let work = || self.scrub(&until);
        tasks::drive("registry scrub", TICK, activator, stop, work).await;
    }
}

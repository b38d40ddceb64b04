//! Checks: whether the disk takes writes, and whether rows and files agree, both ways.
//!
//! Every *difference* says what it means and what to do. A repair is made only where it cannot
//! lose anything: it removes what nobody can reach, takes corrupt blobs out of service so that
//! the next push heals them, and writes again what follows from what is stored.

mod manifests;

use super::scrub::{FALSE_ALIAS, Pace, Progress};
use super::store::checks::Listed;
use super::upkeep::{Cause, Counts, Kind};
use super::{Registry, store};
use crate::base::id::RunId;
use crate::base::{Actor, Digest, Result};

/// Rows looked at between two queries.
const BATCH: i64 = 500;

/// What kind of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// A blob's file is missing, cut, or not what its digest says.
    Blob,
    /// A digest that leads to a blob which does not have it.
    Alias,
    /// A blob's file without a row.
    UnclaimedBlob,
    /// An upload's file without a row.
    UnclaimedUpload,
    /// A manifest whose bytes are not what its digest says.
    Manifest,
    /// A manifest whose references are not those of its bytes.
    References,
    /// A blob that a manifest needs and its repository does not link.
    Unlinked,
    /// A tag that leads into another repository.
    Tag,
    /// A project whose use is counted wrong.
    Count,
}

impl What {
    /// The word printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Alias => "alias",
            Self::UnclaimedBlob => "unclaimed blob",
            Self::UnclaimedUpload => "unclaimed upload",
            Self::Manifest => "manifest",
            Self::References => "references",
            Self::Unlinked => "unlinked blob",
            Self::Tag => "tag",
            Self::Count => "count",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub what: What,
    /// The digest, repository or project it is about.
    pub subject: String,
    /// What is wrong and what that means.
    pub meaning: String,
    /// What to do, or what was done.
    pub remedy: String,
    pub repaired: bool,
}

/// How to check.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Look only whether blobs are there and how long they are; do not read them.
    pub quick: bool,
    /// Repair what can be repaired without losing anything.
    pub repair: bool,
    /// Bytes read per second; 0: as fast as possible.
    pub rate: u64,
}

/// What a check saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    pub blobs: u64,
    pub bytes: i64,
    pub manifests: u64,
    pub projects: u64,
    pub differences: Vec<Difference>,
}

/// A check under way.
struct Check<'a> {
    registry: &'a Registry,
    how: How,
    run: RunId,
    seen: Checked,
}

impl Registry {
    /// Writes, reads and removes a small piece of data where blobs are kept.
    pub async fn check_storage(&self) -> Result<()> {
        self.blobs().probe().await
    }

    /// Compares rows and files both ways. May run beside a server; without `repair` it changes
    /// nothing but its own record.
    pub async fn check(&self, how: How) -> Result<Checked> {
        let system = Actor::system();
        let run = self.begin_run(Kind::Check, Cause::Command, &system).await?;
        let mut check = Check { registry: self, how, run, seen: Checked::default() };
        let done = check.all().await;
        let counts = done.map(|()| check.counts());
        self.end_run(run, Kind::Check, &system, counts).await?;
        Ok(check.seen)
    }
}

impl Check<'_> {
    fn counts(&self) -> Counts {
        Counts {
            blobs: i64::try_from(self.seen.blobs).unwrap_or(i64::MAX),
            bytes: self.seen.bytes,
            faults: i64::try_from(self.seen.differences.len()).unwrap_or(i64::MAX),
            ..Counts::default()
        }
    }

    async fn all(&mut self) -> Result<()> {
        self.blobs().await?;
        self.files().await?;
        self.manifests().await?;
        self.tags().await?;
        self.quotas().await
    }

    fn found(
        &mut self,
        what: What,
        subject: impl ToString,
        meaning: impl Into<String>,
        (remedy, repaired): (impl Into<String>, bool),
    ) {
        self.seen.differences.push(Difference {
            what,
            subject: subject.to_string(),
            meaning: meaning.into(),
            remedy: remedy.into(),
            repaired,
        });
    }

    /// Every row's file.
    async fn blobs(&mut self) -> Result<()> {
        let mut pace = Pace::new(self.how.rate);
        let mut after = String::new();
        loop {
            let conn = &mut *self.registry.db.read().await?;
            let rows = store::checks::list(conn, &after, BATCH).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.digest.to_string();
            for blob in rows {
                let progress = Progress { run: self.run, counts: self.counts(), position: "" };
                let fault =
                    self.registry.fault_of(&blob, self.how.quick, &mut pace, progress).await?;
                self.seen.blobs += 1;
                self.seen.bytes += blob.size;
                match fault {
                    Some(FALSE_ALIAS) => self.alias(&blob).await?,
                    Some(fault) => self.blob(&blob, fault).await?,
                    None => {}
                }
            }
            self.registry.beat(self.run, self.counts(), "").await?;
        }
    }

    async fn blob(&mut self, blob: &Listed, fault: &'static str) -> Result<()> {
        let mut conn = self.registry.db.read().await?;
        // A collection may have removed it since the list was read.
        let Some(places) = store::checks::linked_from(&mut conn, &blob.digest).await? else {
            return Ok(());
        };
        drop(conn);
        let repaired =
            self.how.repair && (blob.quarantined || self.registry.quarantine(blob, fault).await?);
        let push = match places.as_slice() {
            [] => "no repository has it; the next collection removes it".to_owned(),
            some => format!("push an image with it again to {}", some.join(", ")),
        };
        let remedy = if repaired || blob.quarantined {
            format!("out of service, so that clients bring it again: {push}")
        } else {
            push
        };
        let meaning = format!("{fault}; images with it cannot be pulled");
        self.found(What::Blob, &blob.digest, meaning, (remedy, repaired));
        Ok(())
    }

    async fn alias(&mut self, blob: &Listed) -> Result<()> {
        if self.how.repair {
            let conn = &mut *self.registry.db.read().await?;
            store::checks::delete_aliases(conn, &blob.digest).await?;
        }
        let remedy = if self.how.repair {
            "the digest was forgotten; the next push by it makes the right one"
        } else {
            "run again with --repair to forget the digest; the next push by it makes the right one"
        };
        let meaning = "a SHA-512 digest leads to this blob, but the blob does not have it";
        self.found(What::Alias, &blob.digest, meaning, (remedy, self.how.repair));
        Ok(())
    }

    /// Every file's row.
    async fn files(&mut self) -> Result<()> {
        let registry = self.registry;
        for upload in registry.unclaimed_uploads().await? {
            if self.how.repair {
                registry.discard(upload).await?;
            }
            let meaning = "a file of an upload that ended or was cut off by a crash; it holds disk";
            self.found(What::UnclaimedUpload, upload, meaning, self.swept(self.how.repair));
        }
        for shard in 0..=u8::MAX {
            for digest in registry.unclaimed_blobs(shard).await? {
                let repaired = self.how.repair && registry.remove_unclaimed(&digest).await?;
                let meaning = "a file that no row names, left by a crash; it holds disk";
                self.found(What::UnclaimedBlob, &digest, meaning, self.swept(repaired));
            }
        }
        Ok(())
    }

    fn swept(&self, repaired: bool) -> (&'static str, bool) {
        let remedy = if repaired {
            "removed"
        } else {
            "the daily sweep of the server removes it, or run again with --repair"
        };
        (remedy, repaired)
    }

    async fn tags(&mut self) -> Result<()> {
        let strays = store::checks::strays(&mut *self.registry.db.read().await?).await?;
        for (repository, tag) in strays {
            let meaning = "the tag leads to a manifest of another repository";
            let remedy = ("remove the tag and push it again", false);
            self.found(What::Tag, format!("{repository}:{tag}"), meaning, remedy);
        }
        Ok(())
    }

    async fn quotas(&mut self) -> Result<()> {
        let system = Actor::system();
        let (looked, wrong) = self.registry.verify_quotas(&system, self.how.repair).await?;
        self.seen.projects = looked;
        for (project, drift) in wrong {
            let meaning = format!(
                "counted {} bytes and {} artifacts, stores {} and {}; links of {} blobs are counted wrong",
                drift.counted_bytes,
                drift.counted_artifacts,
                drift.bytes,
                drift.artifacts,
                drift.blobs
            );
            let remedy = if self.how.repair {
                "counted again"
            } else {
                "the nightly check mends it, or run again with --repair"
            };
            self.found(What::Count, project, meaning, (remedy, self.how.repair));
        }
        Ok(())
    }
}

/// Cuts a digest for a sentence.
fn short(digest: &Digest) -> String {
    digest.short().to_string()
}

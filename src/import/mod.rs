//! Imports: images of other registries, copied into a project's repository by a job.
//!
//! A *source* is another registry with the credentials that a project keeps for it. An *import*
//! names what to copy: an image, an index with all its platforms, either with its referrers, or a
//! whole repository. Its job first writes down a *plan* (all manifests, verified, and all blobs),
//! then copies what is not here yet.
//!
//! # Design notes
//!
//! The plan is rows: another run goes on with it, so what is imported is what the source had when
//! the plan was made, whatever its tags do meanwhile. Everything is pushed through the registry's
//! own service with the rights that the asking user has at that moment, blobs before the manifest
//! that needs them, children before their index, a subject before its referrers, and tags last,
//! when all else is here: an import that fails leaves no tag that leads to half an image. A large
//! blob goes on from what its upload session holds. What the source says is hostile: counts, sizes
//! and depth are bounded, digests are verified, and where it lies is checked when connecting
//! (`egress`).

mod address;
mod copy;
mod pattern;
mod plan;
mod remote;
mod request;
mod run;
mod source;
mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::accounts::rbac::{Action, Permission, Resource};
use crate::accounts::{Accounts, SharedClockDebug};
use crate::base::id::{JobId, SourceId};
use crate::base::{RepositoryName, Result, Secret, SharedClock, SourceName, Timestamp, Vault};
use crate::catalog::Catalog;
use crate::db::Db;
use crate::egress::{Egress, Networks, Pace};
use crate::jobs::{Jobs, Status};
use crate::registry::Registry;

/// Reading imports and the names of sources.
pub(crate) const LIST: Permission = Permission(Resource::Import, Action::List);
/// Asking for imports and storing sources.
pub(crate) const CREATE: Permission = Permission(Resource::Import, Action::Create);
/// Cancelling and retrying imports, changing and removing sources.
pub(crate) const OPERATE: Permission = Permission(Resource::Import, Action::Operate);

/// Kind of the jobs.
const KIND: &str = "import";

/// How imports reach other registries.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Networks beyond the public internet.
    pub allowed: Networks,
    /// How long sources may take.
    pub pace: Pace,
    /// First pause before a source is asked again.
    pub pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allowed: Networks::default(),
            pace: Pace::default(),
            pause: Duration::from_millis(500),
        }
    }
}

/// A stored registry. Its secret is never read back.
#[derive(Debug, Clone)]
pub struct Source {
    pub id: SourceId,
    pub name: SourceName,
    /// `https://HOST[:PORT]`.
    pub url: String,
    /// A token service on another host that may see the secret.
    pub token_host: Option<String>,
    pub username: String,
    pub has_secret: bool,
    pub generation: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A source to store.
#[derive(Debug, Default)]
pub struct NewSource {
    pub url: String,
    pub token_host: Option<String>,
    pub username: String,
    pub secret: Option<Secret>,
}

/// What to change of a source; `None` leaves it. Where the secret goes can only be changed
/// together with the secret.
#[derive(Debug, Default)]
pub struct SourceChange {
    pub url: Option<String>,
    /// `Some(None)` removes it.
    pub token_host: Option<Option<String>>,
    pub username: Option<String>,
    pub secret: Option<Secret>,
    /// The generation the change was made from.
    pub generation: Option<i64>,
}

/// How much is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// One image or index.
    #[default]
    Image,
    /// All tags of a repository, or those that match.
    Repository,
}

impl Scope {
    /// The word used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Repository => "repository",
        }
    }
}

/// An import to ask for.
#[derive(Debug, Default)]
pub struct NewImport {
    /// `ghcr.io/team/app:1.2`, or, with a source, `team/app:1.2`.
    pub from: String,
    pub source: Option<SourceName>,
    pub scope: Scope,
    /// Only tags that match, for a repository.
    pub tags: Option<String>,
    pub referrers: bool,
    /// Where to, below the project; absent: as at the source.
    pub repository: Option<String>,
}

/// How far an import is. Bytes are those of blobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    pub manifests: i64,
    pub manifests_done: i64,
    pub blobs: i64,
    /// Copied or found here.
    pub blobs_done: i64,
    /// Found here: not copied.
    pub blobs_present: i64,
    pub bytes: i64,
    /// Arrived or found here.
    pub bytes_done: i64,
    pub bytes_present: i64,
    pub tags: i64,
}

impl Progress {
    /// Per cent of the bytes, of the manifests when there are none.
    pub fn percent(&self) -> u8 {
        let (done, all) = if self.bytes > 0 {
            (self.bytes_done, self.bytes)
        } else {
            (self.manifests_done, self.manifests)
        };
        let percent = done.saturating_mul(100).checked_div(all).unwrap_or(0);
        u8::try_from(percent.clamp(0, 100)).unwrap_or(100)
    }
}

/// An import and its job.
#[derive(Debug, Clone)]
pub struct Import {
    pub id: JobId,
    pub status: Status,
    pub cancel_requested: bool,
    pub attempt: i32,
    pub max_attempts: i32,
    /// When it is tried again, while it waits.
    pub run_at: Timestamp,
    pub error_code: Option<String>,
    pub error: Option<String>,
    /// What it copies, as people write it.
    pub from: String,
    pub source: Option<String>,
    pub tag_pattern: Option<String>,
    pub scope: Scope,
    pub with_referrers: bool,
    pub repository: RepositoryName,
    pub planned: bool,
    pub progress: Progress,
    pub requested_by: String,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// One blob of an import that did not succeed yet.
#[derive(Debug, Clone)]
pub struct ImportBlob {
    pub digest: crate::base::Digest,
    pub media_type: String,
    pub size: i64,
    /// Bytes that arrived.
    pub received: i64,
    /// `waiting`, `copying`, `copied` or `present`.
    pub state: String,
}

/// The handle on imports; cheap to clone.
#[derive(Debug, Clone)]
pub struct Imports {
    db: Db,
    clock: SharedClockDebug,
    accounts: Accounts,
    catalog: Catalog,
    registry: Registry,
    jobs: Jobs,
    egress: Egress,
    vault: Arc<Vault>,
    pause: Duration,
}

impl Imports {
    /// Opens imports.
    pub fn open(
        db: Db,
        clock: SharedClock,
        accounts: Accounts,
        catalog: Catalog,
        registry: Registry,
        settings: Settings,
    ) -> Result<Self> {
        Ok(Self {
            jobs: Jobs::new(db.clone(), clock.clone()),
            egress: Egress::new(settings.allowed, settings.pace)?,
            vault: accounts.vault(),
            pause: settings.pause,
            db,
            clock: SharedClockDebug(clock),
            accounts,
            catalog,
            registry,
        })
    }

    /// Runs imports until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        self.jobs.work(Arc::new(self.clone()), stop).await;
    }

    /// Runs one import that is due to its end, or to its next try; `false` when none is.
    pub async fn run_one(&self) -> Result<bool> {
        self.jobs.run_one(self).await
    }

    fn now(&self) -> Timestamp {
        self.clock.0.now()
    }
}

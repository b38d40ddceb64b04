//! Repositories, manifests, blobs, uploads and tags: the OCI registry, without its HTTP face.
//!
//! A *link* makes a blob visible in a repository; without one it does not exist there, whatever
//! is on disk. A *push* relies on links: each blob it names must be linked before the manifest
//! is stored, and stays so because the push locks the links.
//!
//! # Design notes
//!
//! Manifests live in PostgreSQL, blobs on disk under their SHA-256; a blob's file is durable
//! before its row, and its row before the manifest that needs it. Tags are rows, so nothing ever
//! scans the disk to answer. What was read is kept in memory only as long as no event was
//! appended since (`cache`): the event log is what tells caches that something changed.

mod access;
mod blob;
mod blob_store;
mod cache;
pub mod check;
mod collect;
pub mod compare;
mod config;
mod deleted;
mod document;
mod image;
mod kind;
mod label;
mod manifest;
pub mod media_type;
mod pulls;
pub mod quota;
mod receive;
mod referrer;
mod repository;
mod restore;
pub mod retention;
pub mod rules;
mod scrub;
mod store;
mod tag;
pub mod upkeep;
mod upload;
mod version;

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::accounts::SharedClockDebug;
use crate::base::id::{ManifestId, ProjectId, RepositoryId, UploadId};
use crate::base::{Digest, RepositoryName, Result, SharedClock, TagName, Timestamp};
use crate::catalog::Catalog;
use crate::config::Upkeep;
use crate::db::Db;
use crate::tasks::Activator;
use blob_store::BlobStore;

pub use access::Rights;
pub use blob::{Blob, BlobReader};
pub use collect::{Heap, Reclaimable, StoreState};
pub use deleted::{DeletedImage, DeletedTag, Fate, UNDELETE_WINDOW};
pub use document::MAX_MANIFEST;
pub(crate) use document::{Document, parse as parse_manifest};
pub use kind::Kind;
pub use label::{Chip, Label, LabelChange, LabelColor, NewLabel};
pub use manifest::{MAX_TAGS, Manifest, NewPush, Pushed};
pub use receive::{Body, ChunkStart, MAX_BLOB};
pub use referrer::{Referrer, Referrers};
pub use restore::Restored;
pub use scrub::Corrupt;
pub use tag::{TagFilter, TagOrder};
pub use upload::Upload;

/// A repository in a list.
#[derive(Debug, Clone)]
pub struct Repository {
    pub id: RepositoryId,
    pub project_id: ProjectId,
    pub name: RepositoryName,
    pub description: String,
    pub tag_count: i64,
    pub latest_tag: Option<TagName>,
    /// Bytes of distinct blobs.
    pub size: i64,
    pub pulls_30d: i64,
    pub pushed_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// A tag in a list.
#[derive(Debug, Clone)]
pub struct Tag {
    pub name: TagName,
    pub digest: Digest,
    pub media_type: String,
    /// Config and layers, bytes.
    pub total_size: i64,
    pub pushed_by: String,
    /// When the tag last moved.
    pub updated_at: Timestamp,
    /// Other tags of the same manifest.
    pub aliases: Vec<TagName>,
    /// `linux/amd64`, … (several for an index).
    pub platforms: Vec<String>,
    /// Labels of its image.
    pub labels: Vec<Chip>,
}

/// One layer, config or child of a manifest.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: i64,
    pub platform: Option<String>,
}

/// One step of an image's history, oldest first; steps without a layer have none.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryStep {
    pub created: Option<Timestamp>,
    pub created_by: String,
    pub layer: Option<Descriptor>,
}

/// What an image's config says, for people. All of it is hostile text.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageConfig {
    pub os: String,
    pub architecture: String,
    pub created: Option<Timestamp>,
    pub user: String,
    pub working_dir: String,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub env: Vec<String>,
    pub exposed_ports: Vec<String>,
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Everything the image page shows.
#[derive(Debug, Clone)]
pub struct Image {
    pub manifest_id: ManifestId,
    pub repository: RepositoryName,
    pub digest: Digest,
    pub media_type: String,
    pub artifact_type: Option<String>,
    pub total_size: i64,
    pub pushed_by: String,
    pub pushed_at: Timestamp,
    pub tags: Vec<TagName>,
    pub config: Option<ImageConfig>,
    pub layers: Vec<Descriptor>,
    /// Children, when it is an index.
    pub children: Vec<Descriptor>,
    pub history: Vec<HistoryStep>,
    pub annotations: std::collections::BTreeMap<String, String>,
    pub subject: Option<Digest>,
    /// What it is.
    pub kind: Kind,
    /// What refers to it, each followed by what refers to that.
    pub referrers: Vec<Accessory>,
    pub labels: Vec<Chip>,
    /// The manifest as pushed.
    pub raw: bytes::Bytes,
}

/// Something that refers to an image: a signature, an SBOM, the signature of that SBOM, …
#[derive(Debug, Clone)]
pub struct Accessory {
    pub kind: Kind,
    pub digest: Digest,
    /// What it says it is: `artifactType`, else the config's media type, else its own.
    pub type_name: String,
    pub size: i64,
    /// 1 for what refers to the image itself.
    pub depth: usize,
    /// The tag by which older clients find it, when it is no referrer by `subject`.
    pub tag: Option<TagName>,
    pub pushed_by: String,
    pub pushed_at: Timestamp,
}

/// One move of a tag.
#[derive(Debug, Clone)]
pub struct TagMove {
    pub tag: TagName,
    pub from: Option<Digest>,
    pub to: Option<Digest>,
    pub actor_name: String,
    pub client: String,
    pub at: Timestamp,
}

/// An upload in progress.
#[derive(Debug, Clone)]
pub struct UploadProgress {
    pub id: UploadId,
    pub repository: RepositoryName,
    pub user: Option<String>,
    /// Bytes received so far.
    pub received: i64,
    pub started_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An image reference resolved for a deployment; the caller's right to pull was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    pub repository: RepositoryName,
    pub project_id: ProjectId,
    pub digest: Digest,
    pub media_type: String,
}

/// The handle on the registry; cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    pub(crate) db: Db,
    pub(crate) clock: SharedClockDebug,
    pub(crate) catalog: Catalog,
    /// How long deleted images are kept.
    undelete_window: chrono::Duration,
    upkeep: Upkeep,
    shared: Arc<Shared>,
    accepts_sparse_images: bool,
}

#[derive(Debug)]
struct Shared {
    blobs: BlobStore,
    cache: cache::Cache,
    hashes: upload::Hashes,
    pulls: pulls::PullCounts,
    refusals: quota::Refusals,
    upkeep: Activator,
    scrubbing: Activator,
    /// What deployments need; plugged in by the engine.
    in_use: std::sync::OnceLock<Arc<dyn retention::InUse>>,
    /// Wakes the worker of retention.
    retention: crate::tasks::Activator,
}

impl Registry {
    /// Opens the registry over the blobs in `blob_dir`, which is made when it is missing.
    pub async fn open(
        db: Db,
        clock: SharedClock,
        catalog: Catalog,
        blob_dir: PathBuf,
    ) -> Result<Self> {
        let blobs = BlobStore::open_directory(blob_dir).await?;
        let shared = Shared {
            blobs,
            cache: cache::Cache::new(db.changes()),
            hashes: upload::Hashes::default(),
            pulls: pulls::PullCounts::default(),
            refusals: quota::Refusals::default(),
            upkeep: Activator::default(),
            scrubbing: Activator::default(),
            in_use: std::sync::OnceLock::new(),
            retention: crate::tasks::Activator::default(),
        };
        Ok(Self {
            db,
            clock: SharedClockDebug(clock),
            catalog,
            undelete_window: UNDELETE_WINDOW,
            upkeep: Upkeep::default(),
            shared: Arc::new(shared),
            accepts_sparse_images: false,
        })
    }

    /// The same registry with another window for restoring deleted images; zero: deleting is
    /// final.
    #[must_use]
    pub fn with_undelete_window(mut self, window: chrono::Duration) -> Self {
        self.undelete_window = window;
        self
    }

    /// The same registry, which accepts or refuses images whose blobs are not in the repository.
    /// Refusing is the default: what was pushed can be pulled.
    #[must_use]
    pub fn accepting_sparse_images(mut self, accepts: bool) -> Self {
        self.accepts_sparse_images = accepts;
        self
    }

    /// The same registry, kept clean in another manner.
    #[must_use]
    pub fn with_upkeep(self, upkeep: Upkeep) -> Self {
        Self { upkeep, ..self }
    }

    /// Runs the registry's housekeeping until `stop`: counts, stale uploads, collection, scrubs,
    /// retention.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::join!(
            self.keep_counting(stop.clone()),
            self.keep_settling(stop.clone()),
            self.keep_scrubbing(stop.clone()),
            self.keep_retaining(stop.clone()),
            self.keep_clean(stop)
        );
    }

    /// Plugs in who knows what deployments need. Until then retention removes nothing. Only the
    /// first call counts.
    pub fn plug_in_use(&self, in_use: Arc<dyn retention::InUse>) {
        let _ = self.shared.in_use.set(in_use);
    }

    fn now(&self) -> Timestamp {
        self.clock.0.now()
    }

    fn blobs(&self) -> &BlobStore {
        &self.shared.blobs
    }
}

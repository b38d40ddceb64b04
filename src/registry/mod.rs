//! Repositories, manifests, blobs, uploads and tags: the OCI registry, without its HTTP face.

use crate::accounts::SharedClockDebug;
use crate::base::id::{ManifestId, ProjectId, RepositoryId, UploadId};
use crate::base::{
    Actor, Digest, Error, ImageRef, Page, PageRequest, ProjectName, Reference, RepositoryName,
    Result, TagName, Timestamp,
};
use crate::catalog::Catalog;
use crate::db::Db;

fn not_built<T>() -> Result<T> {
    Err(Error::unavailable("not built yet"))
}

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
    pub referrers: Vec<Descriptor>,
    /// The manifest as pushed.
    pub raw: bytes::Bytes,
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
}

impl Registry {
    /// Resolves an image that `actor` may pull to its digest. A project the caller cannot read,
    /// an absent repository and an absent tag are the same `NotFound`.
    pub async fn resolve(&self, actor: &Actor, image: &ImageRef) -> Result<ResolvedImage> {
        let _ = (actor, image, &self.db, &self.clock, &self.catalog);
        not_built()
    }
    pub async fn list_repositories(
        &self,
        actor: &Actor,
        project: &ProjectName,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Repository>> {
        let _ = (actor, project, query, page);
        not_built()
    }
    pub async fn repository(&self, actor: &Actor, name: &RepositoryName) -> Result<Repository> {
        let _ = (actor, name);
        not_built()
    }
    pub async fn delete_repository(&self, actor: &Actor, name: &RepositoryName) -> Result<()> {
        let _ = (actor, name);
        not_built()
    }
    /// Tags, newest move first.
    pub async fn list_tags(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Tag>> {
        let _ = (actor, name, query, page);
        not_built()
    }
    pub async fn tag_history(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        tag: Option<&TagName>,
        page: &PageRequest,
    ) -> Result<Page<TagMove>> {
        let _ = (actor, name, tag, page);
        not_built()
    }
    pub async fn image(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<Image> {
        let _ = (actor, name, reference);
        not_built()
    }
    /// Removes a tag; the manifest stays.
    pub async fn delete_tag(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        tag: &TagName,
    ) -> Result<()> {
        let _ = (actor, name, tag);
        not_built()
    }
    /// Deletes a manifest and its tags.
    pub async fn delete_image(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<()> {
        let _ = (actor, name, digest);
        not_built()
    }
    /// Uploads in progress in a project, newest first.
    pub async fn uploads(
        &self,
        actor: &Actor,
        project: &ProjectName,
    ) -> Result<Vec<UploadProgress>> {
        let _ = (actor, project);
        not_built()
    }
}

//! Bodies about repositories, tags, images and uploads.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::Digest;
use crate::registry::{
    Accessory, Chip, Descriptor, HistoryStep, Image, ImageConfig, Kind, Repository, Tag, TagMove,
    UploadProgress,
};

/// A repository.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RepositoryView {
    id: Uuid,
    name: String,
    description: String,
    tag_count: i64,
    latest_tag: Option<String>,
    /// Bytes of distinct blobs.
    size: i64,
    /// Pulls in the last 30 days.
    pulls_30d: i64,
    pushed_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<Repository> for RepositoryView {
    fn from(found: Repository) -> Self {
        Self {
            id: found.id.uuid(),
            name: found.name.to_string(),
            description: found.description,
            tag_count: found.tag_count,
            latest_tag: found.latest_tag.map(|tag| tag.to_string()),
            size: found.size,
            pulls_30d: found.pulls_30d,
            pushed_at: found.pushed_at,
            created_at: found.created_at,
        }
    }
}

/// A label on an image.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChipView {
    name: String,
    color: String,
}

impl From<Chip> for ChipView {
    fn from(chip: Chip) -> Self {
        Self { name: chip.name, color: chip.color }
    }
}

/// A tag.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TagView {
    name: String,
    digest: String,
    media_type: String,
    /// Config and layers, bytes.
    total_size: i64,
    pushed_by: String,
    /// When it last moved.
    updated_at: DateTime<Utc>,
    /// Other tags of the same manifest.
    aliases: Vec<String>,
    /// `linux/amd64`, …
    platforms: Vec<String>,
    /// Labels of its image.
    labels: Vec<ChipView>,
}

impl From<Tag> for TagView {
    fn from(tag: Tag) -> Self {
        Self {
            name: tag.name.to_string(),
            digest: tag.digest.to_string(),
            media_type: tag.media_type,
            total_size: tag.total_size,
            pushed_by: tag.pushed_by,
            updated_at: tag.updated_at,
            aliases: tag.aliases.iter().map(ToString::to_string).collect(),
            platforms: tag.platforms,
            labels: tag.labels.into_iter().map(ChipView::from).collect(),
        }
    }
}

/// A move of a tag.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TagMoveView {
    tag: String,
    /// Digest before; `null`: the tag was made.
    from: Option<String>,
    /// Digest after; `null`: the tag was removed.
    to: Option<String>,
    actor: String,
    /// The client's name for itself.
    client: String,
    at: DateTime<Utc>,
}

impl From<TagMove> for TagMoveView {
    fn from(moved: TagMove) -> Self {
        Self {
            tag: moved.tag.to_string(),
            from: moved.from.map(|digest| digest.to_string()),
            to: moved.to.map(|digest| digest.to_string()),
            actor: moved.actor_name,
            client: moved.client,
            at: moved.at,
        }
    }
}

/// A layer, a config, a child or a referrer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescriptorView {
    media_type: String,
    digest: String,
    size: i64,
    platform: Option<String>,
}

impl From<Descriptor> for DescriptorView {
    fn from(found: Descriptor) -> Self {
        Self {
            media_type: found.media_type,
            digest: found.digest.to_string(),
            size: found.size,
            platform: found.platform,
        }
    }
}

/// Something that refers to an image.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AccessoryView {
    kind: Kind,
    digest: String,
    /// `artifactType`, else the config's media type, else its own.
    #[serde(rename = "type")]
    type_name: String,
    size: i64,
    /// 1: of the image itself; 2: of an accessory before it in the list; …
    depth: usize,
    /// The tag by which older clients find it, when it has no `subject`.
    tag: Option<String>,
    pushed_by: String,
    pushed_at: DateTime<Utc>,
}

impl From<Accessory> for AccessoryView {
    fn from(found: Accessory) -> Self {
        Self {
            kind: found.kind,
            digest: found.digest.to_string(),
            type_name: found.type_name,
            size: found.size,
            depth: found.depth,
            tag: found.tag.map(|tag| tag.to_string()),
            pushed_by: found.pushed_by,
            pushed_at: found.pushed_at,
        }
    }
}

fn descriptors(found: Vec<Descriptor>) -> Vec<DescriptorView> {
    found.into_iter().map(DescriptorView::from).collect()
}

/// One step of how an image was built, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct HistoryStepView {
    created: Option<DateTime<Utc>>,
    created_by: String,
    layer: Option<DescriptorView>,
}

impl From<HistoryStep> for HistoryStepView {
    fn from(step: HistoryStep) -> Self {
        Self {
            created: step.created,
            created_by: step.created_by,
            layer: step.layer.map(DescriptorView::from),
        }
    }
}

/// What an image's config says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ImageConfigView {
    os: String,
    architecture: String,
    created: Option<DateTime<Utc>>,
    user: String,
    working_dir: String,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    env: Vec<String>,
    exposed_ports: Vec<String>,
    labels: BTreeMap<String, String>,
}

impl From<ImageConfig> for ImageConfigView {
    fn from(config: ImageConfig) -> Self {
        Self {
            os: config.os,
            architecture: config.architecture,
            created: config.created,
            user: config.user,
            working_dir: config.working_dir,
            entrypoint: config.entrypoint,
            cmd: config.cmd,
            env: config.env,
            exposed_ports: config.exposed_ports,
            labels: config.labels,
        }
    }
}

/// An image: a manifest and what it says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageView {
    repository: String,
    digest: String,
    media_type: String,
    artifact_type: Option<String>,
    /// Config and layers, bytes.
    total_size: i64,
    pushed_by: String,
    pushed_at: DateTime<Utc>,
    tags: Vec<String>,
    config: Option<ImageConfigView>,
    layers: Vec<DescriptorView>,
    /// Of an index.
    children: Vec<DescriptorView>,
    history: Vec<HistoryStepView>,
    annotations: BTreeMap<String, String>,
    subject: Option<String>,
    kind: Kind,
    /// What refers to it, each followed by what refers to that.
    referrers: Vec<AccessoryView>,
    labels: Vec<ChipView>,
}

impl From<Image> for ImageView {
    fn from(image: Image) -> Self {
        Self {
            repository: image.repository.to_string(),
            digest: image.digest.to_string(),
            media_type: image.media_type,
            artifact_type: image.artifact_type,
            total_size: image.total_size,
            pushed_by: image.pushed_by,
            pushed_at: image.pushed_at,
            tags: image.tags.iter().map(ToString::to_string).collect(),
            config: image.config.map(ImageConfigView::from),
            layers: descriptors(image.layers),
            children: descriptors(image.children),
            history: image.history.into_iter().map(HistoryStepView::from).collect(),
            annotations: image.annotations,
            subject: image.subject.map(|digest| digest.to_string()),
            kind: image.kind,
            referrers: image.referrers.into_iter().map(AccessoryView::from).collect(),
            labels: image.labels.into_iter().map(ChipView::from).collect(),
        }
    }
}

/// A deployment that runs an image.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunningView {
    /// `environment/name`.
    deployment: String,
    digest: String,
}

impl From<(String, Digest)> for RunningView {
    fn from((deployment, digest): (String, Digest)) -> Self {
        Self { deployment, digest: digest.to_string() }
    }
}

/// An upload in progress.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UploadView {
    id: Uuid,
    repository: String,
    /// Only members see whose it is.
    user: Option<String>,
    /// Bytes so far.
    received: i64,
    started_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<UploadProgress> for UploadView {
    fn from(upload: UploadProgress) -> Self {
        Self {
            id: upload.id.uuid(),
            repository: upload.repository.to_string(),
            user: upload.user,
            received: upload.received,
            started_at: upload.started_at,
            updated_at: upload.updated_at,
        }
    }
}

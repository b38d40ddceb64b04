//! Versions of a repository: where tags were, what was deleted, what differs, which labels an
//! image carries. Served by the wildcard route of repositories.

use axum::Json;
use axum::extract::{FromRequest as _, Request};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Result, page, whole};
use super::images::{ChipView, DescriptorView, TagMoveView};
use super::repositories::{At, digest, query, tag};
use super::route::{Route, in_project};
use crate::accounts::rbac::{Action, Resource};
use crate::base::{Digest, Reference};
use crate::http::json::Input;
use crate::http::query::{NoQuery, PageQuery, not_found};
use crate::registry::compare::{self, Comparison};
use crate::registry::{DeletedImage, DeletedTag, Image, Restored};

pub(super) fn routes() -> Vec<Route> {
    let doc = Route::documented;
    let needs = in_project;
    vec![
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}/-/tags/{tag}/history",
            "listMovesOfTag",
            "Moves of one tag, newest first",
            needs(Resource::Tag, Action::List),
        )
        .query::<PageQuery>()
        .lists::<TagMoveView>(),
        doc(
            Method::POST,
            "/api/v1/repositories/{repository}/-/tags/{tag}/restore",
            "restoreTag",
            "Move a tag back to a digest it had before",
            needs(Resource::Repository, Action::Push),
        )
        .body::<RestoreInput>()
        .answers::<RestoredTagView>(200)
        .notes("A deleted image comes back with it, while it can be restored."),
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}/-/deleted",
            "listDeletedImages",
            "Deleted images that can still be restored, newest first",
            needs(Resource::Event, Action::List),
        )
        .query::<PageQuery>()
        .lists::<DeletedImageView>(),
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}/-/deleted/{digest}",
            "getDeletedImage",
            "A deleted image that can still be restored",
            needs(Resource::Event, Action::List),
        )
        .answers::<DeletedImageView>(200),
        doc(
            Method::POST,
            "/api/v1/repositories/{repository}/-/deleted/{digest}/restore",
            "restoreImage",
            "Bring a deleted image back with its tags and labels",
            needs(Resource::Repository, Action::Push),
        )
        .answers::<RestoredView>(200)
        .notes("Tags that exist again stay where they are. Of an index, deleted images below it come back, too."),
        doc(
            Method::DELETE,
            "/api/v1/repositories/{repository}/-/deleted/{digest}",
            "purgeImage",
            "Give up a deleted image before its time",
            needs(Resource::Artifact, Action::Delete),
        ),
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}/-/deleted-tags",
            "listDeletedTags",
            "Tags that were removed lately and whose image is still here, newest first",
            needs(Resource::Event, Action::List),
        )
        .query::<PageQuery>()
        .lists::<DeletedTagView>(),
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}/-/compare/{pair}",
            "compareImages",
            "What differs between two images",
            needs(Resource::Artifact, Action::Read),
        )
        .answers::<ComparisonView>(200)
        .notes("The pair is two tags or digests with three dots between them, e.g. 1.0...1.1."),
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}/-/manifests/{digest}/labels",
            "listLabelsOfImage",
            "Labels on an image",
            needs(Resource::Artifact, Action::Read),
        )
        .lists::<ChipView>(),
        doc(
            Method::PUT,
            "/api/v1/repositories/{repository}/-/manifests/{digest}/labels/{label}",
            "labelImage",
            "Put a label of the project on an image",
            needs(Resource::ArtifactLabel, Action::Create),
        )
        .notes("Putting it on again changes nothing."),
        doc(
            Method::DELETE,
            "/api/v1/repositories/{repository}/-/manifests/{digest}/labels/{label}",
            "unlabelImage",
            "Take a label off an image",
            needs(Resource::ArtifactLabel, Action::Delete),
        ),
    ]
}

/// What a path below a repository's `/-/` names.
pub(super) enum Place {
    TagHistory(String),
    TagRestore(String),
    Deleted,
    DeletedImage(String),
    Restore(String),
    DeletedTags,
    Compare(String),
    Labels(String),
    Label(String, String),
}

impl Place {
    pub(super) fn parse(parts: &[&str]) -> Option<Self> {
        let text = |part: &&str| (*part).to_owned();
        Some(match parts {
            ["tags", tag, "history"] => Self::TagHistory(text(tag)),
            ["tags", tag, "restore"] => Self::TagRestore(text(tag)),
            ["deleted"] => Self::Deleted,
            ["deleted", digest] => Self::DeletedImage(text(digest)),
            ["deleted", digest, "restore"] => Self::Restore(text(digest)),
            ["deleted-tags"] => Self::DeletedTags,
            ["compare", pair] => Self::Compare(text(pair)),
            ["manifests", digest, "labels"] => Self::Labels(text(digest)),
            ["manifests", digest, "labels", label] => Self::Label(text(digest), text(label)),
            _ => return None,
        })
    }
}

/// Where to move a tag.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RestoreInput {
    /// A digest that the tag had before.
    #[schema(value_type = String)]
    digest: Digest,
}

/// A tag moved back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RestoredTagView {
    tag: String,
    digest: String,
    /// `false`: it was there already.
    moved: bool,
}

/// A deleted image that can still be restored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeletedImageView {
    digest: String,
    media_type: String,
    artifact_type: Option<String>,
    /// Config and layers, bytes.
    total_size: i64,
    pushed_by: String,
    pushed_at: DateTime<Utc>,
    /// Tags that named it.
    tags: Vec<String>,
    labels: Vec<ChipView>,
    deleted_by: String,
    /// The client's name for itself.
    client: String,
    deleted_at: DateTime<Utc>,
    restorable_until: DateTime<Utc>,
    /// A blob that was deleted since; push it again, or the image cannot be restored.
    missing_blob: Option<String>,
}

impl From<DeletedImage> for DeletedImageView {
    fn from(image: DeletedImage) -> Self {
        Self {
            digest: image.digest.to_string(),
            media_type: image.media_type,
            artifact_type: image.artifact_type,
            total_size: image.total_size,
            pushed_by: image.pushed_by,
            pushed_at: image.pushed_at,
            tags: image.tags.iter().map(ToString::to_string).collect(),
            labels: image.labels.into_iter().map(ChipView::from).collect(),
            deleted_by: image.deleted_by,
            client: image.client,
            deleted_at: image.deleted_at,
            restorable_until: image.restorable_until,
            missing_blob: image.missing.map(|digest| digest.to_string()),
        }
    }
}

/// A tag that was removed while its image stayed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeletedTagView {
    tag: String,
    /// Where it was.
    digest: String,
    deleted_by: String,
    client: String,
    deleted_at: DateTime<Utc>,
}

impl From<DeletedTag> for DeletedTagView {
    fn from(tag: DeletedTag) -> Self {
        Self {
            tag: tag.tag.to_string(),
            digest: tag.digest.to_string(),
            deleted_by: tag.deleted_by,
            client: tag.client,
            deleted_at: tag.deleted_at,
        }
    }
}

/// What a restore brought back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RestoredView {
    /// Digests of the image and of deleted images below it.
    images: Vec<String>,
    tags: Vec<String>,
    /// Tags that point elsewhere by now and were left there.
    kept_tags: Vec<String>,
}

impl From<Restored> for RestoredView {
    fn from(restored: Restored) -> Self {
        Self {
            images: restored.images.iter().map(ToString::to_string).collect(),
            tags: restored.tags,
            kept_tags: restored.kept,
        }
    }
}

/// One side of a comparison.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SideView {
    reference: String,
    digest: String,
    media_type: String,
    /// Config and layers, bytes.
    total_size: i64,
    pushed_by: String,
    pushed_at: DateTime<Utc>,
    tags: Vec<String>,
}

impl SideView {
    fn of(reference: &Reference, image: &Image) -> Self {
        Self {
            reference: reference.to_string(),
            digest: image.digest.to_string(),
            media_type: image.media_type.clone(),
            total_size: image.total_size,
            pushed_by: image.pushed_by.clone(),
            pushed_at: image.pushed_at,
            tags: image.tags.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A layer of either image.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LayerDiffView {
    /// `same`, `added`, `removed` or `moved`.
    state: &'static str,
    digest: String,
    size: i64,
    created_by: String,
}

/// A setting of either image.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FieldDiffView {
    /// `entrypoint`, `cmd`, `user`, `workdir`, `os`, `architecture`, `env`, `port`, `label` or
    /// `annotation`.
    field: &'static str,
    /// Name of the variable, port, label or annotation.
    key: String,
    /// `same`, `changed`, `added` or `removed`.
    state: &'static str,
    a: Option<String>,
    b: Option<String>,
}

/// A platform of either index.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PlatformDiffView {
    platform: String,
    /// `same`, `changed`, `added` or `removed`.
    state: &'static str,
    a: Option<DescriptorView>,
    b: Option<DescriptorView>,
}

/// What differs between two images.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ComparisonView {
    /// Both are one image.
    same: bool,
    a: SideView,
    b: SideView,
    layers: Vec<LayerDiffView>,
    config: Vec<FieldDiffView>,
    /// Of indexes.
    platforms: Vec<PlatformDiffView>,
}

impl ComparisonView {
    fn of(a: &Reference, b: &Reference, found: Comparison) -> Self {
        let layers = found.layers.iter().map(|layer| LayerDiffView {
            state: layer.state.as_str(),
            digest: layer.digest.to_string(),
            size: layer.size,
            created_by: layer.created_by.clone(),
        });
        Self {
            same: found.is_same(),
            layers: layers.collect(),
            a: SideView::of(a, &found.a),
            b: SideView::of(b, &found.b),
            config: found
                .config
                .into_iter()
                .map(|field| FieldDiffView {
                    field: field.field,
                    key: field.key,
                    state: field.state.as_str(),
                    a: field.a,
                    b: field.b,
                })
                .collect(),
            platforms: found
                .platforms
                .into_iter()
                .map(|platform| PlatformDiffView {
                    platform: platform.platform,
                    state: platform.state.as_str(),
                    a: platform.a.map(DescriptorView::from),
                    b: platform.b.map(DescriptorView::from),
                })
                .collect(),
        }
    }
}

impl At<'_> {
    /// `None`: the place does not take this method.
    pub(super) async fn version(
        &self,
        mut request: Request,
        place: Place,
    ) -> Result<Option<Response>> {
        let (registry, name) = (self.registry, &self.name);
        let (actor, client) = (&self.caller.actor, self.caller.client.as_str());
        let method = match request.method().as_str() {
            "HEAD" => "GET",
            "GET" => "GET",
            "POST" => "POST",
            "PUT" => "PUT",
            _ => "DELETE",
        };
        let done = || StatusCode::NO_CONTENT.into_response();
        let response = match (method, place) {
            ("GET", Place::TagHistory(text)) => {
                let wanted = wanted(&mut request).await?;
                let tag = tag(&text)?;
                let found = registry.tag_history(actor, name, Some(&tag), &wanted).await?;
                page(found, TagMoveView::from).into_response()
            }
            ("GET", Place::Deleted) => {
                let wanted = wanted(&mut request).await?;
                let found = registry.deleted_images(actor, name, &wanted).await?;
                page(found, DeletedImageView::from).into_response()
            }
            ("GET", Place::DeletedTags) => {
                let wanted = wanted(&mut request).await?;
                let found = registry.deleted_tags(actor, name, &wanted).await?;
                page(found, DeletedTagView::from).into_response()
            }
            ("POST", Place::TagRestore(text)) => {
                let tag = tag(&text)?;
                let Input(input) = Input::<RestoreInput>::from_request(request, &()).await?;
                let to = input.digest;
                let moved = registry.restore_tag(actor, name, &tag, &to, client).await?;
                let (tag, digest) = (tag.to_string(), to.to_string());
                Json(RestoredTagView { tag, digest, moved }).into_response()
            }
            (method, place) => {
                query::<NoQuery>(&mut request).await?;
                match (method, place) {
                    ("GET", Place::DeletedImage(text)) => {
                        let reference = Reference::Digest(digest(&text)?);
                        let found = registry.deleted_image(actor, name, &reference).await?;
                        Json(DeletedImageView::from(found)).into_response()
                    }
                    ("POST", Place::Restore(text)) => {
                        let digest = digest(&text)?;
                        let done = registry.restore_image(actor, name, &digest, client).await?;
                        Json(RestoredView::from(done)).into_response()
                    }
                    ("DELETE", Place::DeletedImage(text)) => {
                        registry.purge_image(actor, name, &digest(&text)?).await?;
                        done()
                    }
                    ("GET", Place::Compare(text)) => {
                        let pair = compare::parse_pair(&text);
                        let (a, b) = pair.ok_or_else(|| not_found("pair", &text))?;
                        let found = registry.compare(actor, name, &a, &b).await?;
                        Json(ComparisonView::of(&a, &b, found)).into_response()
                    }
                    ("GET", Place::Labels(text)) => {
                        let found = registry.labels_of(actor, name, &digest(&text)?).await?;
                        whole(found, ChipView::from).into_response()
                    }
                    ("PUT", Place::Label(text, label)) => {
                        registry.add_label(actor, name, &digest(&text)?, &label).await?;
                        done()
                    }
                    ("DELETE", Place::Label(text, label)) => {
                        registry.remove_label(actor, name, &digest(&text)?, &label).await?;
                        done()
                    }
                    _ => return Ok(None),
                }
            }
        };
        Ok(Some(response))
    }
}

async fn wanted(request: &mut Request) -> Result<crate::base::PageRequest> {
    Ok(query::<PageQuery>(request).await?.page())
}

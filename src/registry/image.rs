//! An image as a page shows it: what was pushed, read for people.

use bytes::Bytes;

use super::config::{self, StoredConfig};
use super::kind::{Kind, TAG_SUFFIXES};
use super::label::Chip;
use super::store::manifests::AccessoryRow;
use super::{Accessory, Descriptor, Image, Registry, referrer, store};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Actor, Digest, Error, Reference, RepositoryName, Result};

const READ: Permission = Permission(Resource::Artifact, Action::Read);
/// Accessories shown with an image.
const ACCESSORIES: i64 = 100;
/// How deep accessories of accessories are followed.
const DEPTH: i32 = 4;

impl Registry {
    /// Everything about one image.
    pub async fn image(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<Image> {
        self.authorize(actor, name, READ).await?;
        let repository = self.repository_id(name).await?;
        let mut conn = self.db.read().await?;
        let row = store::manifests::find_image(&mut conn, repository, reference)
            .await?
            .ok_or_else(|| {
                Error::not_found("image", format!("{name} {reference}"))
                    .with_code("manifest_unknown")
            })?;
        let references = store::manifests::references(&mut conn, row.id).await?;
        let of_kind = |kind: &str| -> Vec<Descriptor> {
            references.iter().filter(|(k, _)| k == kind).map(|(_, d)| d.clone()).collect()
        };
        let (layers, children) = (of_kind("layer"), of_kind("manifest"));
        let tags = accessory_tags(&row.digest);
        let list = referrer::fallback_tag(&row.digest).map(|t| t.to_string()).unwrap_or_default();
        let accessories = store::manifests::accessories(
            &mut conn,
            repository,
            &row.digest,
            &tags,
            &list,
            DEPTH,
            ACCESSORIES,
        )
        .await?;
        let config_type =
            references.iter().find(|(k, _)| k == "config").map(|(_, d)| &d.media_type);
        let kind = Kind::of(
            &row.media_type,
            row.artifact_type.as_deref(),
            config_type.map(String::as_str),
            layers.iter().map(|layer| layer.media_type.as_str()),
        );
        let stored: Option<StoredConfig> =
            row.config.and_then(|value| serde_json::from_value(value).ok());
        let (config, steps) = stored.map_or((None, Vec::new()), |s| (Some(s.config), s.history));
        Ok(Image {
            manifest_id: row.id,
            repository: name.clone(),
            digest: row.digest.clone(),
            media_type: row.media_type,
            artifact_type: row.artifact_type,
            total_size: row.total_size,
            pushed_by: row.pushed_by,
            pushed_at: row.created_at,
            tags: row.tags,
            config,
            history: config::history(steps, &layers),
            layers,
            children,
            annotations: referrer::annotations(&row.annotations),
            subject: row.subject,
            kind,
            referrers: tree(&row.digest, accessories),
            labels: Chip::gathered(row.labels),
            raw: Bytes::from(row.content),
        })
    }
}

/// The tags by which clients without the referrers API find what belongs to an image.
fn accessory_tags(subject: &Digest) -> Vec<String> {
    let base = format!("{}-{}", subject.algorithm().as_str(), subject.hex());
    TAG_SUFFIXES.iter().map(|(suffix, _)| format!("{base}{suffix}")).collect()
}

/// Puts each accessory after what it refers to.
fn tree(root: &Digest, rows: Vec<AccessoryRow>) -> Vec<Accessory> {
    let mut found = Vec::with_capacity(rows.len());
    grow(root, 1, &rows, &mut found);
    found
}

fn grow(subject: &Digest, depth: usize, rows: &[AccessoryRow], found: &mut Vec<Accessory>) {
    let belongs = |row: &AccessoryRow| match &row.tag {
        Some(_) => depth == 1,
        None => row.subject.as_ref() == Some(subject),
    };
    for row in rows.iter().filter(|row| belongs(row)) {
        found.push(accessory(row, depth));
        if row.tag.is_none() {
            grow(&row.digest, depth + 1, rows, found);
        }
    }
}

fn accessory(row: &AccessoryRow, depth: usize) -> Accessory {
    let by_tag = row.tag.as_ref().and_then(|tag| {
        TAG_SUFFIXES
            .iter()
            .find(|(suffix, _)| tag.as_str().ends_with(suffix))
            .map(|(_, kind)| *kind)
    });
    let (artifact, config) = (row.artifact_type.as_deref(), row.config_media_type.as_deref());
    let by_type = || Kind::of(&row.media_type, artifact, config, row.layer_media_type.as_deref());
    Accessory {
        kind: by_tag.unwrap_or_else(by_type),
        digest: row.digest.clone(),
        type_name: artifact.or(config).unwrap_or(&row.media_type).to_owned(),
        size: row.size,
        depth,
        tag: row.tag.clone(),
        pushed_by: row.pushed_by.clone(),
        pushed_at: row.created_at,
    }
}

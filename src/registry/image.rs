//! An image as a page shows it: what was pushed, read for people.

use bytes::Bytes;

use super::config::{self, StoredConfig};
use super::{Descriptor, Image, Registry, referrer, store};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Actor, Error, Reference, RepositoryName, Result};

const READ: Permission = Permission(Resource::Artifact, Action::Read);
/// Referrers shown with an image.
const REFERRERS: i64 = 100;

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
        let referrers =
            store::manifests::referrers(&mut conn, repository, &row.digest, None, None, REFERRERS)
                .await?
                .into_iter()
                .map(|r| Descriptor {
                    media_type: r.artifact_type.unwrap_or(r.media_type),
                    digest: r.digest,
                    size: r.size,
                    platform: None,
                })
                .collect();
        let stored: Option<StoredConfig> =
            row.config.and_then(|value| serde_json::from_value(value).ok());
        let (config, steps) = stored.map_or((None, Vec::new()), |s| (Some(s.config), s.history));
        Ok(Image {
            manifest_id: row.id,
            repository: name.clone(),
            digest: row.digest,
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
            referrers,
            raw: Bytes::from(row.content),
        })
    }
}

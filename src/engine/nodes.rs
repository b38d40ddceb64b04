//! Nodes and what runs where.

use super::Engine;
use super::loaded::on_deployment;
use super::plan::Request;
use super::spec::PodTemplate;
use super::store::{Images, nodes, revisions};
use super::view::NodeView;
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::{Actor, Digest, ImageRef, RepositoryName, Result};

/// A node that has not answered for this long is not ready.
pub(super) const HEARTBEAT_LIMIT: chrono::Duration = chrono::Duration::seconds(15);

impl Engine {
    pub async fn nodes(&self, actor: &Actor) -> Result<Vec<NodeView>> {
        require_platform(actor, Permission(Resource::Node, Action::List))?;
        let mut conn = self.db.read().await?;
        let rows = nodes::list(&mut conn).await?;
        let placed = nodes::placed(&mut conn).await?;
        let now = self.clock.0.now();
        Ok(rows
            .into_iter()
            .map(|row| {
                let own: Vec<Request> = placed
                    .iter()
                    .filter(|p| p.node_id == row.id)
                    .map(|p| {
                        serde_json::from_value::<PodTemplate>(p.template.clone())
                            .map_or_else(|_| Request::default(), |t| Request::of(&t))
                    })
                    .collect();
                let silent = row.heartbeat_at.is_none_or(|at| now - at > HEARTBEAT_LIMIT);
                let reason = row.not_ready_reason.or_else(|| {
                    silent.then(|| "no heartbeat for more than 15 s; is the server that drives the engine running?".to_owned())
                });
                NodeView {
                    id: row.id.uuid(),
                    name: row.name,
                    address: row.address,
                    version: row.version,
                    ready: reason.is_none(),
                    reason,
                    cordoned: row.cordoned,
                    labels: serde_json::from_value(row.labels).unwrap_or_default(),
                    cpu_millis: row.cpu_millis,
                    cpu_requested_millis: total(own.iter().map(|r| r.cpu_millis)),
                    memory_bytes: row.memory_bytes,
                    memory_requested_bytes: total(own.iter().map(|r| r.memory_bytes)),
                    replicas: i64::try_from(own.len()).unwrap_or(i64::MAX),
                    heartbeat_at: row.heartbeat_at,
                }
            })
            .collect())
    }

    /// Deployments that run an image of `repository`, as `environment/name` with the digest, as
    /// far as the caller may see them.
    pub async fn running_images(
        &self,
        actor: &Actor,
        repository: &RepositoryName,
    ) -> Result<Vec<(String, Digest)>> {
        let projects = self.catalog.visible_projects(actor, on_deployment(Action::List)).await?;
        let rows = revisions::running(&mut *self.db.read().await?, projects.as_deref()).await?;
        let mut found: Vec<_> = rows
            .into_iter()
            .flat_map(|(path, images)| {
                let images: Images = serde_json::from_value(images).unwrap_or_default();
                of_repository(images, repository).map(move |digest| (path.clone(), digest))
            })
            .collect();
        found.sort();
        found.dedup();
        Ok(found)
    }
}

fn of_repository(
    images: Images,
    repository: &RepositoryName,
) -> impl Iterator<Item = Digest> + use<'_> {
    images.into_iter().filter_map(move |(image, digest)| {
        let parsed = image.parse::<ImageRef>().ok()?;
        (parsed.repository == *repository).then_some(digest)
    })
}

fn total(values: impl Iterator<Item = u64>) -> i64 {
    i64::try_from(values.sum::<u64>()).unwrap_or(i64::MAX)
}

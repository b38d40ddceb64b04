//! Admission: what a revision must pass before it exists.
//!
//! Images are pinned by digest, with the *caller's* right to pull them, for every new revision:
//! what is already on a node, or was admitted for somebody else, proves nothing. The container
//! policy is asked about the very value a runtime would be sent.

use super::runtime::{ContainerSpec, PinnedImage};
use super::spec::PodTemplate;
use super::store::{DeploymentRow, Images};
use super::{Engine, policy};
use crate::base::id::{DeploymentId, ReplicaId};
use crate::base::{Actor, Error, ErrorKind, ImageRef, Reference, Result, Timestamp};
use crate::db::Tx;

/// Whose container it is.
#[derive(Debug, Clone)]
pub(super) struct Owner<'a> {
    pub(super) environment: &'a str,
    pub(super) deployment: &'a str,
    pub(super) deployment_id: DeploymentId,
    pub(super) replica: ReplicaId,
    pub(super) replica_name: &'a str,
    pub(super) revision: i64,
    pub(super) attempt: u32,
}

/// Name of an environment's network.
pub(super) fn network_of(environment: &str) -> String {
    format!("portolan-{environment}")
}

/// What a runtime is sent for a replica.
pub(super) fn container_spec(
    owner: &Owner<'_>,
    template: &PodTemplate,
    images: &Images,
) -> Result<ContainerSpec> {
    let invalid = |what: &str| Error::internal("building a container", what.to_owned());
    let container = template.containers.first().ok_or_else(|| invalid("no container"))?;
    let reference: ImageRef = container.image.parse()?;
    let digest = images.get(&container.image).ok_or_else(|| invalid("image is not pinned"))?;
    let context = container.security_context.clone().unwrap_or_default();
    let resources = &container.resources;
    let limit = |name: &str| invalid(&format!("{name} is not set"));
    Ok(ContainerSpec {
        replica: owner.replica,
        deployment: owner.deployment_id,
        attempt: owner.attempt,
        name: format!("portolan-{}-{}-{}", owner.environment, owner.replica_name, owner.attempt),
        hostname: owner.replica_name.to_owned(),
        image: PinnedImage { repository: reference.repository, digest: digest.clone() },
        command: container.command.clone(),
        args: container.args.clone(),
        working_dir: container.working_dir.clone(),
        env: container.env.iter().map(|e| (e.name.clone(), e.value.clone())).collect(),
        user: context.run_as_user,
        cpu_limit: resources.limits.cpu.ok_or_else(|| limit("limits.cpu"))?,
        memory_limit: resources.limits.memory.ok_or_else(|| limit("limits.memory"))?,
        cpu_request: resources.requests.cpu.ok_or_else(|| limit("requests.cpu"))?,
        pids_limit: policy::PIDS_LIMIT,
        read_only_root: context.read_only_root_filesystem.unwrap_or(false),
        bind_low_ports: context.add_capabilities.iter().any(|c| c == "NET_BIND_SERVICE"),
        network: network_of(owner.environment),
        labels: vec![
            ("environment".to_owned(), owner.environment.to_owned()),
            ("deployment".to_owned(), owner.deployment.to_owned()),
            ("revision".to_owned(), owner.revision.to_string()),
        ],
    })
}

impl Engine {
    /// Pins every image of a template that `actor` may pull.
    pub(super) async fn resolve_images(
        &self,
        actor: &Actor,
        template: &PodTemplate,
    ) -> Result<Images> {
        let mut images = Images::new();
        for (index, container) in template.containers.iter().enumerate() {
            let reference: ImageRef = container.image.parse()?;
            let field = format!("template.containers[{index}].image");
            let resolved = self.may_pull(actor, &reference, &field).await?;
            images.insert(container.image.clone(), resolved);
        }
        Ok(images)
    }

    /// Checks again that `actor` may pull what a revision pinned.
    pub(super) async fn recheck_images(&self, actor: &Actor, images: &Images) -> Result<()> {
        for (image, digest) in images {
            let written: ImageRef = image.parse()?;
            let pinned = ImageRef {
                repository: written.repository,
                reference: Reference::Digest(digest.clone()),
            };
            self.may_pull(actor, &pinned, "image").await?;
        }
        Ok(())
    }

    /// Keeps what a new revision pins from being removed until its transaction ends; from then on
    /// the revision itself does.
    pub(super) async fn hold_images(&self, tx: &mut Tx, images: &Images) -> Result<()> {
        for (image, digest) in images {
            let written: ImageRef = image.parse()?;
            if !self.registry.hold_image(tx, &written.repository, digest).await? {
                return Err(Error::conflict(
                    "image_removed",
                    format!("image \"{image}\" was removed just now; name another one"),
                ));
            }
        }
        Ok(())
    }

    async fn may_pull(
        &self,
        actor: &Actor,
        image: &ImageRef,
        field: &str,
    ) -> Result<crate::base::Digest> {
        match self.registry.resolve(actor, image).await {
            Ok(resolved) => Ok(resolved.digest),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Denied) => {
                Err(Error::invalid(
                    field,
                    format!("image \"{image}\" does not exist, or you may not pull it"),
                )
                .with_code("image_not_found"))
            }
            Err(error) => Err(error),
        }
    }
}

/// Asks the container policy about a revision that is about to be made.
pub(super) fn check_policy(
    environment: &str,
    deployment: &str,
    template: &PodTemplate,
    images: &Images,
) -> Result<()> {
    let nobody = Timestamp::UNIX_EPOCH;
    let owner = Owner {
        environment,
        deployment,
        deployment_id: DeploymentId::new(nobody),
        replica: ReplicaId::new(nobody),
        replica_name: deployment,
        revision: 0,
        attempt: 0,
    };
    policy::check(&container_spec(&owner, template, images)?)
}

/// A deployment that is going away takes no changes.
pub(super) fn refuse_deleting(row: &DeploymentRow) -> Result<()> {
    match row.deleting_at {
        None => Ok(()),
        Some(_) => Err(Error::conflict(
            "deployment_deleting",
            format!("deployment \"{}\" is being deleted; try again when it is gone", row.name),
        )),
    }
}

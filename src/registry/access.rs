//! What a caller may do with a repository.

use super::{Registry, store};
use crate::accounts::rbac::{self, Action, Decision, Permission, Resource};
use crate::base::id::{ProjectId, RepositoryId};
use crate::base::{Actor, ActorKind, Error, RepositoryName, Result};
use crate::catalog::Project;

/// Reading images.
pub(crate) const PULL: Permission = Permission(Resource::Repository, Action::Pull);
/// Writing images; includes reading, because clients look before they push.
pub(crate) const PUSH: Permission = Permission(Resource::Repository, Action::Push);
/// Removing manifests and blobs.
pub(crate) const DELETE: Permission = Permission(Resource::Artifact, Action::Delete);

/// What a caller may do with a repository's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights {
    pub pull: bool,
    pub push: bool,
    pub delete: bool,
}

impl Registry {
    /// What `actor` may do with `name`; nothing when its project is absent or hidden.
    pub async fn rights(&self, actor: &Actor, name: &RepositoryName) -> Result<Rights> {
        let project = match self.member(actor, name).await {
            Ok(project) => project,
            Err(e) if is_hidden(&e) => return Ok(Rights::default()),
            Err(e) => return Err(e),
        };
        let may = |permission| decide(actor, &project, permission) == Decision::Allow;
        let push = may(PUSH);
        Ok(Rights { pull: push || may(PULL), push, delete: may(DELETE) })
    }

    /// Finds the project of a repository and checks `permission` in it. Hidden and absent
    /// projects look the same.
    pub(super) async fn authorize(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        permission: Permission,
    ) -> Result<Project> {
        let project = self.member(actor, name).await?;
        match decide(actor, &project, permission) {
            Decision::Allow => Ok(project),
            Decision::Hide => Err(hidden(actor, name)),
            Decision::Deny => Err(Error::denied(format!(
                "this needs the permission {permission} in project \"{}\"",
                project.name
            ))),
        }
    }

    /// The project as this caller sees it, from memory when nothing changed since.
    async fn member(&self, actor: &Actor, name: &RepositoryName) -> Result<Project> {
        let cache = &self.shared.cache;
        let project = name.project();
        let key = cache.access_key(actor, &project);
        let now = self.now();
        if let Some(found) = cache.access.get(&key).await.and_then(|e| e.valid(cache, now)) {
            return Ok(found);
        }
        let stamp = cache.stamp(now);
        // A node's token names the repository it may pull; it is nobody's member.
        let system = Actor::system();
        let asks = if actor.kind == ActorKind::Node { &system } else { actor };
        let found = self
            .catalog
            .project(asks, &project, PULL)
            .await
            .map_err(|e| if e.is_not_found() { hidden(actor, name) } else { e })?;
        cache.access.insert(key, stamp.on(found.clone())).await;
        Ok(found)
    }

    /// The repository's id, `NotFound` when nothing was pushed to it yet.
    pub(super) async fn repository_id(&self, name: &RepositoryName) -> Result<RepositoryId> {
        self.find_repository_id(name).await?.ok_or_else(|| unknown_repository(name))
    }

    pub(super) async fn find_repository_id(
        &self,
        name: &RepositoryName,
    ) -> Result<Option<RepositoryId>> {
        let cache = &self.shared.cache;
        let now = self.now();
        if let Some(id) = cache.repositories.get(name).await.and_then(|e| e.valid(cache, now)) {
            return Ok(Some(id));
        }
        let stamp = cache.stamp(now);
        let found = store::repositories::find(&mut *self.db.read().await?, name).await?;
        if let Some((id, _)) = found {
            cache.repositories.insert(name.clone(), stamp.on(id)).await;
        }
        Ok(found.map(|(id, _)| id))
    }

    /// Ids of the projects whose images `actor` may pull; `None`: all.
    pub(super) async fn pullable_projects(&self, actor: &Actor) -> Result<Option<Vec<ProjectId>>> {
        self.catalog.visible_projects(actor, PULL).await
    }
}

fn decide(actor: &Actor, project: &Project, permission: Permission) -> Decision {
    if actor.kind == ActorKind::Node {
        return if permission.1 == Action::Pull || permission.1 == Action::Read {
            Decision::Allow
        } else {
            Decision::Deny
        };
    }
    rbac::decide_in_project(actor, project.role, project.visibility, permission)
}

/// Whether an error says no more than "there is nothing here for you".
pub(super) fn is_hidden(error: &Error) -> bool {
    use crate::base::ErrorKind::{Denied, NotFound, Unauthenticated};
    matches!(error.kind(), NotFound | Denied | Unauthenticated)
}

fn hidden(actor: &Actor, name: &RepositoryName) -> Error {
    if actor.is_anonymous() {
        Error::unauthenticated("log in first")
    } else {
        unknown_repository(name)
    }
}

pub(super) fn unknown_repository(name: &RepositoryName) -> Error {
    Error::not_found("repository", name).with_code("name_unknown")
}

//! Repositories: made by the first push, listed for people and clients, deleted whole.

use super::access::unknown_repository;
use super::rules::{self, Change};
use super::{Registry, Repository, store};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::RepositoryId;
use crate::base::{Actor, Page, PageRequest, ProjectName, RepositoryName, Result};
use crate::catalog::Project;
use crate::db::Tx;
use crate::events::{self, NewEvent, Target};

pub(super) const LIST: Permission = Permission(Resource::Repository, Action::List);
const READ: Permission = Permission(Resource::Repository, Action::Read);
const DELETE: Permission = Permission(Resource::Repository, Action::Delete);

/// Names of one page of `_catalog` or `tags/list`.
pub(super) const MAX_NAMES: usize = 1000;

impl Registry {
    /// Repositories of a project by name.
    pub async fn list_repositories(
        &self,
        actor: &Actor,
        project: &ProjectName,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Repository>> {
        let project = self.catalog.project(actor, project, LIST).await?;
        let limit = page.limit()?;
        let after: Option<String> = page.after_key()?;
        let today = self.now().date_naive();
        let rows = store::repositories::list(
            &mut *self.db.read().await?,
            project.id,
            None,
            query,
            after.as_deref(),
            today,
            limit,
        )
        .await?;
        Ok(Page::from_rows(rows, limit, |r| r.name.clone()))
    }

    /// One repository.
    pub async fn repository(&self, actor: &Actor, name: &RepositoryName) -> Result<Repository> {
        let project = self.authorize(actor, name, READ).await?;
        let today = self.now().date_naive();
        let mut conn = self.db.read().await?;
        store::repositories::list(&mut conn, project.id, Some(name), None, None, today, 1)
            .await?
            .pop()
            .ok_or_else(|| unknown_repository(name))
    }

    /// Deletes a repository with its tags and manifests, for good; refused while a rule locks one
    /// of its tags. Blobs go with the next collection.
    pub async fn delete_repository(&self, actor: &Actor, name: &RepositoryName) -> Result<()> {
        let project = self.authorize(actor, name, DELETE).await?;
        let mut tx = self.db.begin().await?;
        let (id, _) = store::repositories::find(tx.conn(), name)
            .await?
            .ok_or_else(|| unknown_repository(name))?;
        let tags = store::tags::names(tx.conn(), id, None, i64::MAX).await?;
        let changes = rules::all(&tags, Change::Remove);
        if let Err(error) = self.check_rules(&mut tx, actor, &project, name, &changes).await {
            return Err(self.refused(tx, actor, &project, error).await);
        }
        if !store::repositories::delete(tx.conn(), id).await? {
            return Err(unknown_repository(name));
        }
        let event = NewEvent::new(
            "repository.delete",
            Target::new("repository", id, name),
            format!("Repository {name} was deleted with all its tags"),
        )
        .in_project(project.id);
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await
    }

    /// The repository's id, held against deletion; makes it in this transaction when it is missing.
    pub(super) async fn ensure_repository(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        project: &Project,
        name: &RepositoryName,
    ) -> Result<RepositoryId> {
        if let Some((id, _)) = store::repositories::hold(tx.conn(), name).await? {
            return Ok(id);
        }
        let now = self.now();
        let id = RepositoryId::new(now);
        let made = store::repositories::insert(tx.conn(), id, project.id, name, now).await?;
        if made.is_none() {
            // Another push made it meanwhile and has committed, or the insert would still wait.
            let found = store::repositories::hold(tx.conn(), name).await?;
            return found.map(|(id, _)| id).ok_or_else(|| unknown_repository(name));
        }
        let event = NewEvent::new(
            "repository.create",
            Target::new("repository", id, name),
            format!("Repository {name} was made by its first push"),
        )
        .in_project(project.id);
        events::append(tx, &*self.clock.0, actor, event).await?;
        Ok(id)
    }

    /// Names of the repositories the caller may pull, in byte order after `last`; the bool says
    /// whether there are more.
    pub async fn repository_names(
        &self,
        actor: &Actor,
        last: Option<&str>,
        n: usize,
    ) -> Result<(Vec<String>, bool)> {
        let projects = self.pullable_projects(actor).await?;
        let projects: Option<Vec<_>> = projects.map(|ids| ids.iter().map(|id| id.uuid()).collect());
        let n = n.min(MAX_NAMES);
        let mut conn = self.db.read().await?;
        let limit = i64::try_from(n).unwrap_or(0) + 1;
        let names = store::repositories::names(&mut conn, projects.as_deref(), last, limit).await?;
        Ok(cut(names, n))
    }
}

/// Cuts a list that was fetched with one row too many.
pub(super) fn cut(mut names: Vec<String>, n: usize) -> (Vec<String>, bool) {
    let more = names.len() > n;
    names.truncate(n);
    (names, more)
}

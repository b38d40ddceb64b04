//! Quotas: what a project stores, and how much it may.
//!
//! A blob is charged once per project: when its first link in the project is made, until the last
//! one is gone. A manifest is charged its own bytes in every repository that stores it, because
//! each stores the bytes anew; it also counts as one *artifact*. What an unfinished upload holds
//! is not charged: it is bounded by the limits of uploads, and gone soon.
//!
//! # Design notes
//!
//! Every statement that makes or removes a link or a manifest also writes the change of the use
//! (`store::usage`), so `used` equals the sum whatever happens in between. Only a transaction
//! that makes a project with a limit grow locks the project's row, as its last lock, right before
//! the commit: no lock is held while bytes arrive, and pushes to projects without a limit never
//! meet. The rejected option, one counter for every project, makes all pushes to a project wait
//! for each other's fsync.
//!
//! Locks are taken in this order, so that no two transactions wait for each other: blob,
//! repository, link, count of the project's links of a blob (by digest), row of the project's use.
//!
//! An upload asks early and without a lock whether there is room; the answer that counts is given
//! when the blob or the manifest is recorded.

mod room;
mod verify;

use serde_json::json;

use super::store::usage::Counter;
use super::{Registry, store};
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::id::ProjectId;
use crate::base::quantity::size;
use crate::base::{
    Actor, Error, ErrorKind, Page, PageRequest, ProjectName, RepositoryName, Result, Timestamp,
};
use crate::catalog::Project;
use crate::events::{self, NewEvent, Target};

pub(super) use room::{NO_ROOM, Refusals, Room, no_room};
pub use verify::Drift;

const READ: Permission = Permission(Resource::Quota, Action::Read);
const UPDATE: Permission = Permission(Resource::Quota, Action::Update);
const READ_ALL: Permission = Permission(Resource::System, Action::Read);

/// Largest limit, bytes or artifacts.
pub const MAX_LIMIT: i64 = 1 << 60;
/// Repositories named as the largest.
const LARGEST: i64 = 10;

/// What a project may store; `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub bytes: Option<i64>,
    pub artifacts: Option<i64>,
}

/// What a change adds to the use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub bytes: i64,
    pub manifests: i64,
}

/// A project's use and its limits.
#[derive(Debug, Clone)]
pub struct Quota {
    pub project_id: ProjectId,
    pub project: ProjectName,
    /// Bytes of distinct blobs and of manifests.
    pub used_bytes: i64,
    pub used_artifacts: i64,
    pub limits: Limits,
    /// Counts changes of the limits; 0: never set.
    pub generation: i64,
    /// When the limits were last set.
    pub updated_at: Option<Timestamp>,
}

/// A repository's share. Repositories that share blobs each show them.
#[derive(Debug, Clone)]
pub struct RepositoryUse {
    pub name: RepositoryName,
    /// Bytes of its blobs.
    pub bytes: i64,
    pub artifacts: i64,
}

impl Quota {
    pub(super) fn of(project_id: ProjectId, project: ProjectName, counter: &Counter) -> Self {
        Self {
            project_id,
            project,
            used_bytes: counter.bytes,
            used_artifacts: counter.manifests,
            limits: Limits { bytes: counter.max_bytes, artifacts: counter.max_manifests },
            generation: counter.generation,
            updated_at: counter.updated_at,
        }
    }
}

impl Registry {
    /// A project's use and limits.
    pub async fn quota(&self, actor: &Actor, project: &ProjectName) -> Result<Quota> {
        let project = self.catalog.project(actor, project, READ).await?;
        self.quota_in(&project).await
    }

    /// The same for a project whose quota the caller was found to be allowed to read.
    pub async fn quota_in(&self, project: &Project) -> Result<Quota> {
        let counter = store::usage::counter(&mut *self.db.read().await?, project.id).await?;
        Ok(Quota::of(project.id, project.name.clone(), &counter))
    }

    /// The repositories of a project that hold the most bytes.
    pub async fn largest_repositories(
        &self,
        actor: &Actor,
        project: &ProjectName,
    ) -> Result<Vec<RepositoryUse>> {
        let project = self.catalog.project(actor, project, READ).await?;
        Ok(store::usage::largest(&mut *self.db.read().await?, project.id, LARGEST).await?)
    }

    /// All projects by name with their use and limits.
    pub async fn quotas(
        &self,
        actor: &Actor,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Quota>> {
        require_platform(actor, READ_ALL)?;
        let (limit, after) = (page.limit()?, page.after_key::<String>()?);
        let mut conn = self.db.read().await?;
        let rows = store::usage::list(&mut conn, query, after.as_deref(), limit).await?;
        Ok(Page::from_rows(rows, limit, |quota| quota.project.to_string()))
    }

    /// Sets what a project may store; for administrators. A limit below the use removes nothing:
    /// the project cannot grow until it is below. `generation`: only if the limits are still
    /// those of that generation.
    pub async fn set_quota(
        &self,
        actor: &Actor,
        project: &ProjectName,
        limits: Limits,
        generation: Option<i64>,
    ) -> Result<Quota> {
        let project = self.catalog.project(actor, project, UPDATE).await?;
        for (field, limit) in [("maxBytes", limits.bytes), ("maxArtifacts", limits.artifacts)] {
            if limit.is_some_and(|limit| !(0..=MAX_LIMIT).contains(&limit)) {
                return Err(Error::invalid(field, format!("must be between 0 and {MAX_LIMIT}")));
            }
        }
        let now = self.now();
        let mut tx = self.db.begin().await?;
        store::usage::lock(tx.conn(), project.id, now).await?;
        let before = store::usage::counter(tx.conn(), project.id).await?;
        let before = Quota::of(project.id, project.name.clone(), &before);
        if generation.is_some_and(|wanted| wanted != before.generation) {
            return Err(Error::new(
                ErrorKind::Stale,
                "stale",
                "the limits were changed meanwhile; read them again",
            ));
        }
        if before.limits == limits && before.updated_at.is_some() {
            return Ok(before);
        }
        store::usage::set_limits(tx.conn(), project.id, limits, now).await?;
        let facts =
            |limits: Limits| json!({ "maxBytes": limits.bytes, "maxArtifacts": limits.artifacts });
        let event = NewEvent::new(
            "quota.update",
            Target::new("project", project.id, &project.name),
            format!("Project {} may now store {}", project.name, words(limits)),
        )
        .in_project(project.id)
        .detail(json!({ "before": facts(before.limits), "after": facts(limits) }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        let after = store::usage::counter(tx.conn(), project.id).await?;
        tx.commit().await?;
        Ok(Quota::of(project.id, project.name, &after))
    }
}

/// A size for people and to the byte.
fn exact(bytes: i64) -> String {
    if bytes < 1000 { size(bytes) } else { format!("{} ({bytes} bytes)", size(bytes)) }
}

fn words(limits: Limits) -> String {
    let bytes = limits.bytes.map_or("any number of bytes".to_owned(), exact);
    let artifacts =
        limits.artifacts.map_or("any number of artifacts".to_owned(), |n| format!("{n} artifacts"));
    format!("{bytes} and {artifacts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_as_words() {
        let limits = Limits { bytes: Some(2_500_000), artifacts: None };
        assert_eq!(words(limits), "2.5 MB (2500000 bytes) and any number of artifacts");
    }
}

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

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::store::usage::Counter;
use super::{Registry, store};
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::id::ProjectId;
use crate::base::quantity::size;
use crate::base::{
    Actor, Digest, Error, ErrorKind, Page, PageRequest, ProjectName, RepositoryName, Result,
    Timestamp,
};
use crate::catalog::Project;
use crate::db::Tx;
use crate::events::{self, NewEvent, Outcome, Target};
use crate::tasks::{self, Activator};

const READ: Permission = Permission(Resource::Quota, Action::Read);
const UPDATE: Permission = Permission(Resource::Quota, Action::Update);
const READ_ALL: Permission = Permission(Resource::System, Action::Read);
const UPDATE_ALL: Permission = Permission(Resource::System, Action::Update);

/// Largest limit, bytes or artifacts.
pub const MAX_LIMIT: i64 = 1 << 60;
/// Repositories named as the largest.
const LARGEST: i64 = 10;
const SETTLE_EVERY: Duration = Duration::from_secs(5);
/// A project that is full leaves one event in this time, however often clients try.
const REFUSED_EVERY: chrono::Duration = chrono::Duration::minutes(10);

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

/// What a project stores beside what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drift {
    pub bytes: i64,
    pub artifacts: i64,
    pub counted_bytes: i64,
    pub counted_artifacts: i64,
    /// Blobs whose links were counted wrong.
    pub blobs: i64,
}

impl Drift {
    /// Whether the count is right.
    pub fn is_none(&self) -> bool {
        self.bytes == self.counted_bytes
            && self.artifacts == self.counted_artifacts
            && self.blobs == 0
    }
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

/// When each project last left an event about a refusal.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<ProjectId, Timestamp>>);

impl Refusals {
    fn is_news(&self, project: ProjectId, now: Timestamp) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, at| now - *at < REFUSED_EVERY);
        if all.contains_key(&project) {
            return false;
        }
        all.insert(project, now);
        true
    }
}

/// Room for an upload, as it was when the upload's request began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub project: ProjectId,
    /// Bytes that still fit; `None`: no limit.
    pub left: Option<u64>,
}

/// Code of what the quota refuses.
pub(super) const NO_ROOM: &str = "quota_exceeded";

/// `bytes` do not fit; the words come later, when no file is held (`Registry::no_room`).
pub(super) fn no_room(bytes: u64) -> Error {
    Error::new(
        ErrorKind::Denied,
        NO_ROOM,
        "the quota of the project is used up; delete images, or ask an administrator to raise it",
    )
    .with_detail(json!({ "needed": { "bytes": bytes } }))
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

    /// Compares the count of a project with what it stores and mends it; for administrators.
    pub async fn recalculate_quota(&self, actor: &Actor, project: &ProjectName) -> Result<Drift> {
        let project = self.catalog.project(actor, project, UPDATE).await?;
        self.verify(actor, project.id, &project.name, true).await
    }

    /// Compares the count of every project with what it stores, and mends it with `mend`:
    /// projects looked at, and those whose count was wrong. For administrators.
    pub async fn verify_quotas(
        &self,
        actor: &Actor,
        mend: bool,
    ) -> Result<(u64, Vec<(ProjectName, Drift)>)> {
        if actor.kind != crate::base::ActorKind::System {
            require_platform(actor, UPDATE_ALL)?;
        }
        let (mut looked, mut wrong) = (0, Vec::new());
        let mut after: Option<String> = None;
        loop {
            let mut conn = self.db.read().await?;
            let rows = store::usage::list(&mut conn, None, after.as_deref(), 100).await?;
            drop(conn);
            let Some(last) = rows.last() else { return Ok((looked, wrong)) };
            after = Some(last.project.to_string());
            for quota in rows {
                looked += 1;
                let drift = self.verify(actor, quota.project_id, &quota.project, mend).await?;
                if !drift.is_none() {
                    wrong.push((quota.project, drift));
                }
            }
        }
    }

    async fn verify(
        &self,
        actor: &Actor,
        id: ProjectId,
        name: &ProjectName,
        mend: bool,
    ) -> Result<Drift> {
        let drift = store::usage::drift(&mut *self.db.read().await?, id).await?;
        if drift.is_none() || !mend {
            return Ok(drift);
        }
        let mut tx = self.db.begin().await?;
        // Of two that mend, the second looks after the first has committed. What is added is the
        // difference as one look saw it, so pushes may go on meanwhile.
        store::usage::lock(tx.conn(), id, self.now()).await?;
        let drift = store::usage::drift(tx.conn(), id).await?;
        if drift.is_none() {
            return Ok(drift);
        }
        let amount = Amount {
            bytes: drift.bytes - drift.counted_bytes,
            manifests: drift.artifacts - drift.counted_artifacts,
        };
        store::usage::add(tx.conn(), id, amount).await?;
        store::usage::mend_links(tx.conn(), id).await?;
        let event = NewEvent::new(
            "quota.mend",
            Target::new("project", id, name),
            format!(
                "The counted use of project {name} was {} bytes, {} artifacts and {} blobs off; it is right again",
                amount.bytes, amount.manifests, drift.blobs
            ),
        )
        .in_project(id)
        .outcome(Outcome::Failure)
        .detail(json!({
            "counted": { "bytes": drift.counted_bytes, "artifacts": drift.counted_artifacts },
            "stored": { "bytes": drift.bytes, "artifacts": drift.artifacts },
            "blobs": drift.blobs,
        }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        Ok(drift)
    }

    /// Refuses an upload to a project that is full.
    pub(super) async fn check_room(
        &self,
        actor: &Actor,
        project: ProjectId,
        name: &ProjectName,
    ) -> Result<()> {
        let counter = store::usage::limited(&mut *self.db.read().await?, project).await?;
        let Some(counter) = counter else { return Ok(()) };
        let full = |max: Option<i64>, used: i64| max.is_some_and(|max| used >= max);
        if full(counter.max_bytes, counter.bytes) {
            let needed = Amount { bytes: 1, manifests: 0 };
            return Err(self.say_full(actor, project, name, &counter, needed).await);
        }
        if full(counter.max_manifests, counter.manifests) {
            let needed = Amount { bytes: 0, manifests: 1 };
            return Err(self.say_full(actor, project, name, &counter, needed).await);
        }
        Ok(())
    }

    /// Refuses `needed` bytes that do not fit into `room`. What the project has needs none.
    pub(super) async fn check_fits(
        &self,
        room: &mut Room,
        needed: u64,
        digest: Option<&Digest>,
    ) -> Result<()> {
        let Some(left) = room.left else { return Ok(()) };
        if let Some(digest) = digest {
            let mut conn = self.db.read().await?;
            if store::usage::has_blob(&mut conn, room.project, &digest.to_string()).await? {
                room.left = None;
                return Ok(());
            }
        }
        if needed <= left { Ok(()) } else { Err(no_room(needed)) }
    }

    /// The refusal of `needed` bytes.
    pub(super) async fn no_room(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        project: ProjectId,
        needed: u64,
    ) -> Result<Error> {
        let counter = store::usage::counter(&mut *self.db.read().await?, project).await?;
        let needed = Amount { bytes: i64::try_from(needed).unwrap_or(i64::MAX), manifests: 0 };
        Ok(self.say_full(actor, project, &name.project(), &counter, needed).await)
    }

    /// Holds what a transaction is about to commit to the project's limits. The last thing before
    /// the commit. `false`: it does not fit, and the transaction must not be committed.
    pub(super) async fn fits(
        &self,
        tx: &mut Tx,
        project: ProjectId,
        grown: Amount,
    ) -> Result<bool> {
        if grown.bytes <= 0 && grown.manifests <= 0 {
            return Ok(true);
        }
        if !store::usage::lock_limited(tx.conn(), project).await? {
            return Ok(true);
        }
        Ok(store::usage::settle_within(tx.conn(), project, grown).await?)
    }

    /// Says what does not fit. Call it without the transaction that did not.
    pub(super) async fn refusal(
        &self,
        actor: &Actor,
        project: ProjectId,
        name: &ProjectName,
        needed: Amount,
    ) -> Result<Error> {
        let counter = store::usage::counter(&mut *self.db.read().await?, project).await?;
        Ok(self.say_full(actor, project, name, &counter, needed).await)
    }

    async fn say_full(
        &self,
        actor: &Actor,
        project: ProjectId,
        name: &ProjectName,
        counter: &Counter,
        needed: Amount,
    ) -> Error {
        let over =
            counter.max_bytes.filter(|max| counter.bytes.saturating_add(needed.bytes) > *max);
        let what = match (over, counter.max_manifests) {
            (None, Some(max)) => format!(
                "project \"{name}\" may hold {max} artifacts and holds {}; this needs {} more",
                counter.manifests,
                needed.manifests.max(1)
            ),
            (max, _) => format!(
                "project \"{name}\" may store {} and stores {}; this needs {} more",
                exact(max.or(counter.max_bytes).unwrap_or_default()),
                exact(counter.bytes),
                if needed.bytes <= 1 { "room".to_owned() } else { exact(needed.bytes) },
            ),
        };
        let message = format!(
            "{what}. Delete images, or ask an administrator of this registry to raise the quota of the project"
        );
        let detail = json!({
            "limit": { "bytes": counter.max_bytes, "artifacts": counter.max_manifests },
            "used": { "bytes": counter.bytes, "artifacts": counter.manifests },
            "needed": { "bytes": needed.bytes, "artifacts": needed.manifests },
        });
        if self.shared.refusals.is_news(project, self.now()) {
            let event = NewEvent::new(
                "quota.exceed",
                Target::new("project", project, name),
                format!("A push was refused: {what}"),
            )
            .in_project(project)
            .outcome(Outcome::Denied)
            .detail(detail.clone());
            let noted = events::append_alone(&self.db, &*self.clock.0, actor, event).await;
            if let Err(error) = noted {
                tracing::warn!(error = %error.chain(), "a refusal left no event");
            }
        }
        Error::new(ErrorKind::Denied, NO_ROOM, message).with_detail(detail)
    }

    /// Moves the changes of all projects into their rows.
    pub async fn settle_usage(&self) -> Result<()> {
        let projects = store::usage::unsettled(&mut *self.db.read().await?).await?;
        for project in projects {
            let mut tx = self.db.begin().await?;
            store::usage::lock(tx.conn(), project, self.now()).await?;
            store::usage::settle_within(tx.conn(), project, Amount::default()).await?;
            tx.commit().await?;
            store::usage::forget_released(&mut *self.db.read().await?, project).await?;
        }
        Ok(())
    }

    pub(super) async fn keep_settling(&self, stop: CancellationToken) {
        let work = || self.settle_usage();
        tasks::drive("use of projects", SETTLE_EVERY, Activator::default(), stop, work).await;
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
    fn a_full_project_is_news_once_in_ten_minutes() {
        let refusals = Refusals::default();
        let now = Timestamp::UNIX_EPOCH;
        let project = ProjectId::new(now);
        assert!(refusals.is_news(project, now));
        assert!(!refusals.is_news(project, now + chrono::Duration::minutes(9)));
        assert!(refusals.is_news(project, now + chrono::Duration::minutes(10)));
    }

    #[test]
    fn limits_read_as_words() {
        let limits = Limits { bytes: Some(2_500_000), artifacts: None };
        assert_eq!(words(limits), "2.5 MB (2500000 bytes) and any number of artifacts");
    }
}

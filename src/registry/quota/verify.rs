//! Whether the counts are right: changes settled into them, compared with what is stored, mended.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Amount, UPDATE};
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::id::ProjectId;
use crate::base::{Actor, ActorKind, ProjectName, Result};
use crate::events::{self, NewEvent, Outcome, Target};
use crate::registry::{Registry, store};
use crate::tasks::{self, Activator};

const UPDATE_ALL: Permission = Permission(Resource::System, Action::Update);
const SETTLE_EVERY: Duration = Duration::from_secs(5);

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

impl Registry {
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
        if actor.kind != ActorKind::System {
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

    pub(in crate::registry) async fn keep_settling(&self, stop: CancellationToken) {
        let work = || self.settle_usage();
        tasks::drive("use of projects", SETTLE_EVERY, Activator::default(), stop, work).await;
    }
}

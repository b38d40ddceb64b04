//! Whether there is room: asked early and without a lock, decided right before the commit, and
//! refused in words that help.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::{Amount, exact};
use crate::base::id::ProjectId;
use crate::base::{
    Actor, Digest, Error, ErrorKind, ProjectName, RepositoryName, Result, Timestamp,
};
use crate::db::Tx;
use crate::events::{self, NewEvent, Outcome, Target};
use crate::registry::store::usage::Counter;
use crate::registry::{Registry, store};

/// A project that is full leaves one event in this time, however often clients try.
const REFUSED_EVERY: chrono::Duration = chrono::Duration::minutes(10);

/// When each project last left an event about a refusal.
#[derive(Debug, Default)]
pub(in crate::registry) struct Refusals(Mutex<HashMap<ProjectId, Timestamp>>);

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
pub(in crate::registry) struct Room {
    pub project: ProjectId,
    /// Bytes that still fit; `None`: no limit.
    pub left: Option<u64>,
}

/// Code of what the quota refuses.
pub(in crate::registry) const NO_ROOM: &str = "quota_exceeded";

/// `bytes` do not fit; the words come later, when no file is held (`Registry::no_room`).
pub(in crate::registry) fn no_room(bytes: u64) -> Error {
    Error::new(
        ErrorKind::Denied,
        NO_ROOM,
        "the quota of the project is used up; delete images, or ask an administrator to raise it",
    )
    .with_detail(json!({ "needed": { "bytes": bytes } }))
}

impl Registry {
    /// Refuses an upload to a project that is full.
    pub(in crate::registry) async fn check_room(
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
    pub(in crate::registry) async fn check_fits(
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
    pub(in crate::registry) async fn no_room(
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
    pub(in crate::registry) async fn fits(
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
    pub(in crate::registry) async fn refusal(
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
            // Nothing is known yet but that it is not empty.
            (max, _) if needed.bytes <= 1 => format!(
                "project \"{name}\" may store {} and stores {}; there is no room for more",
                exact(max.or(counter.max_bytes).unwrap_or_default()),
                exact(counter.bytes),
            ),
            (max, _) => format!(
                "project \"{name}\" may store {} and stores {}; this needs {} more",
                exact(max.or(counter.max_bytes).unwrap_or_default()),
                exact(counter.bytes),
                exact(needed.bytes),
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
}

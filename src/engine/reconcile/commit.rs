//! Makes a plan durable: intents, statuses and decisions in one transaction that still sees this
//! leader's fencing token.

use serde_json::json;

use super::Session;
use super::look::{Stored, stored_status};
use crate::base::id::ReplicaId;
use crate::base::{Actor, Error, Result};
use crate::db::Tx;
use crate::engine::loaded::event_of;
use crate::engine::plan::{Decision, Plan, Replica, Snapshot, Verdict};
use crate::engine::store::deployments::{self, Observation};
use crate::engine::store::revisions::{self, Standing};
use crate::engine::store::{lease, replicas};
use crate::engine::view::{RevisionOutcome, RolloutFailure};
use crate::events::{self, Outcome, Target};

/// Log lines kept as evidence of a failed rollout.
const EVIDENCE_LINES: u32 = 50;

impl Session {
    /// Commits a plan; `false` when the desired state it was made for has changed.
    pub(super) async fn commit(
        &self,
        stored: &Stored,
        snapshot: &Snapshot,
        plan: &Plan,
        created: &[Replica],
    ) -> Result<bool> {
        let row = &stored.row;
        let status = stored_status(plan)?;
        let same = row.status == status && row.observed_generation == row.generation;
        let idle = plan.rows.is_empty()
            && created.is_empty()
            && plan.forgets.is_empty()
            && plan.decisions.is_empty()
            && plan.verdict.is_none()
            && !plan.gone;
        if same && idle {
            return Ok(true);
        }
        let failure = self.evidence(stored, snapshot, plan).await;
        let mut tx = self.engine.db.begin().await?;
        if !lease::check(tx.conn(), self.token).await? {
            self.stop.cancel();
            return Err(Error::unavailable("another server drives the engine"));
        }
        let undo_to = match &plan.verdict {
            Some(Verdict::Failed { undo_to, .. }) => *undo_to,
            _ => None,
        };
        let completed = matches!(plan.verdict, Some(Verdict::Completed));
        let seen = Observation {
            generation: row.generation,
            status: &status,
            current_revision: undo_to.unwrap_or(row.current_revision),
            stable_revision: if completed {
                Some(row.current_revision)
            } else {
                row.stable_revision
            },
            restored: undo_to.is_some(),
        };
        if !deployments::observe(tx.conn(), row.id, &seen).await? {
            return Ok(false);
        }
        self.write(&mut tx, stored, plan, created).await?;
        if let Some(verdict) = &plan.verdict {
            let current = stored.revision(row.current_revision)?;
            let standing = self.standing(verdict, &current.row);
            revisions::set_standing(tx.conn(), current.row.id, &standing, failure.as_ref()).await?;
        }
        for decision in &plan.decisions {
            self.tell(&mut tx, stored, decision).await?;
        }
        if plan.gone {
            let event = event_of("deployment.gone", row, format!("{} is gone", row.path()));
            let actor = Actor::system();
            events::append(&mut tx, &*self.engine.clock.0, &actor, event).await?;
            deployments::delete(tx.conn(), row.id).await?;
        }
        let last = plan.gone && !deployments::any_in(tx.conn(), row.environment_id).await?;
        tx.commit().await?;
        if last {
            self.drop_network(&row.environment).await;
        }
        Ok(true)
    }

    async fn write(
        &self,
        tx: &mut Tx,
        stored: &Stored,
        plan: &Plan,
        created: &[Replica],
    ) -> Result<()> {
        for replica in created {
            let revision = stored.revision(replica.revision)?.row.id;
            replicas::insert(tx.conn(), stored.row.id, revision, replica).await?;
        }
        for replica in &plan.rows {
            replicas::update(tx.conn(), replica).await?;
        }
        for id in &plan.forgets {
            replicas::delete(tx.conn(), *id).await?;
        }
        Ok(())
    }

    fn standing(
        &self,
        verdict: &Verdict,
        revision: &crate::engine::store::RevisionRow,
    ) -> Standing {
        let now = self.now();
        let mut standing = Standing {
            outcome: RevisionOutcome::Progressing,
            started_at: revision.started_at.or(Some(now)),
            progressed_at: revision.progressed_at,
            finished_at: None,
        };
        match verdict {
            Verdict::Started => {
                standing.started_at = Some(now);
                standing.progressed_at = Some(now);
            }
            Verdict::Progressed => standing.progressed_at = Some(now),
            Verdict::Completed => {
                standing.outcome = RevisionOutcome::Complete;
                standing.finished_at = Some(now);
            }
            Verdict::Failed { .. } => {
                standing.outcome = RevisionOutcome::Failed;
                standing.finished_at = Some(now);
            }
        }
        standing
    }

    async fn tell(&self, tx: &mut Tx, stored: &Stored, decision: &Decision) -> Result<()> {
        let row = &stored.row;
        let path = row.path();
        let mut event = event_of(decision.action, row, format!("{path}: {}", decision.message))
            .detail(decision.detail.clone());
        if let Some(name) = &decision.replica {
            event.target = Target::named("replica", format!("{}/{name}", row.environment));
        }
        if decision.failure {
            event = event.outcome(Outcome::Failure);
        }
        events::append(tx, &*self.engine.clock.0, &Actor::system(), event).await
    }

    /// Why a rollout failed, as its users need to see it.
    async fn evidence(
        &self,
        stored: &Stored,
        snapshot: &Snapshot,
        plan: &Plan,
    ) -> Option<RolloutFailure> {
        let Some(Verdict::Failed { reason, witness, undo_to }) = &plan.verdict else { return None };
        let member =
            witness.and_then(|id: ReplicaId| snapshot.members.iter().find(|m| m.replica.id == id));
        let container = witness.and_then(|id| self.world().containers(id).pop());
        let log_lines = match &container {
            Some(container) => self.engine.last_lines(&container.id, EVIDENCE_LINES).await,
            None => Vec::new(),
        };
        tracing::info!(
            deployment.name = stored.row.path(),
            reason,
            "a rollout failed; log lines kept: {}",
            json!(log_lines.len())
        );
        Some(RolloutFailure {
            reason: reason.clone(),
            replica: member.map(|m| m.replica.name.clone()),
            log_lines,
            probe_answers: witness.map(|id| self.world().answers(id)).unwrap_or_default(),
            restored_revision: *undo_to,
        })
    }
}

//! A deployment as it is read: its row, its current revision, and the view made of both.

use super::Engine;
use super::spec::DeploymentSpec;
use super::store::deployments::{self as store, Which};
use super::store::{DeploymentRow, RevisionRow, revisions};
use super::view::{
    DeploymentPhase, DeploymentStatus, DeploymentView, RevisionOutcome, RolloutView,
};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Actor, DeploymentName, EnvironmentName, Error, Result};
use crate::catalog::Environment;
use crate::events::{NewEvent, Target};

/// A deployment and its current revision.
pub(super) struct Loaded {
    pub(super) row: DeploymentRow,
    pub(super) revision: RevisionRow,
}

impl Loaded {
    pub(super) fn spec(&self) -> Result<DeploymentSpec> {
        self.row.spec(self.revision.template()?)
    }

    pub(super) fn view(&self) -> Result<DeploymentView> {
        let row = &self.row;
        let mut status: DeploymentStatus =
            serde_json::from_value(row.status.clone()).unwrap_or_default();
        if row.deleting_at.is_some() {
            status.phase = DeploymentPhase::Deleting;
        } else if row.generation != row.observed_generation
            && matches!(status.phase, DeploymentPhase::Healthy | DeploymentPhase::ScaledToZero)
        {
            // What was settled is not any more; the engine looks at it in a moment.
            status.phase = DeploymentPhase::Progressing;
            "a change was accepted just now".clone_into(&mut status.reason);
        }
        let spec = self.spec()?;
        Ok(DeploymentView {
            id: row.id.uuid(),
            environment: row.environment.clone(),
            project: row.project.clone(),
            name: row.name.clone(),
            revision: row.current_revision,
            stable_revision: row.stable_revision,
            generation: row.generation,
            observed_generation: row.observed_generation,
            rollout: Some(rollout_view(&self.revision, &spec, &status)),
            spec,
            status,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn rollout_view(
    revision: &RevisionRow,
    spec: &DeploymentSpec,
    status: &DeploymentStatus,
) -> RolloutView {
    let outcome = revision.outcome();
    let running = outcome == RevisionOutcome::Progressing;
    let deadline = chrono::Duration::seconds(i64::from(spec.progress_deadline_seconds));
    RolloutView {
        revision: revision.number,
        previous: revision.previous,
        outcome,
        started_at: revision.started_at,
        finished_at: revision.finished_at,
        deadline_at: revision
            .progressed_at
            .filter(|_| running && !spec.paused)
            .map(|t| t + deadline),
        waiting_for: if running { status.reason.clone() } else { String::new() },
    }
}

/// Shorthand for permissions on deployments.
pub(super) fn on_deployment(action: Action) -> Permission {
    Permission(Resource::Deployment, action)
}

/// An event about a deployment.
pub(super) fn event_of(
    action: &'static str,
    row: &DeploymentRow,
    message: impl Into<String>,
) -> NewEvent {
    NewEvent::new(action, Target::new("deployment", row.id, row.path()), message)
        .in_project(row.project_id)
        .of_deployment(row.environment_id, row.id)
}

impl Engine {
    pub(super) async fn find_deployment(
        &self,
        environment: &Environment,
        name: &str,
    ) -> Result<Option<Loaded>> {
        let mut conn = self.db.read().await?;
        let which =
            Which { environment: Some(environment.id), name: Some(name), ..Which::default() };
        let Some(row) = store::find(&mut conn, &which).await? else { return Ok(None) };
        let revision = revisions::list(&mut conn, row.id, Some(row.current_revision)).await?.pop();
        // Absent only when it was changed between the two reads; the next attempt sees both.
        let revision =
            revision.ok_or_else(|| Error::unavailable("the deployment changes; retry"))?;
        Ok(Some(Loaded { row, revision }))
    }

    /// Finds a deployment and checks a permission in its project.
    pub(super) async fn load(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        permission: Permission,
    ) -> Result<Loaded> {
        let environment = self.catalog.environment(actor, environment, permission).await?;
        self.find_deployment(&environment, name.as_str())
            .await?
            .ok_or_else(|| Error::not_found("deployment", name))
    }
}

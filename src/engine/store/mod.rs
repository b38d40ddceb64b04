//! SQL of the engine, and the rows as the rest of the engine sees them.
//!
//! Opaque columns are read as JSON values and parsed row by row, so that one malformed row never
//! hides the others.

pub(super) mod deployments;
pub(super) mod lease;
pub(super) mod nodes;
pub(super) mod replicas;
pub(super) mod revisions;
pub(super) mod services;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::spec::{DeploymentSpec, PodTemplate, RollbackPolicy, Strategy};
use super::view::{RevisionOutcome, RolloutFailure};
use crate::base::id::{ApplicationId, DeploymentId, EnvironmentId, ProjectId, RevisionId};
use crate::base::{Digest, Error, ErrorKind, Result, Timestamp};

/// The part of a deployment's spec that makes no revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) strategy: Strategy,
    pub(super) min_ready_seconds: u32,
    pub(super) progress_deadline_seconds: u32,
    pub(super) revision_history_limit: u32,
    pub(super) paused: bool,
    pub(super) rollback: RollbackPolicy,
}

impl Settings {
    pub(super) fn of(spec: &DeploymentSpec) -> Self {
        Self {
            strategy: spec.strategy.clone(),
            min_ready_seconds: spec.min_ready_seconds,
            progress_deadline_seconds: spec.progress_deadline_seconds,
            revision_history_limit: spec.revision_history_limit,
            paused: spec.paused,
            rollback: spec.rollback,
        }
    }
}

/// A deployment with the names of what it belongs to.
#[derive(Debug, Clone)]
pub(super) struct DeploymentRow {
    pub(super) id: DeploymentId,
    pub(super) environment_id: EnvironmentId,
    pub(super) environment: String,
    pub(super) project_id: ProjectId,
    pub(super) project: String,
    pub(super) application_id: Option<ApplicationId>,
    pub(super) application: Option<String>,
    pub(super) name: String,
    pub(super) replicas: i32,
    pub(super) settings: Value,
    pub(super) current_revision: i64,
    pub(super) stable_revision: Option<i64>,
    pub(super) generation: i64,
    pub(super) observed_generation: i64,
    pub(super) status: Value,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) deleting_at: Option<Timestamp>,
}

impl DeploymentRow {
    pub(super) fn settings(&self) -> Result<Settings> {
        parse("settings", &self.path(), &self.settings)
    }

    pub(super) fn wanted(&self) -> u32 {
        u32::try_from(self.replicas).unwrap_or(0)
    }

    /// `environment/name`, as people write it.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.environment, self.name)
    }

    /// The whole spec, with the template of a revision.
    pub(super) fn spec(&self, template: PodTemplate) -> Result<DeploymentSpec> {
        let settings = self.settings()?;
        Ok(DeploymentSpec {
            application: self.application.clone(),
            replicas: self.wanted(),
            strategy: settings.strategy,
            min_ready_seconds: settings.min_ready_seconds,
            progress_deadline_seconds: settings.progress_deadline_seconds,
            revision_history_limit: settings.revision_history_limit,
            paused: settings.paused,
            rollback: settings.rollback,
            template,
        })
    }
}

/// A revision.
#[derive(Debug, Clone)]
pub(super) struct RevisionRow {
    pub(super) id: RevisionId,
    pub(super) deployment_id: DeploymentId,
    pub(super) number: i64,
    pub(super) template: Value,
    pub(super) images: Value,
    pub(super) cause: String,
    pub(super) created_by: String,
    pub(super) created_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) progressed_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) outcome: String,
    pub(super) failure: Option<Value>,
    pub(super) previous: Option<i64>,
}

/// Image reference as written → pinned digest.
pub(super) type Images = BTreeMap<String, Digest>;

impl RevisionRow {
    pub(super) fn template(&self) -> Result<PodTemplate> {
        parse("template", &format!("revision {}", self.number), &self.template)
    }

    pub(super) fn images(&self) -> Result<Images> {
        parse("images", &format!("revision {}", self.number), &self.images)
    }

    pub(super) fn outcome(&self) -> RevisionOutcome {
        RevisionOutcome::parse(&self.outcome).unwrap_or(RevisionOutcome::Pending)
    }

    pub(super) fn failure(&self) -> Option<RolloutFailure> {
        self.failure.clone().and_then(|value| serde_json::from_value(value).ok())
    }
}

/// A revision to insert.
#[derive(Debug, Clone)]
pub(super) struct NewRevision {
    pub(super) template: PodTemplate,
    pub(super) images: Images,
    pub(super) cause: String,
    pub(super) created_by: String,
}

impl NewRevision {
    /// SHA-256 of what runs.
    pub(super) fn hash(&self) -> Result<String> {
        let text = serde_json::to_vec(&(&self.template, &self.images))
            .map_err(|e| Error::internal("writing a revision", e))?;
        Ok(Digest::sha256(&text).hex().to_owned())
    }
}

fn parse<T: DeserializeOwned>(column: &str, of: &str, value: &Value) -> Result<T> {
    serde_json::from_value(value.clone()).map_err(|error| {
        Error::new(ErrorKind::Internal, "stored_state_invalid", format!("stored {column} of {of}"))
            .with_source(error)
    })
}

fn json<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|e| Error::internal("writing stored state", e))
}

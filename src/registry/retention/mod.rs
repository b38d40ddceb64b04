//! Retention: rules that say which tags and images a project keeps, and runs that remove the
//! others.
//!
//! A *plan* lists everything in the repositories that a removing rule covers, each with what
//! becomes of it and why. A *run* applies one plan: it removes what the plan names and what is
//! still as the plan found it, and nothing else. What moved, was pushed or pulled again, or came
//! into use since is *skipped*, and the run's report says so.
//!
//! # Design notes
//!
//! Rules are evaluated in memory, one repository after the other (`evaluate` is pure), and the
//! plan is stored row by row. The rejected option, one SQL statement that evaluates and deletes,
//! cannot be shown before it acts. Each removal is a transaction of its own: it locks the row,
//! compares it with the plan, deletes through the function that the API uses and notes the
//! outcome. So a crash between any two leaves a run that goes on where it was, and two servers
//! that work on one run cannot do anything twice.

mod apply;
pub(crate) mod evaluate;
mod pattern;
mod plan;
mod policy;
pub mod rule;
mod schedule;

use serde::{Deserialize, Serialize};

use crate::base::id::{ManifestId, PlanId, ProjectId, RepositoryId, RunId};
use crate::base::{Digest, RepositoryName, Result, Timestamp};
use crate::db::Tx;

pub use pattern::Pattern;
pub use policy::{NewPolicy, Policy};
pub use rule::{Kind, Rule, RuleText};
pub use schedule::{Every, Schedule};

/// How long a plan can be applied.
pub const PLAN_LIFE: chrono::Duration = chrono::Duration::minutes(15);
/// Most rows of a plan.
pub const MAX_ITEMS: i64 = 500_000;
/// Runs of a project whose report is kept.
pub const KEPT_RUNS: i64 = 100;

/// Which deployment may need an image, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Use {
    /// `environment/name`; absent when the deployment belongs to another project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    pub revision: i64,
    pub role: UseRole,
}

/// What the revision that pins an image is to its deployment.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum UseRole {
    /// It should run.
    Current,
    /// An automatic undo goes there.
    Stable,
    /// It can be rolled back to.
    Earlier,
}

/// An image that a deployment may need.
#[derive(Debug, Clone)]
pub struct UsedImage {
    pub repository: RepositoryName,
    pub digest: Digest,
    /// The tag that the current revision names, wherever it points now.
    pub tag: Option<String>,
    /// Project of the deployment.
    pub project: ProjectId,
    /// `environment/name`.
    pub deployment: String,
    pub revision: i64,
    pub role: UseRole,
}

/// Port: what deployments may need, now or after going back. The engine plugs it in.
#[async_trait::async_trait]
pub trait InUse: Send + Sync + std::fmt::Debug + 'static {
    /// Every image of `project` that some deployment, of any project, may need.
    async fn used(&self, project: &crate::base::ProjectName) -> Result<Vec<UsedImage>>;

    /// Uses of one image, as the transaction sees them.
    async fn uses(
        &self,
        tx: &mut Tx,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<UsedImage>>;
}

impl UsedImage {
    /// What members of `project` may know of it.
    fn shown_in(&self, project: ProjectId) -> Use {
        Use {
            deployment: (self.project == project).then(|| self.deployment.clone()),
            revision: self.revision,
            role: self.role,
        }
    }
}

/// Why something is kept or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// A deployment may need it.
    InUse(Use),
    /// A rule about tags makes it immutable or protects it.
    Protected { by: String },
    /// This rule, counted from 1, keeps or removes it.
    Rule { rule: u32 },
    /// No rule removes it.
    NoRule,
    /// It stays or goes with the index that names it.
    Index { digest: Digest },
    /// It stays or goes with its subject.
    Subject { digest: Digest },
    /// Its last tag goes by this rule.
    LastTag { rule: u32 },
}

/// Why a run did not remove what the plan names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Skip {
    /// Somebody removed it already.
    Gone,
    /// The tag points elsewhere now.
    Moved { digest: Digest },
    /// It was pushed again.
    Pushed,
    /// It was pulled since.
    Pulled,
    /// A deployment may need it now.
    InUse(Use),
    /// A rule about tags makes it immutable or protects it now.
    Protected { by: String },
    /// It has a tag.
    Tagged,
    /// An index still names it.
    Index { digest: Digest },
    /// Its subject is still there.
    Subject { digest: Digest },
    /// Something that is not in the plan refers to it.
    Referrer { digest: Digest },
    /// The removal was refused, for instance by a rule that protects the tag.
    Refused { message: String },
    /// The rules were changed during the run.
    RulesChanged,
}

/// One row of a plan, with what a run did about it.
#[derive(Debug, Clone)]
pub struct Item {
    pub position: i64,
    pub repository_id: RepositoryId,
    pub repository: RepositoryName,
    /// `None`: the image itself.
    pub tag: Option<String>,
    pub manifest_id: ManifestId,
    pub digest: Digest,
    /// Config and layers, bytes.
    pub size: i64,
    pub pushed_at: Timestamp,
    pub pulled_at: Option<Timestamp>,
    pub removes: bool,
    pub reason: Reason,
    pub outcome: Option<Outcome>,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Removed,
    Skipped(Skip),
}

/// A plan: what would go now, and why.
#[derive(Debug, Clone)]
pub struct Plan {
    pub id: PlanId,
    pub project_id: ProjectId,
    /// Of the rules it was made from.
    pub generation: i64,
    pub rules: Vec<Rule>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub kept_tags: i64,
    pub removed_tags: i64,
    /// Images without a tag, and images whose tags all go.
    pub kept_images: i64,
    pub removed_images: i64,
    /// Repositories that some removing rule covers.
    pub repositories: i64,
    /// Repositories that none covers; nothing of them is listed.
    pub untouched: i64,
    /// Repositories that would be left without a tag.
    pub emptied: i64,
    /// Bytes that nothing else needs; freed after `Registry::retention_frees_after`.
    pub freed_bytes: i64,
    /// The run that applies it.
    pub run: Option<RunId>,
    /// The rules are still the ones it was made from.
    pub is_current: bool,
}

impl Plan {
    /// Whether it can be applied at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.is_current && now < self.expires_at && self.run.is_none()
    }
}

/// Which rows of a plan.
#[derive(Debug, Clone, Default)]
pub struct ItemFilter {
    /// Only what goes (`true`) or stays (`false`).
    pub removes: Option<bool>,
    /// Only `removed` or `skipped`.
    pub outcome: Option<&'static str>,
    /// Only repositories or tags whose name contains this.
    pub text: Option<String>,
}

/// How a run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Somebody applied a plan that was shown.
    Manual,
    Schedule,
}

impl Trigger {
    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
        }
    }
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A scheduled run makes its plan.
    Planning,
    Running,
    Done,
    /// It would have left a repository without tags, and nobody has allowed that.
    Refused,
    /// The rules were changed during the run.
    Stopped,
}

impl Status {
    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Running => "running",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        match text {
            "planning" => Self::Planning,
            "running" => Self::Running,
            "refused" => Self::Refused,
            "stopped" => Self::Stopped,
            _ => Self::Done,
        }
    }

    /// Whether it goes on.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Planning | Self::Running)
    }
}

/// A run and its report; the rows are those of its plan.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: RunId,
    pub project_id: ProjectId,
    pub plan: Option<PlanId>,
    pub trigger: Trigger,
    pub status: Status,
    pub started_by: String,
    /// Why it was refused or stopped.
    pub message: String,
    /// Tags and images that the plan removes.
    pub total: i64,
    pub removed_tags: i64,
    pub removed_images: i64,
    pub skipped: i64,
    /// Bytes that nothing needs any more.
    pub freed_bytes: i64,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

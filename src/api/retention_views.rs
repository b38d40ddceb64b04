//! Retention as the API shows it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::retention::ScheduleView;
use crate::base::Timestamp;
use crate::registry::retention::{
    Item, Outcome, Plan, Policy, Reason, Rule, RuleText, Run, Skip, Use, UseRole,
};

/// The rules of a project.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyView {
    /// Raised by every change; the ETag.
    generation: i64,
    rules: Vec<RuleView>,
    schedule: ScheduleView,
    /// Somebody allowed that a repository is left without any tag.
    confirm: bool,
    /// Null when the schedule is off.
    next_run_at: Option<DateTime<Utc>>,
    /// Null when nobody has set rules yet.
    updated_by: Option<String>,
    updated_at: Option<DateTime<Utc>>,
}

/// A rule and what it says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleView {
    #[serde(flatten)]
    rule: RuleText,
    sentence: String,
}

impl From<&Rule> for RuleView {
    fn from(rule: &Rule) -> Self {
        Self { rule: rule.text(), sentence: rule.sentence() }
    }
}

impl From<Policy> for PolicyView {
    fn from(policy: Policy) -> Self {
        Self {
            generation: policy.generation,
            rules: policy.rules.iter().map(RuleView::from).collect(),
            schedule: policy.schedule.into(),
            confirm: policy.accepts_empty,
            next_run_at: policy.next_run_at,
            updated_by: Some(policy.updated_by).filter(|name| !name.is_empty()),
            updated_at: policy.updated_at,
        }
    }
}

/// What would go now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlanView {
    id: Uuid,
    /// `ready`, `applied`, `expired` or `outdated` (the rules were changed).
    status: &'static str,
    /// The rules it was made from; reasons name them by their number, from 1.
    rules: Vec<RuleView>,
    created_by: String,
    created_at: DateTime<Utc>,
    /// It can be applied until then.
    expires_at: DateTime<Utc>,
    kept_tags: i64,
    removed_tags: i64,
    /// Images without a tag, and images whose tags all go.
    kept_images: i64,
    removed_images: i64,
    /// Repositories that a removing rule covers.
    repositories: i64,
    /// Repositories that none covers; nothing of them is listed.
    untouched_repositories: i64,
    /// Repositories that would be left without any tag; to apply such a preview needs `confirm`.
    emptied_repositories: i64,
    /// Bytes that nothing else needs.
    freed_bytes: i64,
    /// When they are free at the latest, if the preview was applied now.
    freed_by: DateTime<Utc>,
    /// The run that applied it.
    run: Option<Uuid>,
}

impl PlanView {
    /// As of `now`; the bytes of a removal are free after `frees_after`.
    pub(super) fn of(plan: Plan, now: Timestamp, frees_after: chrono::Duration) -> Self {
        let status = if plan.run.is_some() {
            "applied"
        } else if !plan.is_current {
            "outdated"
        } else if now >= plan.expires_at {
            "expired"
        } else {
            "ready"
        };
        Self {
            id: plan.id.uuid(),
            status,
            rules: plan.rules.iter().map(RuleView::from).collect(),
            created_by: plan.created_by,
            created_at: plan.created_at,
            expires_at: plan.expires_at,
            kept_tags: plan.kept_tags,
            removed_tags: plan.removed_tags,
            kept_images: plan.kept_images,
            removed_images: plan.removed_images,
            repositories: plan.repositories,
            untouched_repositories: plan.untouched,
            emptied_repositories: plan.emptied,
            freed_bytes: plan.freed_bytes,
            freed_by: now + frees_after,
            run: plan.run.map(|id| id.uuid()),
        }
    }
}

/// A tag or an image of a preview, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ItemView {
    repository: String,
    /// Null: the image itself.
    tag: Option<String>,
    digest: String,
    /// Config and layers, bytes, whoever else needs them.
    size: i64,
    pushed_at: DateTime<Utc>,
    /// Last pull known; null when there was none.
    pulled_at: Option<DateTime<Utc>>,
    /// `keep` or `remove`.
    verdict: &'static str,
    reason: ReasonView,
    /// `removed` or `skipped`; null when no run has dealt with it.
    outcome: Option<&'static str>,
    /// Why it was skipped.
    skipped: Option<ReasonView>,
}

/// Why.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReasonView {
    /// Of a verdict: `in_use`, `protected`, `rule`, `no_rule`, `index`, `subject`, `last_tag`. Of a skip:
    /// `gone`, `moved`, `pushed`, `pulled`, `in_use`, `protected`, `tagged`, `index`, `subject`, `referrer`,
    /// `refused`, `rules_changed`.
    code: &'static str,
    /// One sentence.
    message: String,
    /// Number of the rule that decided, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<u32>,
    /// The image that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// `environment/name`; absent for a deployment of another project.
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

fn in_use(used: Use) -> ReasonView {
    let place = used.deployment.clone().unwrap_or_else(|| "another project".to_owned());
    let role = match used.role {
        UseRole::Current => "which is to run",
        UseRole::Stable => "where an automatic undo goes",
        UseRole::Earlier => "which can be rolled back to",
    };
    ReasonView {
        code: "in_use",
        message: format!("in use by {place}, revision {}, {role}", used.revision),
        deployment: used.deployment,
        revision: Some(used.revision),
        ..ReasonView::default()
    }
}

fn of_rule(code: &'static str, rule: u32, message: String) -> ReasonView {
    ReasonView { code, message, rule: Some(rule), ..ReasonView::default() }
}

fn of_image(code: &'static str, digest: &crate::base::Digest, message: &str) -> ReasonView {
    let message = format!("{message} {}", digest.short());
    ReasonView { code, message, digest: Some(digest.to_string()), ..ReasonView::default() }
}

fn plain(code: &'static str, message: impl Into<String>) -> ReasonView {
    ReasonView { code, message: message.into(), ..ReasonView::default() }
}

fn verdict(reason: Reason, removes: bool) -> ReasonView {
    match reason {
        Reason::InUse(used) => in_use(used),
        Reason::Protected { by } => plain("protected", format!("locked by the tag rule \"{by}\"")),
        Reason::Rule { rule } if removes => {
            of_rule("rule", rule, format!("removed by rule {rule}"))
        }
        Reason::Rule { rule } => of_rule("rule", rule, format!("kept by rule {rule}")),
        Reason::NoRule => plain("no_rule", "no rule removes it"),
        Reason::Index { digest } if removes => of_image("index", &digest, "goes with the index"),
        Reason::Index { digest } => of_image("index", &digest, "stays with the index"),
        Reason::Subject { digest } if removes => {
            of_image("subject", &digest, "goes with its subject")
        }
        Reason::Subject { digest } => of_image("subject", &digest, "stays with its subject"),
        Reason::LastTag { rule } => {
            of_rule("last_tag", rule, format!("its last tag goes by rule {rule}"))
        }
    }
}

fn skipped(skip: Skip) -> ReasonView {
    match skip {
        Skip::Gone => plain("gone", "somebody else removed it"),
        Skip::Moved { digest } => of_image("moved", &digest, "the tag moved to"),
        Skip::Pushed => plain("pushed", "it was pushed again"),
        Skip::Pulled => plain("pulled", "it was pulled after the preview"),
        Skip::InUse(used) => in_use(used),
        Skip::Protected { by } => plain("protected", format!("locked by the tag rule \"{by}\"")),
        Skip::Tagged => plain("tagged", "it has a tag"),
        Skip::Index { digest } => of_image("index", &digest, "an index still names it:"),
        Skip::Subject { digest } => of_image("subject", &digest, "its subject is still there:"),
        Skip::Referrer { digest } => of_image("referrer", &digest, "something new refers to it:"),
        Skip::Refused { message } => plain("refused", message),
        Skip::RulesChanged => plain("rules_changed", "the rules were changed during the run"),
    }
}

impl From<Item> for ItemView {
    fn from(item: Item) -> Self {
        let (outcome, skip) = match item.outcome {
            None => (None, None),
            Some(Outcome::Removed) => (Some("removed"), None),
            Some(Outcome::Skipped(skip)) => (Some("skipped"), Some(skipped(skip))),
        };
        Self {
            repository: item.repository.to_string(),
            tag: item.tag,
            digest: item.digest.to_string(),
            size: item.size,
            pushed_at: item.pushed_at,
            pulled_at: item.pulled_at,
            verdict: if item.removes { "remove" } else { "keep" },
            reason: verdict(item.reason, item.removes),
            outcome,
            skipped: skip,
        }
    }
}

/// A run.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunView {
    id: Uuid,
    /// The preview it applies; null while a scheduled run makes its own.
    preview: Option<Uuid>,
    /// `manual` or `schedule`.
    trigger: &'static str,
    /// `planning`, `running`, `done`, `refused` or `stopped`.
    status: &'static str,
    started_by: String,
    /// Why it was refused or stopped.
    message: String,
    /// Tags and images that it is about.
    total: i64,
    removed_tags: i64,
    removed_images: i64,
    skipped: i64,
    /// Bytes that nothing needs any more; free after the grace of collection.
    freed_bytes: i64,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        Self {
            id: run.id.uuid(),
            preview: run.plan.map(|id| id.uuid()),
            trigger: run.trigger.as_str(),
            status: run.status.as_str(),
            started_by: run.started_by,
            message: run.message,
            total: run.total,
            removed_tags: run.removed_tags,
            removed_images: run.removed_images,
            skipped: run.skipped,
            freed_bytes: run.freed_bytes,
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
        }
    }
}

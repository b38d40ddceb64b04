//! The timeline of a deployment's revisions.

use askama::Template;

use crate::accounts::rbac::{Action, Resource};
use crate::engine::view::{DeploymentView, RevisionOutcome, RevisionView, RolloutFailure};
use crate::web::applications::{App, version_of};
use crate::web::shell::Shell;
use crate::web::text::Text;

/// One revision of a timeline.
pub(in crate::web) struct RevisionRow {
    pub number: i64,
    pub version: String,
    pub changes: Vec<String>,
    pub knot: &'static str,
    pub outcome: String,
    pub cause: String,
    pub who: String,
    pub at: crate::base::Timestamp,
    pub diff_href: Option<String>,
    pub rollback_href: Option<String>,
    pub failure: Option<RolloutFailure>,
}

#[derive(Template)]
#[template(path = "applications/timeline.html")]
pub(in crate::web) struct Timeline {
    pub t: Text,
    pub rows: Vec<RevisionRow>,
    pub all_href: Option<String>,
    pub total: usize,
}
impl askama::filters::HtmlSafe for Timeline {}

impl RevisionRow {
    pub(in crate::web) fn of(
        shell: &Shell,
        app: &App,
        deployment: &DeploymentView,
        revision: &RevisionView,
        previous: Option<i64>,
    ) -> Self {
        let t = &shell.t;
        let (knot, word) = match revision.outcome {
            RevisionOutcome::Complete if revision.current => ("live", "outcome-live"),
            RevisionOutcome::Complete => ("", "outcome-complete"),
            RevisionOutcome::Pending | RevisionOutcome::Progressing => ("prog", "outcome-rolling"),
            RevisionOutcome::Failed => ("bad", "outcome-failed"),
            RevisionOutcome::Superseded => ("", "outcome-superseded"),
        };
        let query = |path: &str, extra: String| {
            let path = app.link(path);
            let glue = if path.contains('?') { '&' } else { '?' };
            format!("{path}{glue}{extra}")
        };
        let may = app.may(shell, Resource::Deployment, Action::Operate);
        Self {
            number: revision.number,
            version: version_of(&revision.template),
            changes: revision.changes.clone(),
            knot,
            outcome: t.get(word),
            cause: revision.cause.clone(),
            who: revision.created_by.clone(),
            at: revision.created_at,
            diff_href: previous.map(|previous| {
                query("/revisions", format!("compare={previous}...{}", revision.number))
            }),
            rollback_href: (may && revision.number != deployment.revision)
                .then(|| query("/-/rollback", format!("to={}", revision.number))),
            failure: revision.failure.clone(),
        }
    }
}

/// The timeline's rows, newest first.
pub(in crate::web) fn rows_of(
    shell: &Shell,
    app: &App,
    deployment: &DeploymentView,
    revisions: &[RevisionView],
    most: usize,
) -> Vec<RevisionRow> {
    let mut sorted: Vec<_> = revisions.iter().collect();
    sorted.sort_by_key(|revision| std::cmp::Reverse(revision.number));
    sorted
        .iter()
        .enumerate()
        .take(most)
        .map(|(i, revision)| {
            let previous = sorted.get(i + 1).map(|previous| previous.number);
            RevisionRow::of(shell, app, deployment, revision, previous)
        })
        .collect()
}

impl Timeline {
    pub(in crate::web) fn of(
        shell: &Shell,
        app: &App,
        deployment: &DeploymentView,
        revisions: &[RevisionView],
    ) -> Self {
        Self {
            t: shell.t,
            rows: rows_of(shell, app, deployment, revisions, 5),
            all_href: Some(app.link("/revisions")),
            total: revisions.len(),
        }
    }
}

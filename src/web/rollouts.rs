//! `GET /rollouts`: what is rolling out, and what did lately, everywhere the reader may look.

use askama::Template;

use super::applications::{href_of, version_of};
use super::frame::{Frame, Section};
use super::shell::{PageResult, Shell};
use super::stream::{Fragment, Topic};
use super::text::Text;
use super::view::{Cells, phase};
use crate::base::{Result, Timestamp};
use crate::engine::view::{DeploymentView, RevisionOutcome};

/// Deployments looked at, and finished rollouts shown.
const MOST_DEPLOYMENTS: u32 = 1000;
const MOST_FINISHED: usize = 20;

struct Row {
    href: String,
    name: String,
    project: String,
    environment: String,
    kind: &'static str,
    state: String,
    cells: Cells,
    revision: i64,
    previous: Option<i64>,
    version: String,
    note: String,
    at: Timestamp,
}

#[derive(Template)]
#[template(path = "rollouts/lists.html")]
struct Lists {
    t: Text,
    moving: Vec<Row>,
    finished: Vec<Row>,
}
impl askama::filters::HtmlSafe for Lists {}

#[derive(Template)]
#[template(path = "rollouts/page.html")]
struct RolloutsPage {
    frame: Frame,
    away: Option<String>,
    lists: Lists,
}

fn is_moving(deployment: &DeploymentView) -> bool {
    deployment.rollout.as_ref().is_some_and(|rollout| {
        matches!(rollout.outcome, RevisionOutcome::Pending | RevisionOutcome::Progressing)
    })
}

fn row_of(t: &Text, deployment: &DeploymentView) -> Row {
    let rollout = deployment.rollout.as_ref();
    let (kind, state) = phase(t, deployment.status.phase, rollout.map(|r| r.outcome));
    let note = rollout.map(|r| r.waiting_for.clone()).filter(|text| !text.is_empty());
    Row {
        href: href_of(deployment),
        name: deployment.name.clone(),
        project: deployment.project.clone(),
        environment: deployment.environment.clone(),
        kind,
        state,
        cells: Cells::of(t, deployment),
        revision: deployment.revision,
        previous: rollout.and_then(|r| r.previous),
        version: version_of(&deployment.spec.template),
        note: note.unwrap_or_else(|| deployment.status.reason.clone()),
        at: rollout.and_then(|r| r.finished_at.or(r.started_at)).unwrap_or(deployment.updated_at),
    }
}

fn lists_of(t: &Text, all: &[DeploymentView]) -> Lists {
    let moving = all.iter().filter(|d| is_moving(d)).map(|d| row_of(t, d)).collect();
    let mut finished: Vec<_> = all.iter().filter(|d| !is_moving(d)).map(|d| row_of(t, d)).collect();
    finished.sort_by_key(|row| std::cmp::Reverse(row.at));
    finished.truncate(MOST_FINISHED);
    Lists { t: *t, moving, finished }
}

async fn load(shell: &Shell) -> Result<(Lists, Option<String>)> {
    let all = shell.services.engine.list_all_deployments(&shell.actor, MOST_DEPLOYMENTS).await;
    Ok(match shell.part(all)? {
        Ok(all) => (lists_of(&shell.t, &all), None),
        Err(why) => (lists_of(&shell.t, &[]), Some(why)),
    })
}

/// `GET /rollouts`
pub(super) async fn page(shell: Shell) -> PageResult {
    let (lists, away) = load(&shell).await?;
    let frame = shell
        .frame(Section::Rollouts, shell.t.get("nav-rollouts"))
        .await?
        .live(Topic::Rollouts)
        .moving(!lists.moving.is_empty());
    shell.render(&RolloutsPage { frame, away, lists })
}

/// Fragments of [`Topic::Rollouts`].
pub(super) async fn fragments(shell: &Shell) -> Result<(Vec<Fragment>, bool)> {
    let (lists, _) = load(shell).await?;
    let moving = !lists.moving.is_empty();
    Ok((vec![Fragment::of("rollouts", &lists)?], moving))
}

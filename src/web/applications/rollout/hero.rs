//! What the page of a deployment shows on top: what is being replaced by what, what it waits for,
//! and the yard.

use askama::Template;

use super::{Observed, short_name};
use crate::accounts::rbac::{Action, Resource};
use crate::engine::view::{
    DeploymentPhase, DeploymentView, EndpointView, ReplicaPhase, ReplicaView, RevisionOutcome,
    RolloutFailure,
};
use crate::web::applications::App;
use crate::web::shell::Shell;
use crate::web::text::Text;
use crate::web::view::{CellKind, Yard, YardBox, YardColumn};

/// Boxes one column of a yard draws; more are said in the last one.
const MOST_BOXES: usize = 24;

/// A step of a rollout.
pub(in crate::web) struct Step {
    pub label: String,
    pub note: String,
    /// `done`, `now`, `bad` or empty.
    pub state: &'static str,
}

/// What the page of a deployment shows on top.
#[derive(Template)]
#[template(path = "applications/hero.html")]
pub(in crate::web) struct Hero {
    pub t: Text,
    /// `rolling`, `failed` or `serving`.
    pub state: &'static str,
    pub sentence: String,
    pub from: String,
    pub to: String,
    pub elapsed: String,
    pub steps: Vec<Step>,
    pub yard: Yard,
    pub key: Vec<(&'static str, String)>,
    pub bounds: String,
    pub waiting_for: String,
    pub failure: Option<RolloutFailure>,
    pub back_to: Option<(i64, String)>,
    pub endpoints: Vec<EndpointView>,
    pub logs_href: String,
    pub paused: bool,
}
impl askama::filters::HtmlSafe for Hero {}

fn cell_of(replica: &ReplicaView, current: i64) -> CellKind {
    match replica.phase {
        ReplicaPhase::Draining | ReplicaPhase::Stopping => CellKind::Draining,
        ReplicaPhase::BackingOff => CellKind::Failed,
        _ if replica.revision != current => CellKind::Old,
        _ if replica.ready => CellKind::New,
        _ => CellKind::Starting,
    }
}

fn yard_of(shell: &Shell, app: &App, deployment: &DeploymentView, seen: &Observed) -> Yard {
    let mut columns: Vec<YardColumn> = Vec::new();
    let unplaced = shell.t.get("yard-unplaced");
    for replica in &seen.replicas {
        let node = replica.node.clone().unwrap_or_else(|| unplaced.clone());
        let index = columns.iter().position(|column| column.node == node).unwrap_or_else(|| {
            let view = seen.nodes.iter().find(|view| view.name == node);
            let percent = view.filter(|view| view.cpu_millis > 0).map(|view| {
                let percent = view.cpu_requested_millis.saturating_mul(100) / view.cpu_millis;
                u8::try_from(percent.clamp(0, 100)).unwrap_or(100)
            });
            columns.push(YardColumn {
                node,
                boxes: Vec::new(),
                load: percent,
                load_label: percent
                    .map(|p| shell.t.fmt("yard-load").n("n", i64::from(p)).to_string())
                    .unwrap_or_default(),
            });
            columns.len() - 1
        });
        let boxes = &mut columns[index].boxes;
        if boxes.len() < MOST_BOXES {
            boxes.push(YardBox {
                kind: cell_of(replica, deployment.revision),
                label: short_name(&replica.name).to_owned(),
                note: replica.revision.to_string(),
                href: app.link(&format!("/replicas/{}", replica.name)),
            });
        }
    }
    let here = u32::try_from(seen.replicas.len()).unwrap_or(u32::MAX);
    let room = deployment.spec.replicas.saturating_sub(here).min(8);
    if let Some(column) = columns.first_mut() {
        for _ in 0..room {
            column.boxes.push(YardBox {
                kind: CellKind::Gap,
                label: String::new(),
                note: String::new(),
                href: String::new(),
            });
        }
    }
    let label = shell
        .t
        .fmt("yard-label")
        .n("replicas", seen.replicas.len())
        .n("nodes", columns.len())
        .to_string();
    Yard { columns, label }
}

fn steps_of(t: &Text, deployment: &DeploymentView, seen: &Observed) -> Vec<Step> {
    let status = &deployment.status;
    let wanted = deployment.spec.replicas;
    let fresh: Vec<_> =
        seen.replicas.iter().filter(|r| r.revision == deployment.revision).collect();
    let placed = fresh.iter().filter(|r| r.node.is_some()).count();
    let ready = fresh.iter().filter(|r| r.ready).count();
    let old = seen.replicas.len() - fresh.len();
    let all_placed = !fresh.is_empty() && placed == fresh.len();
    let all_ready = ready >= wanted as usize;
    let done = status.phase == DeploymentPhase::Healthy;
    let state = |finished: bool, begun: bool| match (finished, begun) {
        (true, _) => "done",
        (false, true) => "now",
        (false, false) => "",
    };
    vec![
        Step { label: t.get("step-admitted"), note: t.get("step-admitted-note"), state: "done" },
        Step {
            label: t.get("step-placed"),
            note: t.fmt("step-placed-note").n("n", placed).n("of", fresh.len()).to_string(),
            state: state(all_placed, true),
        },
        Step {
            label: t.get("step-replacing"),
            note: t.fmt("step-replacing-note").n("ready", ready).n("of", wanted).to_string(),
            state: state(all_ready && old == 0, all_placed),
        },
        Step {
            label: t.get("step-complete"),
            note: t.num("step-complete-note", old).to_string(),
            state: state(done, all_ready && old == 0),
        },
    ]
}

impl Hero {
    pub(in crate::web) fn of(
        shell: &Shell,
        app: &App,
        deployment: &DeploymentView,
        seen: &Observed,
    ) -> Self {
        let t = shell.t;
        let rollout = deployment.rollout.as_ref();
        let rolling = rollout.is_some_and(|r| {
            matches!(r.outcome, RevisionOutcome::Pending | RevisionOutcome::Progressing)
        });
        // A failed rollout stays on top until a later one succeeds: the evidence must not vanish
        // with the automatic undo.
        let failed =
            seen.revisions.iter().max_by_key(|revision| revision.number).and_then(|last| {
                let failed = seen
                    .revisions
                    .iter()
                    .filter(|r| r.outcome == RevisionOutcome::Failed)
                    .max_by_key(|r| r.number)?;
                (last.number - failed.number <= 1).then_some(failed)
            });
        let previous = rollout.and_then(|r| r.previous);
        let state = match (rolling, failed) {
            (true, _) => "rolling",
            (false, Some(_)) => "failed",
            (false, None) => "serving",
        };
        let sentence = match state {
            "rolling" => match previous {
                Some(previous) if previous != deployment.revision => t
                    .fmt("hero-replacing")
                    .n("revision", deployment.revision)
                    .n("previous", previous)
                    .to_string(),
                _ => t.fmt("hero-first").n("revision", deployment.revision).to_string(),
            },
            "failed" => failed
                .map(|f| match f.failure.as_ref().and_then(|x| x.restored_revision) {
                    Some(restored) => t
                        .fmt("hero-restored")
                        .n("revision", f.number)
                        .n("restored", restored)
                        .to_string(),
                    None => t.fmt("hero-failed").n("revision", f.number).to_string(),
                })
                .unwrap_or_default(),
            _ => t
                .fmt("hero-serving")
                .n("revision", deployment.revision)
                .n("ready", deployment.status.ready_replicas)
                .to_string(),
        };
        let started = rollout.and_then(|r| r.started_at).filter(|_| rolling);
        let elapsed = started.map(|at| {
            let seconds = t.now.signed_duration_since(at).num_seconds().max(0);
            let left = rollout
                .and_then(|r| r.deadline_at)
                .map(|deadline| deadline.signed_duration_since(t.now).num_seconds().max(0));
            match left {
                Some(left) => t
                    .fmt("hero-elapsed")
                    .a("span", t.span(seconds))
                    .a("left", t.span(left))
                    .to_string(),
                None => t.fmt("hero-elapsed-only").a("span", t.span(seconds)).to_string(),
            }
        });
        let count =
            |kind| seen.replicas.iter().filter(|r| cell_of(r, deployment.revision) == kind).count();
        let key = [
            ("", "key-new", CellKind::New),
            ("start", "key-starting", CellKind::Starting),
            ("old", "key-old", CellKind::Old),
            ("fail", "key-failed", CellKind::Failed),
        ]
        .into_iter()
        .map(|(word, message, kind)| (word, t.num(message, count(kind)).to_string()))
        .collect();
        let may_operate = app.may(shell, Resource::Deployment, Action::Operate);
        let back_to = previous
            .filter(|previous| rolling && may_operate && *previous != deployment.revision)
            .map(|previous| {
                let path = app.link("/-/rollback");
                let glue = if path.contains('?') { '&' } else { '?' };
                (previous, format!("{path}{glue}to={previous}"))
            });
        let wanted = deployment.spec.replicas;
        Self {
            t,
            state,
            sentence,
            from: previous.filter(|_| rolling).map(|p| seen.version(p)).unwrap_or_default(),
            to: seen.version(deployment.revision),
            elapsed: elapsed.unwrap_or_default(),
            steps: if rolling { steps_of(&t, deployment, seen) } else { Vec::new() },
            yard: yard_of(shell, app, deployment, seen),
            key,
            bounds: t.num("hero-bounds", wanted).to_string(),
            waiting_for: match rollout.filter(|_| rolling) {
                Some(rollout) if !rollout.waiting_for.is_empty() => rollout.waiting_for.clone(),
                _ => deployment.status.reason.clone(),
            },
            failure: failed.filter(|_| state == "failed").and_then(|f| f.failure.clone()),
            back_to,
            endpoints: seen.endpoints.clone(),
            logs_href: if app.may(shell, Resource::Replica, Action::Logs) {
                app.link("/logs")
            } else {
                String::new()
            },
            paused: deployment.spec.paused,
        }
    }
}

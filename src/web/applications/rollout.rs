//! The live parts of a deployment: the hero (what is being replaced, what it waits for, the yard),
//! the table of replicas, the latest events and revisions.

use askama::Template;

use super::{App, key, names, services_of, version_of};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{DeploymentName, EnvironmentName, PageRequest, Result};
use crate::engine::view::{
    DeploymentPhase, DeploymentView, EndpointView, NodeView, ReplicaPhase, ReplicaView,
    RevisionOutcome, RevisionView, RolloutFailure,
};
use crate::events;
use crate::web::shell::Shell;
use crate::web::stream::Fragment;
use crate::web::text::Text;
use crate::web::view::{CellKind, FeedRow, Yard, YardBox, YardColumn};

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

/// One replica of a table.
pub(in crate::web) struct ReplicaRow {
    pub name: String,
    pub short: String,
    pub href: String,
    pub logs_href: String,
    pub kind: &'static str,
    pub state: String,
    pub reason: String,
    pub revision: i64,
    pub old: bool,
    pub node: String,
    pub restarts: i32,
    pub last_exit: String,
    pub since: crate::base::Timestamp,
}

#[derive(Template)]
#[template(path = "applications/replica_table.html")]
pub(in crate::web) struct ReplicaTable {
    pub t: Text,
    pub rows: Vec<ReplicaRow>,
    pub may_logs: bool,
    pub zero: bool,
}
impl askama::filters::HtmlSafe for ReplicaTable {}

#[derive(Template)]
#[template(path = "applications/feed.html")]
pub(in crate::web) struct EventFeed {
    pub t: Text,
    pub rows: Vec<FeedRow>,
    pub href: String,
}
impl askama::filters::HtmlSafe for EventFeed {}

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

/// Everything the live parts are drawn from.
pub(in crate::web) struct Observed {
    pub replicas: Vec<ReplicaView>,
    pub revisions: Vec<RevisionView>,
    pub nodes: Vec<NodeView>,
    pub endpoints: Vec<EndpointView>,
    pub services: Vec<crate::engine::view::ServiceView>,
}

impl Observed {
    pub(in crate::web) async fn load(shell: &Shell, deployment: &DeploymentView) -> Result<Self> {
        let (environment, name) = names(deployment)?;
        let engine = &shell.services.engine;
        let replicas = engine.replicas(&shell.actor, &environment, &name).await;
        let revisions = engine.revisions(&shell.actor, &environment, &name).await;
        let nodes = if shell.may_platform(Permission(Resource::Node, Action::List)) {
            shell.part_or_default(engine.nodes(&shell.actor).await)?
        } else {
            Vec::new()
        };
        let services = services_of(shell, deployment).await?;
        Ok(Self {
            replicas: shell.part_or_default(replicas)?,
            revisions: shell.part_or_default(revisions)?,
            nodes,
            endpoints: services.iter().flat_map(|service| service.endpoints.clone()).collect(),
            services,
        })
    }

    fn revision(&self, number: i64) -> Option<&RevisionView> {
        self.revisions.iter().find(|revision| revision.number == number)
    }

    fn version(&self, number: i64) -> String {
        self.revision(number)
            .and_then(|revision| revision.template.containers.first())
            .map(|container| version_of(&container.image))
            .unwrap_or_default()
    }
}

/// The random end of a replica's name.
pub(super) fn short_name(name: &str) -> &str {
    name.rsplit('-').next().unwrap_or(name)
}

fn cell_of(replica: &ReplicaView, current: i64) -> CellKind {
    match replica.phase {
        ReplicaPhase::Draining | ReplicaPhase::Stopping => CellKind::Draining,
        ReplicaPhase::BackingOff => CellKind::Failed,
        _ if replica.revision != current => CellKind::Old,
        _ if replica.ready => CellKind::New,
        _ => CellKind::Starting,
    }
}

/// `data-s` and the word of a replica's state.
pub(in crate::web) fn state_of(t: &Text, replica: &ReplicaView) -> (&'static str, String) {
    let (kind, key) = match replica.phase {
        ReplicaPhase::Pending => ("hold", "replica-pending"),
        ReplicaPhase::Starting => ("prog", "replica-starting"),
        ReplicaPhase::Running if replica.ready => ("ok", "replica-ready"),
        ReplicaPhase::Running => ("warn", "replica-not-ready"),
        ReplicaPhase::BackingOff => ("bad", "replica-backing-off"),
        ReplicaPhase::Draining => ("idle", "replica-draining"),
        ReplicaPhase::Stopping => ("idle", "replica-stopping"),
    };
    (kind, t.get(key))
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

impl ReplicaTable {
    pub(in crate::web) fn of(
        shell: &Shell,
        app: &App,
        deployment: &DeploymentView,
        replicas: &[ReplicaView],
    ) -> Self {
        let t = shell.t;
        let rows = replicas
            .iter()
            .map(|replica| {
                let (kind, state) = state_of(&t, replica);
                let logs = app.link("/logs");
                let glue = if logs.contains('?') { '&' } else { '?' };
                ReplicaRow {
                    short: short_name(&replica.name).to_owned(),
                    href: app.link(&format!("/replicas/{}", replica.name)),
                    logs_href: format!("{logs}{glue}replica={}", replica.name),
                    kind,
                    state,
                    reason: replica.reason.clone(),
                    revision: replica.revision,
                    old: replica.revision != deployment.revision,
                    node: replica.node.clone().unwrap_or_default(),
                    restarts: replica.restarts,
                    last_exit: replica
                        .last_exit
                        .as_ref()
                        .map(|exit| exit.reason.clone())
                        .unwrap_or_default(),
                    since: replica.started_at.unwrap_or(replica.created_at),
                    name: replica.name.clone(),
                }
            })
            .collect();
        let may_logs = app.may(shell, Resource::Replica, Action::Logs);
        Self { t, rows, may_logs, zero: deployment.spec.replicas == 0 }
    }
}

impl EventFeed {
    pub(in crate::web) async fn load(
        shell: &Shell,
        app: &App,
        deployment: &DeploymentView,
        rows: u32,
    ) -> Result<Self> {
        let filter = events::Filter {
            projects: Some(vec![app.project.id]),
            deployment: Some(deployment.id.into()),
            ..events::Filter::default()
        };
        let page = if app.may(shell, Resource::Event, Action::List) {
            events::list(&shell.services.db, &filter, &PageRequest::first(rows)).await?.items
        } else {
            Vec::new()
        };
        // The page says which deployment it is about; its sentences need not repeat it.
        let name = format!("{}: ", key(deployment));
        let rows = page
            .iter()
            .map(|event| {
                let mut row = FeedRow::of(&shell.t, event);
                if let Some(rest) = row.text.strip_prefix(&name) {
                    row.text = rest.to_owned();
                }
                row
            })
            .collect();
        Ok(Self { t: shell.t, rows, href: app.link("/events") })
    }
}

impl RevisionRow {
    pub(super) fn of(
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
            version: revision
                .template
                .containers
                .first()
                .map(|container| version_of(&container.image))
                .unwrap_or_default(),
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
pub(super) fn rows_of(
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

/// Fragments of a deployment's page, and whether something is in progress.
pub(in crate::web) async fn fragments(
    shell: &Shell,
    environment: &EnvironmentName,
    name: &DeploymentName,
) -> Result<(Vec<Fragment>, bool)> {
    let engine = &shell.services.engine;
    let deployment = engine.deployment(&shell.actor, environment, name).await?;
    let Some(application) = deployment.spec.application.clone() else {
        return Ok((Vec::new(), false));
    };
    let path = super::Path { project: deployment.project.parse()?, app: application.parse()? };
    let app = App::load(shell, &path, &key(&deployment)).await?;
    let seen = Observed::load(shell, &deployment).await?;
    let (kind, word) = super::phase_of(shell, &deployment);
    let moving = is_moving(&deployment);
    let fragments = vec![
        Fragment::of("phase", &Pill { kind, word })?,
        Fragment::of("hero", &Hero::of(shell, &app, &deployment, &seen))?,
        Fragment::of("replicas", &ReplicaTable::of(shell, &app, &deployment, &seen.replicas))?,
        Fragment::of("feed", &EventFeed::load(shell, &app, &deployment, 10).await?)?,
        Fragment::of("timeline", &Timeline::of(shell, &app, &deployment, &seen.revisions))?,
    ];
    Ok((fragments, moving))
}

/// Whether a page about the deployment changes by itself.
pub(in crate::web) fn is_moving(deployment: &DeploymentView) -> bool {
    matches!(deployment.status.phase, DeploymentPhase::Progressing | DeploymentPhase::Deleting)
}

/// The phase beside the title.
#[derive(Template)]
#[template(path = "applications/pill.html")]
pub(in crate::web) struct Pill {
    pub kind: &'static str,
    pub word: String,
}
impl askama::filters::HtmlSafe for Pill {}

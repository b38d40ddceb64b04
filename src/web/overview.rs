//! The overview: what is broken, what moves, what runs, what happened.

use askama::Template;
use askama::filters::HtmlSafe;

use super::frame::{Frame, Section};
use super::shell::{PageResult, Shell};
use super::stream::{Fragment, Rendered, Topic};
use super::text::Text;
use super::view::{Bars, Cells, FeedRow, phase};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{PageRequest, Result, Timestamp};
use crate::engine::view::{DeploymentPhase, DeploymentView, NodeView, RevisionOutcome};
use crate::events::{self, Event};

/// Deployments read for the overview, worst first.
const DEPLOYMENTS: u32 = 200;
/// Rows shown of each list.
const ROWS: usize = 8;
/// Events read for the activity and the bars.
const EVENTS: u32 = 500;

/// One figure of the fact strip, with the list it counts.
struct Fact {
    label: String,
    figure: String,
    /// What follows the figure, e.g. "of 42".
    of: String,
    href: &'static str,
    bars: Option<Bars>,
}

/// What needs somebody, with its cause and an action.
struct Attention {
    kind: &'static str,
    word: String,
    what: String,
    name: String,
    cause: String,
    href: String,
    action: String,
}

/// A rollout in progress.
struct Move {
    name: String,
    from: String,
    to: String,
    cells: Cells,
    note: String,
    href: String,
}

/// One application that runs.
struct Row {
    name: String,
    environment: String,
    kind: &'static str,
    state: String,
    cells: Cells,
    ready: String,
    image: String,
    updated_at: Timestamp,
    href: String,
}

/// One node of the capacity tiles.
struct Tile {
    name: String,
    class: String,
    text: String,
}

#[derive(Template)]
#[template(path = "overview/facts.html")]
struct Facts {
    facts: Vec<Fact>,
}
impl HtmlSafe for Facts {}

#[derive(Template)]
#[template(path = "overview/attention.html")]
struct Needs {
    t: Text,
    rows: Vec<Attention>,
    away: Option<String>,
}
impl HtmlSafe for Needs {}

#[derive(Template)]
#[template(path = "overview/moves.html")]
struct Moves {
    t: Text,
    rows: Vec<Move>,
}
impl HtmlSafe for Moves {}

#[derive(Template)]
#[template(path = "overview/running.html")]
struct Running {
    t: Text,
    rows: Vec<Row>,
    total: usize,
}
impl HtmlSafe for Running {}

#[derive(Template)]
#[template(path = "overview/activity.html")]
struct Activity {
    t: Text,
    rows: Vec<FeedRow>,
    all: bool,
}
impl HtmlSafe for Activity {}

#[derive(Template)]
#[template(path = "overview/capacity.html")]
struct Capacity {
    t: Text,
    tiles: Vec<Tile>,
}
impl HtmlSafe for Capacity {}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    facts: Facts,
    needs: Needs,
    moves: Moves,
    running: Running,
    activity: Activity,
    capacity: Option<Capacity>,
    /// Nothing runs yet: what to do first.
    fresh: bool,
    deploy: Option<String>,
}

/// Everything the overview draws, read once.
struct Seen {
    deployments: Vec<DeploymentView>,
    away: Option<String>,
    nodes: Vec<NodeView>,
    events: Vec<Event>,
    sees_nodes: bool,
}

impl Seen {
    async fn load(shell: &Shell) -> Result<Self> {
        let services = &shell.services;
        let deployments = services.engine.list_all_deployments(&shell.actor, DEPLOYMENTS).await;
        let (deployments, away) = match shell.part(deployments)? {
            Ok(deployments) => (deployments, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let sees_nodes = shell.may_platform(Permission(Resource::Node, Action::List));
        let nodes = if sees_nodes {
            shell.part_or_default(services.engine.nodes(&shell.actor).await)?
        } else {
            Vec::new()
        };
        let list = Permission(Resource::Event, Action::List);
        let projects = services.catalog.visible_projects(&shell.actor, list).await?;
        let filter = events::Filter {
            projects,
            from: Some(shell.t.now - chrono::Duration::hours(24)),
            ..events::Filter::default()
        };
        let events = events::list(&services.db, &filter, &PageRequest::first(EVENTS)).await?.items;
        Ok(Self { deployments, away, nodes, events, sees_nodes })
    }

    fn is_moving(&self) -> bool {
        self.deployments.iter().any(|d| d.status.phase == DeploymentPhase::Progressing)
    }

    fn facts(&self, t: &Text) -> Facts {
        let phase = |wanted| self.deployments.iter().filter(|d| d.status.phase == wanted).count();
        let sum = |f: fn(&DeploymentView) -> u32| self.deployments.iter().map(f).sum::<u32>();
        let of = |n: &dyn std::fmt::Display| t.fmt("fact-of").a("n", n).to_string();
        let mut facts = vec![
            Fact {
                label: t.get("fact-healthy"),
                figure: phase(DeploymentPhase::Healthy).to_string(),
                of: of(&self.deployments.len()),
                href: "/catalog",
                bars: None,
            },
            Fact {
                label: t.get("fact-replicas"),
                figure: sum(|d| d.status.ready_replicas).to_string(),
                of: of(&sum(|d| d.spec.replicas)),
                href: "/catalog",
                bars: None,
            },
            Fact {
                label: t.get("fact-rollouts"),
                figure: phase(DeploymentPhase::Progressing).to_string(),
                of: String::new(),
                href: "/rollouts",
                bars: self.hours(t, "deployment.", "fact-rollouts-bars", "accent", false),
            },
            Fact {
                label: t.get("fact-pushes"),
                figure: self.count("tag.push", false).to_string(),
                of: t.get("fact-24h"),
                href: "/audit?action=tag.push",
                bars: self.hours(t, "tag.push", "fact-pushes-bars", "accent", false),
            },
            Fact {
                label: t.get("fact-failures"),
                figure: self.count("", true).to_string(),
                of: t.get("fact-24h"),
                href: "/audit?outcome=failure",
                bars: self.hours(t, "", "fact-failures-bars", "bad", true),
            },
        ];
        if self.sees_nodes {
            facts.push(Fact {
                label: t.get("fact-nodes"),
                figure: self.nodes.iter().filter(|node| node.ready).count().to_string(),
                of: of(&self.nodes.len()),
                href: "/nodes",
                bars: None,
            });
        }
        Facts { facts }
    }

    fn matching<'a>(&'a self, prefix: &'a str, failed: bool) -> impl Iterator<Item = &'a Event> {
        self.events
            .iter()
            .filter(move |e| e.action.starts_with(prefix) && (e.outcome != "success") == failed)
    }

    fn count(&self, prefix: &str, failed: bool) -> usize {
        self.matching(prefix, failed).count()
    }

    /// Events of the last 24 hours, one bar per hour.
    fn hours(
        &self,
        t: &Text,
        prefix: &str,
        key: &str,
        color: &'static str,
        failed: bool,
    ) -> Option<Bars> {
        let mut counts = [0u32; 24];
        for event in self.matching(prefix, failed) {
            let ago = t.now.signed_duration_since(event.created_at).num_hours();
            if let Some(hour) = usize::try_from(23 - ago).ok().filter(|hour| *hour < 24) {
                counts[hour] += 1;
            }
        }
        Some(Bars::of(&counts, color, t.get(key)))
    }

    fn needs(&self, t: &Text) -> Needs {
        let mut rows = Vec::new();
        for d in &self.deployments {
            let (kind, what, action) = match d.status.phase {
                DeploymentPhase::Failed => ("bad", "attention-failed", "attention-inspect"),
                DeploymentPhase::Degraded => ("warn", "attention-degraded", "attention-inspect"),
                _ => continue,
            };
            let critical = d.status.phase == DeploymentPhase::Failed;
            rows.push(Attention {
                kind,
                word: t.either(critical, "status-critical", "status-warning"),
                what: t.get(what),
                name: d.name.clone(),
                cause: d.status.reason.clone(),
                href: deployment_href(d),
                action: t.get(action),
            });
        }
        for node in self.nodes.iter().filter(|node| !node.ready) {
            rows.push(Attention {
                kind: "warn",
                word: t.get("status-warning"),
                what: t.get("attention-node"),
                name: node.name.clone(),
                cause: node.reason.clone().unwrap_or_default(),
                href: format!("/nodes/{}", node.name),
                action: t.get("attention-node-open"),
            });
        }
        rows.truncate(ROWS);
        Needs { t: *t, rows, away: self.away.clone() }
    }

    fn moves(&self, t: &Text) -> Moves {
        let rows = self
            .deployments
            .iter()
            .filter(|d| d.status.phase == DeploymentPhase::Progressing)
            .take(ROWS)
            .map(|d| {
                let previous = d.rollout.as_ref().and_then(|rollout| rollout.previous);
                Move {
                    name: d.name.clone(),
                    from: previous.map(|n| n.to_string()).unwrap_or_default(),
                    to: d.revision.to_string(),
                    cells: Cells::of(t, d),
                    note: d.status.reason.clone(),
                    href: deployment_href(d),
                }
            })
            .collect();
        Moves { t: *t, rows }
    }

    fn running(&self, t: &Text) -> Running {
        let rows = self
            .deployments
            .iter()
            .take(ROWS)
            .map(|d| {
                let outcome: Option<RevisionOutcome> = d.rollout.as_ref().map(|r| r.outcome);
                let (kind, state) = phase(t, d.status.phase, outcome);
                let image = d.spec.template.containers.first().map(|c| c.image.as_str());
                Row {
                    name: d.name.clone(),
                    environment: d.environment.clone(),
                    kind,
                    state,
                    cells: Cells::of(t, d),
                    ready: format!("{} / {}", d.status.ready_replicas, d.spec.replicas),
                    image: image.map(short_image).unwrap_or_default(),
                    updated_at: d.updated_at,
                    href: deployment_href(d),
                }
            })
            .collect();
        Running { t: *t, rows, total: self.deployments.len() }
    }

    fn activity(&self, t: &Text, all: bool) -> Activity {
        let rows = self.events.iter().take(ROWS).map(|event| FeedRow::of(t, event)).collect();
        Activity { t: *t, rows, all }
    }

    fn capacity(&self, t: &Text) -> Capacity {
        let tiles = self
            .nodes
            .iter()
            .map(|node| {
                let percent = node.cpu_requested_millis * 100 / node.cpu_millis.max(1);
                let (class, text) = if !node.ready {
                    ("down".to_owned(), t.get("node-down"))
                } else if node.cordoned {
                    ("cordon".to_owned(), t.get("node-cordoned"))
                } else if percent >= 80 {
                    ("hot".to_owned(), format!("{percent}% · {}", node.replicas))
                } else {
                    (
                        format!("h-{}", percent.clamp(0, 100) / 10),
                        format!("{percent}% · {}", node.replicas),
                    )
                };
                Tile { name: node.name.clone(), class, text }
            })
            .collect();
        Capacity { t: *t, tiles }
    }
}

/// The application page of a deployment.
fn deployment_href(d: &DeploymentView) -> String {
    format!("/p/{}/a/{}?environment={}", d.project, d.name, d.environment)
}

/// What follows the last slash: `checkout-api:2.14.0`.
fn short_image(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once('@') {
        Some((name, digest)) => {
            let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
            format!("{name}@{}", hex.get(..8).unwrap_or(hex))
        }
        None => name.to_owned(),
    }
}

/// `GET /`
pub(super) async fn page(shell: Shell) -> PageResult {
    let seen = Seen::load(&shell).await?;
    let t = shell.t;
    let frame = shell.frame(Section::Overview, t.get("overview-title")).await?;
    let frame = frame.live(Topic::Overview).moving(seen.is_moving());
    let deploy = frame
        .project
        .as_ref()
        .filter(|project| project.sees_applications)
        .map(|project| format!("/p/{}/a/new", project.name));
    shell.render(&OverviewPage {
        facts: seen.facts(&t),
        needs: seen.needs(&t),
        moves: seen.moves(&t),
        running: seen.running(&t),
        activity: seen.activity(&t, frame.sees_audit),
        capacity: seen.sees_nodes.then(|| seen.capacity(&t)),
        fresh: seen.deployments.is_empty() && seen.away.is_none(),
        deploy,
        frame,
    })
}

/// Fragments of [`Topic::Overview`].
pub(super) async fn fragments(shell: &Shell) -> Result<Rendered> {
    let seen = Seen::load(shell).await?;
    let t = &shell.t;
    let all = shell.may_platform(Permission(Resource::AuditLog, Action::List));
    let mut fragments = vec![
        Fragment::of("facts", &seen.facts(t))?,
        Fragment::of("needs", &seen.needs(t))?,
        Fragment::of("moves", &seen.moves(t))?,
        Fragment::of("running", &seen.running(t))?,
        Fragment::of("activity", &seen.activity(t, all))?,
    ];
    if seen.sees_nodes {
        fragments.push(Fragment::of("capacity", &seen.capacity(t))?);
    }
    Ok((fragments, seen.is_moving()))
}

//! `GET /p/{project}/a/{app}`: the rollout or what serves, replicas, revisions, events and the
//! specification in words.

use askama::Template;
use axum::extract::Query;

use super::rollout::{EventFeed, Hero, Observed, Pill, ReplicaTable, Timeline, is_moving};
use super::{App, Head, On, Path, TabName};
use crate::accounts::rbac::{Action, Resource};
use crate::base::Result;
use crate::engine::spec::{Probe, StrategyKind};
use crate::engine::view::DeploymentView;
use crate::web::frame::Frame;
use crate::web::shell::{At, PageResult, Shell};
use crate::web::stream::Topic;
use crate::web::text::Text;

/// A fact of the specification.
struct Fact {
    label: String,
    text: String,
    mono: bool,
}

/// The parts of the page that need a deployment.
struct Live {
    pill: Pill,
    hero: Hero,
    replicas: ReplicaTable,
    feed: EventFeed,
    timeline: Timeline,
    facts: Vec<Fact>,
    json_href: String,
}

#[derive(Template)]
#[template(path = "applications/show.html")]
struct ShowPage {
    frame: Frame,
    head: Head,
    live: Option<Live>,
    away: Option<String>,
    description: String,
    may_deploy: bool,
    new_href: String,
    sees_events: bool,
}

/// A probe in one line: `GET :8080/ready every 10 s`.
fn probe_text(t: &Text, probe: &Probe) -> String {
    let what = if let Some(http) = &probe.http_get {
        format!("GET :{}{}", http.port, http.path)
    } else if let Some(tcp) = &probe.tcp_socket {
        format!("TCP :{}", tcp.port)
    } else {
        probe.exec.as_ref().map(|exec| exec.command.join(" ")).unwrap_or_default()
    };
    t.fmt("spec-probe").a("what", what).n("n", probe.period_seconds).to_string()
}

fn facts_of(t: &Text, deployment: &DeploymentView) -> Vec<Fact> {
    let spec = &deployment.spec;
    let mut facts = Vec::new();
    let mut add = |key: &str, text: String, mono: bool| {
        if !text.is_empty() {
            facts.push(Fact { label: t.get(key), text, mono });
        }
    };
    if let Some(container) = spec.template.containers.first() {
        add("spec-image", container.image.clone(), true);
        let resources = &container.resources;
        let pair = |request: Option<String>, limit: Option<String>| match (request, limit) {
            (Some(request), Some(limit)) => format!("{request} → {limit}"),
            (None, Some(limit)) => format!("→ {limit}"),
            (Some(request), None) => request,
            (None, None) => String::new(),
        };
        add(
            "spec-cpu",
            pair(
                resources.requests.cpu.map(|v| v.to_string()),
                resources.limits.cpu.map(|v| v.to_string()),
            ),
            false,
        );
        add(
            "spec-memory",
            pair(
                resources.requests.memory.map(|v| v.to_string()),
                resources.limits.memory.map(|v| v.to_string()),
            ),
            false,
        );
        let ports: Vec<_> = container.ports.iter().map(|p| p.container_port.to_string()).collect();
        add("spec-ports", ports.join(", "), true);
        for (key, probe) in [
            ("spec-readiness", &container.readiness_probe),
            ("spec-liveness", &container.liveness_probe),
            ("spec-startup", &container.startup_probe),
        ] {
            add(key, probe.as_ref().map(|probe| probe_text(t, probe)).unwrap_or_default(), true);
        }
        add("spec-env", t.num("spec-env-count", container.env.len()).to_string(), false);
    }
    let strategy = match spec.strategy.kind {
        StrategyKind::RollingUpdate => "spec-rolling",
        StrategyKind::Recreate => "spec-recreate",
    };
    add("spec-strategy", t.get(strategy), false);
    let undo = match spec.rollback {
        crate::engine::spec::RollbackPolicy::Automatic => "spec-undo-automatic",
        crate::engine::spec::RollbackPolicy::Manual => "spec-undo-manual",
    };
    add(
        "spec-deadline",
        format!("{}, {}", t.span(spec.progress_deadline_seconds), t.get(undo)),
        false,
    );
    facts
}

async fn live_of(
    shell: &Shell,
    app: &App,
    deployment: &DeploymentView,
) -> Result<(Live, Observed)> {
    let seen = Observed::load(shell, deployment).await?;
    let (kind, word) = super::phase_of(shell, deployment);
    let live = Live {
        pill: Pill { kind, word },
        hero: Hero::of(shell, app, deployment, &seen),
        replicas: ReplicaTable::of(shell, app, deployment, &seen.replicas),
        feed: EventFeed::load(shell, app, deployment, 10).await?,
        timeline: Timeline::of(shell, app, deployment, &seen.revisions),
        facts: facts_of(&shell.t, deployment),
        json_href: json_href(deployment),
    };
    Ok((live, seen))
}

/// The deployment in the JSON API.
pub(super) fn json_href(deployment: &DeploymentView) -> String {
    format!("/api/v1/environments/{}/deployments/{}", deployment.environment, deployment.name)
}

/// `GET /p/{project}/a/{app}`
pub(in crate::web) async fn page(
    shell: Shell,
    At(path): At<Path>,
    Query(on): Query<On>,
) -> PageResult {
    let app = App::load(&shell, &path, &on.on).await?;
    let mut frame = app.frame(&shell, &app.application.name, true).await?;
    let (live, services) = match &app.current {
        Some(deployment) => {
            let (environment, name) = super::names(deployment)?;
            frame = frame
                .live(Topic::Deployment(environment, name))
                .moving(is_moving(deployment))
                .json(json_href(deployment));
            let (live, seen) = live_of(&shell, &app, deployment).await?;
            (Some(live), seen.services)
        }
        None => (None, Vec::new()),
    };
    shell.render(&ShowPage {
        head: Head::of(&shell, &app, TabName::Overview, &services),
        live,
        away: app.away.clone(),
        description: app.application.description.clone(),
        may_deploy: app.may(&shell, Resource::Deployment, Action::Create),
        new_href: format!("/p/{}/a/new?app={}", app.project.name, app.application.name),
        sees_events: app.may(&shell, Resource::Event, Action::List),
        frame,
    })
}

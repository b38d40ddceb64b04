//! `…/replicas` and `…/replicas/{replica}`: every replica, and one with its evidence.

use askama::Template;
use axum::extract::Query;

use super::rollout::{ReplicaTable, short_name, state_of};
use super::{App, Head, On, Path, TabName, services_of};
use crate::accounts::rbac::{Action, Resource};
use crate::base::{Error, Timestamp};
use crate::engine::view::ProbeAnswer;
use crate::web::frame::Frame;
use crate::web::shell::{At, PageResult, Shell};
use crate::web::stream::Topic;

#[derive(Template)]
#[template(path = "applications/replicas.html")]
struct ReplicasPage {
    frame: Frame,
    head: Head,
    pill: super::rollout::Pill,
    table: ReplicaTable,
}

/// `GET …/replicas`
pub(in crate::web) async fn list(
    shell: Shell,
    At(path): At<Path>,
    Query(on): Query<On>,
) -> PageResult {
    let app = App::load(&shell, &path, &on.on).await?;
    let deployment = app.deployment()?;
    let (environment, name) = super::names(deployment)?;
    let replicas = shell.services.engine.replicas(&shell.actor, &environment, &name).await?;
    let services = services_of(&shell, deployment).await?;
    let (kind, word) = super::phase_of(&shell, deployment);
    let frame = app
        .frame(&shell, shell.t.get("app-tab-replicas"), false)
        .await?
        .live(Topic::Deployment(environment, name))
        .json(format!("{}/replicas", super::show::json_href(deployment)));
    shell.render(&ReplicasPage {
        head: Head::of(&shell, &app, TabName::Replicas, &services),
        pill: super::rollout::Pill { kind, word },
        table: ReplicaTable::of(&shell, &app, deployment, &replicas),
        frame,
    })
}

/// The names in the address of a replica's page.
#[derive(Debug, serde::Deserialize)]
pub(in crate::web) struct ReplicaPath {
    project: crate::base::ProjectName,
    app: crate::base::ApplicationName,
    replica: String,
}

#[derive(Template)]
#[template(path = "applications/replica.html")]
struct ReplicaPage {
    frame: Frame,
    name: String,
    kind: &'static str,
    state: String,
    reason: String,
    revision: i64,
    node: String,
    address: String,
    container: String,
    image: String,
    digest: String,
    restarts: i32,
    started_at: Option<Timestamp>,
    created_at: Timestamp,
    exit: Option<crate::engine::view::ExitView>,
    answers: Vec<ProbeAnswer>,
    lines: Vec<super::logs::Line>,
    env_names: Vec<String>,
    logs_href: Option<String>,
    previous_href: Option<String>,
}

/// `GET …/replicas/{replica}`
pub(in crate::web) async fn show(
    shell: Shell,
    At(path): At<ReplicaPath>,
    Query(on): Query<On>,
) -> PageResult {
    let at = Path { project: path.project, app: path.app };
    let app = App::load(&shell, &at, &on.on).await?;
    let deployment = app.deployment()?;
    let (environment, name) = super::names(deployment)?;
    let engine = &shell.services.engine;
    let replicas = engine.replicas(&shell.actor, &environment, &name).await?;
    let replica = replicas
        .into_iter()
        .find(|replica| replica.name == path.replica)
        .ok_or_else(|| Error::not_found("replica", &path.replica))?;
    let revisions = engine.revisions(&shell.actor, &environment, &name).await?;
    let revision = revisions.iter().find(|revision| revision.number == replica.revision);
    let container = revision.and_then(|revision| revision.template.containers.first());
    let may_logs = app.may(&shell, Resource::Replica, Action::Logs);
    let lines = if may_logs && replica.container_id.is_some() {
        super::logs::tail(&shell, deployment, &replica.name, 20, false).await.unwrap_or_default()
    } else {
        Vec::new()
    };
    let logs = app.link("/logs");
    let glue = if logs.contains('?') { '&' } else { '?' };
    let logs = format!("{logs}{glue}replica={}", replica.name);
    let (kind, state) = state_of(&shell.t, &replica);
    let frame = app
        .frame(&shell, short_name(&replica.name), false)
        .await?
        .crumb(app.link("/replicas"), shell.t.get("app-tab-replicas"))
        .moving(!replica.ready);
    let image = container.map(|container| container.image.clone()).unwrap_or_default();
    shell.render(&ReplicaPage {
        frame,
        kind,
        state,
        reason: replica.reason,
        revision: replica.revision,
        node: replica.node.unwrap_or_default(),
        address: replica.address.unwrap_or_default(),
        container: replica.container_id.unwrap_or_default(),
        digest: revision.and_then(|r| r.images.get(&image).cloned()).unwrap_or_default(),
        image,
        restarts: replica.restarts,
        started_at: replica.started_at,
        created_at: replica.created_at,
        exit: replica.last_exit,
        answers: replica.probe_answers,
        lines,
        env_names: container
            .map(|container| container.env.iter().map(|var| var.name.clone()).collect())
            .unwrap_or_default(),
        previous_href: (may_logs && replica.restarts > 0).then(|| format!("{logs}&previous=1")),
        logs_href: may_logs.then_some(logs),
        name: replica.name,
    })
}

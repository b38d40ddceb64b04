//! The catalog: applications of all teams, and one application's card.

use askama::Template;
use axum::extract::Query;

use super::form::Choice;
use super::frame::{Frame, Section};
use super::projects::ROWS;
use super::shell::{At, PageResult, Shell};
use super::text::Text;
use super::view::{Cells, Pager, phase};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{ApplicationName, Cursor, PageRequest, ProjectName};
use crate::catalog::{Application, ApplicationFilter, Lifecycle, Link};
use crate::engine::view::DeploymentView;

/// Deployments read to show states beside applications.
const DEPLOYMENTS: u32 = 1000;

/// Key of a lifecycle's name.
pub(super) fn lifecycle_key(lifecycle: Lifecycle) -> &'static str {
    match lifecycle {
        Lifecycle::Experimental => "lifecycle-experimental",
        Lifecycle::Production => "lifecycle-production",
        Lifecycle::Deprecated => "lifecycle-deprecated",
    }
}

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct CatalogQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    team: String,
    #[serde(default)]
    lifecycle: String,
    after: Option<String>,
}

/// Where an application runs and how it is.
struct Place {
    environment: String,
    kind: &'static str,
    state: String,
    cells: Cells,
    ready: String,
    image: String,
    href: String,
}

impl Place {
    fn of(t: &Text, d: &DeploymentView) -> Self {
        let (kind, state) = phase(t, d.status.phase, d.rollout.as_ref().map(|r| r.outcome));
        let image = d.spec.template.containers.first().map(|c| c.image.clone());
        Self {
            environment: d.environment.clone(),
            kind,
            state,
            cells: Cells::of(t, d),
            ready: format!("{} / {}", d.status.ready_replicas, d.spec.replicas),
            image: image.unwrap_or_default(),
            href: format!("/p/{}/a/{}?environment={}", d.project, d.name, d.environment),
        }
    }
}

fn places(t: &Text, application: &Application, deployments: &[DeploymentView]) -> Vec<Place> {
    deployments
        .iter()
        .filter(|d| {
            d.project == application.project.as_str()
                && d.spec.application.as_deref() == Some(application.name.as_str())
        })
        .map(|d| Place::of(t, d))
        .collect()
}

/// One application of the list.
struct Row {
    name: String,
    project: String,
    description: String,
    team: String,
    lifecycle: String,
    places: Vec<Place>,
}

#[derive(Template)]
#[template(path = "catalog/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
    pager: Pager,
    query: CatalogQuery,
    lifecycles: Vec<Choice>,
    filtered: bool,
}

/// `GET /catalog`
pub(super) async fn list(shell: Shell, Query(query): Query<CatalogQuery>) -> PageResult {
    let services = &shell.services;
    let t = shell.t;
    let given = |word: &str| Some(word.trim().to_owned()).filter(|word| !word.is_empty());
    let filter = ApplicationFilter {
        text: given(&query.q),
        project: None,
        team: given(&query.team).map(|team| team.parse()).transpose()?,
        lifecycle: given(&query.lifecycle).map(|word| word.parse()).transpose()?,
    };
    let request =
        PageRequest { after: query.after.clone().map(Cursor::from_text), limit: Some(ROWS) };
    let page = services.catalog.list_applications(&shell.actor, &filter, &request).await?;
    let deployments = services.engine.list_all_deployments(&shell.actor, DEPLOYMENTS).await;
    let deployments = shell.part_or_default(deployments)?;
    let pairs =
        [("q", query.q.trim()), ("team", query.team.trim()), ("lifecycle", query.lifecycle.trim())];
    let lifecycles = std::iter::once(Choice { value: "", label: t.get("catalog-any-lifecycle") })
        .chain(Lifecycle::ALL.into_iter().map(|lifecycle| Choice {
            value: lifecycle.as_str(),
            label: t.get(lifecycle_key(lifecycle)),
        }))
        .collect();
    shell.render(&ListPage {
        frame: shell
            .frame(Section::Catalog, t.get("nav-catalog"))
            .await?
            .json("/api/v1/applications"),
        pager: Pager::of("/catalog", &pairs, query.after.as_deref(), &page),
        filtered: pairs.iter().any(|(_, value)| !value.is_empty()),
        rows: page
            .items
            .iter()
            .map(|a| Row {
                name: a.name.to_string(),
                project: a.project.to_string(),
                description: a.description.clone(),
                team: a.team.as_ref().map(ToString::to_string).unwrap_or_default(),
                lifecycle: t.get(lifecycle_key(a.lifecycle)),
                places: places(&t, a, &deployments),
            })
            .collect(),
        lifecycles,
        query,
    })
}

#[derive(Template)]
#[template(path = "catalog/card.html")]
struct CardPage {
    frame: Frame,
    project: String,
    name: String,
    description: String,
    team: String,
    lifecycle: String,
    repository: String,
    links: Vec<Link>,
    places: Vec<Place>,
    may_deploy: bool,
}

/// `GET /catalog/{project}/{application}`
pub(super) async fn card(
    shell: Shell,
    At((project, name)): At<(ProjectName, ApplicationName)>,
) -> PageResult {
    let services = &shell.services;
    let read = Permission(Resource::Application, Action::Read);
    let found = services.catalog.project(&shell.actor, &project, read).await?;
    let application = services.catalog.application(&shell.actor, &project, &name).await?;
    let deployments = services.engine.list_all_deployments(&shell.actor, DEPLOYMENTS).await;
    let deployments = shell.part_or_default(deployments)?;
    let frame = shell
        .frame(Section::Catalog, &name)
        .await?
        .crumb("/catalog", shell.t.get("nav-catalog"))
        .json(format!("/api/v1/projects/{project}/applications/{name}"));
    shell.render(&CardPage {
        places: places(&shell.t, &application, &deployments),
        may_deploy: shell.may(&found, Permission(Resource::Deployment, Action::Create)),
        project: project.to_string(),
        name: name.to_string(),
        description: application.description,
        team: application.team.map(|team| team.to_string()).unwrap_or_default(),
        lifecycle: shell.t.get(lifecycle_key(application.lifecycle)),
        repository: application.repository.unwrap_or_default(),
        links: application.links,
        frame,
    })
}

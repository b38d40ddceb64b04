//! `GET /p/{project}/a`: the project's applications and how each stands.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Query;

use super::{href_of, project_of, version_of};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::ProjectName;
use crate::catalog::ApplicationFilter;
use crate::engine::view::DeploymentView;
use crate::web::frame::{Frame, Section};
use crate::web::projects::ListQuery;
use crate::web::shell::{At, PageResult, Shell};
use crate::web::view::{self, Cells, Pager};

/// Deployments looked at for the list.
const MOST_DEPLOYMENTS: u32 = 1000;

/// One deployment of an application.
struct Place {
    href: String,
    environment: String,
    kind: &'static str,
    state: String,
    cells: Cells,
    ready: String,
    version: String,
}

/// One application.
struct Row {
    name: String,
    href: String,
    description: String,
    team: String,
    places: Vec<Place>,
}

#[derive(Template)]
#[template(path = "applications/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
    query: String,
    pager: Pager,
    new_href: Option<String>,
    /// How a script makes one.
    command: String,
    away: Option<String>,
}

fn place_of(shell: &Shell, deployment: &DeploymentView) -> Place {
    let outcome = deployment.rollout.as_ref().map(|rollout| rollout.outcome);
    let (kind, state) = view::phase(&shell.t, deployment.status.phase, outcome);
    Place {
        href: href_of(deployment),
        environment: deployment.environment.clone(),
        kind,
        state,
        cells: Cells::of(&shell.t, deployment),
        ready: format!("{} / {}", deployment.status.ready_replicas, deployment.spec.replicas),
        version: version_of(&deployment.spec.template),
    }
}

/// `GET /p/{project}/a`
pub(in crate::web) async fn page(
    shell: Shell,
    At(name): At<ProjectName>,
    Query(query): Query<ListQuery>,
) -> PageResult {
    let project = project_of(&shell, &name).await?;
    let filter = ApplicationFilter {
        text: query.text().map(str::to_owned),
        project: Some(name.clone()),
        ..ApplicationFilter::default()
    };
    let catalog = &shell.services.catalog;
    let page = catalog.list_applications(&shell.actor, &filter, &query.request()).await?;
    let all = shell.services.engine.list_all_deployments(&shell.actor, MOST_DEPLOYMENTS).await;
    let (all, away) = match shell.part(all)? {
        Ok(all) => (all, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let mut places: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    for deployment in all.iter().filter(|d| d.project == name.as_str()) {
        if let Some(application) = &deployment.spec.application {
            places.entry(application.clone()).or_default().push(place_of(&shell, deployment));
        }
    }
    let rows = page
        .items
        .iter()
        .map(|application| Row {
            name: application.name.to_string(),
            href: format!("/p/{name}/a/{}", application.name),
            description: application.description.clone(),
            team: application.team.as_ref().map(ToString::to_string).unwrap_or_default(),
            places: places.remove(application.name.as_str()).unwrap_or_default(),
        })
        .collect();
    let may_create = shell.may(&project, Permission(Resource::Deployment, Action::Create));
    let title = shell.t.get("nav-applications");
    let frame = shell
        .project_frame(&project, Section::Applications, title)
        .await?
        .json(format!("/api/v1/projects/{name}/applications"));
    shell.render(&ListPage {
        rows,
        pager: query.pager(&format!("/p/{name}/a"), &page),
        query: query.q.clone(),
        new_href: may_create.then(|| format!("/p/{name}/a/new")),
        command: format!(
            "curl -u USER:TOKEN http://{}/api/v1/projects/{name}/applications -H 'Content-Type: application/json' -d '{{\"name\":\"hello\"}}'",
            frame.host
        ),
        away,
        frame,
    })
}

//! `/p/{project}/a/new`: the deploy form. It makes the application if it is new, its deployment,
//! and, when a port is asked for, a service.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;

use super::project_of;
use super::spec_form::{Choices, SpecForm, at_fields};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{
    ApplicationName, DeploymentName, EnvironmentName, Error, ErrorKind, PageRequest, ProjectName,
    Result, ServiceName,
};
use crate::catalog::{Lifecycle, NewApplication, Project};
use crate::engine::Precondition;
use crate::engine::spec::{Algorithm, PortProtocol, ServicePort, ServiceSpec};
use crate::web::form::Form;
use crate::web::frame::{Frame, Section};
use crate::web::session::Posted;
use crate::web::shell::{At, PageResult, Shell};

/// Most images and teams offered while typing.
const SUGGESTIONS: u32 = 100;

/// Names fields from elsewhere on the site: the image page's Deploy button, an application's.
#[derive(Debug, Default, serde::Deserialize)]
pub(in crate::web) struct From {
    #[serde(default)]
    image: String,
    #[serde(default)]
    app: String,
}

/// The deploy form.
#[derive(Debug, serde::Deserialize)]
pub(in crate::web) struct NewForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    team: String,
    #[serde(default)]
    environment: String,
    /// A port of the gateway; empty: no service.
    #[serde(default)]
    node_port: String,
    #[serde(flatten)]
    spec: SpecForm,
}

#[derive(Template)]
#[template(path = "applications/new.html")]
struct NewPage {
    frame: Frame,
    form: Form,
    choices: Choices,
    images: Vec<String>,
    teams: Vec<String>,
    environments: Vec<String>,
    project: String,
}

async fn page_of(shell: &Shell, project: &Project, form: Form) -> Result<NewPage> {
    let services = &shell.services;
    let few = PageRequest::first(SUGGESTIONS);
    let repositories =
        services.registry.list_repositories(&shell.actor, &project.name, None, &few).await;
    let images = shell
        .part(repositories)?
        .map(|page| {
            page.items
                .iter()
                .filter_map(|r| Some(format!("{}:{}", r.name, r.latest_tag.as_ref()?)))
                .collect()
        })
        .unwrap_or_default();
    let teams = services.catalog.list_teams(&shell.actor, None, &few).await?;
    let environments = services.catalog.list_environments(&shell.actor, &project.name).await?;
    let title = shell.t.get("new-title");
    let frame = shell
        .project_frame(project, Section::Applications, title)
        .await?
        .crumb(format!("/p/{}/a", project.name), shell.t.get("nav-applications"));
    Ok(NewPage {
        choices: Choices::of(&shell.t, form.value("probe")),
        form,
        images,
        teams: teams.items.iter().map(|team| team.name.to_string()).collect(),
        environments: environments.iter().map(|e| e.name.to_string()).collect(),
        project: project.name.to_string(),
        frame,
    })
}

async fn deployer_of(shell: &Shell, name: &ProjectName) -> Result<Project> {
    let permission = Permission(Resource::Deployment, Action::Create);
    let catalog = &shell.services.catalog;
    // Who may not see applications must not learn more from this page than from the list.
    project_of(shell, name).await?;
    catalog.project(&shell.actor, name, permission).await
}

/// `GET /p/{project}/a/new`
pub(in crate::web) async fn page(
    shell: Shell,
    At(name): At<ProjectName>,
    Query(from): Query<From>,
) -> PageResult {
    let project = deployer_of(&shell, &name).await?;
    let from_image = from
        .image
        .split(['@', ':'])
        .next()
        .and_then(|path| path.rsplit('/').next())
        .unwrap_or_default()
        .to_owned();
    let app = if from.app.is_empty() { from_image } else { from.app };
    let spec = SpecForm { image: from.image, ..SpecForm::fresh() };
    let form = spec.form().with("name", app).with("environment", &project.name);
    shell.render(&page_of(&shell, &project, form).await?)
}

async fn deploy(shell: &Shell, project: &Project, form: &NewForm) -> Result<String> {
    let services = &shell.services;
    let name: ApplicationName = form.name.trim().parse()?;
    let deployment: DeploymentName = form.name.trim().parse()?;
    let environment: EnvironmentName = form
        .environment
        .trim()
        .parse()
        .map_err(|error: Error| Error::invalid("environment", error.public_message()))?;
    let team = match form.team.trim() {
        "" => None,
        team => Some(
            team.parse().map_err(|error: Error| Error::invalid("team", error.public_message()))?,
        ),
    };
    let node_port = match form.node_port.trim() {
        "" => None,
        port => Some(
            port.parse::<u16>()
                .map_err(|_| Error::invalid("node_port", "must be a port, 1024 to 65535"))?,
        ),
    };
    let port = form.spec.port.trim().parse::<u16>().ok();
    if node_port.is_some() && port.is_none() {
        return Err(Error::invalid("port", "a service needs the container's port"));
    }
    let mut spec = form.spec.over(serde_json::Value::Null, name.as_str())?;
    spec.application = Some(name.to_string());
    let new = NewApplication {
        name: name.clone(),
        team,
        description: String::new(),
        lifecycle: Lifecycle::Production,
        repository: None,
        links: Vec::new(),
    };
    match services.catalog.create_application(&shell.actor, &project.name, new).await {
        Ok(_) => {}
        // It is there already: this is one more deployment of it.
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        Err(error) => return Err(error),
    }
    let engine = &services.engine;
    let applied = engine
        .apply_deployment(&shell.actor, &environment, &deployment, spec, Precondition::default())
        .await?;
    if let (Some(node_port), Some(port)) = (node_port, port) {
        let service: ServiceName = name.as_str().parse()?;
        let spec = ServiceSpec {
            deployment: deployment.to_string(),
            algorithm: Algorithm::default(),
            ports: vec![ServicePort {
                name: None,
                port,
                target_port: Some(port),
                node_port: Some(node_port),
                protocol: PortProtocol::default(),
            }],
        };
        engine.apply_service(&shell.actor, &environment, &service, spec).await.map_err(
            |error| {
                // The deployment exists by now; the page says what is left to do.
                match error.kind() {
                    ErrorKind::Conflict => Error::invalid("node_port", error.public_message()),
                    _ => error,
                }
            },
        )?;
    }
    Ok(super::href_of(&applied.view))
}

/// `POST /p/{project}/a/new`
pub(in crate::web) async fn submit(
    At(name): At<ProjectName>,
    Posted(shell, form): Posted<NewForm>,
) -> PageResult {
    let project = deployer_of(&shell, &name).await?;
    match deploy(&shell, &project, &form).await {
        Ok(href) => Ok(shell.done(&href, "flash-deployed", form.name.trim())),
        Err(error) => {
            let filled = form
                .spec
                .form()
                .with("name", &form.name)
                .with("team", &form.team)
                .with("environment", &form.environment)
                .with("node_port", &form.node_port)
                .refused(&shell.t, at_fields(error))?;
            shell.render_as(
                StatusCode::UNPROCESSABLE_ENTITY,
                &page_of(&shell, &project, filled).await?,
            )
        }
    }
}

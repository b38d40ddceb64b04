//! The catalog: applications of one project, and the search over all that the caller sees.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::answer::{Result, created, page};
use super::route::{self, Route, delete, get, in_project, patch};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{ApplicationName, Page, ProjectName, TeamName};
use crate::catalog::{
    Application, ApplicationChange, ApplicationFilter, Catalog, Lifecycle, Link, NewApplication,
};
use crate::http::Access;
use crate::http::caller::ApiCaller;
use crate::http::json::{Input, given};
use crate::http::query::{self, ListQuery, NoQuery, PathNames, Query};

const OF_PROJECT: &str = "/api/v1/projects/{project}/applications";
const ONE: &str = "/api/v1/projects/{project}/applications/{application}";

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| in_project(Resource::Application, action);
    vec![
        get(
            "/api/v1/applications",
            search,
            "searchApplications",
            "The catalog: applications of every project the caller sees",
            Access::PerObject,
        )
        .query::<SearchQuery>()
        .lists::<ApplicationView>(),
        get(OF_PROJECT, list, "listApplications", "Applications of a project", needs(Action::List))
            .query::<ListQuery>()
            .lists::<ApplicationView>(),
        route::create(
            OF_PROJECT,
            create,
            "createApplication",
            "Add an application",
            needs(Action::Create),
        )
        .body::<ApplicationInput>()
        .answers::<ApplicationView>(201),
        get(ONE, read, "getApplication", "One application", needs(Action::Read))
            .answers::<ApplicationView>(200),
        patch(ONE, change, "changeApplication", "Change an application", needs(Action::Update))
            .body::<ApplicationPatch>()
            .answers::<ApplicationView>(200)
            .notes("`null` removes the team or the repository; links are replaced whole."),
        delete(
            ONE,
            remove,
            "deleteApplication",
            "Delete an application without deployments",
            needs(Action::Delete),
        ),
    ]
}

/// An application of the catalog.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ApplicationView {
    id: Uuid,
    project: String,
    name: String,
    /// The owner.
    team: Option<String>,
    description: String,
    /// `experimental`, `production` or `deprecated`.
    lifecycle: &'static str,
    /// Repository path below the project.
    repository: Option<String>,
    links: Vec<LinkView>,
    /// Environments it is deployed to.
    environments: Vec<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A link.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LinkView {
    title: String,
    /// http or https.
    url: String,
}

impl From<Application> for ApplicationView {
    fn from(found: Application) -> Self {
        Self {
            id: found.id.uuid(),
            project: found.project.to_string(),
            name: found.name.to_string(),
            team: found.team.map(|team| team.to_string()),
            description: found.description,
            lifecycle: found.lifecycle.as_str(),
            repository: found.repository,
            links: found
                .links
                .into_iter()
                .map(|link| LinkView { title: link.title, url: link.url })
                .collect(),
            environments: found.environments.iter().map(ToString::to_string).collect(),
            created_at: found.created_at,
            updated_at: found.updated_at,
        }
    }
}

fn links(given: Vec<LinkView>) -> Vec<Link> {
    given.into_iter().map(|link| Link { title: link.title, url: link.url }).collect()
}

/// What the search matches on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    /// Part of the name, the description, the team's or the project's name.
    q: Option<String>,
    /// Only this project.
    #[param(value_type = Option<String>)]
    project: Option<ProjectName>,
    /// Only this team's.
    #[param(value_type = Option<String>)]
    team: Option<TeamName>,
    /// `experimental`, `production` or `deprecated`.
    #[param(value_type = Option<String>)]
    lifecycle: Option<Lifecycle>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows wanted, 1 to 1000; 50 when absent.
    limit: Option<u32>,
}

/// An application to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApplicationInput {
    #[schema(value_type = String)]
    name: ApplicationName,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    team: Option<TeamName>,
    #[serde(default)]
    description: String,
    /// `experimental`, `production` (the default) or `deprecated`.
    #[serde(default = "production")]
    #[schema(value_type = String)]
    lifecycle: Lifecycle,
    /// Repository path below the project.
    #[serde(default)]
    repository: Option<String>,
    #[serde(default)]
    links: Vec<LinkView>,
}

fn production() -> Lifecycle {
    Lifecycle::Production
}

/// What to change of an application.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApplicationPatch {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    team: Option<Option<TeamName>>,
    #[serde(default, deserialize_with = "given")]
    description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    lifecycle: Option<Lifecycle>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    repository: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    links: Option<Vec<LinkView>>,
}

async fn search(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Page<ApplicationView>>> {
    let wanted = query::page(query.after.as_deref(), query.limit);
    let filter = ApplicationFilter {
        text: query.q,
        project: query.project,
        team: query.team,
        lifecycle: query.lifecycle,
    };
    let found = catalog.list_applications(&caller.actor, &filter, &wanted).await?;
    Ok(page(found, ApplicationView::from))
}

async fn list(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<ApplicationView>>> {
    let needs = Permission(Resource::Application, Action::List);
    let project = catalog.project(&caller.actor, &names.find("project")?, needs).await?;
    let filter = ApplicationFilter {
        text: query.text()?.map(str::to_owned),
        project: Some(project.name),
        ..ApplicationFilter::default()
    };
    let found = catalog.list_applications(&caller.actor, &filter, &query.page()).await?;
    Ok(page(found, ApplicationView::from))
}

async fn create(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<ApplicationInput>,
) -> Result<Response> {
    let new = NewApplication {
        name: input.name,
        team: input.team,
        description: input.description,
        lifecycle: input.lifecycle,
        repository: input.repository,
        links: links(input.links),
    };
    let made = catalog.create_application(&caller.actor, &names.find("project")?, new).await?;
    let location = format!("/api/v1/projects/{}/applications/{}", made.project, made.name);
    Ok(created(&location, ApplicationView::from(made)))
}

async fn read(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<ApplicationView>> {
    let (project, name) = (names.find("project")?, names.find("application")?);
    Ok(Json(catalog.application(&caller.actor, &project, &name).await?.into()))
}

async fn change(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<ApplicationPatch>,
) -> Result<Json<ApplicationView>> {
    let change = ApplicationChange {
        team: input.team,
        description: input.description,
        lifecycle: input.lifecycle,
        repository: input.repository,
        links: input.links.map(links),
    };
    let (project, name) = (names.find("project")?, names.find("application")?);
    Ok(Json(catalog.update_application(&caller.actor, &project, &name, change).await?.into()))
}

async fn remove(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    let (project, name) = (names.find("project")?, names.find("application")?);
    catalog.delete_application(&caller.actor, &project, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

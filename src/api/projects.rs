//! Projects.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Result, created, page};
use super::route::{self, Route, delete, get, in_project, patch, platform};
use crate::accounts::rbac::{Action, Permission, Resource, Visibility};
use crate::base::{Page, ProjectName};
use crate::catalog::{Catalog, NewProject, Project, ProjectChange};
use crate::http::caller::ApiCaller;
use crate::http::json::{Input, given};
use crate::http::query::{ListQuery, NoQuery, PathNames, Query};

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| in_project(Resource::Project, action);
    vec![
        get(
            "/api/v1/projects",
            list,
            "listProjects",
            "Projects the caller sees, by name",
            platform(Resource::Project, Action::List),
        )
        .query::<ListQuery>()
        .lists::<ProjectView>(),
        route::create(
            "/api/v1/projects",
            create,
            "createProject",
            "Create a project and its first environment",
            platform(Resource::Project, Action::Create),
        )
        .body::<ProjectInput>()
        .answers::<ProjectView>(201),
        get("/api/v1/projects/{project}", read, "getProject", "One project", needs(Action::Read))
            .answers::<ProjectView>(200),
        patch(
            "/api/v1/projects/{project}",
            change,
            "changeProject",
            "Change description or visibility",
            needs(Action::Update),
        )
        .body::<ProjectPatch>()
        .answers::<ProjectView>(200),
        delete(
            "/api/v1/projects/{project}",
            remove,
            "deleteProject",
            "Delete an empty project",
            needs(Action::Delete),
        ),
    ]
}

/// A project.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProjectView {
    id: Uuid,
    name: String,
    description: String,
    /// `private` or `public`.
    visibility: &'static str,
    /// The caller's strongest role here.
    role: Option<&'static str>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Project> for ProjectView {
    fn from(project: Project) -> Self {
        Self {
            id: project.id.uuid(),
            name: project.name.to_string(),
            description: project.description,
            visibility: project.visibility.as_str(),
            role: project.role.map(|role| role.as_str()),
            created_at: project.created_at,
            updated_at: project.updated_at,
        }
    }
}

/// A project to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProjectInput {
    #[schema(value_type = String)]
    name: ProjectName,
    #[serde(default)]
    description: String,
    /// `private` (the default) or `public`.
    #[serde(default = "private")]
    #[schema(value_type = String)]
    visibility: Visibility,
}

fn private() -> Visibility {
    Visibility::Private
}

/// What to change of a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProjectPatch {
    #[serde(default, deserialize_with = "given")]
    description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    visibility: Option<Visibility>,
}

async fn list(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<ProjectView>>> {
    let projects = catalog.list_projects(&caller.actor, query.text()?, &query.page()).await?;
    Ok(page(projects, ProjectView::from))
}

async fn create(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    Input(input): Input<ProjectInput>,
) -> Result<Response> {
    let new = NewProject {
        name: input.name,
        description: input.description,
        visibility: input.visibility,
    };
    let project = catalog.create_project(&caller.actor, new).await?;
    Ok(created(&format!("/api/v1/projects/{}", project.name), ProjectView::from(project)))
}

async fn read(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<ProjectView>> {
    let permission = Permission(Resource::Project, Action::Read);
    Ok(Json(catalog.project(&caller.actor, &names.find("project")?, permission).await?.into()))
}

async fn change(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<ProjectPatch>,
) -> Result<Json<ProjectView>> {
    let change = ProjectChange { description: input.description, visibility: input.visibility };
    Ok(Json(catalog.update_project(&caller.actor, &names.find("project")?, change).await?.into()))
}

async fn remove(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    catalog.delete_project(&caller.actor, &names.find("project")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

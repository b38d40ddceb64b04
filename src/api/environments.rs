//! Environments of projects.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Result, created, whole};
use super::route::{self, Route, delete, get, in_project};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{EnvironmentName, Page};
use crate::catalog::{Catalog, Environment};
use crate::http::caller::ApiCaller;
use crate::http::json::Input;
use crate::http::query::{NoQuery, PathNames, Query};

const OF_PROJECT: &str = "/api/v1/projects/{project}/environments";
const ONE: &str = "/api/v1/environments/{environment}";

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| in_project(Resource::Environment, action);
    vec![
        get(OF_PROJECT, list, "listEnvironments", "Environments of a project", needs(Action::List))
            .lists::<EnvironmentView>(),
        route::create(
            OF_PROJECT,
            create,
            "createEnvironment",
            "Add an environment",
            needs(Action::Create),
        )
        .body::<EnvironmentInput>()
        .answers::<EnvironmentView>(201),
        get(ONE, read, "getEnvironment", "One environment", needs(Action::Read))
            .answers::<EnvironmentView>(200),
        delete(ONE, remove, "deleteEnvironment", "Delete an empty one", needs(Action::Delete)),
    ]
}

/// An environment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EnvironmentView {
    id: Uuid,
    name: String,
    project: String,
    created_at: DateTime<Utc>,
}

impl From<Environment> for EnvironmentView {
    fn from(environment: Environment) -> Self {
        Self {
            id: environment.id.uuid(),
            name: environment.name.to_string(),
            project: environment.project.name.to_string(),
            created_at: environment.created_at,
        }
    }
}

/// An environment to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EnvironmentInput {
    /// Unique in the installation.
    #[schema(value_type = String)]
    name: EnvironmentName,
}

async fn list(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<Page<EnvironmentView>>> {
    let found = catalog.list_environments(&caller.actor, &names.find("project")?).await?;
    Ok(whole(found, EnvironmentView::from))
}

async fn create(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<EnvironmentInput>,
) -> Result<Response> {
    let project = names.find("project")?;
    let made = catalog.create_environment(&caller.actor, &project, &input.name).await?;
    Ok(created(&format!("/api/v1/environments/{}", made.name), EnvironmentView::from(made)))
}

async fn read(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<EnvironmentView>> {
    let (name, needs) =
        (names.find("environment")?, Permission(Resource::Environment, Action::Read));
    Ok(Json(catalog.environment(&caller.actor, &name, needs).await?.into()))
}

async fn remove(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    catalog.delete_environment(&caller.actor, &names.find("environment")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

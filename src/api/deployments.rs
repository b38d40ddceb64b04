//! Deployments: declare, change, roll back, restart, remove; their revisions.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Result, applied, whole};
use super::route::{self, Route, delete, get, in_project, patch, put};
use crate::accounts::rbac::{Action, Resource};
use crate::base::{DeploymentName, EnvironmentName, Error, Page};
use crate::engine::Engine;
use crate::engine::spec::DeploymentSpec;
use crate::engine::view::{DeploymentView, RevisionView};
use crate::http::Access;
use crate::http::caller::ApiCaller;
use crate::http::etag;
use crate::http::json::{Input, OptionalInput, SPEC_LIMIT};
use crate::http::query::{self, NoQuery, PageQuery, PathNames, Query};

const LIST: &str = "/api/v1/environments/{environment}/deployments";
const ONE: &str = "/api/v1/environments/{environment}/deployments/{deployment}";
const ROLLBACK: &str = "/api/v1/environments/{environment}/deployments/{deployment}/rollback";
const RESTART: &str = "/api/v1/environments/{environment}/deployments/{deployment}/restart";
const REVISIONS: &str = "/api/v1/environments/{environment}/deployments/{deployment}/revisions";

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| in_project(Resource::Deployment, action);
    vec![
        get(
            "/api/v1/deployments",
            list_all,
            "listAllDeployments",
            "Deployments of every project the caller sees, worst phase first",
            Access::PerObject,
        )
        .query::<AllQuery>()
        .lists::<DeploymentView>(),
        get(LIST, list, "listDeployments", "Deployments of an environment", needs(Action::List))
            .query::<PageQuery>()
            .lists::<DeploymentView>(),
        get(ONE, read, "getDeployment", "One deployment", needs(Action::Read))
            .answers::<DeploymentView>(200)
            .notes("The ETag is the generation of its desired state."),
        put(ONE, apply, "applyDeployment", "Declare a deployment", needs(Action::Create))
            .body::<DeploymentSpec>()
            .answers::<DeploymentView>(200)
            .notes("201 when it is new; the same again changes nothing. Honours If-Match."),
        patch(ONE, change, "changeDeployment", "Change a deployment", needs(Action::Update))
            .body::<DeploymentPatch>()
            .answers::<DeploymentView>(200)
            .notes(
                "Objects merge, `null` removes, `containers` and `env` merge by `name`, `ports` by \
                 `containerPort`; `{\"image\": …}` is shorthand for the only container's. Honours \
                 If-Match.",
            ),
        delete(ONE, remove, "deleteDeployment", "Remove a deployment", needs(Action::Delete)),
        route::create(ROLLBACK, rollback, "rollbackDeployment", "Undo", needs(Action::Operate))
            .body::<RollbackInput>()
            .answers::<DeploymentView>(200)
            .notes("Makes a new revision that copies revision `to`."),
        route::create(
            RESTART,
            restart,
            "restartDeployment",
            "Roll all replicas",
            needs(Action::Operate),
        )
        .optional_body::<RestartInput>()
        .answers::<DeploymentView>(200),
        get(REVISIONS, revisions, "listRevisions", "Revisions, newest first", needs(Action::Read))
            .lists::<RevisionView>(),
    ]
}

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct AllQuery {
    /// Rows wanted, 1 to 1000; 50 when absent.
    limit: Option<u32>,
}

/// Any part of a deployment's spec, and `image`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object, example = json!({"replicas": 5}))]
struct DeploymentPatch(Map<String, Value>);

/// Where to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RollbackInput {
    /// Number of the revision to copy.
    to: i64,
    /// Why, for the event log.
    #[serde(default)]
    reason: String,
}

/// How to restart.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RestartInput {
    /// Resolve tags anew.
    #[serde(default)]
    resolve: bool,
}

fn names_of(names: &PathNames) -> Result<(EnvironmentName, DeploymentName), Error> {
    Ok((names.find("environment")?, names.find("deployment")?))
}

/// The body with its generation as the entity tag.
fn tagged(generation: i64, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert(header::ETAG, etag::of(generation));
    response
}

async fn list_all(
    State(engine): State<Engine>,
    caller: ApiCaller,
    Query(query): Query<AllQuery>,
) -> Result<Json<Page<DeploymentView>>> {
    let limit = query::page(None, query.limit).limit()?;
    Ok(whole(engine.list_all_deployments(&caller.actor, limit).await?, |view| view))
}

async fn list(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<DeploymentView>>> {
    let page = query.page();
    Ok(Json(engine.list_deployments(&caller.actor, &names.find("environment")?, &page).await?))
}

async fn read(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Response> {
    let (environment, name) = names_of(&names)?;
    let view = engine.deployment(&caller.actor, &environment, &name).await?;
    Ok(tagged(view.generation, Json(view)))
}

async fn apply(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    headers: HeaderMap,
    Input(spec): Input<DeploymentSpec, SPEC_LIMIT>,
) -> Result<Response> {
    let (environment, name) = (names.find("environment")?, names.make("deployment")?);
    let when = etag::precondition(&headers)?;
    let done = engine.apply_deployment(&caller.actor, &environment, &name, spec, when).await?;
    let location = format!("/api/v1/environments/{environment}/deployments/{name}");
    Ok(tagged(done.view.generation, applied(done.created, &location, done.view)))
}

async fn change(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    headers: HeaderMap,
    Input(DeploymentPatch(patch)): Input<DeploymentPatch, SPEC_LIMIT>,
) -> Result<Response> {
    let (environment, name) = names_of(&names)?;
    let (when, patch) = (etag::precondition(&headers)?, Value::Object(patch));
    let done = engine.patch_deployment(&caller.actor, &environment, &name, patch, when).await?;
    Ok(tagged(done.view.generation, Json(done.view)))
}

async fn remove(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    let (environment, name) = names_of(&names)?;
    engine.delete_deployment(&caller.actor, &environment, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rollback(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<RollbackInput>,
) -> Result<Response> {
    let (environment, name) = names_of(&names)?;
    let (to, reason) = (input.to, input.reason.as_str());
    let view = engine.rollback(&caller.actor, &environment, &name, to, reason).await?;
    Ok(tagged(view.generation, Json(view)))
}

async fn restart(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    OptionalInput(input): OptionalInput<RestartInput>,
) -> Result<Response> {
    let (environment, name) = names_of(&names)?;
    let view = engine.restart(&caller.actor, &environment, &name, input.resolve).await?;
    Ok(tagged(view.generation, Json(view)))
}

async fn revisions(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<Page<RevisionView>>> {
    let (environment, name) = names_of(&names)?;
    Ok(whole(engine.revisions(&caller.actor, &environment, &name).await?, |view| view))
}

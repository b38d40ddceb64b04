//! Services of an environment.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{Result, applied, whole};
use super::route::{Route, delete, get, in_project, put};
use crate::accounts::rbac::{Action, Resource};
use crate::base::Page;
use crate::engine::Engine;
use crate::engine::spec::ServiceSpec;
use crate::engine::view::ServiceView;
use crate::http::caller::ApiCaller;
use crate::http::json::Input;
use crate::http::query::{NoQuery, PathNames, Query};

const LIST: &str = "/api/v1/environments/{environment}/services";
const ONE: &str = "/api/v1/environments/{environment}/services/{service}";

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| in_project(Resource::Service, action);
    vec![
        get(LIST, list, "listServices", "Services of an environment", needs(Action::List))
            .lists::<ServiceView>(),
        get(ONE, read, "getService", "One service", needs(Action::Read))
            .answers::<ServiceView>(200),
        put(ONE, apply, "applyService", "Declare a service", needs(Action::Create))
            .body::<ServiceSpec>()
            .answers::<ServiceView>(200)
            .notes("201 when it is new; the same again changes nothing."),
        delete(ONE, remove, "deleteService", "Remove a service", needs(Action::Delete)),
    ]
}

async fn list(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<Page<ServiceView>>> {
    let found = engine.list_services(&caller.actor, &names.find("environment")?).await?;
    Ok(whole(found, |view| view))
}

async fn read(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<ServiceView>> {
    let (environment, name) = (names.find("environment")?, names.find("service")?);
    Ok(Json(engine.service(&caller.actor, &environment, &name).await?))
}

async fn apply(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    Input(spec): Input<ServiceSpec>,
) -> Result<Response> {
    let (environment, name) = (names.find("environment")?, names.make("service")?);
    let done = engine.apply_service(&caller.actor, &environment, &name, spec).await?;
    let location = format!("/api/v1/environments/{environment}/services/{name}");
    Ok(applied(done.created, &location, done.view))
}

async fn remove(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    let (environment, name) = (names.find("environment")?, names.find("service")?);
    engine.delete_service(&caller.actor, &environment, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

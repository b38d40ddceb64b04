//! The JSON API: extract, one service call, render.
//!
//! Every route is a row (`route`): the router, [`access`] and the OpenAPI document are made from
//! the same rows. Lists are `{items, next}`; creations answer 201 with their address; errors are
//! problem documents (`http::problem`).

mod answer;
mod applications;
mod collection;
mod deployments;
mod docs;
mod document;
mod environments;
mod events;
mod images;
mod imports;
mod labels;
mod limits;
mod me;
mod members;
mod platform;
mod projects;
mod quotas;
mod replicas;
mod repositories;
mod retention;
mod retention_views;
mod route;
mod services;
mod sources;
mod tag_rules;
mod teams;
mod users;
mod versions;

use std::sync::LazyLock;

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, any, on};

use crate::base::{Error, ErrorKind};
use crate::http::problem::{self, Problem};
use crate::http::query::not_found;
use crate::http::{Access, RouteAccess, Services, idempotency};
use route::{Route, get};

/// The document as text; it depends on the code alone.
static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| document::of(&rows()).to_pretty_json().unwrap_or_default());
static DOCS: LazyLock<String> = LazyLock::new(|| docs::page(&rows()));

fn rows() -> Vec<Route> {
    let mut rows = vec![
        get(
            "/api/v1/openapi.json",
            openapi_json,
            "getOpenApi",
            "This API as OpenAPI 3.1",
            Access::Public,
        )
        .sends("application/json"),
        get("/api/docs", docs_page, "getDocs", "This API as a page", Access::Public)
            .sends("text/html"),
    ];
    for more in [
        me::routes(),
        users::routes(),
        teams::routes(),
        projects::routes(),
        members::routes(),
        environments::routes(),
        applications::routes(),
        repositories::routes(),
        versions::routes(),
        labels::routes(),
        tag_rules::routes(),
        sources::routes(),
        imports::routes(),
        retention::routes(),
        deployments::routes(),
        replicas::routes(),
        services::routes(),
        events::routes(),
        platform::routes(),
        quotas::routes(),
        collection::routes(),
    ] {
        rows.extend(more);
    }
    rows
}

/// The OpenAPI 3.1 document.
pub fn openapi() -> String {
    DOCUMENT.clone()
}

/// What each route needs.
pub fn access() -> Vec<RouteAccess> {
    let mut rows: Vec<RouteAccess> = rows()
        .into_iter()
        .filter(|row| row.handler.is_some())
        .map(|row| RouteAccess { method: row.method, path: row.path, access: row.access })
        .collect();
    rows.extend([Method::GET, Method::POST, Method::PUT, Method::DELETE].map(|method| {
        RouteAccess { method, path: repositories::WILDCARD, access: Access::PerObject }
    }));
    rows
}

/// The routes of the API, `/api/docs` included.
pub fn router() -> Router<Services> {
    let mut router = Router::new();
    for row in rows() {
        let Some(mut handler) = row.handler else { continue };
        if !row.idempotent {
            handler = handler.layer(from_fn(idempotency::refuse));
        }
        router = router.route(row.path, handler);
    }
    let repositories =
        MethodFilter::GET.or(MethodFilter::POST).or(MethodFilter::PUT).or(MethodFilter::DELETE);
    router
        .route(repositories::WILDCARD, on(repositories, repositories::dispatch))
        .route("/api", any(unknown))
        .route("/api/{*rest}", any(unknown))
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn(problem::render))
}

async fn openapi_json(State(_): State<Services>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

async fn docs_page(State(_): State<Services>) -> Response {
    docs::answer(&DOCS)
}

async fn unknown(OriginalUri(uri): OriginalUri) -> Problem {
    not_found("path", uri.path()).into()
}

async fn not_allowed() -> Problem {
    not_allowed_problem()
}

fn not_allowed_problem() -> Problem {
    let error = Error::new(
        ErrorKind::Malformed,
        "method_not_allowed",
        "this path does not take this method; see the Allow header",
    );
    Problem::with_status(error, StatusCode::METHOD_NOT_ALLOWED)
}

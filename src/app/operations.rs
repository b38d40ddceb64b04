//! The operations endpoints: `/healthz` (the process), `/readyz` (what it needs), `/metrics`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::Secret;
use crate::http::Services;
use crate::http::caller::ApiCaller;
use crate::http::problem::{self, Problem};

/// What the endpoints need beside the services.
pub(super) struct Operations {
    pub metrics: PrometheusHandle,
    pub metrics_token: Option<Secret>,
}

pub(super) fn router(operations: Operations) -> Router<Services> {
    let operations = Arc::new(operations);
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route(
            "/metrics",
            get(move |state: State<Services>, headers: HeaderMap, request: Request| {
                metrics(operations.clone(), state, headers, request)
            }),
        )
        .layer(from_fn(problem::render))
}

/// Says which dependency is missing, but nothing about tenants: anybody may ask. Docker is not
/// among what makes a server ready, because the registry and the portal work without it.
async fn ready(State(services): State<Services>) -> Response {
    let database = services.db.ping().await.is_ok();
    let storage = services.registry.check_storage().await.is_ok();
    let word = |ok| if ok { "ok" } else { "unavailable" };
    let status = if database && storage { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "database": word(database), "storage": word(storage) });
    (status, Json(body)).into_response()
}

async fn metrics(
    operations: Arc<Operations>,
    State(services): State<Services>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let given = given.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
    let by_token = operations.metrics_token.as_ref().is_some_and(|token| {
        bool::from(subtle::ConstantTimeEq::ct_eq(token.expose().as_bytes(), given.as_bytes()))
    });
    if !by_token {
        let (mut parts, _) = request.into_parts();
        use axum::extract::FromRequestParts as _;
        let caller = match ApiCaller::from_request_parts(&mut parts, &services).await {
            Ok(caller) => caller,
            Err(refusal) => return refusal.into_response(),
        };
        let read = Permission(Resource::System, Action::Read);
        if let Err(error) = require_platform(&caller.actor, read) {
            return Problem::from(error).into_response();
        }
    }
    operations.metrics.run_upkeep();
    let text = operations.metrics.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

//! Replicas of a deployment and their log lines.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{Result, whole};
use super::limits;
use super::route::{Route, get, in_project};
use crate::accounts::rbac::{Action, Resource};
use crate::base::Page;
use crate::engine::view::ReplicaView;
use crate::engine::{Engine, LogLine, LogRequest};
use crate::http::caller::ApiCaller;
use crate::http::query::{NoQuery, PathNames, Query, not_found};
use crate::http::serve::Endless;

const LIST: &str = "/api/v1/environments/{environment}/deployments/{deployment}/replicas";
const LOGS: &str =
    "/api/v1/environments/{environment}/deployments/{deployment}/replicas/{replica}/logs";
const LINES: &str = "application/x-ndjson";

pub(super) fn routes() -> Vec<Route> {
    vec![
        get(LIST, list, "listReplicas", "Replicas", in_project(Resource::Replica, Action::List))
            .lists::<ReplicaView>(),
        get(LOGS, logs, "getLogs", "Log lines", in_project(Resource::Replica, Action::Logs))
            .query::<LogQuery>()
            .sends("text/plain")
            .notes(
                "With `Accept: application/x-ndjson` each line is an object with `at`, `stream` \
                 and `text`. A followed log ends after an hour.",
            ),
    ]
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    /// Keep following.
    #[serde(default)]
    follow: bool,
    /// Last lines, at most 5000; 200 when absent.
    tail: Option<u32>,
    /// The container before the present one.
    #[serde(default)]
    previous: bool,
    /// Not before (RFC 3339).
    since: Option<DateTime<Utc>>,
}

async fn list(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<Page<ReplicaView>>> {
    let (environment, deployment) = (names.find("environment")?, names.find("deployment")?);
    Ok(whole(engine.replicas(&caller.actor, &environment, &deployment).await?, |view| view))
}

fn wants_objects(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
    accepted.any(|value| value.contains(LINES))
}

async fn logs(
    State(engine): State<Engine>,
    caller: ApiCaller,
    names: PathNames,
    headers: HeaderMap,
    Query(query): Query<LogQuery>,
) -> Result<Response> {
    let (environment, deployment) = (names.find("environment")?, names.find("deployment")?);
    let replica = names.text("replica");
    if replica.contains('\0') {
        return Err(not_found("replica", replica).into());
    }
    let request = LogRequest {
        previous: query.previous,
        follow: query.follow,
        tail: query.tail,
        since: query.since,
    };
    let permit = limits::stream()?;
    let lines = engine.logs(&caller.actor, &environment, &deployment, replica, &request).await?;
    let objects = wants_objects(&headers);
    let body = lines.take_until(tokio::time::sleep(limits::LONGEST_LOG)).map(move |line| {
        let _permit = &permit;
        line.map(|line| show(&line, objects)).inspect_err(|error| {
            tracing::warn!(error = %error.chain(), "a log broke off while it was read");
        })
    });
    let media_type = if objects { LINES } else { "text/plain; charset=utf-8" };
    let mut response =
        ([(header::CONTENT_TYPE, media_type)], Body::from_stream(body)).into_response();
    if query.follow {
        response.extensions_mut().insert(Endless);
    }
    Ok(response)
}

fn show(line: &LogLine, as_object: bool) -> Bytes {
    let mut text = if as_object {
        serde_json::to_vec(line).unwrap_or_default()
    } else {
        line.text.clone().into_bytes()
    };
    text.push(b'\n');
    text.into()
}

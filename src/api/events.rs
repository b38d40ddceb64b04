//! The event log: pages of it, and a stream of what is appended.
//!
//! The stream is server-sent events; each has its position as `id`, so that a client goes on
//! with `Last-Event-ID` where it was. What the caller may see is asked again for every batch.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{self, KeepAlive, Sse};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::answer::{Result, page};
use super::limits;
use super::route::{Route, get};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::{DeploymentId, ProjectId};
use crate::base::{Actor, DeploymentName, EnvironmentName, Error, Page, ProjectName};
use crate::events::{self, Event, Filter, Outcome, Position};
use crate::http::caller::ApiCaller;
use crate::http::query::{self, Query};
use crate::http::{Access, Services};

/// Most events read at once.
const BATCH: i64 = 200;
/// Looks again even when nothing was announced: what commits while an older transaction runs
/// becomes visible later.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const NEEDS: Permission = Permission(Resource::Event, Action::List);

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/events", list, "listEvents", "Events, newest first", Access::PerObject)
            .query::<EventQuery>()
            .lists::<EventView>()
            .notes("Without a project: events of all projects in which the caller has event:list."),
        get(
            "/api/v1/events/stream",
            follow,
            "followEvents",
            "Events as they are appended (server-sent events)",
            Access::PerObject,
        )
        .query::<StreamQuery>()
        .sends("text/event-stream")
        .notes("Send Last-Event-ID to go on. The stream ends after 15 minutes; connect again."),
    ]
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct EventQuery {
    #[param(value_type = Option<String>)]
    project: Option<ProjectName>,
    /// With `deployment`: only that deployment's.
    #[param(value_type = Option<String>)]
    environment: Option<EnvironmentName>,
    #[param(value_type = Option<String>)]
    deployment: Option<DeploymentName>,
    /// Name of who acted.
    actor: Option<String>,
    /// Start of the action, e.g. `replica.`.
    action: Option<String>,
    /// `success`, `failure` or `denied`.
    #[param(value_type = Option<String>)]
    outcome: Option<Outcome>,
    /// Part of the target's name.
    q: Option<String>,
    /// Not before (RFC 3339).
    from: Option<DateTime<Utc>>,
    /// Before (RFC 3339).
    to: Option<DateTime<Utc>>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows wanted, 1 to 1000; 50 when absent.
    limit: Option<u32>,
}

/// Which events to follow.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct StreamQuery {
    #[param(value_type = Option<String>)]
    project: Option<ProjectName>,
    /// Start of the action, e.g. `replica.`.
    action: Option<String>,
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EventView {
    id: Uuid,
    created_at: DateTime<Utc>,
    /// `user`, `system`, `node` or `anonymous`.
    actor_kind: String,
    actor_name: String,
    /// `object.verb`.
    action: String,
    target_kind: String,
    target_name: String,
    project_id: Option<Uuid>,
    environment_id: Option<Uuid>,
    deployment_id: Option<Uuid>,
    /// `success`, `failure` or `denied`.
    outcome: String,
    /// One sentence: what happened and why.
    message: String,
    /// Inputs, formula, result; before and after.
    #[schema(value_type = Object)]
    detail: serde_json::Value,
    /// `web`, `api`, `registry`, `cli` or `engine`.
    channel: String,
    address: Option<String>,
    request_id: Option<String>,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            id: event.id.uuid(),
            created_at: event.created_at,
            actor_kind: event.actor_kind,
            actor_name: event.actor_name,
            action: event.action,
            target_kind: event.target_kind,
            target_name: event.target_name,
            project_id: event.project_id.map(ProjectId::uuid),
            environment_id: event.environment_id.map(|id| id.uuid()),
            deployment_id: event.deployment_id.map(DeploymentId::uuid),
            outcome: event.outcome,
            message: event.message,
            detail: event.detail,
            channel: event.channel,
            address: event.address,
            request_id: event.request_id,
        }
    }
}

/// The projects whose events the caller may see; `None`: all, and the platform's.
async fn scope(
    services: &Services,
    actor: &Actor,
    project: Option<&ProjectName>,
) -> Result<Option<Vec<ProjectId>>, Error> {
    match project {
        Some(name) => Ok(Some(vec![services.catalog.project(actor, name, NEEDS).await?.id])),
        None => services.catalog.visible_projects(actor, NEEDS).await,
    }
}

async fn list(
    State(services): State<Services>,
    caller: ApiCaller,
    Query(query): Query<EventQuery>,
) -> Result<Json<Page<EventView>>> {
    let actor = &caller.actor;
    let mut projects = scope(&services, actor, query.project.as_ref()).await?;
    let mut deployment = None;
    match (&query.environment, &query.deployment) {
        (Some(environment), Some(name)) => {
            let place = services.catalog.environment(actor, environment, NEEDS).await?;
            if projects.as_ref().is_some_and(|ids| !ids.contains(&place.project.id)) {
                return Err(Error::not_found("environment", environment).into());
            }
            projects = Some(vec![place.project.id]);
            let found = services.engine.deployment(actor, environment, name).await?;
            deployment = Some(DeploymentId::from(found.id));
        }
        (None, None) => {}
        _ => {
            let rule = "environment and deployment go together";
            return Err(Error::invalid("deployment", rule).into());
        }
    }
    let filter = Filter {
        projects,
        deployment,
        actor: query.actor,
        action: query.action,
        outcome: query.outcome,
        text: query.q,
        from: query.from,
        to: query.to,
    };
    let wanted = query::page(query.after.as_deref(), query.limit);
    Ok(page(events::list(&services.db, &filter, &wanted).await?, EventView::from))
}

/// Where a stream is.
struct Follower {
    services: Services,
    actor: Actor,
    query: StreamQuery,
    position: Position,
    changes: tokio::sync::watch::Receiver<u64>,
    ready: VecDeque<Event>,
}

impl Follower {
    /// The next event; `None` when the caller may see nothing any more, or the log cannot be
    /// read.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.fill().await {
                Ok(true) => {}
                Ok(false) => {
                    let wake = self.changes.changed();
                    let _ = tokio::time::timeout(LOOK_AGAIN, wake).await;
                }
                Err(error) => {
                    tracing::debug!(error = %error.chain(), "a stream of events ended");
                    return None;
                }
            }
        }
    }

    /// Reads a batch; says whether there was any.
    async fn fill(&mut self) -> Result<bool, Error> {
        self.changes.mark_unchanged();
        let batch = events::since(&self.services.db, self.position, BATCH).await?;
        let Some(last) = batch.last() else { return Ok(false) };
        self.position = last.position();
        let projects = scope(&self.services, &self.actor, self.query.project.as_ref()).await?;
        let sees = |event: &Event| match &projects {
            None => true,
            Some(ids) => event.project_id.is_some_and(|id| ids.contains(&id)),
        };
        let action = self.query.action.as_deref().unwrap_or_default();
        let wanted = batch.into_iter().filter(|e| e.action.starts_with(action) && sees(e));
        self.ready.extend(wanted);
        Ok(true)
    }
}

async fn follow(
    State(services): State<Services>,
    caller: ApiCaller,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> Result<impl IntoResponse> {
    scope(&services, &caller.actor, query.project.as_ref()).await?;
    let position = match headers.get("last-event-id") {
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::invalid("last-event-id", "must be the id of an event"))?,
        None => events::head(&services.db).await?,
    };
    let permit = limits::stream()?;
    let changes = services.db.changes();
    let ready = VecDeque::new();
    let follower = Follower { services, actor: caller.actor, query, position, changes, ready };
    let events = stream::unfold((follower, permit), |(mut follower, permit)| async move {
        let event = follower.next().await?;
        let (id, view) = (event.position().to_string(), EventView::from(event));
        let event = sse::Event::default().id(id).json_data(view).ok()?;
        Some((Ok::<_, Infallible>(event), (follower, permit)))
    });
    let bounded = events.take_until(tokio::time::sleep(limits::LONGEST_STREAM));
    Ok(Sse::new(bounded).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

//! `…/events`: everything that happened to a deployment, with the inputs of each decision.

use askama::Template;
use axum::extract::Query;

use super::rollout::Pill;
use super::{App, Head, Path, TabName, services_of};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Cursor, PageRequest};
use crate::events;
use crate::web::audit::{Entry, entry_of};
use crate::web::frame::Frame;
use crate::web::shell::{At, PageResult, Shell};
use crate::web::view::Pager;

const ROWS: u32 = 50;

#[derive(Debug, Default, serde::Deserialize)]
pub(in crate::web) struct EventsQuery {
    #[serde(default)]
    on: String,
    #[serde(default)]
    action: String,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "applications/events.html")]
struct EventsPage {
    frame: Frame,
    head: Head,
    pill: Pill,
    rows: Vec<Entry>,
    action: String,
    on: String,
    pager: Pager,
}

/// `GET …/events`
pub(in crate::web) async fn page(
    shell: Shell,
    At(path): At<Path>,
    Query(query): Query<EventsQuery>,
) -> PageResult {
    let permission = Permission(Resource::Event, Action::List);
    shell.services.catalog.project(&shell.actor, &path.project, permission).await?;
    let app = App::load(&shell, &path, &query.on).await?;
    let deployment = app.deployment()?;
    let filter = events::Filter {
        projects: Some(vec![app.project.id]),
        deployment: Some(deployment.id.into()),
        action: Some(query.action.trim().to_owned()).filter(|action| !action.is_empty()),
        ..events::Filter::default()
    };
    let request =
        PageRequest { after: query.after.clone().map(Cursor::from_text), limit: Some(ROWS) };
    let page = events::list(&shell.services.db, &filter, &request).await?;
    let services = services_of(&shell, deployment).await?;
    let (kind, word) = super::phase_of(&shell, deployment);
    let frame = app.frame(&shell, shell.t.get("app-tab-events"), false).await?;
    let pager = Pager::of(
        &format!("{}/events", app.base()),
        &[("on", &query.on), ("action", &query.action)],
        query.after.as_deref(),
        &page,
    );
    shell.render(&EventsPage {
        head: Head::of(&shell, &app, TabName::Events, &services),
        pill: Pill { kind, word },
        rows: page.items.iter().map(|event| entry_of(&shell.t, event)).collect(),
        action: query.action,
        on: query.on,
        pager,
        frame,
    })
}

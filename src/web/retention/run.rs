//! A run: how far it is, what it removed, and what it left and why.

use askama::Template;
use axum::extract::Query;

use super::words::{self, Row};
use super::{ItemQuery, READ, base, below};
use crate::base::id::RunId;
use crate::base::{Error, ProjectName, Result};
use crate::registry::retention::{ItemFilter, Run};
use crate::web::frame::Frame;
use crate::web::shell::{At, PageResult, Shell};
use crate::web::stream::{Fragment, Rendered, Topic};
use crate::web::text::Text;
use crate::web::view::Pager;

/// What changes while it goes on.
#[derive(Template)]
#[template(path = "retention/progress.html")]
struct Progress {
    t: Text,
    run: Run,
    kind: &'static str,
    status: String,
    started_by: String,
    percent: i64,
}
impl askama::filters::HtmlSafe for Progress {}

impl Progress {
    fn of(t: Text, run: Run) -> Self {
        let (kind, status) = words::status(&t, run.status);
        let settled = run.removed_tags + run.removed_images + run.skipped;
        let percent = if run.status.is_open() && run.total > 0 {
            (settled * 100 / run.total).clamp(0, 100)
        } else {
            100
        };
        Self { started_by: words::started_by(&t, &run), t, kind, status, percent, run }
    }
}

#[derive(Template)]
#[template(path = "retention/run.html")]
struct RunPage {
    frame: Frame,
    path: String,
    show: String,
    query: String,
    progress: Progress,
    rows: Vec<Row>,
    pager: Pager,
}

/// `GET /p/{project}/retention/runs/{id}`
pub(super) async fn page(
    shell: Shell,
    At((name, id)): At<(ProjectName, String)>,
    Query(query): Query<ItemQuery>,
) -> PageResult {
    let t = shell.t;
    let services = &shell.services;
    let project = services.catalog.project(&shell.actor, &name, READ).await?;
    let id: RunId = id.parse().map_err(|_| Error::not_found("run", &id))?;
    let run = services.registry.retention_run(&shell.actor, &name, id).await?;
    let outcome = match query.show.as_str() {
        "removed" => Some("removed"),
        "skipped" => Some("skipped"),
        _ => None,
    };
    let filter = ItemFilter { removes: None, outcome, text: query.text() };
    let page = services
        .registry
        .retention_report(&shell.actor, &name, id, &filter, &query.request())
        .await?;
    let open = run.status.is_open();
    let mut frame =
        below(&shell, &project, t.get("retention-run"), &format!("runs/{id}")).await?.moving(open);
    if open {
        frame = frame.live(Topic::Retention(name.clone(), id));
    }
    let path = format!("{}/runs/{id}", base(&name));
    shell.render(&RunPage {
        frame,
        show: outcome.unwrap_or_default().to_owned(),
        query: query.q.trim().to_owned(),
        progress: Progress::of(t, run),
        rows: page.items.iter().map(|item| Row::of(&t, item)).collect(),
        pager: query.pager(&path, &page),
        path,
    })
}

/// Fragments of [`Topic::Retention`].
pub(in crate::web) async fn fragments(
    shell: &Shell,
    name: &ProjectName,
    id: RunId,
) -> Result<Rendered> {
    let run = shell.services.registry.retention_run(&shell.actor, name, id).await?;
    let open = run.status.is_open();
    Ok((vec![Fragment::of("progress", &Progress::of(shell.t, run))?], open))
}

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

/// What a page of the report lists.
#[derive(Template)]
#[template(path = "retention/report.html")]
struct Report {
    t: Text,
    rows: Vec<Row>,
    pager: Pager,
}
impl askama::filters::HtmlSafe for Report {}

impl Report {
    async fn load(shell: &Shell, name: &ProjectName, id: RunId, query: &ItemQuery) -> Result<Self> {
        let filter = ItemFilter { removes: None, outcome: outcome(query), text: query.text() };
        let registry = &shell.services.registry;
        let request = query.request();
        let page = registry.retention_report(&shell.actor, name, id, &filter, &request).await?;
        let path = format!("{}/runs/{id}", base(name));
        Ok(Self {
            t: shell.t,
            rows: page.items.iter().map(|item| Row::of(&shell.t, item)).collect(),
            pager: query.pager(&path, &page),
        })
    }
}

fn outcome(query: &ItemQuery) -> Option<&'static str> {
    match query.show.as_str() {
        "removed" => Some("removed"),
        "skipped" => Some("skipped"),
        _ => None,
    }
}

#[derive(Template)]
#[template(path = "retention/run.html")]
struct RunPage {
    frame: Frame,
    path: String,
    show: &'static str,
    query: String,
    progress: Progress,
    report: Report,
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
    let open = run.status.is_open();
    let mut frame =
        below(&shell, &project, t.get("retention-run"), &format!("runs/{id}")).await?.moving(open);
    // A filtered or later page stays as it is: the stream knows only the first.
    let first = outcome(&query).is_none() && query.text().is_none() && query.after.is_none();
    if open && first {
        frame = frame.live(Topic::Retention(name.clone(), id));
    }
    let report = Report::load(&shell, &name, id, &query).await?;
    shell.render(&RunPage {
        frame,
        path: format!("{}/runs/{id}", base(&name)),
        show: outcome(&query).unwrap_or_default(),
        query: query.q.trim().to_owned(),
        progress: Progress::of(t, run),
        report,
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
    let report = Report::load(shell, name, id, &ItemQuery::default()).await?;
    let progress = Fragment::of("progress", &Progress::of(shell.t, run))?;
    Ok((vec![progress, Fragment::of("report", &report)?], open))
}

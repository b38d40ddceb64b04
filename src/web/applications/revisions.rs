//! `…/revisions`: the timeline, the difference of any two, and going back to one.

use askama::Template;
use axum::extract::Query;

use super::rollout::{Pill, RevisionRow, rows_of};
use super::{App, Head, Path, TabName, services_of};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Error, Result};
use crate::engine::view::RevisionView;
use crate::web::form::Form;
use crate::web::frame::Frame;
use crate::web::session::Posted;
use crate::web::shell::{At, PageResult, Shell};

/// What the timeline shows.
#[derive(Debug, Default, serde::Deserialize)]
pub(in crate::web) struct RevisionsQuery {
    #[serde(default)]
    on: String,
    /// `A...B`: the difference of two revisions.
    #[serde(default)]
    compare: String,
}

/// One line of a difference.
pub(in crate::web) struct Change {
    pub path: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// The difference of two revisions.
struct Difference {
    from: i64,
    to: i64,
    changes: Vec<Change>,
    swap_href: String,
}

/// The template as lines `path = value`. Values of variables are left out: they may be secrets.
fn flatten(prefix: &str, value: &serde_json::Value, out: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, value, out);
            }
        }
        serde_json::Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                // Named things keep their place in a difference when others come or go.
                let name = value.get("name").and_then(|name| name.as_str());
                let key = name.map_or_else(|| i.to_string(), str::to_owned);
                flatten(&format!("{prefix}[{key}]"), value, out);
            }
        }
        serde_json::Value::String(text) => out.push((prefix.to_owned(), text.clone())),
        other => out.push((prefix.to_owned(), other.to_string())),
    }
}

fn lines_of(revision: &RevisionView) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let value = serde_json::to_value(&revision.template).unwrap_or_default();
    flatten("", &value, &mut lines);
    for (image, digest) in &revision.images {
        lines.push((format!("digest of {image}"), digest.clone()));
    }
    lines
}

/// What differs from `a` to `b`, by path.
pub(in crate::web) fn difference(a: &RevisionView, b: &RevisionView) -> Vec<Change> {
    let (before, after) = (lines_of(a), lines_of(b));
    let find = |lines: &[(String, String)], path: &str| {
        lines.iter().find(|(p, _)| p == path).map(|(_, value)| value.clone())
    };
    let mut paths: Vec<_> = before.iter().chain(&after).map(|(path, _)| path.clone()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .map(|path| Change { before: find(&before, &path), after: find(&after, &path), path })
        .filter(|change| change.before != change.after)
        .collect()
}

#[derive(Template)]
#[template(path = "applications/revisions.html")]
struct RevisionsPage {
    frame: Frame,
    head: Head,
    pill: Pill,
    rows: Vec<RevisionRow>,
    difference: Option<Difference>,
}

fn pair(compare: &str) -> Option<(i64, i64)> {
    let (a, b) = compare.split_once("...")?;
    Some((a.parse().ok()?, b.parse().ok()?))
}

/// `GET …/revisions`
pub(in crate::web) async fn list(
    shell: Shell,
    At(path): At<Path>,
    Query(query): Query<RevisionsQuery>,
) -> PageResult {
    let app = App::load(&shell, &path, &query.on).await?;
    let deployment = app.deployment()?;
    let (environment, name) = super::names(deployment)?;
    let revisions = shell.services.engine.revisions(&shell.actor, &environment, &name).await?;
    let find = |number: i64| {
        revisions
            .iter()
            .find(|revision| revision.number == number)
            .ok_or_else(|| Error::not_found("revision", number))
    };
    let difference = match pair(&query.compare) {
        None if query.compare.is_empty() => None,
        None => return Err(Error::not_found("comparison", &query.compare).into()),
        Some((from, to)) => {
            let link = app.link("/revisions");
            let glue = if link.contains('?') { '&' } else { '?' };
            let changes = difference(find(from)?, find(to)?);
            Some(Difference {
                from,
                to,
                changes,
                swap_href: format!("{link}{glue}compare={to}...{from}"),
            })
        }
    };
    let services = services_of(&shell, deployment).await?;
    let (kind, word) = super::phase_of(&shell, deployment);
    let frame = app
        .frame(&shell, shell.t.get("app-tab-revisions"), false)
        .await?
        .json(format!("{}/revisions", super::show::json_href(deployment)));
    shell.render(&RevisionsPage {
        head: Head::of(&shell, &app, TabName::Revisions, &services),
        pill: Pill { kind, word },
        rows: rows_of(&shell, &app, deployment, &revisions, usize::MAX),
        difference,
        frame,
    })
}

/// Where to go back to.
#[derive(Debug, Default, serde::Deserialize)]
pub(in crate::web) struct BackQuery {
    #[serde(default)]
    on: String,
    #[serde(default)]
    to: i64,
}

#[derive(Debug, serde::Deserialize)]
pub(in crate::web) struct BackForm {
    #[serde(default)]
    reason: String,
}

#[derive(Template)]
#[template(path = "applications/rollback.html")]
struct BackPage {
    frame: Frame,
    form: Form,
    heading: String,
    to: i64,
    next: i64,
    changes: Vec<Change>,
    back: String,
}

async fn operated(shell: &Shell, path: &Path, on: &str) -> Result<App> {
    let permission = Permission(Resource::Deployment, Action::Operate);
    shell.services.catalog.project(&shell.actor, &path.project, permission).await?;
    App::load(shell, path, on).await
}

async fn back_page(shell: &Shell, app: &App, to: i64, form: Form) -> Result<BackPage> {
    let deployment = app.deployment()?;
    let (environment, name) = super::names(deployment)?;
    let revisions = shell.services.engine.revisions(&shell.actor, &environment, &name).await?;
    let find = |number: i64| revisions.iter().find(|revision| revision.number == number);
    let target = find(to).ok_or_else(|| Error::not_found("revision", to))?;
    let changes =
        find(deployment.revision).map(|current| difference(current, target)).unwrap_or_default();
    let heading = shell.t.fmt("rollback-title").n("to", to).a("name", &deployment.name).to_string();
    Ok(BackPage {
        frame: app.frame(shell, shell.t.get("roll-back"), false).await?,
        form,
        heading,
        to,
        next: deployment.revision + 1,
        changes,
        back: app.link("/revisions"),
    })
}

/// `GET …/-/rollback?to=N`
pub(in crate::web) async fn ask_back(
    shell: Shell,
    At(path): At<Path>,
    Query(query): Query<BackQuery>,
) -> PageResult {
    let app = operated(&shell, &path, &query.on).await?;
    shell.render(&back_page(&shell, &app, query.to, Form::default()).await?)
}

/// `POST …/-/rollback?to=N`
pub(in crate::web) async fn go_back(
    At(path): At<Path>,
    Query(query): Query<BackQuery>,
    Posted(shell, form): Posted<BackForm>,
) -> PageResult {
    let app = operated(&shell, &path, &query.on).await?;
    let deployment = app.deployment()?;
    let (environment, name) = super::names(deployment)?;
    let engine = &shell.services.engine;
    let reason = form.reason.trim();
    match engine.rollback(&shell.actor, &environment, &name, query.to, reason).await {
        Ok(_) => Ok(shell.done(&app.link(""), "flash-rolled-back", query.to)),
        Err(error) => {
            let filled = Form::of([("reason", reason)]).refused(&shell.t, error)?;
            let page = back_page(&shell, &app, query.to, filled).await?;
            shell.render_as(axum::http::StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

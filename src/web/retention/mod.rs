//! `/p/{project}/retention`: rules as sentences, previews of what they would remove, and runs.

mod preview;
mod rules;
mod run;
mod words;

use axum::Router;
use axum::http::Method;
use axum::routing::{get, post};

use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{ProjectName, Result};
use crate::catalog::Project;
use crate::http::{Access, RouteAccess, Services};

use super::frame::{Frame, Section};
use super::shell::Shell;
use super::view::Pager;

pub(super) use run::fragments;

const READ: Permission = Permission(Resource::Retention, Action::Read);
const UPDATE: Permission = Permission(Resource::Retention, Action::Update);
const OPERATE: Permission = Permission(Resource::Retention, Action::Operate);

/// Rows of one page of a preview or a report.
const ROWS: u32 = 50;

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/p/{project}/retention", get(rules::page).post(rules::save))
        .route("/p/{project}/retention/previews", post(preview::make))
        .route("/p/{project}/retention/previews/{id}", get(preview::page).post(preview::apply))
        .route("/p/{project}/retention/runs/{id}", get(run::page))
}

pub(super) fn access() -> Vec<RouteAccess> {
    let row = |method, path, permission| RouteAccess {
        method,
        path,
        access: Access::Project(permission),
    };
    vec![
        row(Method::GET, "/p/{project}/retention", READ),
        row(Method::POST, "/p/{project}/retention", UPDATE),
        row(Method::POST, "/p/{project}/retention/previews", OPERATE),
        row(Method::GET, "/p/{project}/retention/previews/{id}", READ),
        row(Method::POST, "/p/{project}/retention/previews/{id}", OPERATE),
        row(Method::GET, "/p/{project}/retention/runs/{id}", READ),
    ]
}

fn base(project: &ProjectName) -> String {
    format!("/p/{project}/retention")
}

/// The frame of a page below the rules.
async fn below(shell: &Shell, project: &Project, title: String, json: &str) -> Result<Frame> {
    let t = shell.t;
    Ok(shell
        .project_frame(project, Section::Retention, title)
        .await?
        .crumb(base(&project.name), t.get("nav-retention"))
        .json(format!("/api/v1/projects/{}/retention/{json}", project.name)))
}

/// Which rows of a preview or a report.
#[derive(Debug, Default, serde::Deserialize)]
struct ItemQuery {
    /// `keep`, `removed`, `skipped`; else what goes.
    #[serde(default)]
    show: String,
    #[serde(default)]
    q: String,
    after: Option<String>,
}

impl ItemQuery {
    fn text(&self) -> Option<String> {
        let text: String = self.q.trim().chars().take(200).collect();
        Some(text).filter(|text| !text.is_empty())
    }

    fn request(&self) -> crate::base::PageRequest {
        crate::base::PageRequest {
            after: self.after.clone().map(crate::base::Cursor::from_text),
            limit: Some(ROWS),
        }
    }

    fn pager<T>(&self, path: &str, page: &crate::base::Page<T>) -> Pager {
        let query = [("show", self.show.as_str()), ("q", self.q.trim())];
        Pager::of(path, &query, self.after.as_deref(), page)
    }
}

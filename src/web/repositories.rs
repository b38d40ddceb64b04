//! Repositories of a project, with the pushes that are under way.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::Query;

use super::cookies;
use super::frame::{Frame, Section};
use super::projects::ListQuery;
use super::shell::{At, PageResult, Shell};
use super::stream::{Fragment, Rendered, Topic};
use super::text::Text;
use super::view::Pager;
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{ProjectName, Result, Timestamp};
use crate::registry::{Repository, UploadProgress};

/// One repository of the list.
struct Row {
    path: String,
    href: String,
    description: String,
    latest: String,
    tags: i64,
    size: i64,
    pulls: i64,
    pushed_at: Option<Timestamp>,
    /// The pull command of the newest tag.
    command: String,
}

impl Row {
    fn of(host: &str, repository: &Repository) -> Self {
        let latest = repository.latest_tag.as_ref().map(ToString::to_string).unwrap_or_default();
        Self {
            path: repository.name.path().to_owned(),
            href: href(repository.name.project().as_str(), repository.name.path()),
            description: repository.description.clone(),
            tags: repository.tag_count,
            size: repository.size,
            pulls: repository.pulls_30d,
            pushed_at: repository.pushed_at,
            command: if latest.is_empty() {
                String::new()
            } else {
                format!("docker pull {host}/{}:{latest}", repository.name)
            },
            latest,
        }
    }
}

/// The page of a repository.
pub(super) fn href(project: &str, path: &str) -> String {
    format!("/p/{project}/r/{path}")
}

/// The list; also a fragment.
#[derive(Template)]
#[template(path = "repositories/rows.html")]
struct Rows {
    t: Text,
    rows: Vec<Row>,
    pager: Pager,
    filtered: bool,
    may_push: bool,
    commands: Vec<String>,
}
impl HtmlSafe for Rows {}

/// Pushes in progress; also a fragment.
#[derive(Template)]
#[template(path = "repositories/uploads.html")]
struct Uploads {
    t: Text,
    rows: Vec<UploadProgress>,
}
impl HtmlSafe for Uploads {}

#[derive(Template)]
#[template(path = "repositories/list.html")]
struct ListPage {
    frame: Frame,
    uploads: Uploads,
    list: Rows,
    query: String,
    project: String,
    sees_labels: bool,
    sees_rules: bool,
}

async fn rows(shell: &Shell, project: &crate::catalog::Project, query: &ListQuery) -> Result<Rows> {
    let services = &shell.services;
    let name = &project.name;
    let page = services
        .registry
        .list_repositories(&shell.actor, name, query.text(), &query.request())
        .await?;
    let host = services.config.registry_host().to_owned();
    Ok(Rows {
        t: shell.t,
        rows: page.items.iter().map(|repository| Row::of(&host, repository)).collect(),
        pager: query.pager(&format!("/p/{name}/r"), &page),
        filtered: query.text().is_some(),
        may_push: shell.may(project, Permission(Resource::Repository, Action::Push)),
        commands: super::start::push_commands(shell, name.as_str()),
    })
}

async fn uploads(shell: &Shell, project: &crate::catalog::Project) -> Result<Uploads> {
    let sees = shell.may(project, Permission(Resource::Repository, Action::Push));
    let rows = if sees {
        let uploads = shell.services.registry.uploads(&shell.actor, &project.name).await;
        shell.part_or_default(uploads)?
    } else {
        Vec::new()
    };
    Ok(Uploads { t: shell.t, rows })
}

/// `GET /p/{project}/r`
pub(super) async fn list(
    shell: Shell,
    At(name): At<ProjectName>,
    Query(query): Query<ListQuery>,
) -> PageResult {
    let list = Permission(Resource::Repository, Action::List);
    let project = shell.services.catalog.project(&shell.actor, &name, list).await?;
    let rows = rows(&shell, &project, &query).await?;
    let uploads = uploads(&shell, &project).await?;
    let title = shell.t.get("nav-repositories");
    let mut frame = shell
        .project_frame(&project, Section::Repositories, title)
        .await?
        .json(format!("/api/v1/projects/{name}/repositories"))
        .moving(!uploads.rows.is_empty());
    // A filtered or later page stays as it is: the stream knows only the first.
    if query.text().is_none() && query.after.is_none() {
        frame = frame.live(Topic::Repositories(name.clone()));
    }
    let page = ListPage {
        frame,
        uploads,
        list: rows,
        query: query.q,
        project: name.to_string(),
        sees_labels: shell.may(&project, Permission(Resource::Label, Action::List)),
        sees_rules: shell.may(&project, Permission(Resource::TagRule, Action::List)),
    };
    let mut response = shell.render(&page)?;
    cookies::keep(response.headers_mut(), cookies::PROJECT, name.as_str());
    Ok(response)
}

/// Fragments of [`Topic::Repositories`].
pub(super) async fn fragments(shell: &Shell, name: &ProjectName) -> Result<Rendered> {
    let list = Permission(Resource::Repository, Action::List);
    let project = shell.services.catalog.project(&shell.actor, name, list).await?;
    let uploads = uploads(shell, &project).await?;
    let moving = !uploads.rows.is_empty();
    let fragments = vec![
        Fragment::of("uploads", &uploads)?,
        Fragment::of("repositories", &rows(shell, &project, &ListQuery::default()).await?)?,
    ];
    Ok((fragments, moving))
}

//! Imports of a project: asking for one, watching it, its end; the stored sources.

mod show;
mod sources;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};

use super::cookies;
use super::form::{Choice, Form};
use super::frame::{Frame, Section};
use super::login::Nothing;
use super::projects::ListQuery;
use super::session::Posted;
use super::shell::{At, PageResult, Shell};
use super::stream::{Fragment, Rendered, Topic};
use super::text::Text;
use super::view::Pager;
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::JobId;
use crate::base::{PageRequest, ProjectName, Result, Timestamp};
use crate::catalog::Project;
use crate::http::{Access, RouteAccess, Services};
use crate::import::{Import, NewImport, Scope};
use crate::jobs::Status;

pub(super) use show::fragments as fragments_of_one;

/// Sources offered in the form.
const MOST_SOURCES: u32 = 50;

/// The routes of imports.
pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/p/{project}/imports", get(list).post(create))
        .route("/p/{project}/imports/-/sources", get(sources::list).post(sources::create))
        .route("/p/{project}/imports/-/sources/{name}", get(sources::edit).post(sources::save))
        .route(
            "/p/{project}/imports/-/sources/{name}/remove",
            get(sources::ask).post(sources::remove),
        )
        .route("/p/{project}/imports/{id}", get(show::page))
        .route("/p/{project}/imports/{id}/cancel", post(cancel))
        .route("/p/{project}/imports/{id}/retry", post(retry))
}

/// Who may call each of them.
pub(super) fn access() -> Vec<RouteAccess> {
    use Action::{Create, List, Operate};
    let rows: [(Method, &'static str, Action); 11] = [
        (Method::GET, "/p/{project}/imports", List),
        (Method::POST, "/p/{project}/imports", Create),
        (Method::GET, "/p/{project}/imports/-/sources", List),
        (Method::POST, "/p/{project}/imports/-/sources", Create),
        (Method::GET, "/p/{project}/imports/-/sources/{name}", Operate),
        (Method::POST, "/p/{project}/imports/-/sources/{name}", Operate),
        (Method::GET, "/p/{project}/imports/-/sources/{name}/remove", Operate),
        (Method::POST, "/p/{project}/imports/-/sources/{name}/remove", Operate),
        (Method::GET, "/p/{project}/imports/{id}", List),
        (Method::POST, "/p/{project}/imports/{id}/cancel", Operate),
        (Method::POST, "/p/{project}/imports/{id}/retry", Operate),
    ];
    rows.into_iter()
        .map(|(method, path, action)| RouteAccess {
            method,
            path,
            access: Access::Project(Permission(Resource::Import, action)),
        })
        .collect()
}

/// One import, as a row or as the head of its page.
pub(super) struct Row {
    href: String,
    from: String,
    repository: String,
    repository_href: String,
    kind: &'static str,
    status: String,
    /// What it does, or did, in words.
    what: String,
    /// Why it failed or waits.
    fault: Option<String>,
    /// Per cent, while it moves or after it stopped half-way.
    percent: Option<u8>,
    requested_by: String,
    created_at: Timestamp,
    cancellable: bool,
    retryable: bool,
}

impl Row {
    pub(super) fn of(t: &Text, project: &ProjectName, import: &Import) -> Self {
        let (kind, key) = status(import);
        let path = import.repository.path();
        Self {
            href: format!("/p/{project}/imports/{}", import.id),
            from: import.from.clone(),
            repository: path.to_owned(),
            repository_href: format!("/p/{project}/r/{path}"),
            kind,
            status: t.get(key),
            what: what(t, import),
            fault: fault(t, import),
            percent: (import.status != Status::Succeeded && import.planned)
                .then(|| import.progress.percent()),
            requested_by: import.requested_by.clone(),
            created_at: import.created_at,
            cancellable: import.status.is_open() && !import.cancel_requested,
            retryable: matches!(import.status, Status::Failed | Status::Cancelled),
        }
    }
}

/// Shape and word of where an import is.
fn status(import: &Import) -> (&'static str, &'static str) {
    match import.status {
        _ if import.cancel_requested && import.status.is_open() => ("hold", "import-stopping"),
        Status::Queued if import.attempt > 0 => ("warn", "import-waiting"),
        Status::Queued => ("idle", "import-queued"),
        Status::Running => ("prog", "import-running"),
        Status::Succeeded => ("ok", "import-done"),
        Status::Failed => ("bad", "import-failed"),
        Status::Cancelled => ("idle", "import-cancelled"),
    }
}

fn what(t: &Text, import: &Import) -> String {
    let p = &import.progress;
    match import.status {
        Status::Succeeded => t
            .fmt("import-counted")
            .n("tags", p.tags)
            .n("manifests", p.manifests)
            .a("size", t.size(p.bytes))
            .a("present", t.size(p.bytes_present))
            .to_string(),
        Status::Queued if !import.planned => t.get("import-not-begun"),
        _ if !import.planned && import.status.is_open() => t.get("import-planning"),
        _ if !import.planned => t.get("import-nothing-copied"),
        _ => t
            .fmt("import-progress")
            .a("done", t.size(p.bytes_done))
            .a("all", t.size(p.bytes))
            .n("manifests", p.manifests_done)
            .n("of", p.manifests)
            .to_string(),
    }
}

/// The last fault, in the reader's language where its code has a message.
fn fault(t: &Text, import: &Import) -> Option<String> {
    let message = import.error.clone()?;
    let code = import.error_code.as_deref().unwrap_or_default();
    let own = match t.locale {
        super::text::Locale::En => None,
        super::text::Locale::Zh => t.try_get(format!("error-{code}")),
    };
    let text = own.unwrap_or(message);
    Some(match import.status {
        Status::Queued => {
            let seconds = (import.run_at - t.now).num_seconds().max(0);
            t.fmt("import-again-in").a("why", text).a("span", t.span(seconds)).to_string()
        }
        _ => text,
    })
}

#[derive(Template)]
#[template(path = "imports/rows.html")]
pub(super) struct Rows {
    t: Text,
    rows: Vec<Row>,
    pager: Pager,
    csrf: String,
    may_operate: bool,
    may_create: bool,
}

impl askama::filters::HtmlSafe for Rows {}

#[derive(Template)]
#[template(path = "imports/list.html")]
struct ListPage {
    frame: Frame,
    list: Rows,
    project: String,
    sources: Vec<String>,
    scopes: Vec<Choice>,
    may_create: bool,
    form: Form,
}

pub(super) async fn project_of(
    shell: &Shell,
    name: &ProjectName,
    action: Action,
) -> Result<Project> {
    let permission = Permission(Resource::Import, action);
    shell.services.catalog.project(&shell.actor, name, permission).await
}

async fn rows(shell: &Shell, project: &Project, query: &ListQuery) -> Result<(Rows, bool)> {
    let name = &project.name;
    let imports = &shell.services.imports;
    let page = imports.list_imports(&shell.actor, name, &query.request()).await?;
    let moving = page.items.iter().any(|import| import.status.is_open());
    let rows = Rows {
        t: shell.t,
        rows: page.items.iter().map(|import| Row::of(&shell.t, name, import)).collect(),
        pager: query.pager(&format!("/p/{name}/imports"), &page),
        csrf: shell.csrf().to_owned(),
        may_operate: shell.may(project, Permission(Resource::Import, Action::Operate)),
        may_create: shell.may(project, Permission(Resource::Import, Action::Create)),
    };
    Ok((rows, moving))
}

async fn list_page(
    shell: &Shell,
    name: &ProjectName,
    query: &ListQuery,
    form: Form,
) -> Result<ListPage> {
    let t = shell.t;
    let project = project_of(shell, name, Action::List).await?;
    let (list, moving) = rows(shell, &project, query).await?;
    let may_create = list.may_create;
    let sources = if may_create {
        let page = PageRequest::first(MOST_SOURCES);
        shell.services.imports.list_sources(&shell.actor, name, &page).await?.items
    } else {
        Vec::new()
    };
    let mut frame = shell
        .project_frame(&project, Section::Imports, t.get("nav-imports"))
        .await?
        .json(format!("/api/v1/projects/{name}/imports"))
        .moving(moving);
    // A later page stays as it is: the stream knows only the first.
    if query.after.is_none() {
        frame = frame.live(Topic::Imports(name.clone()));
    }
    Ok(ListPage {
        frame,
        list,
        project: name.to_string(),
        sources: sources.into_iter().map(|source| source.name.to_string()).collect(),
        scopes: vec![
            Choice { value: "image", label: t.get("import-scope-image") },
            Choice { value: "repository", label: t.get("import-scope-repository") },
        ],
        may_create,
        form,
    })
}

/// `GET /p/{project}/imports`
async fn list(
    shell: Shell,
    At(name): At<ProjectName>,
    Query(query): Query<ListQuery>,
) -> PageResult {
    let form = Form::of([("scope", "image"), ("referrers", "1")]);
    let mut response = shell.render(&list_page(&shell, &name, &query, form).await?)?;
    cookies::keep(response.headers_mut(), cookies::PROJECT, name.as_str());
    Ok(response)
}

#[derive(Debug, Default, serde::Deserialize)]
pub(in crate::web) struct ImportForm {
    #[serde(default)]
    from: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    tags: String,
    #[serde(default)]
    referrers: String,
    #[serde(default)]
    repository: String,
}

impl ImportForm {
    fn filled(&self) -> Form {
        Form::of([
            ("from", &self.from),
            ("source", &self.source),
            ("scope", &self.scope),
            ("tags", &self.tags),
            ("referrers", &self.referrers),
            ("repository", &self.repository),
        ])
    }

    fn wanted(&self) -> Result<NewImport> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(NewImport {
            from: self.from.trim().to_owned(),
            source: given(&self.source).map(|name| name.parse()).transpose()?,
            scope: if self.scope == "repository" { Scope::Repository } else { Scope::Image },
            tags: given(&self.tags),
            referrers: !self.referrers.is_empty(),
            repository: given(&self.repository),
        })
    }
}

/// `POST /p/{project}/imports`
async fn create(At(name): At<ProjectName>, Posted(shell, form): Posted<ImportForm>) -> PageResult {
    // Who may not is told so before the form is looked at.
    project_of(&shell, &name, Action::Create).await?;
    let asked = match form.wanted() {
        Ok(wanted) => shell.services.imports.create_import(&shell.actor, &name, wanted).await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(import) => {
            let to = format!("/p/{name}/imports/{}", import.id);
            Ok(shell.done(&to, "flash-import-asked", import.from))
        }
        Err(error) => {
            let form = form.filled().refused(&shell.t, error)?;
            let page = list_page(&shell, &name, &ListQuery::default(), form).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// `POST /p/{project}/imports/{id}/cancel`
async fn cancel(
    At((name, id)): At<(ProjectName, JobId)>,
    Posted(shell, Nothing {}): Posted<Nothing>,
) -> PageResult {
    let import = shell.services.imports.cancel_import(&shell.actor, &name, id).await?;
    Ok(shell.done(&format!("/p/{name}/imports/{id}"), "flash-import-cancelled", import.from))
}

/// `POST /p/{project}/imports/{id}/retry`
async fn retry(
    At((name, id)): At<(ProjectName, JobId)>,
    Posted(shell, Nothing {}): Posted<Nothing>,
) -> PageResult {
    let import = shell.services.imports.retry_import(&shell.actor, &name, id).await?;
    Ok(shell.done(&format!("/p/{name}/imports/{id}"), "flash-import-retried", import.from))
}

/// Fragments of [`Topic::Imports`].
pub(super) async fn fragments(shell: &Shell, name: &ProjectName) -> Result<Rendered> {
    let project = project_of(shell, name, Action::List).await?;
    let (rows, moving) = rows(shell, &project, &ListQuery::default()).await?;
    Ok((vec![Fragment::of("imports", &rows)?], moving))
}

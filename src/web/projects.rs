//! Projects: the list, the switcher, making one, and a project's own overview.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;

use super::cookies;
use super::form::{Choice, Form};
use super::format::initials;
use super::frame::{Frame, Section, role_key};
use super::session::Posted;
use super::shell::{At, PageResult, Shell};
use super::stream::{self, Topic};
use super::text::Text;
use super::view::{FeedRow, Pager};
use crate::accounts::rbac::{Action, Permission, Resource, Visibility};
use crate::base::{Cursor, PageRequest, ProjectName, Result};
use crate::catalog::{NewProject, Project};
use crate::events;

/// Rows per page of the lists.
pub(super) const ROWS: u32 = 50;

/// What every list takes: a filter and where to go on.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    pub q: String,
    pub after: Option<String>,
}

impl ListQuery {
    pub(super) fn request(&self) -> PageRequest {
        PageRequest { after: self.after.clone().map(Cursor::from_text), limit: Some(ROWS) }
    }

    /// The filter, if there is one.
    pub(super) fn text(&self) -> Option<&str> {
        Some(self.q.trim()).filter(|q| !q.is_empty())
    }

    pub(super) fn pager<T>(&self, path: &str, page: &crate::base::Page<T>) -> Pager {
        Pager::of(path, &[("q", self.q.trim())], self.after.as_deref(), page)
    }
}

/// One project of a list.
struct ProjectRow {
    name: String,
    tile: String,
    description: String,
    public: bool,
    role: &'static str,
    created_at: crate::base::Timestamp,
}

impl ProjectRow {
    fn of(shell: &Shell, project: &Project) -> Self {
        Self {
            name: project.name.to_string(),
            tile: initials(project.name.as_str()),
            description: project.description.clone(),
            public: project.visibility == Visibility::Public,
            role: role_key(project.role, shell.actor.platform_role),
            created_at: project.created_at,
        }
    }
}

#[derive(Template)]
#[template(path = "projects/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<ProjectRow>,
    pager: Pager,
    query: String,
    may_create: bool,
    /// Where a project's link leads, below `/p/{project}`; the switcher keeps the section.
    section: &'static str,
    /// The page is the switcher.
    switching: bool,
}

async fn list_page(
    shell: &Shell,
    query: &ListQuery,
    path: &str,
    section: &'static str,
) -> Result<ListPage> {
    let catalog = &shell.services.catalog;
    let page = catalog.list_projects(&shell.actor, query.text(), &query.request()).await?;
    let switching = path == "/switch";
    let title = shell.t.get(if switching { "switch-title" } else { "projects-title" });
    Ok(ListPage {
        frame: shell.frame(Section::Other, title).await?.json("/api/v1/projects"),
        pager: query.pager(path, &page),
        rows: page.items.iter().map(|project| ProjectRow::of(shell, project)).collect(),
        query: query.q.clone(),
        may_create: shell.may_platform(Permission(Resource::Project, Action::Create)),
        section,
        switching,
    })
}

/// `GET /p`
pub(super) async fn list(shell: Shell, Query(query): Query<ListQuery>) -> PageResult {
    shell.render(&list_page(&shell, &query, "/p", "").await?)
}

#[derive(serde::Deserialize)]
pub(super) struct SwitchQuery {
    #[serde(default)]
    to: String,
    #[serde(default)]
    q: String,
}

/// `GET /switch`
pub(super) async fn switch(shell: Shell, Query(query): Query<SwitchQuery>) -> PageResult {
    let section = match query.to.as_str() {
        "a" => "/a",
        "r" => "/r",
        "imports" => "/imports",
        "members" => "/members",
        "quota" => "/quota",
        "retention" => "/retention",
        _ => "",
    };
    let list = ListQuery { q: query.q, after: None };
    shell.render(&list_page(&shell, &list, "/switch", section).await?)
}

#[derive(Template)]
#[template(path = "projects/new.html")]
struct NewPage {
    frame: Frame,
    form: Form,
    visibilities: Vec<Choice>,
}

fn visibilities(t: &Text) -> Vec<Choice> {
    vec![
        Choice { value: "private", label: t.get("visibility-private") },
        Choice { value: "public", label: t.get("visibility-public") },
    ]
}

async fn new_page(shell: &Shell, form: Form) -> Result<NewPage> {
    let title = shell.t.get("project-new-title");
    let frame =
        shell.frame(Section::Other, title).await?.crumb("/p", shell.t.get("projects-title"));
    Ok(NewPage { frame, form, visibilities: visibilities(&shell.t) })
}

/// `GET /p/-/new`
pub(super) async fn new(shell: Shell) -> PageResult {
    shell.render(&new_page(&shell, Form::default()).await?)
}

#[derive(serde::Deserialize)]
pub(super) struct NewForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    visibility: String,
}

async fn create_from(shell: &Shell, form: &NewForm) -> Result<Project> {
    let new = NewProject {
        name: form.name.trim().parse()?,
        description: form.description.trim().to_owned(),
        visibility: form.visibility.parse()?,
    };
    shell.services.catalog.create_project(&shell.actor, new).await
}

/// `POST /p/-/new`
pub(super) async fn create(Posted(shell, form): Posted<NewForm>) -> PageResult {
    match create_from(&shell, &form).await {
        Ok(project) => {
            Ok(shell.done(&format!("/p/{}", project.name), "flash-project-created", project.name))
        }
        Err(error) => {
            let form = Form::of([
                ("name", &form.name),
                ("description", &form.description),
                ("visibility", &form.visibility),
            ])
            .refused(&shell.t, error)?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &new_page(&shell, form).await?)
        }
    }
}

/// A repository of the project's overview.
struct RecentPush {
    name: String,
    path: String,
    tag: String,
    pushed_at: Option<crate::base::Timestamp>,
    size: String,
}

/// What changes by itself on a project's overview.
#[derive(Template)]
#[template(path = "projects/activity.html")]
pub(super) struct Activity {
    t: Text,
    rows: Vec<FeedRow>,
}
impl askama::filters::HtmlSafe for Activity {}

impl Activity {
    pub(super) async fn load(shell: &Shell, project: &Project) -> Result<Self> {
        let filter =
            events::Filter { projects: Some(vec![project.id]), ..events::Filter::default() };
        let allowed = shell.may(project, Permission(Resource::Event, Action::List));
        let page = if allowed {
            events::list(&shell.services.db, &filter, &PageRequest::first(8)).await?.items
        } else {
            Vec::new()
        };
        Ok(Self {
            t: shell.t,
            rows: page.iter().map(|event| FeedRow::of(&shell.t, event)).collect(),
        })
    }
}

#[derive(Template)]
#[template(path = "projects/overview.html")]
struct OverviewPage {
    frame: Frame,
    project: ProjectRow,
    repositories: std::result::Result<Vec<RecentPush>, String>,
    applications: Vec<(String, String)>,
    environments: Vec<String>,
    members: i64,
    sees_applications: bool,
    may_push: bool,
    activity: Activity,
    gauges: Vec<super::quotas::Gauge>,
    commands: Vec<String>,
}

/// `GET /p/{project}`
pub(super) async fn overview(shell: Shell, At(name): At<ProjectName>) -> PageResult {
    let services = &shell.services;
    let read = Permission(Resource::Project, Action::Read);
    let project = services.catalog.project(&shell.actor, &name, read).await?;
    let repositories = services
        .registry
        .list_repositories(&shell.actor, &name, None, &PageRequest::first(6))
        .await;
    let repositories = shell.part(repositories)?.map(|page| {
        page.items
            .into_iter()
            .map(|repository| RecentPush {
                name: repository.name.path().to_owned(),
                path: format!("/p/{name}/r/{}", repository.name.path()),
                tag: repository.latest_tag.map(|tag| tag.to_string()).unwrap_or_default(),
                pushed_at: repository.pushed_at,
                size: super::format::size(repository.size),
            })
            .collect()
    });
    let sees_applications = shell.may(&project, Permission(Resource::Application, Action::List));
    let (mut applications, mut environments, mut members) = (Vec::new(), Vec::new(), 0);
    if sees_applications {
        let filter = crate::catalog::ApplicationFilter {
            project: Some(name.clone()),
            ..crate::catalog::ApplicationFilter::default()
        };
        let page = services
            .catalog
            .list_applications(&shell.actor, &filter, &PageRequest::first(6))
            .await?;
        applications = page
            .items
            .into_iter()
            .map(|a| (a.name.to_string(), a.team.map(|team| team.to_string()).unwrap_or_default()))
            .collect();
        let outline = services.catalog.outline(&shell.actor, &name).await?;
        environments = outline.environments.iter().map(ToString::to_string).collect();
        members = outline.members;
    }
    let gauges = if shell.may(&project, Permission(Resource::Quota, Action::Read)) {
        let quota = services.registry.quota_in(&project).await?;
        super::quotas::Gauge::both(&shell.t, &quota).into()
    } else {
        Vec::new()
    };
    let frame = shell
        .project_frame(&project, Section::Project, &name)
        .await?
        .json(format!("/api/v1/projects/{name}"))
        .live(Topic::Project(name.clone()));
    let page = OverviewPage {
        project: ProjectRow::of(&shell, &project),
        repositories,
        applications,
        environments,
        members,
        sees_applications,
        may_push: shell.may(&project, Permission(Resource::Repository, Action::Push)),
        activity: Activity::load(&shell, &project).await?,
        gauges,
        commands: super::start::push_commands(&shell, name.as_str()),
        frame,
    };
    let mut response = shell.render(&page)?;
    cookies::keep(response.headers_mut(), cookies::PROJECT, name.as_str());
    Ok(response)
}

/// Fragments of [`Topic::Project`].
pub(super) async fn fragments(shell: &Shell, name: &ProjectName) -> Result<Vec<stream::Fragment>> {
    let read = Permission(Resource::Project, Action::Read);
    let project = shell.services.catalog.project(&shell.actor, name, read).await?;
    Ok(vec![stream::Fragment::of("activity", &Activity::load(shell, &project).await?)?])
}

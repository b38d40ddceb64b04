//! One search for everything with a name: a page, and the same results for the palette. And
//! `/go/…`, which leads from what one has to its page.

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse, Redirect};

use super::frame::{Frame, Section};
use super::image::image_href;
use super::repositories::href;
use super::shell::{At, PageResult, Shell};
use super::text::Text;
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{ImageRef, PageRequest, ProjectName, RepositoryName, Result, TeamName};
use crate::catalog::ApplicationFilter;

/// Hits of one kind.
const HITS: u32 = 8;
/// Longest search text, characters.
const LONGEST: usize = 200;

/// One result.
struct Hit {
    href: String,
    label: String,
    note: String,
}

/// Results of one kind.
struct Group {
    title: String,
    hits: Vec<Hit>,
}

/// The results; the palette shows them alone.
#[derive(Template)]
#[template(path = "search/results.html")]
struct Results {
    t: Text,
    groups: Vec<Group>,
}
impl askama::filters::HtmlSafe for Results {}

#[derive(Template)]
#[template(path = "search/page.html")]
struct SearchPage {
    frame: Frame,
    query: String,
    results: Results,
}

#[derive(serde::Deserialize)]
pub(super) struct SearchQuery {
    #[serde(default)]
    q: String,
    part: Option<String>,
}

/// Pages one can go to by name, with what they need.
fn commands(shell: &Shell, text: &str) -> Vec<Hit> {
    let project = shell.last_project.as_ref();
    let mut pages = vec![
        ("/".to_owned(), "nav-overview"),
        ("/catalog".to_owned(), "nav-catalog"),
        ("/rollouts".to_owned(), "nav-rollouts"),
        ("/p".to_owned(), "projects-title"),
        ("/teams".to_owned(), "nav-teams"),
        ("/docs/start".to_owned(), "push-image"),
        ("/me/tokens".to_owned(), "tokens-title"),
    ];
    if let Some(project) = project {
        pages.push((format!("/p/{project}/r"), "nav-repositories"));
        pages.push((format!("/p/{project}/a/new"), "deploy"));
    }
    if shell.may_platform(Permission(Resource::Node, Action::List)) {
        pages.push(("/nodes".to_owned(), "nav-nodes"));
        pages.push(("/audit".to_owned(), "nav-audit"));
    }
    let text = text.to_lowercase();
    pages
        .into_iter()
        .map(|(href, key)| Hit { label: shell.t.get(key), note: href.clone(), href })
        .filter(|hit| hit.label.to_lowercase().contains(&text))
        .take(HITS as usize)
        .collect()
}

/// Repositories: of the project named before a slash, else of the project last looked at.
async fn repositories(shell: &Shell, text: &str) -> Result<Vec<Hit>> {
    let (project, path) = match text.split_once('/') {
        Some((project, path)) => (project.parse::<ProjectName>().ok(), path),
        None => (shell.last_project.clone(), text),
    };
    let Some(project) = project else { return Ok(Vec::new()) };
    let path = path.split(':').next().unwrap_or_default();
    let path = Some(path).filter(|path| !path.is_empty());
    let registry = &shell.services.registry;
    let first = PageRequest::first(HITS);
    match registry.list_repositories(&shell.actor, &project, path, &first).await {
        Ok(page) => Ok(page
            .items
            .iter()
            .map(|r| Hit {
                href: href(project.as_str(), r.name.path()),
                label: r.name.to_string(),
                note: r.latest_tag.as_ref().map(ToString::to_string).unwrap_or_default(),
            })
            .collect()),
        // A project that is gone or hidden has no hits.
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn results(shell: &Shell, text: &str) -> Result<Results> {
    let t = shell.t;
    let mut groups = Vec::new();
    let mut add = |key: &str, hits: Vec<Hit>| {
        if !hits.is_empty() {
            groups.push(Group { title: t.get(key), hits });
        }
    };
    add("search-pages", commands(shell, text.trim_start_matches('>').trim()));
    if !text.is_empty() && !text.starts_with('>') {
        let catalog = &shell.services.catalog;
        let first = PageRequest::first(HITS);
        let words = Some(text.trim_start_matches(['@', ':'])).filter(|words| !words.is_empty());
        let filter =
            ApplicationFilter { text: words.map(str::to_owned), ..ApplicationFilter::default() };
        let applications = catalog.list_applications(&shell.actor, &filter, &first).await?.items;
        add(
            "nav-applications",
            applications
                .into_iter()
                .map(|a| Hit {
                    href: format!("/catalog/{}/{}", a.project, a.name),
                    label: a.name.to_string(),
                    note: a.project.to_string(),
                })
                .collect(),
        );
        add("nav-repositories", repositories(shell, text).await?);
        let projects = catalog.list_projects(&shell.actor, words, &first).await?.items;
        add(
            "projects-title",
            projects
                .into_iter()
                .map(|p| Hit {
                    href: format!("/p/{}", p.name),
                    label: p.name.to_string(),
                    note: p.description,
                })
                .collect(),
        );
        let teams = catalog.list_teams(&shell.actor, words, &first).await?.items;
        add(
            "nav-teams",
            teams
                .into_iter()
                .map(|team| Hit {
                    href: format!("/teams/{}", team.name),
                    label: team.name.to_string(),
                    note: team.description,
                })
                .collect(),
        );
    }
    Ok(Results { t, groups })
}

/// `GET /search`
pub(super) async fn search(shell: Shell, Query(query): Query<SearchQuery>) -> PageResult {
    let text: String = query.q.trim().chars().take(LONGEST).collect();
    let results = results(&shell, &text).await?;
    if query.part.is_some() {
        return shell.render(&results);
    }
    let frame = shell.frame(Section::Other, shell.t.get("search-title")).await?;
    shell.render(&SearchPage { frame, query: text, results })
}

/// `GET /go/{*what}`: a repository, an image, an application, a project, a team; else a search.
pub(super) async fn go(shell: Shell, At(what): At<String>) -> PageResult {
    let to = target(&shell, what.trim_matches('/')).await;
    let search = || {
        let query = serde_urlencoded::to_string([("q", &what)]).unwrap_or_default();
        format!("/search?{query}")
    };
    Ok(Redirect::to(&to.unwrap_or_else(search)).into_response())
}

async fn target(shell: &Shell, what: &str) -> Option<String> {
    let services = &shell.services;
    let host = services.config.registry_host();
    let what = what.strip_prefix(host).map_or(what, |rest| rest.trim_start_matches('/'));
    if let Ok(name) = what.parse::<RepositoryName>()
        && services.registry.repository(&shell.actor, &name).await.is_ok()
    {
        return Some(href(name.project().as_str(), name.path()));
    }
    if let Ok(image) = what.parse::<ImageRef>()
        && services.registry.resolve(&shell.actor, &image).await.is_ok()
    {
        return Some(image_href(&image.repository, &image.reference));
    }
    if let Some((project, name)) = what.split_once('/')
        && let (Ok(project), Ok(name)) = (project.parse(), name.parse())
        && services.catalog.application(&shell.actor, &project, &name).await.is_ok()
    {
        return Some(format!("/catalog/{project}/{name}"));
    }
    let read = Permission(Resource::Project, Action::Read);
    if let Ok(project) = what.parse::<ProjectName>()
        && services.catalog.project(&shell.actor, &project, read).await.is_ok()
    {
        return Some(format!("/p/{project}"));
    }
    if let Ok(team) = what.parse::<TeamName>()
        && services.catalog.team(&shell.actor, &team).await.is_ok()
    {
        return Some(format!("/teams/{team}"));
    }
    None
}

//! First steps: the commands with the reader's own host, user and project, ticked off as the
//! platform sees them done; and what an administrator checks after the first start.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::Query;
use axum::response::{IntoResponse, Redirect};

use super::frame::{Frame, Section};
use super::shell::{PageResult, Shell};
use super::stream::{Fragment, Topic};
use super::text::Text;
use crate::base::{PageRequest, ProjectName, Result};
use crate::events;

/// How far the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    logged_in: bool,
    pushed: bool,
    runs: bool,
}

/// The stepper; also a fragment.
#[derive(Template)]
#[template(path = "start/progress.html")]
struct Steps {
    t: Text,
    progress: Progress,
}
impl HtmlSafe for Steps {}

#[derive(Template)]
#[template(path = "start/page.html")]
struct StartPage {
    frame: Frame,
    steps: Steps,
    project: String,
    /// The project is only an example: the reader is in none.
    example: bool,
    login: String,
    push: Vec<String>,
    curl: String,
}

/// Logging in and pushing a first image to `project`.
pub(super) fn push_commands(shell: &Shell, project: &str) -> Vec<String> {
    let host = shell.services.config.registry_host();
    let user = &shell.actor.name;
    vec![
        format!("docker login {host} -u {user}"),
        format!("docker tag hello {host}/{project}/hello:1"),
        format!("docker push {host}/{project}/hello:1"),
    ]
}

/// Deploying the first image through the JSON API.
fn deploy_command(shell: &Shell, project: &str) -> String {
    let body = serde_json::json!({
        "replicas": 3,
        "template": { "containers": [{ "name": "hello", "image": format!("{project}/hello:1") }] },
    });
    let url = &shell.services.config.external_url;
    let user = &shell.actor.name;
    format!(
        "curl -u {user} -X PUT {url}/api/v1/environments/{project}/deployments/hello \
         -H 'content-type: application/json' -d '{body}'"
    )
}

impl Progress {
    async fn of(shell: &Shell) -> Result<Self> {
        let services = &shell.services;
        let filter = events::Filter { actor: Some(shell.actor.name.clone()), ..Default::default() };
        let own = events::list(&services.db, &filter, &PageRequest::first(200)).await?.items;
        let pushed = own.iter().any(|e| {
            e.channel == "registry"
                && e.outcome == "success"
                && (e.action.contains("push") || e.action.starts_with("tag."))
        });
        let deployments = services.engine.list_all_deployments(&shell.actor, 100).await;
        let runs = shell.part_or_default(deployments)?.iter().any(|d| d.status.ready_replicas > 0);
        let logged_in =
            pushed || own.iter().any(|e| e.channel == "registry" && e.outcome == "success");
        Ok(Self { logged_in, pushed, runs })
    }
}

#[derive(serde::Deserialize)]
pub(super) struct StartQuery {
    project: Option<ProjectName>,
}

/// `GET /docs/start`
pub(super) async fn page(shell: Shell, Query(query): Query<StartQuery>) -> PageResult {
    let t = shell.t;
    let frame = shell.frame(Section::Other, t.get("start-title")).await?.live(Topic::Start);
    let project = query
        .project
        .map(|project| project.to_string())
        .or_else(|| frame.project.as_ref().map(|project| project.name.clone()));
    let example = project.is_none();
    let project = project.unwrap_or_else(|| "demo".to_owned());
    let host = shell.services.config.registry_host();
    shell.render(&StartPage {
        steps: Steps { t, progress: Progress::of(&shell).await? },
        login: format!("docker login {host} -u {}", shell.actor.name),
        push: vec![
            format!("docker build -t {host}/{project}/hello:1 ."),
            format!("docker push {host}/{project}/hello:1"),
        ],
        curl: deploy_command(&shell, &project),
        example,
        project,
        frame,
    })
}

/// Fragments of [`Topic::Start`].
pub(super) async fn fragments(shell: &Shell) -> Result<Vec<Fragment>> {
    let steps = Steps { t: shell.t, progress: Progress::of(shell).await? };
    Ok(vec![Fragment::of("steps", &steps)?])
}

/// One thing an administrator checks after the first start.
struct Check {
    done: bool,
    title: String,
    text: String,
    href: &'static str,
    action: String,
}

#[derive(Template)]
#[template(path = "start/setup.html")]
struct SetupPage {
    frame: Frame,
    checks: Vec<Check>,
}

/// `GET /setup`: what exists after the first start and what is left to do. Once all is done it
/// leads to the overview.
pub(super) async fn setup(shell: Shell) -> PageResult {
    if !shell.actor.is_admin() {
        return Ok(Redirect::to("/docs/start").into_response());
    }
    let t = shell.t;
    let services = &shell.services;
    let config = &services.config;
    let projects =
        services.catalog.list_projects(&shell.actor, None, &PageRequest::first(1)).await?.items;
    let nodes = shell.part(services.engine.nodes(&shell.actor).await)?;
    let (node_ready, node_text) = match &nodes {
        Ok(nodes) if nodes.iter().any(|node| node.ready) => (true, t.get("setup-node-ready")),
        Ok(nodes) => {
            let reason = nodes.iter().find_map(|node| node.reason.clone());
            (false, reason.unwrap_or_else(|| t.get("setup-node-missing")))
        }
        Err(why) => (false, why.clone()),
    };
    let check = |done, key: &str, text: String, href, action: &str| Check {
        done,
        title: t.get(key),
        text,
        href,
        action: t.get(action),
    };
    let checks = vec![
        check(
            true,
            "setup-admin",
            t.fmt("setup-admin-text").a("name", &shell.actor.name).to_string(),
            "/me",
            "setup-admin-go",
        ),
        check(
            true,
            "setup-url",
            t.fmt("setup-url-text").a("url", &config.external_url).to_string(),
            "/docs/start",
            "setup-url-go",
        ),
        check(
            true,
            "setup-storage",
            t.fmt("setup-storage-text").a("path", config.data_dir.display()).to_string(),
            "/docs/start",
            "setup-storage-go",
        ),
        check(node_ready, "setup-node", node_text, "/nodes", "setup-node-go"),
        check(
            !projects.is_empty(),
            "setup-project",
            t.get("setup-project-text"),
            "/p/-/new",
            "project-new",
        ),
    ];
    if checks.iter().all(|check| check.done) {
        return Ok(Redirect::to("/").into_response());
    }
    let frame = shell.frame(Section::Other, t.get("setup-title")).await?;
    shell.render(&SetupPage { frame, checks })
}

/// Keys of the shortcuts page, with their messages.
const SHORTCUTS: [(&str, &str); 12] = [
    ("⌘K  Ctrl K  /", "key-search"),
    ("?", "key-help"),
    ("g o", "nav-overview"),
    ("g c", "nav-catalog"),
    ("g a", "nav-applications"),
    ("g r", "nav-repositories"),
    ("g n", "nav-nodes"),
    ("g l", "nav-audit"),
    ("j  k", "key-rows"),
    ("Enter", "key-open"),
    ("y", "key-copy"),
    ("Esc", "key-close"),
];

#[derive(Template)]
#[template(path = "start/shortcuts.html")]
struct ShortcutsPage {
    frame: Frame,
    keys: Vec<(&'static str, String)>,
}

/// `GET /docs/shortcuts`
pub(super) async fn shortcuts(shell: Shell) -> PageResult {
    let t = shell.t;
    let frame = shell.frame(Section::Other, t.get("shortcuts-title")).await?;
    let keys = SHORTCUTS.iter().map(|(keys, message)| (*keys, t.get(message))).collect();
    shell.render(&ShortcutsPage { frame, keys })
}

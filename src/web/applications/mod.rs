//! An application's pages: what runs, how a rollout stands, its replicas, logs and revisions.
//!
//! An application may have several deployments, in one environment or in many. Every page is about
//! one of them, named by `?on=ENVIRONMENT/DEPLOYMENT`; without it, about the first.

pub(super) mod actions;
pub(super) mod config;
pub(super) mod events;
pub(super) mod list;
pub(super) mod logs;
pub(super) mod new;
pub(super) mod replicas;
pub(super) mod revisions;
pub(super) mod rollout;
pub(super) mod services;
pub(super) mod settings;
pub(super) mod show;
mod spec_form;

use axum::Router;
use axum::http::Method;
use axum::routing::{get, post};

use super::frame::{Frame, Section};
use super::shell::Shell;
use super::view;
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{
    ApplicationName, DeploymentName, EnvironmentName, Error, PageRequest, ProjectName, Result,
};
use crate::catalog::{Application, Project};
use crate::engine::spec::PodTemplate;
use crate::engine::view::{DeploymentView, ServiceView};
use crate::http::{Access, RouteAccess, Services};

/// The routes of an application's pages.
pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/p/{project}/a", get(list::page))
        .route("/p/{project}/a/new", get(new::page).post(new::submit))
        .route("/p/{project}/a/{app}", get(show::page))
        .route("/p/{project}/a/{app}/replicas", get(replicas::list))
        .route("/p/{project}/a/{app}/replicas/{replica}", get(replicas::show))
        .route("/p/{project}/a/{app}/logs", get(logs::page))
        .route("/p/{project}/a/{app}/logs/follow", get(logs::follow))
        .route("/p/{project}/a/{app}/revisions", get(revisions::list))
        .route("/p/{project}/a/{app}/config", get(config::page).post(config::save))
        .route("/p/{project}/a/{app}/services", get(services::page).post(services::save))
        .route("/p/{project}/a/{app}/services/remove", post(services::remove))
        .route("/p/{project}/a/{app}/events", get(events::page))
        .route("/p/{project}/a/{app}/settings", get(settings::page).post(settings::save))
        .route("/p/{project}/a/{app}/-/rollback", get(revisions::ask_back).post(revisions::go_back))
        .route("/p/{project}/a/{app}/-/scale", get(actions::ask_scale).post(actions::scale))
        .route("/p/{project}/a/{app}/-/pause", post(actions::pause))
        .route("/p/{project}/a/{app}/-/restart", get(actions::ask_restart).post(actions::restart))
        .route("/p/{project}/a/{app}/-/delete", get(actions::ask_delete).post(actions::delete))
        .route("/p/{project}/a/{app}/-/remove", get(settings::ask_remove).post(settings::remove))
}

/// Who may call each of them.
pub(super) fn access() -> Vec<RouteAccess> {
    use Action::{Create, Delete, List, Logs, Operate, Update};
    use Resource::{Application, Deployment, Event, Replica, Service};
    let rows: [(Method, &'static str, Resource, Action); 28] = [
        (Method::GET, "/p/{project}/a", Application, List),
        (Method::GET, "/p/{project}/a/new", Deployment, Create),
        (Method::POST, "/p/{project}/a/new", Deployment, Create),
        (Method::GET, "/p/{project}/a/{app}", Application, List),
        (Method::GET, "/p/{project}/a/{app}/replicas", Replica, List),
        (Method::GET, "/p/{project}/a/{app}/replicas/{replica}", Replica, List),
        (Method::GET, "/p/{project}/a/{app}/logs", Replica, Logs),
        (Method::GET, "/p/{project}/a/{app}/logs/follow", Replica, Logs),
        (Method::GET, "/p/{project}/a/{app}/revisions", Deployment, List),
        (Method::GET, "/p/{project}/a/{app}/config", Deployment, Update),
        (Method::POST, "/p/{project}/a/{app}/config", Deployment, Update),
        (Method::GET, "/p/{project}/a/{app}/services", Service, List),
        (Method::POST, "/p/{project}/a/{app}/services", Service, Create),
        (Method::POST, "/p/{project}/a/{app}/services/remove", Service, Delete),
        (Method::GET, "/p/{project}/a/{app}/events", Event, List),
        (Method::GET, "/p/{project}/a/{app}/settings", Application, List),
        (Method::POST, "/p/{project}/a/{app}/settings", Application, Update),
        (Method::GET, "/p/{project}/a/{app}/-/rollback", Deployment, Operate),
        (Method::POST, "/p/{project}/a/{app}/-/rollback", Deployment, Operate),
        (Method::GET, "/p/{project}/a/{app}/-/scale", Deployment, Update),
        (Method::POST, "/p/{project}/a/{app}/-/scale", Deployment, Update),
        (Method::POST, "/p/{project}/a/{app}/-/pause", Deployment, Update),
        (Method::GET, "/p/{project}/a/{app}/-/restart", Deployment, Operate),
        (Method::POST, "/p/{project}/a/{app}/-/restart", Deployment, Operate),
        (Method::GET, "/p/{project}/a/{app}/-/delete", Deployment, Delete),
        (Method::POST, "/p/{project}/a/{app}/-/delete", Deployment, Delete),
        (Method::GET, "/p/{project}/a/{app}/-/remove", Application, Delete),
        (Method::POST, "/p/{project}/a/{app}/-/remove", Application, Delete),
    ];
    rows.into_iter()
        .map(|(method, path, resource, action)| RouteAccess {
            method,
            path,
            access: Access::Project(Permission(resource, action)),
        })
        .collect()
}

/// Deployments of one application that are looked at.
const MOST_DEPLOYMENTS: u32 = 200;

/// The names in the address of an application's page.
#[derive(Debug, Clone, serde::Deserialize)]
pub(super) struct Path {
    pub project: ProjectName,
    pub app: ApplicationName,
}

/// Which of the application's deployments a page is about.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(super) struct On {
    /// `ENVIRONMENT/DEPLOYMENT`.
    #[serde(default)]
    pub on: String,
}

/// What every page of an application starts from.
pub(super) struct App {
    pub project: Project,
    pub application: Application,
    pub deployments: Vec<DeploymentView>,
    /// The deployment the page is about; `None`: nothing is deployed, or the engine is away.
    pub current: Option<DeploymentView>,
    /// Why the engine does not answer.
    pub away: Option<String>,
}

/// The project of an application's page, if the caller may see applications in it.
pub(super) async fn project_of(shell: &Shell, name: &ProjectName) -> Result<Project> {
    let permission = Permission(Resource::Application, Action::List);
    shell.services.catalog.project(&shell.actor, name, permission).await
}

impl App {
    /// Loads the application, its deployments, and the one that `on` names.
    pub(super) async fn load(shell: &Shell, path: &Path, on: &str) -> Result<Self> {
        let catalog = &shell.services.catalog;
        let project = project_of(shell, &path.project).await?;
        let application = catalog.application(&shell.actor, &path.project, &path.app).await?;
        let mut deployments = Vec::new();
        let mut away = None;
        for environment in &application.environments {
            let page = PageRequest::first(MOST_DEPLOYMENTS);
            let found =
                shell.services.engine.list_deployments(&shell.actor, environment, &page).await;
            match shell.part(found)? {
                Ok(page) => deployments.extend(page.items.into_iter().filter(|deployment| {
                    deployment.spec.application.as_deref() == Some(application.name.as_str())
                })),
                Err(why) => away = Some(why),
            }
        }
        let current = if on.is_empty() {
            deployments.first().cloned()
        } else {
            let named = deployments.iter().find(|deployment| key(deployment) == on).cloned();
            Some(named.ok_or_else(|| Error::not_found("deployment", on))?)
        };
        Ok(Self { project, application, deployments, current, away })
    }

    /// The deployment the page is about, for pages that make no sense without one.
    pub(super) fn deployment(&self) -> Result<&DeploymentView> {
        self.current
            .as_ref()
            .ok_or_else(|| Error::not_found("deployment", self.application.name.as_str()))
    }

    /// `/p/{project}/a/{app}`.
    pub(super) fn base(&self) -> String {
        format!("/p/{}/a/{}", self.project.name, self.application.name)
    }

    /// A page of this application about the same deployment: `tab` is empty, `/replicas`, ….
    pub(super) fn link(&self, tab: &str) -> String {
        link(&self.base(), tab, self.deployments.len() > 1, self.current.as_ref())
    }

    /// Whether the caller may do something in the application's project.
    pub(super) fn may(&self, shell: &Shell, resource: Resource, action: Action) -> bool {
        shell.may(&self.project, Permission(resource, action))
    }

    /// The frame of a page below the application's own.
    pub(super) async fn frame(
        &self,
        shell: &Shell,
        title: impl ToString,
        own_page: bool,
    ) -> Result<Frame> {
        let frame = shell.project_frame(&self.project, Section::Applications, title).await?;
        let list = format!("/p/{}/a", self.project.name);
        let frame = frame.crumb(list, shell.t.get("nav-applications"));
        Ok(if own_page { frame } else { frame.crumb(self.link(""), &self.application.name) })
    }
}

fn link(base: &str, tab: &str, many: bool, current: Option<&DeploymentView>) -> String {
    match current {
        Some(deployment) if many => {
            let query = serde_urlencoded::to_string([("on", key(deployment))]).unwrap_or_default();
            format!("{base}{tab}?{query}")
        }
        _ => format!("{base}{tab}"),
    }
}

/// `ENVIRONMENT/DEPLOYMENT`.
pub(super) fn key(deployment: &DeploymentView) -> String {
    format!("{}/{}", deployment.environment, deployment.name)
}

/// The names of a deployment, parsed; they come from the database and always parse.
pub(super) fn names(deployment: &DeploymentView) -> Result<(EnvironmentName, DeploymentName)> {
    Ok((deployment.environment.parse()?, deployment.name.parse()?))
}

/// Where the application a deployment belongs to has its page.
pub(super) fn href_of(deployment: &DeploymentView) -> String {
    match &deployment.spec.application {
        Some(application) => {
            let query = serde_urlencoded::to_string([("on", key(deployment))]).unwrap_or_default();
            format!("/p/{}/a/{application}?{query}", deployment.project)
        }
        None => format!("/p/{}/a", deployment.project),
    }
}

/// The version of what runs, for people: that of the first container's image.
pub(super) fn version_of(template: &PodTemplate) -> String {
    template.containers.first().map(|container| tag_of(&container.image)).unwrap_or_default()
}

/// The tag (or short digest) of an image reference.
fn tag_of(image: &str) -> String {
    match image.split_once('@') {
        Some((_, digest)) => digest.split(':').next_back().unwrap_or("").chars().take(12).collect(),
        None => image.rsplit_once(':').map_or("latest", |(_, tag)| tag).to_owned(),
    }
}

/// The repository page of an image reference.
pub(super) fn repository_href(image: &str) -> Option<String> {
    let name = image.split('@').next()?;
    let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
    let (project, path) = name.split_once('/')?;
    Some(format!("/p/{project}/r/{path}"))
}

/// One choice among the application's deployments.
pub(super) struct Other {
    pub href: String,
    pub label: String,
    pub current: bool,
}

/// The head and the tabs of an application's page.
pub(super) struct Head {
    pub name: String,
    pub team: Option<String>,
    pub environment: String,
    pub lifecycle: &'static str,
    pub image: String,
    pub image_href: Option<String>,
    pub urls: Vec<String>,
    pub links: Vec<(String, String)>,
    pub others: Vec<Other>,
    pub tabs: Vec<Tab>,
    pub may_operate: bool,
    pub may_configure: bool,
    /// Why actions are barred, naming the role that may.
    pub barred: String,
    pub scale_href: String,
    pub deploy_href: String,
    pub deployed: bool,
    pub paused: bool,
    pub pause_href: String,
    pub restart_href: String,
}

/// One tab.
pub(super) struct Tab {
    pub href: String,
    pub label: String,
    pub count: Option<usize>,
    pub current: bool,
}

/// Tabs of an application's page, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TabName {
    Overview,
    Replicas,
    Logs,
    Revisions,
    Config,
    Services,
    Events,
    Settings,
}

impl TabName {
    const ALL: [(Self, &'static str, &'static str); 8] = [
        (Self::Overview, "", "app-tab-overview"),
        (Self::Replicas, "/replicas", "app-tab-replicas"),
        (Self::Logs, "/logs", "app-tab-logs"),
        (Self::Revisions, "/revisions", "app-tab-revisions"),
        (Self::Config, "/config", "app-tab-config"),
        (Self::Services, "/services", "app-tab-services"),
        (Self::Events, "/events", "app-tab-events"),
        (Self::Settings, "/settings", "app-tab-settings"),
    ];
}

impl Head {
    /// The head of a page about `app`; `services` are those of the deployment, for its addresses.
    pub(super) fn of(shell: &Shell, app: &App, tab: TabName, services: &[ServiceView]) -> Self {
        let current = app.current.as_ref();
        let may_logs = app.may(shell, Resource::Replica, Action::Logs);
        let may_configure = app.may(shell, Resource::Deployment, Action::Update);
        let sees_events = app.may(shell, Resource::Event, Action::List);
        let tabs = TabName::ALL
            .into_iter()
            .filter(|(name, ..)| match name {
                TabName::Logs => may_logs && current.is_some(),
                TabName::Config => may_configure && current.is_some(),
                TabName::Replicas | TabName::Revisions | TabName::Services => current.is_some(),
                TabName::Events => sees_events && current.is_some(),
                TabName::Overview | TabName::Settings => true,
            })
            .map(|(name, path, key)| Tab {
                href: app.link(path),
                label: shell.t.get(key),
                count: match name {
                    TabName::Replicas => current.map(|d| d.status.replicas as usize),
                    TabName::Revisions => current.and_then(|d| usize::try_from(d.revision).ok()),
                    _ => None,
                },
                current: name == tab,
            })
            .collect();
        let others = app
            .deployments
            .iter()
            .filter(|_| app.deployments.len() > 1)
            .map(|deployment| Other {
                href: link(&app.base(), "", true, Some(deployment)),
                label: key(deployment),
                current: current.is_some_and(|c| c.id == deployment.id),
            })
            .collect();
        let image = current
            .and_then(|d| d.spec.template.containers.first())
            .map(|container| container.image.clone())
            .unwrap_or_default();
        let host = shell.services.config.registry_host();
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned();
        Self {
            name: app.application.name.to_string(),
            team: app.application.team.as_ref().map(ToString::to_string),
            environment: current.map(|d| d.environment.clone()).unwrap_or_default(),
            lifecycle: settings::lifecycle_key(app.application.lifecycle),
            image_href: repository_href(&image),
            image,
            urls: services
                .iter()
                .flat_map(|service| &service.spec.ports)
                .filter_map(|port| port.node_port)
                .map(|port| format!("http://{host}:{port}"))
                .collect(),
            links: app
                .application
                .links
                .iter()
                .map(|link| (link.title.clone(), link.url.clone()))
                .collect(),
            others,
            tabs,
            may_operate: app.may(shell, Resource::Deployment, Action::Operate),
            may_configure,
            barred: shell.t.get("barred-developer"),
            scale_href: app.link("/-/scale"),
            deploy_href: if current.is_some() {
                app.link("/config")
            } else {
                format!("/p/{}/a/new?app={}", app.project.name, app.application.name)
            },
            deployed: current.is_some(),
            paused: current.is_some_and(|d| d.spec.paused),
            pause_href: app.link("/-/pause"),
            restart_href: app.link("/-/restart"),
        }
    }
}

/// The services over a deployment.
pub(super) async fn services_of(
    shell: &Shell,
    deployment: &DeploymentView,
) -> Result<Vec<ServiceView>> {
    let (environment, _) = names(deployment)?;
    let services = shell.services.engine.list_services(&shell.actor, &environment).await;
    let mut services = shell.part_or_default(services)?;
    services.retain(|service| service.spec.deployment == deployment.name);
    Ok(services)
}

/// `data-s` and the word of a deployment's phase.
pub(super) fn phase_of(shell: &Shell, deployment: &DeploymentView) -> (&'static str, String) {
    let outcome = deployment.rollout.as_ref().map(|rollout| rollout.outcome);
    view::phase(&shell.t, deployment.status.phase, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_tags_or_short_digests() {
        assert_eq!(tag_of("demo/hello:1"), "1");
        assert_eq!(tag_of("demo/hello"), "latest");
        assert_eq!(tag_of("demo/hello@sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(repository_href("demo/a/b:1").as_deref(), Some("/p/demo/r/a/b"));
    }
}

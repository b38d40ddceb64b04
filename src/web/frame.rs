//! The frame around every page: rail, top bar, breadcrumb, project switcher, health line.

use super::cookies::Theme;
use super::format::initials;
use super::shell::Shell;
use super::text::{Locale, Text};
use crate::accounts::rbac::{Action, Permission, Resource, Role};
use crate::base::actor::PlatformRole;
use crate::base::{PageRequest, Result};
use crate::catalog::Project;

/// The rail's entries; the current one is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Overview,
    Catalog,
    Rollouts,
    Teams,
    Project,
    Applications,
    Repositories,
    Imports,
    Retention,
    Members,
    Quota,
    Nodes,
    Audit,
    Users,
    Quotas,
    Cleanup,
    /// No entry of the rail.
    Other,
}

impl Section {
    /// The last part of a project page's address, which the project switcher keeps.
    fn in_project(self) -> &'static str {
        match self {
            Self::Applications => "/a",
            Self::Repositories => "/r",
            Self::Imports => "/imports",
            Self::Retention => "/retention",
            Self::Members => "/members",
            Self::Quota => "/quota",
            _ => "",
        }
    }
}

/// One step of the breadcrumb before the page itself.
#[derive(Debug, Clone)]
pub struct Crumb {
    pub href: String,
    pub label: String,
}

/// The project the rail shows.
#[derive(Debug, Clone)]
pub struct ProjectTag {
    pub name: String,
    pub tile: String,
    /// Key of the role's name.
    pub role: &'static str,
    pub sees_applications: bool,
    pub sees_imports: bool,
    pub sees_retention: bool,
    pub sees_members: bool,
    pub sees_quota: bool,
}

/// Who is logged in.
#[derive(Debug, Clone)]
pub struct ViewerTag {
    pub name: String,
    pub tile: String,
}

/// The health line at the foot of the rail, for those who may see nodes.
#[derive(Debug, Clone)]
pub struct Health {
    pub ready: usize,
    pub total: usize,
}

/// Everything `base.html` needs.
#[derive(Debug, Clone)]
pub struct Frame {
    pub t: Text,
    pub title: String,
    pub section: Section,
    pub crumbs: Vec<Crumb>,
    pub viewer: Option<ViewerTag>,
    pub project: Option<ProjectTag>,
    pub csrf: String,
    pub theme: Theme,
    /// Path and query of this page.
    pub path: String,
    pub flash: Option<String>,
    /// Topics of the live stream; empty: the page is not live.
    pub topics: String,
    /// Something is in progress: browsers without script load the page again.
    pub moving: bool,
    /// The same object in the JSON API.
    pub json: Option<String>,
    /// Host of the registry, for commands.
    pub host: String,
    pub sees_nodes: bool,
    pub sees_audit: bool,
    pub sees_users: bool,
    pub sees_system: bool,
    pub health: Option<Health>,
}

impl Frame {
    /// A frame without project and health: no query.
    pub fn bare(shell: &Shell, section: Section, title: impl ToString) -> Self {
        let t = shell.t;
        let role = shell.actor.platform_role;
        Self {
            t,
            title: title.to_string(),
            section,
            crumbs: Vec::new(),
            viewer: shell.session.as_ref().map(|session| ViewerTag {
                name: session.user.name.to_string(),
                tile: initials(session.user.name.as_str()),
            }),
            project: None,
            csrf: shell.csrf().to_owned(),
            theme: shell.theme,
            path: shell.path.clone(),
            flash: shell.flash.as_ref().and_then(|flash| flash.text(&t)),
            topics: String::new(),
            moving: false,
            json: None,
            host: shell.services.config.registry_host().to_owned(),
            sees_nodes: shell.may_platform(Permission(Resource::Node, Action::List)),
            sees_audit: shell.may_platform(Permission(Resource::AuditLog, Action::List)),
            sees_users: role == PlatformRole::Admin,
            sees_system: shell.may_platform(Permission(Resource::System, Action::Read)),
            health: None,
        }
    }

    /// The other language.
    pub fn other_locale(&self) -> Locale {
        self.t.locale.other()
    }

    /// Where the project switcher leads: a list of projects that keeps this section.
    pub fn switch_href(&self) -> String {
        match self.section.in_project() {
            "" => "/switch".to_owned(),
            section => format!("/switch?to={}", &section[1..]),
        }
    }

    /// The project of the page; empty outside projects.
    pub fn project_name(&self) -> &str {
        self.project.as_ref().map_or("", |project| project.name.as_str())
    }

    /// Adds a step to the breadcrumb.
    #[must_use]
    pub fn crumb(mut self, href: impl ToString, label: impl ToString) -> Self {
        self.crumbs.push(Crumb { href: href.to_string(), label: label.to_string() });
        self
    }

    /// Names the topics of the page's live stream.
    #[must_use]
    pub fn live(mut self, topics: impl ToString) -> Self {
        self.topics = topics.to_string();
        self
    }

    /// Says that something on the page is in progress.
    #[must_use]
    pub fn moving(mut self, moving: bool) -> Self {
        self.moving = moving;
        self
    }

    /// Names the same object in the JSON API.
    #[must_use]
    pub fn json(mut self, href: impl ToString) -> Self {
        self.json = Some(href.to_string());
        self
    }
}

/// The key of a role's name.
pub fn role_key(role: Option<Role>, platform: PlatformRole) -> &'static str {
    match (role, platform) {
        (Some(Role::LimitedGuest), _) => "role-limited_guest",
        (Some(Role::Guest), _) => "role-guest",
        (Some(Role::Developer), _) => "role-developer",
        (Some(Role::Maintainer), _) => "role-maintainer",
        (Some(Role::ProjectAdmin), _) => "role-project_admin",
        (None, PlatformRole::Admin) => "role-admin",
        (None, PlatformRole::Auditor) => "role-auditor",
        (None, PlatformRole::User) => "role-none",
    }
}

impl Shell {
    /// The frame of a page outside projects. The rail shows the project last looked at, or the
    /// first one.
    pub async fn frame(&self, section: Section, title: impl ToString) -> Result<Frame> {
        let catalog = &self.services.catalog;
        let read = Permission(Resource::Project, Action::Read);
        let mut project = match &self.last_project {
            Some(name) => catalog.project(&self.actor, name, read).await.ok(),
            None => None,
        };
        if project.is_none() {
            let page = catalog.list_projects(&self.actor, None, &PageRequest::first(1)).await;
            project = self.part_or_default(page.map(|page| page.items))?.into_iter().next();
        }
        self.complete(Frame::bare(self, section, title), project.as_ref()).await
    }

    /// The frame of a page in a project; the breadcrumb starts with it.
    pub async fn project_frame(
        &self,
        project: &Project,
        section: Section,
        title: impl ToString,
    ) -> Result<Frame> {
        let mut frame = Frame::bare(self, section, title);
        if section != Section::Project {
            frame = frame.crumb(format!("/p/{}", project.name), &project.name);
        }
        self.complete(frame, Some(project)).await
    }

    async fn complete(&self, mut frame: Frame, project: Option<&Project>) -> Result<Frame> {
        frame.project = project.map(|project| ProjectTag {
            name: project.name.to_string(),
            tile: initials(project.name.as_str()),
            role: role_key(project.role, self.actor.platform_role),
            sees_applications: self.may(project, Permission(Resource::Application, Action::List)),
            sees_imports: self.may(project, Permission(Resource::Import, Action::List)),
            sees_retention: self.may(project, Permission(Resource::Retention, Action::Read)),
            sees_members: self.may(project, Permission(Resource::Member, Action::List)),
            sees_quota: self.may(project, Permission(Resource::Quota, Action::Read)),
        });
        if frame.sees_nodes {
            let nodes = self.part_or_default(self.services.engine.nodes(&self.actor).await)?;
            frame.health = Some(Health {
                ready: nodes.iter().filter(|node| node.ready).count(),
                total: nodes.len(),
            });
        }
        Ok(frame)
    }
}

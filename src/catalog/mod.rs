//! Projects, members, teams, applications and environments: who owns what.

use crate::accounts::SharedClockDebug;
use crate::accounts::rbac::{Permission, Role, Visibility};
use crate::base::id::{ApplicationId, EnvironmentId, ProjectId, TeamId};
use crate::base::{
    Actor, ApplicationName, EnvironmentName, Error, Page, PageRequest, ProjectName, Result,
    TeamName, Timestamp, UserName,
};
use crate::db::Db;

fn not_built<T>() -> Result<T> {
    Err(Error::unavailable("not built yet"))
}

/// A project, with what the caller is in it.
#[derive(Debug, Clone)]
pub struct Project {
    pub id: ProjectId,
    pub name: ProjectName,
    pub description: String,
    pub visibility: Visibility,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The caller's strongest role here, its own or through a team.
    pub role: Option<Role>,
}

/// A project to create; its creator becomes project admin (unless Portolan itself).
#[derive(Debug)]
pub struct NewProject {
    pub name: ProjectName,
    pub description: String,
    pub visibility: Visibility,
}

/// What to change of a project.
#[derive(Debug, Default)]
pub struct ProjectChange {
    pub description: Option<String>,
    pub visibility: Option<Visibility>,
}

/// A user or a team in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberName {
    User(UserName),
    Team(TeamName),
}

/// A member of a project.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: MemberName,
    pub role: Role,
    pub created_at: Timestamp,
}

/// An environment, with the caller's role in its project.
#[derive(Debug, Clone)]
pub struct Environment {
    pub id: EnvironmentId,
    pub name: EnvironmentName,
    pub project: Project,
    pub created_at: Timestamp,
}

/// A team.
#[derive(Debug, Clone)]
pub struct Team {
    pub id: TeamId,
    pub name: TeamName,
    pub description: String,
    pub members: Vec<UserName>,
    pub created_at: Timestamp,
}

/// A link of an application.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub title: String,
    /// http or https.
    pub url: String,
}

/// How far an application is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    Experimental,
    Production,
    Deprecated,
}

/// A catalog application.
#[derive(Debug, Clone)]
pub struct Application {
    pub id: ApplicationId,
    pub project_id: ProjectId,
    pub project: ProjectName,
    pub name: ApplicationName,
    /// The owner.
    pub team: Option<TeamName>,
    pub description: String,
    pub lifecycle: Lifecycle,
    /// Repository path below the project.
    pub repository: Option<String>,
    pub links: Vec<Link>,
    /// Environments it is deployed to.
    pub environments: Vec<EnvironmentName>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An application to create.
#[derive(Debug)]
pub struct NewApplication {
    pub name: ApplicationName,
    pub team: Option<TeamName>,
    pub description: String,
    pub lifecycle: Lifecycle,
    pub repository: Option<String>,
    pub links: Vec<Link>,
}

/// What to change of an application.
#[derive(Debug, Default)]
pub struct ApplicationChange {
    pub team: Option<Option<TeamName>>,
    pub description: Option<String>,
    pub lifecycle: Option<Lifecycle>,
    pub repository: Option<Option<String>>,
    pub links: Option<Vec<Link>>,
}

/// What the catalog search matches on; empty matches all that the caller may see.
#[derive(Debug, Default, Clone)]
pub struct ApplicationFilter {
    pub text: Option<String>,
    pub project: Option<ProjectName>,
    pub team: Option<TeamName>,
    pub lifecycle: Option<Lifecycle>,
}

/// The handle on the catalog; cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    pub(crate) db: Db,
    pub(crate) clock: SharedClockDebug,
}

impl Catalog {
    /// Finds a project and checks a permission in it, in one query. Hidden and absent look the
    /// same; anonymous callers get `Unauthenticated` for both.
    pub async fn project(
        &self,
        actor: &Actor,
        name: &ProjectName,
        permission: Permission,
    ) -> Result<Project> {
        let _ = (actor, name, permission, &self.db, &self.clock);
        not_built()
    }
    /// The same by id.
    pub async fn project_by_id(
        &self,
        actor: &Actor,
        id: ProjectId,
        permission: Permission,
    ) -> Result<Project> {
        let _ = (actor, id, permission);
        not_built()
    }
    /// Ids of the projects in which the caller has `permission`; `None`: all of them (admins and
    /// auditors).
    pub async fn visible_projects(
        &self,
        actor: &Actor,
        permission: Permission,
    ) -> Result<Option<Vec<ProjectId>>> {
        let _ = (actor, permission);
        not_built()
    }
    pub async fn list_projects(
        &self,
        actor: &Actor,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Project>> {
        let _ = (actor, query, page);
        not_built()
    }
    /// Creates a project and its first environment, named alike. Platform admins only... any
    /// logged-in user may be allowed by configuration later.
    pub async fn create_project(&self, actor: &Actor, new: NewProject) -> Result<Project> {
        let _ = (actor, new);
        not_built()
    }
    pub async fn update_project(
        &self,
        actor: &Actor,
        name: &ProjectName,
        change: ProjectChange,
    ) -> Result<Project> {
        let _ = (actor, name, change);
        not_built()
    }
    /// Deletes an empty project; a conflict names what is still in it.
    pub async fn delete_project(&self, actor: &Actor, name: &ProjectName) -> Result<()> {
        let _ = (actor, name);
        not_built()
    }
    pub async fn list_members(&self, actor: &Actor, project: &ProjectName) -> Result<Vec<Member>> {
        let _ = (actor, project);
        not_built()
    }
    /// Adds a member or changes its role. The bool says whether it is new.
    pub async fn set_member(
        &self,
        actor: &Actor,
        project: &ProjectName,
        member: &MemberName,
        role: Role,
    ) -> Result<(Member, bool)> {
        let _ = (actor, project, member, role);
        not_built()
    }
    pub async fn remove_member(
        &self,
        actor: &Actor,
        project: &ProjectName,
        member: &MemberName,
    ) -> Result<()> {
        let _ = (actor, project, member);
        not_built()
    }
    /// Finds an environment and checks a permission in its project.
    pub async fn environment(
        &self,
        actor: &Actor,
        name: &EnvironmentName,
        permission: Permission,
    ) -> Result<Environment> {
        let _ = (actor, name, permission);
        not_built()
    }
    pub async fn list_environments(
        &self,
        actor: &Actor,
        project: &ProjectName,
    ) -> Result<Vec<Environment>> {
        let _ = (actor, project);
        not_built()
    }
    pub async fn create_environment(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &EnvironmentName,
    ) -> Result<Environment> {
        let _ = (actor, project, name);
        not_built()
    }
    pub async fn delete_environment(&self, actor: &Actor, name: &EnvironmentName) -> Result<()> {
        let _ = (actor, name);
        not_built()
    }
    pub async fn create_team(
        &self,
        actor: &Actor,
        name: &TeamName,
        description: &str,
    ) -> Result<Team> {
        let _ = (actor, name, description);
        not_built()
    }
    pub async fn team(&self, actor: &Actor, name: &TeamName) -> Result<Team> {
        let _ = (actor, name);
        not_built()
    }
    pub async fn list_teams(
        &self,
        actor: &Actor,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Team>> {
        let _ = (actor, query, page);
        not_built()
    }
    pub async fn delete_team(&self, actor: &Actor, name: &TeamName) -> Result<()> {
        let _ = (actor, name);
        not_built()
    }
    /// Adds a user to a team; the bool says whether it is new.
    pub async fn add_team_member(
        &self,
        actor: &Actor,
        team: &TeamName,
        user: &UserName,
    ) -> Result<bool> {
        let _ = (actor, team, user);
        not_built()
    }
    pub async fn remove_team_member(
        &self,
        actor: &Actor,
        team: &TeamName,
        user: &UserName,
    ) -> Result<()> {
        let _ = (actor, team, user);
        not_built()
    }
    pub async fn create_application(
        &self,
        actor: &Actor,
        project: &ProjectName,
        new: NewApplication,
    ) -> Result<Application> {
        let _ = (actor, project, new);
        not_built()
    }
    pub async fn application(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &ApplicationName,
    ) -> Result<Application> {
        let _ = (actor, project, name);
        not_built()
    }
    /// The catalog: applications of all projects the caller may see, by name.
    pub async fn list_applications(
        &self,
        actor: &Actor,
        filter: &ApplicationFilter,
        page: &PageRequest,
    ) -> Result<Page<Application>> {
        let _ = (actor, filter, page);
        not_built()
    }
    pub async fn update_application(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &ApplicationName,
        change: ApplicationChange,
    ) -> Result<Application> {
        let _ = (actor, project, name, change);
        not_built()
    }
    pub async fn delete_application(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &ApplicationName,
    ) -> Result<()> {
        let _ = (actor, project, name);
        not_built()
    }
}

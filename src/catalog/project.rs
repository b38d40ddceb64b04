//! Projects: finding with a permission, listing what the caller sees, creating, changing, deleting.

use serde_json::{Value, json};

use super::{Catalog, change_event, check_description, count_list, search_text, store};
use crate::accounts::rbac::{
    Action, Decision, Permission, Resource, Role, Visibility, decide_in_project, require_platform,
};
use crate::base::id::{EnvironmentId, ProjectId};
use crate::base::{
    Actor, EnvironmentName, Error, Page, PageRequest, ProjectName, Result, Timestamp,
};
use crate::events::Target;

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

impl Project {
    fn target(&self) -> Target {
        Target::new("project", self.id, &self.name)
    }

    fn facts(&self) -> Value {
        json!({ "description": self.description, "visibility": self.visibility })
    }
}

/// A project at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// By name.
    pub environments: Vec<EnvironmentName>,
    /// Users and teams with a role.
    pub members: i64,
}

impl Catalog {
    /// Finds a project and checks a permission in it, in one query. Hidden and absent look the
    /// same; anonymous callers get `Unauthenticated` for both. The role in the result decides
    /// further permissions without another query (`rbac::decide_in_project`).
    pub async fn project(
        &self,
        actor: &Actor,
        name: &ProjectName,
        permission: Permission,
    ) -> Result<Project> {
        let mut conn = self.db.read().await?;
        let found = store::project::by_name(&mut conn, name, actor.user_id).await?;
        drop(conn);
        self.permit(actor, found.as_ref(), permission, "project", name.as_str()).await?;
        found.ok_or_else(|| Error::not_found("project", name))
    }

    /// What an overview of a project counts, in two statements. Takes the right to list both
    /// environments and members.
    pub async fn outline(&self, actor: &Actor, name: &ProjectName) -> Result<Outline> {
        let environments = Permission(Resource::Environment, Action::List);
        let project = self.project(actor, name, environments).await?;
        let members = Permission(Resource::Member, Action::List);
        self.permit(actor, Some(&project), members, "project", name.as_str()).await?;
        store::project::outline(&mut *self.db.read().await?, project.id).await
    }

    /// The same as [`Self::project`] by id.
    pub async fn project_by_id(
        &self,
        actor: &Actor,
        id: ProjectId,
        permission: Permission,
    ) -> Result<Project> {
        let mut conn = self.db.read().await?;
        let found = store::project::by_id(&mut conn, id, actor.user_id).await?;
        drop(conn);
        self.permit(actor, found.as_ref(), permission, "project", &id.to_string()).await?;
        found.ok_or_else(|| Error::not_found("project", id))
    }

    /// Ids of the projects in which the caller has `permission`; `None`: all of them (admins and
    /// auditors).
    pub async fn visible_projects(
        &self,
        actor: &Actor,
        permission: Permission,
    ) -> Result<Option<Vec<ProjectId>>> {
        // Who may do it in a private project without a role may do it everywhere.
        if decide_in_project(actor, None, Visibility::Private, permission) == Decision::Allow {
            return Ok(None);
        }
        let mut conn = self.db.read().await?;
        let seen = store::project::seen_by(&mut conn, actor.user_id).await?;
        let allowed = seen.into_iter().filter(|(_, visibility, role)| {
            decide_in_project(actor, *role, *visibility, permission) == Decision::Allow
        });
        Ok(Some(allowed.map(|(id, ..)| id).collect()))
    }

    /// Projects that the caller sees, by name; `query` matches name and description.
    pub async fn list_projects(
        &self,
        actor: &Actor,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Project>> {
        require_platform(actor, Permission(Resource::Project, Action::List))?;
        let query = search_text("query", query)?;
        let (limit, after) = (page.limit()?, page.after_key::<String>()?);
        let read = Permission(Resource::Project, Action::Read);
        let sees_all = decide_in_project(actor, None, Visibility::Private, read) == Decision::Allow;
        let mut conn = self.db.read().await?;
        let rows = store::project::list(
            &mut conn,
            actor.user_id,
            sees_all,
            query,
            after.as_deref(),
            limit,
        )
        .await?;
        Ok(Page::from_rows(rows, limit, |p| p.name.clone()))
    }

    /// Creates a project and its first environment, named alike. Needs the platform permission
    /// `project:create`; the creator becomes project admin.
    pub async fn create_project(&self, actor: &Actor, new: NewProject) -> Result<Project> {
        require_platform(actor, Permission(Resource::Project, Action::Create))?;
        check_description(&new.description)?;
        let now = self.clock.0.now();
        let environment: EnvironmentName = new.name.as_str().parse()?;
        let project = Project {
            id: ProjectId::new(now),
            name: new.name,
            description: new.description,
            visibility: new.visibility,
            created_at: now,
            updated_at: now,
            role: actor.user_id.map(|_| Role::ProjectAdmin),
        };
        let mut tx = self.db.begin().await?;
        store::project::insert(&mut tx, &project).await?;
        let environment_id = EnvironmentId::new(now);
        store::environment::insert(&mut tx, environment_id, project.id, &environment, now).await?;
        if let Some(user) = actor.user_id {
            store::member::insert_user(&mut tx, project.id, user, Role::ProjectAdmin, now).await?;
        }
        let event = change_event(
            "project.create",
            project.target(),
            project.id,
            format!("Created the project and its environment \"{environment}\"."),
            Value::Null,
            project.facts(),
        );
        self.append(&mut tx, actor, event).await?;
        tx.commit().await?;
        Ok(project)
    }

    /// Changes description and visibility; a change to what it already is does nothing.
    pub async fn update_project(
        &self,
        actor: &Actor,
        name: &ProjectName,
        change: ProjectChange,
    ) -> Result<Project> {
        let mut project =
            self.project(actor, name, Permission(Resource::Project, Action::Update)).await?;
        if let Some(description) = &change.description {
            check_description(description)?;
        }
        let mut tx = self.db.begin().await?;
        let (description, visibility) = store::project::lock(&mut tx, project.id)
            .await?
            .ok_or_else(|| Error::not_found("project", name))?;
        (project.description, project.visibility) = (description, visibility);
        let before = project.facts();
        project.description = change.description.unwrap_or(project.description);
        project.visibility = change.visibility.unwrap_or(project.visibility);
        let after = project.facts();
        if before == after {
            return Ok(project);
        }
        project.updated_at = self.clock.0.now();
        store::project::update(&mut tx, &project).await?;
        let message = if before["visibility"] == after["visibility"] {
            "Changed the description.".to_owned()
        } else {
            format!("Made the project {}.", project.visibility.as_str())
        };
        let event =
            change_event("project.update", project.target(), project.id, message, before, after);
        self.append(&mut tx, actor, event).await?;
        tx.commit().await?;
        Ok(project)
    }

    /// Deletes an empty project with its environments and members; a conflict names what is
    /// still in it.
    pub async fn delete_project(&self, actor: &Actor, name: &ProjectName) -> Result<()> {
        let project =
            self.project(actor, name, Permission(Resource::Project, Action::Delete)).await?;
        let mut tx = self.db.begin().await?;
        store::project::lock(&mut tx, project.id).await?;
        let left = store::project::contents(&mut tx, project.id).await?;
        let list = count_list(&[
            (left.repositories, "repository", "repositories"),
            (left.applications, "application", "applications"),
            (left.deployments, "deployment", "deployments"),
            (left.services, "service", "services"),
        ]);
        if !list.is_empty() {
            let message = format!("the project \"{name}\" still has {list}; delete them first");
            return Err(Error::conflict("project_not_empty", message).with_detail(json!({
                "repositories": left.repositories,
                "applications": left.applications,
                "deployments": left.deployments,
                "services": left.services,
            })));
        }
        store::project::delete(&mut tx, &project).await?;
        let event = change_event(
            "project.delete",
            project.target(),
            project.id,
            "Deleted the project with its environments and members.".to_owned(),
            project.facts(),
            Value::Null,
        );
        self.append(&mut tx, actor, event).await?;
        tx.commit().await
    }
}

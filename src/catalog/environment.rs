//! Environments: where deployments live. Their names are unique in the installation.

use serde_json::{Value, json};

use super::{Catalog, Project, change_event, count_list, store};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::EnvironmentId;
use crate::base::{Actor, EnvironmentName, Error, ProjectName, Result, Timestamp};
use crate::events::Target;

/// An environment, with the caller's role in its project.
#[derive(Debug, Clone)]
pub struct Environment {
    pub id: EnvironmentId,
    pub name: EnvironmentName,
    pub project: Project,
    pub created_at: Timestamp,
}

impl Catalog {
    /// Finds an environment and checks a permission in its project, in one query.
    pub async fn environment(
        &self,
        actor: &Actor,
        name: &EnvironmentName,
        permission: Permission,
    ) -> Result<Environment> {
        let mut conn = self.db.read().await?;
        let found = store::environment::by_name(&mut conn, name, actor.user_id).await?;
        drop(conn);
        let project = found.as_ref().map(|e| &e.project);
        self.permit(actor, project, permission, "environment", name.as_str()).await?;
        found.ok_or_else(|| Error::not_found("environment", name))
    }

    /// Environments of a project, by name.
    pub async fn list_environments(
        &self,
        actor: &Actor,
        project: &ProjectName,
    ) -> Result<Vec<Environment>> {
        let project =
            self.project(actor, project, Permission(Resource::Environment, Action::List)).await?;
        let mut conn = self.db.read().await?;
        let rows = store::environment::of_project(&mut conn, project.id).await?;
        let with_project =
            |(id, name, created_at)| Environment { id, name, project: project.clone(), created_at };
        Ok(rows.into_iter().map(with_project).collect())
    }

    /// Creates an environment; a name in use anywhere in the installation is a conflict.
    pub async fn create_environment(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &EnvironmentName,
    ) -> Result<Environment> {
        let project =
            self.project(actor, project, Permission(Resource::Environment, Action::Create)).await?;
        let now = self.clock.0.now();
        let id = EnvironmentId::new(now);
        let mut tx = self.db.begin().await?;
        store::environment::insert(&mut tx, id, project.id, name, now).await?;
        let event = change_event(
            "environment.create",
            Target::new("environment", id, name),
            project.id,
            format!("Created the environment in the project \"{}\".", project.name),
            Value::Null,
            json!({ "name": name }),
        );
        self.append(&mut tx, actor, event).await?;
        tx.commit().await?;
        Ok(Environment { id, name: name.clone(), project, created_at: now })
    }

    /// Deletes an environment without deployments and services.
    pub async fn delete_environment(&self, actor: &Actor, name: &EnvironmentName) -> Result<()> {
        let permission = Permission(Resource::Environment, Action::Delete);
        let environment = self.environment(actor, name, permission).await?;
        let mut tx = self.db.begin().await?;
        let (deployments, services) = store::environment::contents(&mut tx, environment.id).await?;
        let list = count_list(&[
            (deployments, "deployment", "deployments"),
            (services, "service", "services"),
        ]);
        if !list.is_empty() {
            let message = format!("the environment \"{name}\" still has {list}; delete them first");
            return Err(Error::conflict("environment_not_empty", message)
                .with_detail(json!({ "deployments": deployments, "services": services })));
        }
        store::environment::delete(&mut tx, environment.id, name).await?;
        let event = change_event(
            "environment.delete",
            Target::new("environment", environment.id, name),
            environment.project.id,
            "Deleted the environment.".to_owned(),
            json!({ "name": name }),
            Value::Null,
        );
        self.append(&mut tx, actor, event).await?;
        tx.commit().await
    }
}

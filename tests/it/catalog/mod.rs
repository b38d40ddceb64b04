//! The catalog: who sees and changes what, and that every change leaves an event.

mod applications;
mod environments;
mod members;
mod projects;
mod teams;

use std::sync::Arc;

use portolan::accounts::rbac::{Role, Visibility};
use portolan::base::actor::PlatformRole;
use portolan::base::id::UserId;
use portolan::base::{Actor, Channel, Clock, Error, PageRequest, SystemClock};
use portolan::catalog::{Catalog, MemberName, NewProject, Project};
use portolan::db::Db;
use portolan::events::{self, Event, Filter};

use crate::support::test_db;

/// A catalog in a database of its own, and the people in it.
struct World {
    db: Db,
    catalog: Catalog,
    /// Platform admin.
    root: Actor,
}

impl World {
    async fn new() -> Self {
        let db = test_db().await;
        let catalog = Catalog::new(db.clone(), Arc::new(SystemClock));
        let root = add_user(&db, "root", PlatformRole::Admin).await;
        Self { db, catalog, root }
    }

    async fn user(&self, name: &str) -> Actor {
        add_user(&self.db, name, PlatformRole::User).await
    }

    async fn project(&self, name: &str, visibility: Visibility) -> Project {
        let new = NewProject { name: parsed(name), description: String::new(), visibility };
        self.catalog.create_project(&self.root, new).await.expect("create a project")
    }

    /// A user with a role of its own in a project.
    async fn member(&self, project: &str, name: &str, role: Role) -> Actor {
        let actor = self.user(name).await;
        let member = MemberName::User(parsed(name));
        self.catalog
            .set_member(&self.root, &parsed(project), &member, role)
            .await
            .expect("add a member");
        actor
    }

    /// Events whose action starts with `action`, oldest first.
    async fn events(&self, action: &str) -> Vec<Event> {
        let filter = Filter { action: Some(action.to_owned()), ..Filter::default() };
        let page =
            events::list(&self.db, &filter, &PageRequest::first(100)).await.expect("list events");
        page.items.into_iter().rev().collect()
    }

    /// A deployment of an application, as far as the catalog can see it.
    async fn deploy(&self, application: uuid::Uuid, environment: &str) {
        sqlx::query(
            "insert into deployments (id, environment_id, application_id, name, replicas, settings,
                                      current_revision, generation, created_at, updated_at)
             select gen_random_uuid(), e.id, $1, 'hello', 1, '{}', 1, 1, now(), now()
             from environments e where e.name = $2",
        )
        .bind(application)
        .bind(environment)
        .execute(self.db.pool())
        .await
        .expect("insert a deployment");
    }
}

async fn add_user(db: &Db, name: &str, role: PlatformRole) -> Actor {
    let now = SystemClock.now();
    let id = UserId::new(now);
    sqlx::query(
        "insert into users (id, name, email, platform_role, created_at, updated_at)
         values ($1, $2, $2 || '@example.org', $3, $4, $4)",
    )
    .bind(id.uuid())
    .bind(name)
    .bind(role.as_str())
    .bind(now)
    .execute(db.pool())
    .await
    .expect("insert a user");
    Actor::user(id, name, role, Channel::Api)
}

fn parsed<T: std::str::FromStr<Err = Error>>(text: &str) -> T {
    text.parse().expect("a valid name")
}

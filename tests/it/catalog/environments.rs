//! Environments.

use portolan::accounts::rbac::{Action, Permission, Resource, Role, Visibility};
use portolan::base::ErrorKind;
use portolan::catalog::{Lifecycle, NewApplication};

use super::{World, parsed};

#[tokio::test]
async fn an_environment_is_seen_with_the_role_in_its_project() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    let ada = world.member("demo", "ada", Role::Developer).await;
    let stranger = world.user("stranger").await;
    let deploy = Permission(Resource::Deployment, Action::Create);
    let found = world.catalog.environment(&ada, &parsed("demo"), deploy).await.expect("visible");
    assert_eq!(found.project.role, Some(Role::Developer));
    let hidden =
        world.catalog.environment(&stranger, &parsed("demo"), deploy).await.expect_err("hidden");
    let absent =
        world.catalog.environment(&stranger, &parsed("nowhere"), deploy).await.expect_err("absent");
    assert_eq!(hidden.kind(), ErrorKind::NotFound);
    assert_eq!(hidden.public_message().replace("demo", "nowhere"), absent.public_message());
}

#[tokio::test]
async fn names_are_unique_in_the_installation() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    world.project("other", Visibility::Private).await;
    let staging = parsed("staging");
    world.catalog.create_environment(&world.root, &parsed("demo"), &staging).await.expect("create");
    let error = world
        .catalog
        .create_environment(&world.root, &parsed("other"), &staging)
        .await
        .expect_err("taken");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "environment_exists"));
}

#[tokio::test]
async fn an_environment_with_deployments_stays() {
    let world = World::new().await;
    let demo = world.project("demo", Visibility::Private).await;
    let new = NewApplication {
        name: parsed("hello"),
        team: None,
        description: String::new(),
        lifecycle: Lifecycle::Production,
        repository: None,
        links: Vec::new(),
    };
    let application =
        world.catalog.create_application(&world.root, &demo.name, new).await.expect("create");
    world.deploy(application.id.uuid(), "demo").await;
    let error =
        world.catalog.delete_environment(&world.root, &parsed("demo")).await.expect_err("in use");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "environment_not_empty"));
    sqlx::query("delete from deployments").execute(world.db.pool()).await.expect("empty it");
    world.catalog.delete_environment(&world.root, &parsed("demo")).await.expect("empty now");
    let actions: Vec<_> =
        world.events("environment.").await.into_iter().map(|e| e.action).collect();
    assert_eq!(actions, ["environment.delete"]);
}

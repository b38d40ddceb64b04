//! Teams.

use portolan::accounts::rbac::{Role, Visibility};
use portolan::base::{Actor, Channel, ErrorKind, PageRequest};
use portolan::catalog::{Lifecycle, MemberName, NewApplication};

use super::{World, parsed};

#[tokio::test]
async fn admins_make_teams_and_everybody_reads_them() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let error = world.catalog.create_team(&ada, &parsed("mine"), "").await.expect_err("a user");
    assert_eq!(error.kind(), ErrorKind::Denied);
    world.catalog.create_team(&world.root, &parsed("core"), "The core").await.expect("create");
    let error =
        world.catalog.create_team(&world.root, &parsed("core"), "").await.expect_err("taken");
    assert_eq!(error.code(), "team_exists");
    let add =
        async || world.catalog.add_team_member(&world.root, &parsed("core"), &parsed("ada")).await;
    assert!(add().await.expect("add"));
    assert!(!add().await.expect("add again"));
    let team = world.catalog.team(&ada, &parsed("core")).await.expect("read");
    assert_eq!(team.members, [parsed("ada")]);
    let page =
        world.catalog.list_teams(&ada, Some("CORE"), &PageRequest::default()).await.expect("list");
    assert_eq!(page.items.len(), 1);
    let anonymous = Actor::anonymous(Channel::Web);
    let error = world.catalog.team(&anonymous, &parsed("core")).await.expect_err("log in first");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    let actions: Vec<_> = world.events("team.").await.into_iter().map(|e| e.action).collect();
    assert_eq!(actions, ["team.create", "team.add_member"]);
}

#[tokio::test]
async fn a_deleted_team_takes_its_memberships_and_leaves_its_applications() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    let ada = world.user("ada").await;
    let (demo, core) = (parsed("demo"), parsed("core"));
    world.catalog.create_team(&world.root, &core, "").await.expect("create");
    world.catalog.add_team_member(&world.root, &core, &parsed("ada")).await.expect("add");
    world
        .catalog
        .set_member(&world.root, &demo, &MemberName::Team(core.clone()), Role::Developer)
        .await
        .expect("join");
    let new = NewApplication {
        name: parsed("hello"),
        team: Some(core.clone()),
        description: String::new(),
        lifecycle: Lifecycle::Production,
        repository: None,
        links: Vec::new(),
    };
    world.catalog.create_application(&ada, &demo, new).await.expect("create");

    world.catalog.delete_team(&world.root, &core).await.expect("delete");
    let error =
        world.catalog.application(&ada, &demo, &parsed("hello")).await.expect_err("no role left");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let application =
        world.catalog.application(&world.root, &demo, &parsed("hello")).await.expect("it stays");
    assert_eq!(application.team, None);
    let events = world.events("team.delete").await;
    assert_eq!(events[0].detail["before"]["applications"][0], "demo/hello");
}

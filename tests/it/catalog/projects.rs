//! Projects: visibility, creation, deletion, paging.

use portolan::accounts::rbac::{Action, Permission, Resource, Role, Visibility};
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, Channel, ErrorKind, PageRequest};
use portolan::catalog::{MemberName, NewProject, ProjectChange};

use super::{World, add_user, parsed};

const READ: Permission = Permission(Resource::Project, Action::Read);
const PULL: Permission = Permission(Resource::Repository, Action::Pull);
const PUSH: Permission = Permission(Resource::Repository, Action::Push);

#[tokio::test]
async fn a_hidden_project_reads_exactly_like_an_absent_one() {
    let world = World::new().await;
    world.project("hidden", Visibility::Private).await;
    let stranger = world.user("stranger").await;
    let hidden =
        world.catalog.project(&stranger, &parsed("hidden"), READ).await.expect_err("not a member");
    let absent =
        world.catalog.project(&stranger, &parsed("absent"), READ).await.expect_err("not there");
    assert_eq!(hidden.kind(), ErrorKind::NotFound);
    assert_eq!(hidden.code(), absent.code());
    assert_eq!(
        hidden.public_message().replace("hidden", "absent"),
        absent.public_message(),
        "the two must not be told apart"
    );
    let anonymous = Actor::anonymous(Channel::Registry);
    for name in ["hidden", "absent"] {
        let error =
            world.catalog.project(&anonymous, &parsed(name), PULL).await.expect_err("anonymous");
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{name}");
    }
}

#[tokio::test]
async fn the_strongest_role_counts_whether_own_or_through_a_team() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    let ada = world.member("demo", "ada", Role::Guest).await;
    let error = world.catalog.project(&ada, &parsed("demo"), PUSH).await.expect_err("a guest");
    assert_eq!(error.kind(), ErrorKind::Denied);

    world.catalog.create_team(&world.root, &parsed("core"), "").await.expect("team");
    world.catalog.add_team_member(&world.root, &parsed("core"), &parsed("ada")).await.expect("add");
    world
        .catalog
        .set_member(
            &world.root,
            &parsed("demo"),
            &MemberName::Team(parsed("core")),
            Role::Maintainer,
        )
        .await
        .expect("team joins");
    let project = world.catalog.project(&ada, &parsed("demo"), PUSH).await.expect("may push now");
    assert_eq!(project.role, Some(Role::Maintainer));
    let by_id = world.catalog.project_by_id(&ada, project.id, PUSH).await.expect("by id too");
    assert_eq!(by_id.role, Some(Role::Maintainer));

    world
        .catalog
        .remove_team_member(&world.root, &parsed("core"), &parsed("ada"))
        .await
        .expect("leaves the team");
    let error = world.catalog.project(&ada, &parsed("demo"), PUSH).await.expect_err("at once");
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn anybody_may_pull_from_a_public_project_and_no_more() {
    let world = World::new().await;
    world.project("open", Visibility::Public).await;
    let anonymous = Actor::anonymous(Channel::Registry);
    let stranger = world.user("stranger").await;
    for actor in [&anonymous, &stranger] {
        let project = world.catalog.project(actor, &parsed("open"), PULL).await.expect("public");
        assert_eq!(project.role, None);
    }
    let members = Permission(Resource::Member, Action::List);
    let error = world
        .catalog
        .project(&stranger, &parsed("open"), members)
        .await
        .expect_err("visible, not allowed");
    assert_eq!(error.kind(), ErrorKind::Denied);
    let error =
        world.catalog.project(&anonymous, &parsed("open"), PUSH).await.expect_err("anonymous");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn lists_hold_what_the_caller_sees_page_by_page() {
    let world = World::new().await;
    for name in ["alpha", "beta", "delta", "gamma"] {
        world.project(name, Visibility::Private).await;
    }
    world.project("open", Visibility::Public).await;
    let ada = world.member("beta", "ada", Role::Developer).await;
    let auditor = add_user(&world.db, "audrey", PlatformRole::Auditor).await;

    let names = async |actor: &Actor, query: Option<&str>| -> Vec<String> {
        let mut all = Vec::new();
        let mut page = PageRequest::first(2);
        loop {
            let got = world.catalog.list_projects(actor, query, &page).await.expect("list");
            assert!(got.items.len() <= 2);
            all.extend(got.items.into_iter().map(|p| p.name.to_string()));
            match got.next {
                Some(next) => page.after = Some(next),
                None => return all,
            }
        }
    };
    assert_eq!(names(&ada, None).await, ["beta", "open"]);
    assert_eq!(names(&auditor, None).await, ["alpha", "beta", "delta", "gamma", "open"]);
    assert_eq!(names(&world.root, Some("LTA")).await, ["delta"]);
    assert_eq!(names(&world.root, Some("%")).await, Vec::<String>::new(), "no wildcards");

    let anonymous = Actor::anonymous(Channel::Web);
    let error = world
        .catalog
        .list_projects(&anonymous, None, &PageRequest::default())
        .await
        .expect_err("log in first");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);

    let of = async |actor: &Actor, permission| {
        world.catalog.visible_projects(actor, permission).await.expect("visible").map(|v| v.len())
    };
    assert_eq!(of(&world.root, PUSH).await, None);
    assert_eq!(of(&auditor, PULL).await, None);
    assert_eq!(of(&auditor, PUSH).await, Some(0));
    assert_eq!(of(&ada, PULL).await, Some(2));
    assert_eq!(of(&ada, PUSH).await, Some(1));
    assert_eq!(of(&anonymous, PULL).await, Some(1));
}

#[tokio::test]
async fn a_new_project_has_its_environment_its_admin_and_an_event() {
    let world = World::new().await;
    let project = world.project("demo", Visibility::Private).await;
    assert_eq!(project.role, Some(Role::ProjectAdmin));
    let environments =
        world.catalog.list_environments(&world.root, &project.name).await.expect("environments");
    assert_eq!(environments.len(), 1);
    assert_eq!(environments[0].name.as_str(), "demo");
    let members = world.catalog.list_members(&world.root, &project.name).await.expect("members");
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].role, Role::ProjectAdmin);
    let events = world.events("project.").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].action, "project.create");
    assert_eq!(events[0].project_id, Some(project.id));
    assert_eq!(events[0].detail["after"]["visibility"], "private");
}

#[tokio::test]
async fn a_name_in_use_changes_nothing() {
    let world = World::new().await;
    let demo = world.project("demo", Visibility::Private).await;
    world
        .catalog
        .create_environment(&world.root, &demo.name, &parsed("staging"))
        .await
        .expect("environment");
    let new = |name: &str| NewProject {
        name: parsed(name),
        description: String::new(),
        visibility: Visibility::Private,
    };
    let error = world.catalog.create_project(&world.root, new("demo")).await.expect_err("taken");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "project_exists"));
    let error = world.catalog.create_project(&world.root, new("staging")).await.expect_err("taken");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "environment_exists"));
    let error = world
        .catalog
        .project(&world.root, &parsed("staging"), READ)
        .await
        .expect_err("rolled back");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(world.events("project.").await.len(), 1);
}

#[tokio::test]
async fn only_platform_admins_create_projects() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let new = NewProject {
        name: parsed("mine"),
        description: String::new(),
        visibility: Visibility::Private,
    };
    let error = world.catalog.create_project(&ada, new).await.expect_err("not an admin");
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn an_update_is_recorded_once_and_a_repeat_not_at_all() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    let change = || ProjectChange { visibility: Some(Visibility::Public), ..Default::default() };
    for _ in 0..2 {
        let project = world
            .catalog
            .update_project(&world.root, &parsed("demo"), change())
            .await
            .expect("update");
        assert_eq!(project.visibility, Visibility::Public);
    }
    let events = world.events("project.update").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].detail["before"]["visibility"], "private");
    assert_eq!(events[0].detail["after"]["visibility"], "public");
    let long = ProjectChange { description: Some("x".repeat(2001)), visibility: None };
    let error = world
        .catalog
        .update_project(&world.root, &parsed("demo"), long)
        .await
        .expect_err("too long");
    assert_eq!(error.fields()[0].field, "description");
}

#[tokio::test]
async fn a_refused_change_is_recorded() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    let gus = world.member("demo", "gus", Role::Guest).await;
    let error = world.catalog.delete_project(&gus, &parsed("demo")).await.expect_err("a guest");
    assert_eq!(error.kind(), ErrorKind::Denied);
    let events = world.events("access.deny").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].actor_name, "gus");
    assert_eq!(events[0].outcome, "denied");
    assert_eq!(events[0].detail["permission"], "project:delete");
}

#[tokio::test]
async fn a_project_is_deleted_only_when_it_is_empty() {
    let world = World::new().await;
    let demo = world.project("demo", Visibility::Private).await;
    sqlx::query(
        "insert into repositories (id, project_id, name, created_at, updated_at)
         values (gen_random_uuid(), $1, 'demo/hello', now(), now())",
    )
    .bind(demo.id.uuid())
    .execute(world.db.pool())
    .await
    .expect("insert a repository");
    let error = world.catalog.delete_project(&world.root, &demo.name).await.expect_err("in use");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "project_not_empty"));
    assert!(error.public_message().contains("1 repository"), "{error}");
    sqlx::query("delete from repositories").execute(world.db.pool()).await.expect("empty it");

    world.catalog.delete_project(&world.root, &demo.name).await.expect("empty now");
    let error = world.catalog.project(&world.root, &demo.name, READ).await.expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    world.project("demo", Visibility::Private).await;
}

//! Members of a project.

use portolan::accounts::rbac::{Role, Visibility};
use portolan::base::ErrorKind;
use portolan::catalog::MemberName;

use super::{World, parsed};

#[tokio::test]
async fn setting_a_member_twice_changes_its_role() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    world.user("ada").await;
    let ada = MemberName::User(parsed("ada"));
    let mut set = Vec::new();
    for role in [Role::Developer, Role::Developer, Role::Maintainer] {
        let (member, new) = world
            .catalog
            .set_member(&world.root, &parsed("demo"), &ada, role)
            .await
            .expect("set a member");
        set.push((member.role, new));
    }
    assert_eq!(set, [(Role::Developer, true), (Role::Developer, false), (Role::Maintainer, false)]);
    let actions: Vec<_> = world.events("member.").await.into_iter().map(|e| e.action).collect();
    assert_eq!(actions, ["member.add", "member.update"], "the repeat left no event");
    let members = world.catalog.list_members(&world.root, &parsed("demo")).await.expect("list");
    let names: Vec<_> = members.iter().map(|m| (m.name.as_str(), m.role)).collect();
    assert_eq!(names, [("root", Role::ProjectAdmin), ("ada", Role::Maintainer)]);
}

#[tokio::test]
async fn unknown_users_and_teams_cannot_be_members() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    for member in [MemberName::User(parsed("nobody")), MemberName::Team(parsed("noteam"))] {
        let error = world
            .catalog
            .set_member(&world.root, &parsed("demo"), &member, Role::Guest)
            .await
            .expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = world
            .catalog
            .remove_member(&world.root, &parsed("demo"), &member)
            .await
            .expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn members_below_admin_cannot_promote_themselves() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    let max = world.member("demo", "max", Role::Maintainer).await;
    let error = world
        .catalog
        .set_member(&max, &parsed("demo"), &MemberName::User(parsed("max")), Role::ProjectAdmin)
        .await
        .expect_err("a maintainer");
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn the_last_project_admin_stays_unless_a_platform_admin_says_so() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    let ada = world.member("demo", "ada", Role::ProjectAdmin).await;
    let demo = parsed("demo");
    let own = MemberName::User(parsed("ada"));
    world
        .catalog
        .remove_member(&ada, &demo, &MemberName::User(parsed("root")))
        .await
        .expect("another admin is left");

    let error = world.catalog.remove_member(&ada, &demo, &own).await.expect_err("the last one");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "last_project_admin"));
    let error =
        world.catalog.set_member(&ada, &demo, &own, Role::Guest).await.expect_err("the last one");
    assert_eq!(error.code(), "last_project_admin");
    let members = world.catalog.list_members(&ada, &demo).await.expect("still a member");
    assert_eq!(members[0].role, Role::ProjectAdmin);

    world.catalog.remove_member(&world.root, &demo, &own).await.expect("a platform admin may");
    assert_eq!(world.events("member.remove").await.len(), 2);
}

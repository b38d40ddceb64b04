//! Applications and the search over them.

use portolan::accounts::rbac::{Role, Visibility};
use portolan::base::{Actor, Channel, ErrorKind, PageRequest};
use portolan::catalog::{
    Application, ApplicationChange, ApplicationFilter, Lifecycle, Link, NewApplication,
};

use super::{World, parsed};

fn application(name: &str, team: Option<&str>, description: &str) -> NewApplication {
    NewApplication {
        name: parsed(name),
        team: team.map(parsed),
        description: description.to_owned(),
        lifecycle: Lifecycle::Production,
        repository: None,
        links: Vec::new(),
    }
}

async fn add(world: &World, project: &str, new: NewApplication) -> Application {
    world
        .catalog
        .create_application(&world.root, &parsed(project), new)
        .await
        .expect("create an application")
}

#[tokio::test]
async fn search_matches_name_description_team_and_project_among_what_the_caller_sees() {
    let world = World::new().await;
    world.project("shop", Visibility::Private).await;
    world.project("bank", Visibility::Public).await;
    world.catalog.create_team(&world.root, &parsed("core"), "").await.expect("team");
    add(&world, "shop", application("cart", Some("core"), "Holds what people buy")).await;
    add(&world, "shop", application("search", None, "")).await;
    add(&world, "bank", application("cart", None, "Not the shop's")).await;
    let ada = world.member("shop", "ada", Role::Guest).await;

    let found = async |actor: &Actor, filter: ApplicationFilter| -> Vec<String> {
        let mut all = Vec::new();
        let mut page = PageRequest::first(1);
        loop {
            let got = world.catalog.list_applications(actor, &filter, &page).await.expect("list");
            all.extend(got.items.iter().map(|a| format!("{}/{}", a.project, a.name)));
            match got.next {
                Some(next) => page.after = Some(next),
                None => return all,
            }
        }
    };
    let text = |text: &str| ApplicationFilter { text: Some(text.to_owned()), ..Default::default() };
    let all = ["bank/cart", "shop/cart", "shop/search"];
    assert_eq!(found(&world.root, ApplicationFilter::default()).await, all);
    assert_eq!(
        found(&ada, ApplicationFilter::default()).await,
        ["shop/cart", "shop/search"],
        "a public project shows images, not applications"
    );
    assert_eq!(found(&world.root, text("CART")).await, ["bank/cart", "shop/cart"]);
    assert_eq!(found(&world.root, text("people buy")).await, ["shop/cart"]);
    assert_eq!(found(&world.root, text("core")).await, ["shop/cart"]);
    assert_eq!(found(&world.root, text("bank")).await, ["bank/cart"]);
    assert_eq!(found(&ada, text("bank")).await, Vec::<String>::new());
    let of_team = ApplicationFilter { team: Some(parsed("core")), ..Default::default() };
    assert_eq!(found(&world.root, of_team).await, ["shop/cart"]);

    let of_project = ApplicationFilter { project: Some(parsed("bank")), ..Default::default() };
    let error = world
        .catalog
        .list_applications(&ada, &of_project, &PageRequest::default())
        .await
        .expect_err("sees the project, may not list");
    assert_eq!(error.kind(), ErrorKind::Denied);
    let error = world
        .catalog
        .list_applications(
            &Actor::anonymous(Channel::Web),
            &ApplicationFilter::default(),
            &PageRequest::default(),
        )
        .await
        .expect_err("log in first");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn an_application_names_the_environments_it_runs_in_and_stays_while_it_runs() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    let hello = add(&world, "demo", application("hello", None, "")).await;
    world.deploy(hello.id.uuid(), "demo").await;
    let found =
        world.catalog.application(&world.root, &hello.project, &hello.name).await.expect("read");
    assert_eq!(found.environments, [parsed("demo")]);
    let error = world
        .catalog
        .delete_application(&world.root, &hello.project, &hello.name)
        .await
        .expect_err("deployed");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "application_deployed"));
    assert!(error.public_message().contains("demo"), "{error}");
    sqlx::query("delete from deployments").execute(world.db.pool()).await.expect("undeploy");
    world
        .catalog
        .delete_application(&world.root, &hello.project, &hello.name)
        .await
        .expect("delete");
    assert_eq!(world.events("application.delete").await.len(), 1);
}

#[tokio::test]
async fn changes_are_recorded_with_before_and_after() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    world.catalog.create_team(&world.root, &parsed("core"), "").await.expect("team");
    let hello = add(&world, "demo", application("hello", Some("core"), "")).await;
    let change = || ApplicationChange {
        team: Some(None),
        lifecycle: Some(Lifecycle::Deprecated),
        links: Some(vec![Link { title: "Wiki".into(), url: "https://wiki.example.org".into() }]),
        ..Default::default()
    };
    for _ in 0..2 {
        world
            .catalog
            .update_application(&world.root, &hello.project, &hello.name, change())
            .await
            .expect("update");
    }
    let stored =
        world.catalog.application(&world.root, &hello.project, &hello.name).await.expect("read");
    assert_eq!(stored.team, None);
    assert_eq!(stored.lifecycle, Lifecycle::Deprecated);
    assert_eq!(stored.links.len(), 1);
    let events = world.events("application.update").await;
    assert_eq!(events.len(), 1, "the repeat left no event");
    assert_eq!(events[0].message, "Changed team, lifecycle, links.");
    assert_eq!(events[0].detail["before"]["team"], "core");
    assert_eq!(events[0].detail["after"]["team"], serde_json::Value::Null);
}

#[tokio::test]
async fn wrong_input_names_its_field_and_changes_nothing() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    let link = |url: &str| vec![Link { title: "x".into(), url: url.into() }];
    let web = Link { title: "x".into(), url: "https://a/".into() };
    let base = || application("hello", None, "");
    let cases = [
        ("team", NewApplication { team: Some(parsed("ghosts")), ..base() }),
        ("description", NewApplication { description: "a\u{0}b".into(), ..base() }),
        ("repository", NewApplication { repository: Some("../other".into()), ..base() }),
        ("links[0].url", NewApplication { links: link("javascript:alert(1)"), ..base() }),
        ("links", NewApplication { links: vec![web.clone(); 21], ..base() }),
    ];
    for (field, new) in cases {
        let error = world
            .catalog
            .create_application(&world.root, &parsed("demo"), new)
            .await
            .expect_err(field);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{field}");
        assert_eq!(error.fields()[0].field, field);
    }
    assert!(world.events("application.").await.is_empty());
}

#[tokio::test]
async fn two_applications_of_a_project_cannot_share_a_name() {
    let world = World::new().await;
    world.project("demo", Visibility::Private).await;
    add(&world, "demo", application("hello", None, "")).await;
    let error = world
        .catalog
        .create_application(&world.root, &parsed("demo"), application("hello", None, ""))
        .await
        .expect_err("taken");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "application_exists"));
}

//! Declaring deployments and services: what is accepted, refused and remembered.

use portolan::accounts::rbac::{Role, Visibility};
use portolan::base::ErrorKind;
use portolan::engine::Precondition;
use portolan::engine::spec::ServiceSpec;
use serde_json::json;

use crate::support::engine::{TestEngine, deployment, digest_of, environment, spec};
use crate::support::images::tiny;

#[tokio::test]
async fn a_repeated_put_changes_nothing_and_leaves_no_event() {
    let t = TestEngine::new().await;
    let first = t.try_apply("hello", spec(3, "demo/hello:1")).await.expect("applies");
    assert!(first.created && first.changed);
    assert_eq!((first.view.revision, first.view.generation), (1, 1));
    let events = t.events().await.len();
    let again = t.try_apply("hello", spec(3, "demo/hello:1")).await.expect("applies");
    assert!(!again.created && !again.changed);
    assert_eq!((again.view.revision, again.view.generation), (1, 1));
    assert_eq!(t.events().await.len(), events);
}

#[tokio::test]
async fn scaling_makes_no_revision_and_a_new_image_does() {
    let t = TestEngine::new().await;
    t.apply("hello", spec(3, "demo/hello:1")).await;
    let scaled = t.patch("hello", json!({"replicas": 5})).await;
    assert_eq!((scaled.revision, scaled.generation, scaled.spec.replicas), (1, 2, 5));
    let rolled = t.patch("hello", json!({"image": "demo/hello:2"})).await;
    assert_eq!((rolled.revision, rolled.generation), (2, 3));
    let revisions =
        t.engine.revisions(&t.ada, &environment(), &deployment("hello")).await.expect("revisions");
    assert_eq!(revisions[0].changes, ["image hello:1 → hello:2"]);
    assert_eq!(revisions[0].images["demo/hello:2"], digest_of("2").to_string());
    let messages = t.messages("deployment.").await;
    assert!(messages[1].contains("replicas 3 → 5"), "{messages:?}");
}

#[tokio::test]
async fn a_moved_tag_changes_nothing_until_somebody_asks() {
    let t = TestEngine::new().await;
    t.apply("hello", spec(1, "demo/hello:1")).await;
    t.registry.push(&t.ada, "demo/hello", "1", &tiny("moved")).await;
    assert_eq!(t.apply("hello", spec(1, "demo/hello:1")).await.revision, 1);
    let restart = |resolve| {
        let engine = t.engine.clone();
        let ada = t.ada.clone();
        async move {
            engine
                .restart(&ada, &environment(), &deployment("hello"), resolve)
                .await
                .expect("restarts");
            engine.revisions(&ada, &environment(), &deployment("hello")).await.expect("revisions")
                [0]
            .images["demo/hello:1"]
                .clone()
        }
    };
    assert_eq!(restart(false).await, digest_of("1").to_string());
    assert_eq!(restart(true).await, digest_of("moved").to_string());
}

#[tokio::test]
async fn images_the_caller_may_not_pull_are_refused_at_create_and_at_each_new_revision() {
    let t = TestEngine::new().await;
    t.registry.project("other", Visibility::Private).await;
    let bob = t.registry.user("bob").await;
    t.registry.member("other", &bob, Role::Developer).await;
    t.registry.push(&bob, "other/app", "1", &tiny("secret")).await;
    let digest = tiny("secret").digest();
    let pinned = format!("other/app@{digest}");
    for image in ["other/app:1", pinned.as_str(), "other/none:1", "demo/hello:none"] {
        let error = t.try_apply("hello", spec(1, image)).await.expect_err(image);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.fields()[0].field, "template.containers[0].image", "{image}");
    }
    // With the right, then without it again.
    t.registry.member("other", &t.ada, Role::Guest).await;
    t.apply("hello", spec(1, "other/app:1")).await;
    t.patch("hello", json!({"image": "demo/hello:1"})).await;
    t.sql(
        "delete from project_members m using users u, projects p
           where m.user_id = u.id and u.name = 'ada' and m.project_id = p.id and p.name = 'other'",
    )
    .await;
    let (environment, name) = (environment(), deployment("hello"));
    let error = t.engine.rollback(&t.ada, &environment, &name, 1, "").await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(t.view("hello").await.revision, 2, "nothing changed");
}

#[tokio::test]
async fn a_stale_precondition_is_refused() {
    let t = TestEngine::new().await;
    t.apply("hello", spec(1, "demo/hello:1")).await;
    let when = |generation| Precondition { generation: Some(generation) };
    let patch = |generation| {
        let (engine, ada) = (t.engine.clone(), t.ada.clone());
        async move {
            let (environment, name) = (environment(), deployment("hello"));
            engine
                .patch_deployment(
                    &ada,
                    &environment,
                    &name,
                    json!({"replicas": 2}),
                    when(generation),
                )
                .await
        }
    };
    assert_eq!(patch(7).await.expect_err("stale").kind(), ErrorKind::Stale);
    assert_eq!(patch(1).await.expect("fresh").view.generation, 2);
}

#[tokio::test]
async fn rolling_back_makes_a_new_revision_that_copies_the_old() {
    let t = TestEngine::new().await;
    t.apply("hello", spec(1, "demo/hello:1")).await;
    t.patch("hello", json!({"image": "demo/hello:2"})).await;
    let (environment, name) = (environment(), deployment("hello"));
    let view = t.engine.rollback(&t.ada, &environment, &name, 1, "too slow").await.expect("back");
    assert_eq!(view.revision, 3);
    assert_eq!(view.spec.template.containers[0].image, "demo/hello:1");
    let revisions = t.engine.revisions(&t.ada, &environment, &name).await.expect("revisions");
    assert_eq!(revisions[0].cause, "rollback to 1: too slow");
}

#[tokio::test]
async fn a_service_port_that_is_taken_is_a_conflict_that_names_its_holder() {
    let t = TestEngine::new().await;
    t.apply("hello", spec(1, "demo/hello:1")).await;
    t.serve("hello", 30080).await;
    let service = |port: u16| -> ServiceSpec {
        serde_json::from_value(json!({"deployment": "hello",
            "ports": [{"port": 80, "nodePort": port}]}))
        .expect("well-formed")
    };
    let other = "other".parse().expect("a name");
    for (port, holder) in [(30080, "demo/hello"), (8080, "Portolan itself")] {
        let error = t
            .engine
            .apply_service(&t.ada, &environment(), &other, service(port))
            .await
            .expect_err("taken");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.public_message().contains(holder), "{error:?}");
    }
    let maintainer = t.registry.user("max").await;
    t.registry.member("demo", &maintainer, Role::Maintainer).await;
    let error = t
        .engine
        .delete_deployment(&maintainer, &environment(), &deployment("hello"))
        .await
        .expect_err("in use");
    assert!(error.public_message().contains("service hello"), "{error:?}");
}

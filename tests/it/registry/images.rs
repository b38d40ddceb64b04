//! Pushed images are resolved, listed and explained to those who may see them, and to nobody else.

use chrono::Duration;
use portolan::accounts::rbac::{Role, Visibility};
use portolan::base::{Actor, Channel, ErrorKind, PageRequest, Reference};
use portolan::events;

use crate::support::images::tiny;
use crate::support::registry::{TestRegistry, name};

fn tag(text: &str) -> Reference {
    text.parse().expect("a reference")
}

#[tokio::test]
async fn a_pushed_image_is_resolved_listed_and_explained() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let image = tiny("one");
    t.push(&ada, "demo/hello", "1", &image).await;
    t.push_manifest(&ada, "demo/hello", "latest", &image.manifest).await.expect("tagged");

    let resolved = t.registry.resolve(&ada, &"demo/hello:1".parse().expect("image")).await;
    assert_eq!(resolved.expect("resolved").digest, image.digest());

    let page = PageRequest::default();
    let project = "demo".parse().expect("name");
    let repositories =
        t.registry.list_repositories(&ada, &project, None, &page).await.expect("list").items;
    assert_eq!(repositories.len(), 1);
    let blobs: usize = image.blobs().map(|b| b.len()).sum();
    assert_eq!(repositories[0].size, i64::try_from(blobs).expect("small"));
    assert_eq!(repositories[0].tag_count, 2);

    let tags =
        t.registry.list_tags(&ada, &name("demo/hello"), None, &page).await.expect("tags").items;
    assert_eq!(tags.len(), 2);
    assert_eq!(tags[0].platforms, ["linux/amd64"]);
    assert_eq!(tags[0].aliases.len(), 1);
    assert_eq!(tags[0].pushed_by, "ada");

    let shown = t.registry.image(&ada, &name("demo/hello"), &tag("latest")).await.expect("image");
    assert_eq!(shown.raw, image.manifest);
    assert_eq!(shown.config.expect("a config").env, ["TEXT=one"]);
    assert_eq!(shown.layers.len(), 1);
    assert_eq!(shown.history[0].layer.as_ref().expect("a layer").digest, shown.layers[0].digest);
    assert_eq!(shown.tags.len(), 2);
}

#[tokio::test]
async fn strangers_cannot_tell_a_hidden_image_from_an_absent_one() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.push(&ada, "demo/hello", "1", &tiny("one")).await;
    let eve = t.user("eve").await;
    let mut messages = Vec::new();
    for image in ["demo/hello:1", "demo/hello:2", "demo/none:1", "none/hello:1"] {
        let error = t
            .registry
            .resolve(&eve, &image.parse().expect("image"))
            .await
            .expect_err("must not resolve");
        messages.push((error.kind(), error.code(), error.public_message().replace(image, "X")));
    }
    assert!(messages.windows(2).all(|w| w[0] == w[1]), "{messages:?}");
    let anonymous = Actor::anonymous(Channel::Web);
    let image = t.registry.image(&anonymous, &name("demo/hello"), &tag("1")).await;
    assert_eq!(image.expect_err("hidden").kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn anybody_reads_a_public_project_and_nobody_else_writes_to_it() {
    let t = TestRegistry::start().await;
    t.project("open", Visibility::Public).await;
    let ada = t.user("ada").await;
    t.member("open", &ada, Role::Developer).await;
    t.push(&ada, "open/hello", "1", &tiny("one")).await;
    let anonymous = Actor::anonymous(Channel::Registry);
    let open = name("open/hello");
    assert!(t.registry.manifest(&anonymous, &open, &tag("1"), true).await.is_ok());
    let eve = t.user("eve").await;
    assert!(t.registry.manifest(&eve, &open, &tag("1"), true).await.is_ok());
    let pushed = t.registry.start_upload(&eve, &open).await;
    assert_eq!(pushed.expect_err("may not push").kind(), ErrorKind::Denied);
    let pushed = t.registry.start_upload(&anonymous, &open).await;
    assert_eq!(pushed.expect_err("may not push").kind(), ErrorKind::Unauthenticated);
    // A developer pushes, but only a maintainer removes.
    let deleted = t.registry.delete_tag(&ada, &open, &"1".parse().expect("tag")).await;
    assert_eq!(deleted.expect_err("may not delete").kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn a_removed_member_stops_at_once() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.push(&ada, "demo/hello", "1", &tiny("one")).await;
    let hello = name("demo/hello");
    assert!(t.registry.manifest(&ada, &hello, &tag("1"), false).await.is_ok());
    let member = portolan::catalog::MemberName::User("ada".parse().expect("name"));
    t.catalog
        .remove_member(&Actor::system(), &"demo".parse().expect("name"), &member)
        .await
        .expect("removed");
    let read = t.registry.manifest(&ada, &hello, &tag("1"), false).await;
    assert!(read.expect_err("no member any more").is_not_found());
}

#[tokio::test]
async fn the_history_of_a_tag_tells_every_move_and_who_did_it() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.member("demo", &ada, Role::Maintainer).await;
    let (one, two) = (tiny("one"), tiny("two"));
    for image in [&one, &two, &two] {
        t.push(&ada, "demo/hello", "1", image).await;
        t.clock.advance(Duration::seconds(1));
    }
    let hello = name("demo/hello");
    t.registry.delete_tag(&ada, &hello, &"1".parse().expect("tag")).await.expect("deleted");
    let page = PageRequest::first(2);
    let first = t.registry.tag_history(&ada, &hello, None, &page).await.expect("history");
    let second = PageRequest { after: first.next, limit: Some(2) };
    let second = t.registry.tag_history(&ada, &hello, None, &second).await.expect("history");
    let moves: Vec<_> =
        first.items.into_iter().chain(second.items).map(|m| (m.from, m.to)).collect();
    let (one, two) = (one.digest(), two.digest());
    assert_eq!(
        moves,
        [(Some(two.clone()), None), (Some(one.clone()), Some(two)), (None, Some(one))]
    );
    let filter = events::Filter { action: Some("tag.".to_owned()), ..Default::default() };
    let log = events::list(&t.db, &filter, &PageRequest::default()).await.expect("events");
    let actions: Vec<_> = log.items.iter().map(|e| e.action.as_str()).collect();
    assert_eq!(actions, ["tag.delete", "tag.push", "tag.push", "tag.push"]);
    assert_eq!(log.items[1].detail["client"], "test/1.0");
}

#[tokio::test]
async fn racing_pushes_to_one_tag_leave_a_gapless_history() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let images: Vec<_> = (0..8).map(|n| tiny(&format!("race {n}"))).collect();
    for image in &images {
        for blob in image.blobs() {
            t.push_blob(&ada, "demo/hello", blob).await;
        }
    }
    let pushes = images.iter().map(|i| t.push_manifest(&ada, "demo/hello", "1", &i.manifest));
    for pushed in futures_util::future::join_all(pushes).await {
        pushed.expect("pushed");
    }
    let hello = name("demo/hello");
    let history =
        t.registry.tag_history(&ada, &hello, None, &PageRequest::default()).await.expect("history");
    assert_eq!(history.items.len(), 8);
    for pair in history.items.windows(2) {
        assert_eq!(pair[0].from, pair[1].to, "each move starts where the one before ended");
    }
    let now = t.registry.manifest(&ada, &hello, &tag("1"), false).await.expect("served");
    assert_eq!(history.items[0].to.as_ref(), Some(&now.digest));
}

#[tokio::test]
async fn pulls_are_counted_without_writing_at_each() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.push(&ada, "demo/hello", "1", &tiny("one")).await;
    let hello = name("demo/hello");
    for _ in 0..3 {
        t.registry.manifest(&ada, &hello, &tag("1"), true).await.expect("served");
    }
    assert_eq!(t.registry.repository(&ada, &hello).await.expect("found").pulls_30d, 0);
    t.registry.flush_pulls().await.expect("flushed");
    assert_eq!(t.registry.repository(&ada, &hello).await.expect("found").pulls_30d, 3);
}

//! Tags move back, are locked by rules, are ordered as versions and filtered by labels.

use portolan::accounts::rbac::Role;
use portolan::base::{Actor, ErrorKind, PageRequest, Reference, TagName};
use portolan::events;
use portolan::registry::compare::State;
use portolan::registry::rules::{RuleInput, RuleKind};
use portolan::registry::{LabelColor, NewLabel, TagFilter, TagOrder};
use serde_json::json;

use crate::support::images::{TestImage, layer, tiny};
use crate::support::registry::{TestRegistry, name};

const HELLO: &str = "demo/hello";

fn tag(text: &str) -> TagName {
    text.parse().expect("a tag")
}

async fn rule(t: &TestRegistry, kind: RuleKind, pattern: &str, exempt: Option<Role>) {
    let input = RuleInput { kind, repository: "**".to_owned(), tag: pattern.to_owned(), exempt };
    let demo = "demo".parse().expect("a name");
    t.registry.create_tag_rule(&Actor::system(), &demo, input).await.expect("a rule");
}

async fn people(t: &TestRegistry) -> (Actor, Actor) {
    let dev = t.with_demo().await;
    let mia = t.user("mia").await;
    t.member("demo", &mia, Role::Maintainer).await;
    (dev, mia)
}

#[tokio::test]
async fn a_tag_moves_back_to_any_digest_it_had() {
    let t = TestRegistry::start().await;
    let (dev, mia) = people(&t).await;
    let hello = name(HELLO);
    let (one, two, other) = (tiny("one"), tiny("two"), tiny("other"));
    t.push(&dev, HELLO, "1", &one).await;
    t.push(&dev, HELLO, "1", &two).await;
    t.push(&dev, HELLO, "x", &other).await;
    let restore = async |who: &Actor, image: &TestImage| {
        t.registry.restore_tag(who, &hello, &tag("1"), &image.digest(), "portal").await
    };
    assert!(restore(&dev, &one).await.expect("moved"));
    assert!(!restore(&dev, &one).await.expect("there already"));
    let never = restore(&dev, &other).await.expect_err("it was never there");
    assert_eq!((never.kind(), never.fields()[0].field.as_str()), (ErrorKind::Invalid, "digest"));
    let page = PageRequest::first(1);
    let history = t.registry.tag_history(&dev, &hello, Some(&tag("1")), &page).await;
    let last = history.expect("history").items.remove(0);
    assert_eq!((last.from, last.to), (Some(two.digest()), Some(one.digest())));
    assert_eq!((last.actor_name.as_str(), last.client.as_str()), ("ada", "portal"));
    // A deleted image comes back with the tag, a purged one does not.
    t.registry.delete_image(&mia, &hello, &two.digest()).await.expect("deleted");
    assert!(restore(&dev, &two).await.expect("restored and moved"));
    let now = t.registry.image(&dev, &hello, &Reference::Tag(tag("1"))).await.expect("an image");
    assert_eq!(now.digest, two.digest());
    t.registry.delete_image(&mia, &hello, &one.digest()).await.expect("deleted");
    t.registry.purge_image(&mia, &hello, &one.digest()).await.expect("purged");
    let gone = restore(&dev, &one).await.expect_err("purged");
    assert_eq!((gone.kind(), gone.code()), (ErrorKind::Conflict, "image_gone"));
    // A removed tag is listed and comes back the same way.
    t.registry.delete_tag(&mia, &hello, &tag("1")).await.expect("removed");
    let removed =
        t.registry.deleted_tags(&dev, &hello, &PageRequest::default()).await.expect("a list");
    assert_eq!(removed.items.len(), 1);
    assert_eq!((&removed.items[0].tag, &removed.items[0].digest), (&tag("1"), &two.digest()));
    assert!(restore(&dev, &two).await.expect("back"));
    let filter = events::Filter { action: Some("tag.restore".to_owned()), ..Default::default() };
    let log = events::list(&t.db, &filter, &PageRequest::default()).await.expect("events").items;
    assert!(log[0].message.contains("was brought back"), "{}", log[0].message);
    assert!(log[2].message.contains("was moved back from"), "{}", log[2].message);
}

#[tokio::test]
async fn an_immutable_tag_is_neither_moved_nor_removed_by_anybody() {
    let t = TestRegistry::start().await;
    let (dev, mia) = people(&t).await;
    let hello = name(HELLO);
    let (one, two) = (tiny("one"), tiny("two"));
    t.push(&dev, HELLO, "v1", &two).await;
    t.push(&dev, HELLO, "v1", &one).await;
    t.push(&dev, HELLO, "edge", &one).await;
    rule(&t, RuleKind::Immutable, "v*", None).await;
    t.push(&dev, HELLO, "v2", &one).await;
    t.push_manifest(&dev, HELLO, "v1", &one.manifest).await.expect("the same again is no move");
    let admin = Actor::system();
    for who in [&dev, &mia, &admin] {
        let moved = t.push_manifest(who, HELLO, "v1", &two.manifest).await;
        assert_eq!(moved.expect_err("locked").code(), "tag_locked");
        let back = t.registry.restore_tag(who, &hello, &tag("v1"), &two.digest(), "").await;
        assert_eq!(back.expect_err("locked").code(), "tag_locked");
    }
    for who in [&mia, &admin] {
        let removed = t.registry.delete_tag(who, &hello, &tag("v1")).await.expect_err("locked");
        assert_eq!((removed.kind(), removed.code()), (ErrorKind::Denied, "tag_locked"));
        assert!(removed.public_message().contains("\"immutable v* in **\""), "{removed:?}");
        let deleted = t.registry.delete_image(who, &hello, &one.digest()).await;
        assert_eq!(deleted.expect_err("it carries a locked tag").code(), "tag_locked");
        let deleted = t.registry.delete_repository(who, &hello).await;
        assert_eq!(deleted.expect_err("so does the repository").code(), "tag_locked");
    }
    t.registry.delete_image(&mia, &hello, &two.digest()).await.expect("it has no tag");
    t.registry.delete_tag(&mia, &hello, &tag("edge")).await.expect("no rule is about it");
    let page = PageRequest::default();
    let history = t.registry.tag_history(&dev, &hello, Some(&tag("v1")), &page).await;
    assert_eq!(history.expect("history").items.len(), 2, "refusals leave no trace there");
    let filter = events::Filter { action: Some("tag.refuse".to_owned()), ..Default::default() };
    let log = events::list(&t.db, &filter, &page).await.expect("events").items;
    assert_eq!(log.len(), 12);
    assert_eq!(
        (log[0].outcome.as_str(), &log[0].detail["tag"]),
        ("denied", &json!("demo/hello:v1"))
    );
    // Without the rule the tag is free.
    let demo = "demo".parse().expect("a name");
    let rules = t.registry.tag_rules(&mia, &demo).await.expect("rules");
    t.registry.delete_tag_rule(&mia, &demo, rules[0].id).await.expect("removed");
    t.registry.delete_tag(&mia, &hello, &tag("v1")).await.expect("free");
}

#[tokio::test]
async fn a_protected_tag_is_moved_only_by_those_named() {
    let t = TestRegistry::start().await;
    let (dev, mia) = people(&t).await;
    let hello = name(HELLO);
    let (one, two) = (tiny("one"), tiny("two"));
    rule(&t, RuleKind::Protected, "{prod,prod-*}", Some(Role::Maintainer)).await;
    t.push(&dev, HELLO, "dev", &one).await;
    let pushed = t.push_manifest(&dev, HELLO, "prod", &one.manifest).await.expect_err("protected");
    assert_eq!((pushed.kind(), pushed.code()), (ErrorKind::Denied, "tag_locked"));
    assert!(pushed.public_message().contains("maintainer or above"), "{pushed:?}");
    t.push_manifest(&mia, HELLO, "prod", &one.manifest).await.expect("allowed");
    t.push(&mia, HELLO, "prod", &two).await;
    let back = t.registry.restore_tag(&dev, &hello, &tag("prod"), &one.digest(), "").await;
    assert_eq!(back.expect_err("protected").code(), "tag_locked");
    assert!(
        t.registry.restore_tag(&mia, &hello, &tag("prod"), &one.digest(), "").await.expect("moved")
    );
    // Bringing an image back makes its tags, so it asks the rules, too.
    t.registry.delete_image(&mia, &hello, &one.digest()).await.expect("deleted");
    let restored = t.registry.restore_image(&dev, &hello, &one.digest(), "").await;
    assert_eq!(restored.expect_err("protected").code(), "tag_locked");
    t.registry.restore_image(&mia, &hello, &one.digest(), "").await.expect("restored");
}

#[tokio::test]
async fn racing_pushes_to_a_new_immutable_tag_leave_one_winner() {
    let t = TestRegistry::start().await;
    let (dev, _) = people(&t).await;
    rule(&t, RuleKind::Immutable, "**", None).await;
    let images: Vec<_> = (0..6).map(|n| tiny(&format!("race {n}"))).collect();
    for image in &images {
        for blob in image.blobs() {
            t.push_blob(&dev, HELLO, blob).await;
        }
    }
    let pushes = images.iter().map(|i| t.push_manifest(&dev, HELLO, "1", &i.manifest));
    let done = futures_util::future::join_all(pushes).await;
    assert_eq!(done.iter().filter(|pushed| pushed.is_ok()).count(), 1, "{done:?}");
    let page = PageRequest::default();
    let history = t.registry.tag_history(&dev, &name(HELLO), None, &page).await;
    assert_eq!(history.expect("history").items.len(), 1);
}

#[tokio::test]
async fn tags_are_paged_as_versions_and_filtered_by_label() {
    let t = TestRegistry::start().await;
    let (dev, mia) = people(&t).await;
    let hello = name(HELLO);
    let (one, two) = (tiny("one"), tiny("two"));
    t.push(&dev, HELLO, "1.9", &one).await;
    t.push(&dev, HELLO, "1.10-rc1", &two).await;
    for other in ["edge", "1.10", "latest", "v1.2.3"] {
        t.push_manifest(&dev, HELLO, other, &one.manifest).await.expect("tagged");
    }
    // What an older installation left without a key is put in order by housekeeping.
    sqlx::raw_sql("update tags set version_key = '' where name = '1.10'")
        .execute(t.db.pool())
        .await
        .expect("an old row");
    t.registry.fill_version_keys().await.expect("filled");
    let mut filter = TagFilter { order: TagOrder::Version, ..TagFilter::default() };
    let (mut seen, mut page) = (Vec::new(), PageRequest::first(2));
    loop {
        let found = t.registry.versions(&dev, &hello, &filter, &page).await.expect("a page");
        seen.extend(found.items.into_iter().map(|tag| tag.name.to_string()));
        let Some(next) = found.next else { break };
        page = PageRequest { after: Some(next), limit: Some(2) };
    }
    assert_eq!(seen, ["latest", "1.10", "1.10-rc1", "1.9", "v1.2.3", "edge"]);

    let demo = "demo".parse().expect("a name");
    let new = |name: &str| NewLabel {
        name: name.to_owned(),
        color: LabelColor::Amber,
        description: "x".to_owned(),
    };
    let made = t.registry.create_label(&dev, &demo, new("a")).await;
    assert_eq!(made.expect_err("a developer only uses labels").kind(), ErrorKind::Denied);
    t.registry.create_label(&mia, &demo, new("candidate")).await.expect("a label");
    let again = t.registry.create_label(&mia, &demo, new("candidate")).await;
    assert_eq!(again.expect_err("taken").code(), "label_exists");
    let (digest, label) = (two.digest(), "candidate");
    assert!(t.registry.add_label(&dev, &hello, &digest, label).await.expect("labelled"));
    assert!(!t.registry.add_label(&dev, &hello, &digest, label).await.expect("there already"));
    filter.label = Some(label);
    let page = PageRequest::default();
    let found = t.registry.versions(&dev, &hello, &filter, &page).await.expect("a page").items;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].labels[0].color, "amber");
    assert_eq!(t.registry.labels(&dev, &demo).await.expect("labels")[0].images, 1);
    t.registry.remove_label(&dev, &hello, &digest, label).await.expect("off");
    let off = t.registry.remove_label(&dev, &hello, &digest, label).await;
    assert!(off.expect_err("it is off").is_not_found());
}

#[tokio::test]
async fn two_versions_are_compared_layer_by_layer() {
    let t = TestRegistry::start().await;
    let (dev, _) = people(&t).await;
    let hello = name(HELLO);
    let (base, old, new) = (layer("base"), layer("old"), layer("new"));
    let a =
        TestImage::new(vec![base.clone(), old], json!({ "Env": ["A=1", "B=2"], "User": "app" }));
    let b = TestImage::new(vec![base, new], json!({ "Env": ["A=1", "B=3"], "Cmd": ["run"] }));
    t.push(&dev, HELLO, "1", &a).await;
    t.push(&dev, HELLO, "2", &b).await;
    t.push_manifest(&dev, HELLO, "2-alias", &b.manifest).await.expect("tagged");
    let (one, two): (Reference, Reference) =
        (tag("1").as_str().parse().expect("a tag"), Reference::Tag(tag("2")));
    let found = t.registry.compare(&dev, &hello, &one, &two).await.expect("compared");
    let states: Vec<_> = found.layers.iter().map(|l| l.state).collect();
    assert_eq!(states, [State::Same, State::Removed, State::Added]);
    let changes: Vec<_> = found
        .config
        .iter()
        .filter(|f| f.state != State::Same)
        .map(|f| (f.field, f.key.as_str(), f.state))
        .collect();
    assert_eq!(
        changes,
        [("cmd", "", State::Added), ("user", "", State::Removed), ("env", "B", State::Changed)]
    );
    let alias = Reference::Tag(tag("2-alias"));
    let same = t.registry.compare(&dev, &hello, &two, &alias).await.expect("compared");
    assert!(same.is_same() && !found.is_same());
    let absent = t.registry.compare(&dev, &hello, &two, &Reference::Tag(tag("none"))).await;
    assert!(absent.expect_err("no such tag").is_not_found());
}

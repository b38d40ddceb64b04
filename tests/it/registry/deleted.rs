//! What is deleted is gone at once and can come back until its window ends.

use bytes::Bytes;
use chrono::Duration;
use portolan::accounts::rbac::Role;
use portolan::base::{Actor, Digest, ErrorKind, PageRequest, Reference, TagName};
use portolan::events;
use portolan::registry::{DeletedImage, LabelColor, NewLabel};
use serde_json::json;

use crate::support::images::{TestImage, tiny};
use crate::support::registry::{TestRegistry, name};

const HELLO: &str = "demo/hello";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

async fn start() -> (TestRegistry, Actor) {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.member("demo", &ada, Role::Maintainer).await;
    (t, ada)
}

async fn deleted(t: &TestRegistry, actor: &Actor) -> Vec<DeletedImage> {
    let page = PageRequest::default();
    t.registry.deleted_images(actor, &name(HELLO), &page).await.expect("a list").items
}

async fn serves(t: &TestRegistry, actor: &Actor, reference: &str) -> bool {
    let reference: Reference = reference.parse().expect("a reference");
    t.registry.manifest(actor, &name(HELLO), &reference, false).await.is_ok()
}

fn tag(text: &str) -> TagName {
    text.parse().expect("a tag")
}

#[tokio::test]
async fn a_deleted_image_comes_back_with_its_tags_and_labels() {
    let (t, ada) = start().await;
    let (image, hello) = (tiny("one"), name(HELLO));
    t.push(&ada, HELLO, "1", &image).await;
    t.push_manifest(&ada, HELLO, "latest", &image.manifest).await.expect("tagged");
    let label = NewLabel {
        name: "stable".to_owned(),
        color: LabelColor::Green,
        description: String::new(),
    };
    let demo = "demo".parse().expect("a name");
    t.registry.create_label(&ada, &demo, label).await.expect("a label");
    t.registry.add_label(&ada, &hello, &image.digest(), "stable").await.expect("labelled");
    let before = t.registry.image(&ada, &hello, &Reference::Tag(tag("1"))).await.expect("an image");

    t.registry.delete_image_with(&ada, &hello, &image.digest(), "crane/1").await.expect("deleted");
    for reference in ["1", "latest", &image.digest().to_string()] {
        assert!(!serves(&t, &ada, reference).await, "{reference} is gone at once");
    }
    let listed = deleted(&t, &ada).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].tags, [tag("1"), tag("latest")]);
    assert_eq!((listed[0].deleted_by.as_str(), listed[0].client.as_str()), ("ada", "crane/1"));
    assert_eq!(listed[0].restorable_until - listed[0].deleted_at, Duration::days(7));
    assert_eq!(listed[0].labels[0].name, "stable");
    assert_eq!(listed[0].missing, None);

    // A week later all but one second, with collections in between.
    for _ in 0..6 {
        t.clock.advance(Duration::days(1));
        t.registry.collect().await.expect("collected");
    }
    let restored =
        t.registry.restore_image(&ada, &hello, &image.digest(), "web").await.expect("restored");
    assert_eq!(restored.tags, ["1", "latest"]);
    let after = t.registry.image(&ada, &hello, &Reference::Tag(tag("1"))).await.expect("an image");
    assert_eq!(after.manifest_id, before.manifest_id);
    assert_eq!((after.raw, after.pushed_at), (before.raw, before.pushed_at));
    assert_eq!((after.layers.len(), after.labels), (before.layers.len(), before.labels));
    for blob in image.blobs() {
        let opened = t.registry.open_blob(&ada, &hello, &Digest::sha256(blob)).await;
        assert!(opened.is_ok(), "{opened:?}");
    }
    assert!(deleted(&t, &ada).await.is_empty());
    let filter = events::Filter { action: Some("image.".to_owned()), ..Default::default() };
    let log = events::list(&t.db, &filter, &PageRequest::default()).await.expect("events").items;
    let actions: Vec<_> = log.iter().map(|e| e.action.as_str()).collect();
    assert_eq!(actions, ["image.restore", "image.delete", "image.label"]);
    assert!(log[0].message.ends_with("with 2 tags; ada had deleted it"), "{}", log[0].message);
}

#[tokio::test]
async fn when_the_window_ends_the_image_is_purged_and_the_log_says_so() {
    let (t, ada) = start().await;
    let (image, hello) = (tiny("one"), name(HELLO));
    t.push(&ada, HELLO, "1", &image).await;
    t.registry.delete_image(&ada, &hello, &image.digest()).await.expect("deleted");
    t.clock.advance(Duration::days(7));
    // Not restorable even before housekeeping has looked.
    assert!(deleted(&t, &ada).await.is_empty());
    let late = t.registry.restore_image(&ada, &hello, &image.digest(), "").await;
    assert!(late.expect_err("too late").is_not_found());
    t.registry.collect().await.expect("collected");
    let filter = events::Filter { action: Some("image.purge".to_owned()), ..Default::default() };
    let log = events::list(&t.db, &filter, &PageRequest::default()).await.expect("events").items;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].detail["digests"], json!([image.digest()]));
    assert!(!t.has_file(&Digest::sha256(&image.config)));
}

#[tokio::test]
async fn a_push_of_the_same_image_voids_its_tombstone() {
    let (t, ada) = start().await;
    let (image, hello) = (tiny("one"), name(HELLO));
    t.push(&ada, HELLO, "1", &image).await;
    t.registry.delete_image(&ada, &hello, &image.digest()).await.expect("deleted");
    t.push_manifest(&ada, HELLO, "2", &image.manifest).await.expect("pushed again");
    assert!(deleted(&t, &ada).await.is_empty());
    let restored = t.registry.restore_image(&ada, &hello, &image.digest(), "").await;
    assert!(restored.expect_err("nothing to restore").is_not_found());
    assert!(serves(&t, &ada, "2").await && !serves(&t, &ada, "1").await);
    // Deleted a second time, it can be restored again, with the tags of that time.
    t.registry.delete_image(&ada, &hello, &image.digest()).await.expect("deleted");
    assert_eq!(deleted(&t, &ada).await[0].tags, [tag("2")]);
}

#[tokio::test]
async fn an_explicitly_deleted_blob_makes_the_image_unrestorable_and_says_so() {
    let (t, ada) = start().await;
    let (image, hello) = (tiny("one"), name(HELLO));
    t.push(&ada, HELLO, "1", &image).await;
    let config = Digest::sha256(&image.config);
    let held = t.registry.delete_blob(&ada, &hello, &config).await;
    assert_eq!(held.expect_err("needed").kind(), ErrorKind::Conflict);
    t.registry.delete_image(&ada, &hello, &image.digest()).await.expect("deleted");
    t.registry.delete_blob(&ada, &hello, &config).await.expect("only a tombstone needs it");
    let filter = events::Filter { action: Some("blob.delete".to_owned()), ..Default::default() };
    let log = events::list(&t.db, &filter, &PageRequest::default()).await.expect("events").items;
    assert_eq!(log[0].detail["unrestorable"], json!([image.digest()]));
    assert_eq!(deleted(&t, &ada).await[0].missing.as_ref(), Some(&config));
    let refused = t
        .registry
        .restore_image(&ada, &hello, &image.digest(), "")
        .await
        .expect_err("a blob is missing");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, "image_unrestorable"));
    assert!(refused.public_message().contains(&config.to_string()));
    assert!(!serves(&t, &ada, "1").await, "nothing came back by half");
    // Pushing the blob again heals it.
    t.push_blob(&ada, HELLO, &image.config).await;
    t.registry.restore_image(&ada, &hello, &image.digest(), "").await.expect("restored");
    assert!(serves(&t, &ada, "1").await);
}

#[tokio::test]
async fn tags_that_exist_again_stay_where_they_are() {
    let (t, ada) = start().await;
    let (one, two, hello) = (tiny("one"), tiny("two"), name(HELLO));
    t.push(&ada, HELLO, "1", &one).await;
    t.push_manifest(&ada, HELLO, "old", &one.manifest).await.expect("tagged");
    t.registry.delete_image(&ada, &hello, &one.digest()).await.expect("deleted");
    t.push(&ada, HELLO, "1", &two).await;
    let restored =
        t.registry.restore_image(&ada, &hello, &one.digest(), "").await.expect("restored");
    assert_eq!((restored.tags, restored.kept), (vec!["old".to_owned()], vec!["1".to_owned()]));
    let now = t.registry.image(&ada, &hello, &Reference::Tag(tag("1"))).await.expect("an image");
    assert_eq!(now.digest, two.digest());
}

fn index(children: &[&TestImage]) -> Bytes {
    let manifests: Vec<_> = children
        .iter()
        .map(|image| {
            json!({
                "mediaType": crate::support::images::OCI_MANIFEST,
                "digest": image.digest(),
                "size": image.manifest.len(),
                "platform": { "os": "linux", "architecture": "amd64" },
            })
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    Bytes::from(index.to_string())
}

#[tokio::test]
async fn an_index_brings_its_deleted_children_back() {
    let (t, ada) = start().await;
    let (one, two, hello) = (tiny("one"), tiny("two"), name(HELLO));
    t.push(&ada, HELLO, "one", &one).await;
    t.push(&ada, HELLO, "two", &two).await;
    let both = index(&[&one, &two]);
    let pushed = t.push_manifest(&ada, HELLO, "both", &both).await.expect("an index");
    for digest in [&pushed.digest, &one.digest(), &two.digest()] {
        t.registry.delete_image(&ada, &hello, digest).await.expect("deleted");
    }
    let restored =
        t.registry.restore_image(&ada, &hello, &pushed.digest, "").await.expect("restored");
    assert_eq!(restored.images, [pushed.digest, one.digest(), two.digest()]);
    for reference in ["one", "two", "both"] {
        assert!(serves(&t, &ada, reference).await, "{reference}");
    }
}

#[tokio::test]
async fn an_installation_may_delete_for_good() {
    let (t, ada) = start().await;
    let registry = t.registry.clone().with_undelete_window(Duration::zero());
    let (image, hello) = (tiny("one"), name(HELLO));
    t.push(&ada, HELLO, "1", &image).await;
    registry.delete_image(&ada, &hello, &image.digest()).await.expect("deleted");
    assert!(deleted(&t, &ada).await.is_empty());
    assert_eq!(registry.restorable_until(), None);
    t.clock.advance(Duration::hours(25));
    assert_eq!(registry.collect().await.expect("collected").blobs, 2);
}

#[tokio::test]
async fn a_maintainer_may_purge_and_a_developer_may_not() {
    let (t, ada) = start().await;
    let dev = t.user("dev").await;
    t.member("demo", &dev, Role::Developer).await;
    let guest = t.user("guest").await;
    t.member("demo", &guest, Role::Guest).await;
    let eve = t.user("eve").await;
    let (image, hello) = (tiny("one"), name(HELLO));
    t.push(&ada, HELLO, "1", &image).await;
    t.registry.delete_image(&ada, &hello, &image.digest()).await.expect("deleted");
    let digest = image.digest();
    let page = PageRequest::default();
    let kind = |error: portolan::base::Error| error.kind();
    let seen = t.registry.deleted_images(&guest, &hello, &page).await.map(|_| ()).map_err(kind);
    assert_eq!(seen, Err(ErrorKind::Denied));
    let seen = t.registry.deleted_images(&eve, &hello, &page).await.map(|_| ()).map_err(kind);
    assert_eq!(seen, Err(ErrorKind::NotFound));
    let restored = t.registry.restore_image(&guest, &hello, &digest, "").await.map(|_| ());
    assert_eq!(restored.map_err(kind), Err(ErrorKind::Denied));
    let purged = t.registry.purge_image(&dev, &hello, &digest).await.map_err(kind);
    assert_eq!(purged, Err(ErrorKind::Denied));
    assert_eq!(deleted(&t, &dev).await.len(), 1, "a developer sees it");
    t.registry.purge_image(&ada, &hello, &digest).await.expect("purged");
    assert!(deleted(&t, &ada).await.is_empty());
    let restored = t.registry.restore_image(&dev, &hello, &digest, "").await;
    assert!(restored.expect_err("purged").is_not_found());
}

#[tokio::test]
async fn restores_deletes_and_collections_at_once_lose_nothing() {
    let (t, ada) = start().await;
    let (image, hello) = (tiny("one"), name(HELLO));
    t.push(&ada, HELLO, "1", &image).await;
    let digest = image.digest();
    for _ in 0..10 {
        t.clock.advance(Duration::hours(26));
        let delete = t.registry.delete_image(&ada, &hello, &digest);
        let restore = t.registry.restore_image(&ada, &hello, &digest, "");
        let (_, _, collected) = tokio::join!(delete, restore, t.registry.collect());
        collected.expect("collected");
        let is_deleted = deleted(&t, &ada).await.len() == 1;
        let reference = Reference::Digest(digest.clone());
        let is_here = t.registry.manifest(&ada, &hello, &reference, false).await.is_ok();
        assert!(is_here != is_deleted, "in exactly one place");
        if is_deleted {
            t.registry.restore_image(&ada, &hello, &digest, "").await.expect("restored");
        }
        for blob in image.blobs() {
            let opened = t.registry.open_blob(&ada, &hello, &Digest::sha256(blob)).await;
            assert!(opened.is_ok(), "{opened:?}");
        }
    }
}

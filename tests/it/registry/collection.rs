//! Collection removes what nobody needs, and never anything that somebody does.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::Duration;
use portolan::accounts::rbac::Role;
use portolan::base::{Actor, Digest, Reference};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::images::{TestImage, layer, tiny};
use crate::support::registry::{TestRegistry, name};

#[tokio::test]
async fn a_deleted_image_frees_its_bytes_after_its_window() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.member("demo", &ada, Role::Maintainer).await;
    let image = tiny("gone");
    t.push(&ada, "demo/hello", "1", &image).await;
    let config = Digest::sha256(&image.config);
    let hello = name("demo/hello");
    t.registry.delete_image(&ada, &hello, &image.digest()).await.expect("deleted");
    assert_eq!(t.registry.collect().await.expect("collected").blobs, 0, "within the grace");
    assert!(t.has_file(&config));
    t.clock.advance(Duration::days(7) - Duration::seconds(1));
    assert_eq!(t.registry.collect().await.expect("collected").blobs, 0, "it may come back");
    t.clock.advance(Duration::seconds(1));
    let done = t.registry.collect().await.expect("collected");
    assert_eq!((done.links, done.blobs), (2, 2));
    assert!(!t.has_file(&config));
    assert!(t.registry.blob(&ada, &hello, &config).await.is_err(), "not from memory either");
}

#[tokio::test]
async fn looking_at_a_blob_keeps_it_for_the_push_that_follows() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let bytes = Bytes::from_static(b"pushed, not yet named by a manifest");
    let digest = t.push_blob(&ada, "demo/hello", &bytes).await;
    t.clock.advance(Duration::hours(25));
    let hello = name("demo/hello");
    t.registry.blob(&ada, &hello, &digest).await.expect("a client looks");
    assert_eq!(t.registry.collect().await.expect("collected").blobs, 0);
    assert!(t.registry.blob(&ada, &hello, &digest).await.is_ok());
}

#[tokio::test]
async fn files_that_a_crash_left_without_a_row_are_swept() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let kept = t.push_blob(&ada, "demo/hello", &Bytes::from_static(b"kept")).await;
    let orphan = Digest::sha256(b"orphan");
    let (shard, rest) = orphan.hex().split_at(2);
    let path = t.blob_dir.join("sha256").join(shard).join(rest);
    std::fs::write(&path, b"orphan").expect("written");
    assert_eq!(t.registry.sweep().await.expect("swept"), 0, "it may belong to a push");
    t.clock.advance(Duration::hours(25));
    assert_eq!(t.registry.sweep().await.expect("swept"), 1);
    assert!(!t.has_file(&orphan) && t.has_file(&kept));
}

/// What people do to a registry, in any order.
#[derive(Debug, Clone)]
enum Step {
    Push { repository: usize, image: usize },
    Delete { repository: usize, image: usize },
    Look { image: usize },
    Wait { hours: i64 },
    Collect,
    PushWhileCollecting { repository: usize, image: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (repository, image) = (0..2usize, 0..4usize);
    prop_oneof![
        3 => (repository.clone(), image.clone())
            .prop_map(|(repository, image)| Step::Push { repository, image }),
        2 => (repository.clone(), image.clone())
            .prop_map(|(repository, image)| Step::Delete { repository, image }),
        1 => image.clone().prop_map(|image| Step::Look { image }),
        2 => (1..30i64).prop_map(|hours| Step::Wait { hours }),
        2 => Just(Step::Collect),
        2 => (repository, image)
            .prop_map(|(repository, image)| Step::PushWhileCollecting { repository, image }),
    ]
}

/// Images that share layers with each other.
fn images() -> Vec<TestImage> {
    let layers: Vec<Bytes> = (0..3).map(|n| layer(&format!("shared {n}"))).collect();
    (0..4usize)
        .map(|n| {
            let chosen = vec![layers[n % 3].clone(), layers[(n + 1) % 3].clone()];
            TestImage::new(chosen, serde_json::json!({ "Env": [format!("N={}", n / 2)] }))
        })
        .collect()
}

const REPOSITORIES: [&str; 2] = ["demo/a", "demo/b"];

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.member("demo", &ada, Role::Maintainer).await;
    let images = images();
    let mut stored: BTreeMap<(usize, Digest), usize> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Push { repository, image } => {
                t.push(&ada, REPOSITORIES[repository], "t", &images[image]).await;
                stored.insert((repository, images[image].digest()), image);
            }
            Step::PushWhileCollecting { repository, image } => {
                let push = t.push(&ada, REPOSITORIES[repository], "t", &images[image]);
                let (_, collected) = tokio::join!(push, t.registry.collect());
                collected.expect("collected");
                stored.insert((repository, images[image].digest()), image);
            }
            Step::Delete { repository, image } => {
                let digest = images[image].digest();
                let done =
                    t.registry.delete_image(&ada, &name(REPOSITORIES[repository]), &digest).await;
                let was_there = stored.remove(&(repository, digest)).is_some();
                prop_assert_eq!(done.is_ok(), was_there);
            }
            Step::Look { image } => look(&t, &ada, &images[image]).await,
            Step::Wait { hours } => t.clock.advance(Duration::hours(hours)),
            Step::Collect => {
                t.registry.collect().await.expect("collected");
            }
        }
        for ((repository, digest), image) in &stored {
            let repository = name(REPOSITORIES[*repository]);
            let reference = Reference::Digest(digest.clone());
            prop_assert!(t.registry.manifest(&ada, &repository, &reference, false).await.is_ok());
            for blob in images[*image].blobs() {
                let digest = Digest::sha256(blob);
                let opened = t.registry.open_blob(&ada, &repository, &digest).await;
                prop_assert!(opened.is_ok(), "{repository} lost {digest}: {opened:?}");
            }
        }
    }
    t.db.close().await;
    Ok(())
}

async fn look(t: &TestRegistry, actor: &Actor, image: &TestImage) {
    for blob in image.blobs() {
        let digest = Digest::sha256(blob);
        // Absent is as good an answer as any; it is the side effect that is tested.
        let _ = t.registry.blob(actor, &name(REPOSITORIES[0]), &digest).await;
    }
}

#[test]
fn collection_never_takes_what_a_stored_manifest_needs() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = ProptestConfig { cases: 8, max_shrink_iters: 20, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&proptest::collection::vec(step(), 1..14), |steps| runtime.block_on(run(steps)))
        .expect("the property holds");
}

//! Quotas: charged once per blob and project, never exceeded, always equal to the sum.

use bytes::Bytes;
use chrono::Duration;
use portolan::accounts::rbac::{Role, Visibility};
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, Digest, ErrorKind, ProjectName, Result};
use portolan::events;
use portolan::registry::quota::Limits;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::images::{TestImage, layer, tiny};
use crate::support::registry::{TestRegistry, body, name};

fn admin() -> Actor {
    Actor { platform_role: PlatformRole::Admin, ..Actor::system() }
}

fn project(text: &str) -> ProjectName {
    text.parse().expect("a name")
}

async fn used(t: &TestRegistry, name: &str) -> (i64, i64) {
    let quota = t.registry.quota(&admin(), &project(name)).await.expect("a quota");
    (quota.used_bytes, quota.used_artifacts)
}

async fn limit(t: &TestRegistry, name: &str, bytes: Option<i64>, artifacts: Option<i64>) {
    let limits = Limits { bytes, artifacts };
    t.registry.set_quota(&admin(), &project(name), limits, None).await.expect("limits");
}

fn size(bytes: &Bytes) -> i64 {
    i64::try_from(bytes.len()).expect("small")
}

fn whole(image: &TestImage) -> i64 {
    image.blobs().map(size).sum::<i64>() + size(&image.manifest)
}

/// Pushes a blob; the refusal, if there is one.
async fn try_blob(t: &TestRegistry, actor: &Actor, repository: &str, bytes: &Bytes) -> Result<()> {
    let (repository, digest) = (name(repository), Digest::sha256(bytes));
    let upload = t.registry.start_upload(actor, &repository).await?;
    let body = body(bytes);
    t.registry.finish_upload(actor, &repository, upload.id, &digest, None, body).await?;
    Ok(())
}

async fn try_push(
    t: &TestRegistry,
    actor: &Actor,
    repository: &str,
    image: &TestImage,
) -> Result<()> {
    for blob in image.blobs() {
        if t.registry.blob(actor, &name(repository), &Digest::sha256(blob)).await.is_err() {
            try_blob(t, actor, repository, blob).await?;
        }
    }
    t.push_manifest(actor, repository, "t", &image.manifest).await.map(drop)
}

#[tokio::test]
async fn a_blob_is_charged_once_per_project_and_released_with_its_last_link() {
    let mut t = TestRegistry::start().await;
    t.registry = t.registry.clone().with_undelete_window(Duration::zero());
    let ada = t.with_demo().await;
    t.member("demo", &ada, Role::Maintainer).await;
    t.project("other", Visibility::Private).await;
    t.member("other", &ada, Role::Maintainer).await;
    let image = tiny("shared");
    let (all, own) = (whole(&image), size(&image.manifest));
    t.push(&ada, "demo/a", "1", &image).await;
    assert_eq!(used(&t, "demo").await, (all, 1));
    t.push(&ada, "demo/b", "1", &image).await;
    assert_eq!(used(&t, "demo").await, (all + own, 2), "the blobs are there already");
    t.push(&ada, "demo/b", "2", &image).await;
    assert_eq!(used(&t, "demo").await, (all + own, 2), "the manifest, too");
    t.registry.settle_usage().await.expect("settled");
    assert_eq!(used(&t, "demo").await, (all + own, 2), "settling changes nothing");
    let blob = image.blobs().next().expect("a blob");
    let digest = Digest::sha256(blob);
    let (from, to) = (name("demo/a"), name("other/c"));
    let mounted = t.registry.mount_blob(&ada, &to, &digest, Some(&from));
    assert!(mounted.await.expect("mounted"));
    assert_eq!(used(&t, "other").await, (size(blob), 0), "another project pays, too");
    t.registry.delete_repository(&ada, &name("demo/a")).await.expect("deleted");
    assert_eq!(used(&t, "demo").await, (all, 1), "b still has the blobs");
    t.registry.delete_image(&ada, &name("demo/b"), &image.digest()).await.expect("deleted");
    assert_eq!(used(&t, "demo").await, (all - own, 0), "the links stay for the grace");
    t.clock.advance(Duration::hours(25));
    t.registry.collect().await.expect("collected");
    assert_eq!(used(&t, "demo").await, (0, 0));
    assert_eq!(used(&t, "other").await, (0, 0), "no image there either");
}

#[tokio::test]
async fn a_push_that_does_not_fit_is_refused_with_limit_use_need_and_who_can_help() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let image = tiny("first");
    t.push(&ada, "demo/a", "1", &image).await;
    let all = whole(&image);
    limit(&t, "demo", Some(all + 100), None).await;
    let big = Bytes::from(vec![7u8; 101]);
    let refused = try_blob(&t, &ada, "demo/a", &big).await.expect_err("too big");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Denied, "quota_exceeded"));
    let message = refused.public_message().to_owned();
    for part in ["\"demo\"", "this needs 101 B more", "administrator"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let detail = refused.detail().expect("a detail");
    assert_eq!(detail["limit"]["bytes"], all + 100);
    assert_eq!(detail["used"]["bytes"], all);
    assert_eq!(detail["needed"]["bytes"], 101);
    assert!(!t.has_file(&Digest::sha256(&big)), "its bytes are gone");
    assert_eq!(t.registry.uploads(&ada, &project("demo")).await.expect("uploads").len(), 0);
    let fits = Bytes::from(vec![7u8; 100]);
    try_blob(&t, &ada, "demo/a", &fits).await.expect("exactly full");
    let full = t.registry.start_upload(&ada, &name("demo/b")).await.expect_err("full");
    assert_eq!(full.code(), "quota_exceeded", "a hopeless push fails before its bytes");
    t.push_manifest(&ada, "demo/a", "2", &image.manifest).await.expect("nothing new");
    let log = events::list(&t.db, &events::Filter::default(), &Default::default()).await;
    let log = log.expect("events").items;
    let refusals: Vec<_> = log.iter().filter(|e| e.action == "quota.exceed").collect();
    assert_eq!(refusals.len(), 1, "one event in ten minutes");
    assert_eq!(refusals[0].outcome, "denied");
}

#[tokio::test]
async fn a_blob_that_the_project_has_needs_no_room() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let bytes = Bytes::from(vec![1u8; 1000]);
    try_blob(&t, &ada, "demo/a", &bytes).await.expect("pushed");
    limit(&t, "demo", Some(1500), None).await;
    try_blob(&t, &ada, "demo/b", &bytes).await.expect("charged once");
    assert_eq!(used(&t, "demo").await, (1000, 0));
    let digest = Digest::sha256(&bytes);
    let from = name("demo/a");
    assert!(t.registry.mount_blob(&ada, &name("demo/c"), &digest, Some(&from)).await.expect("ok"));
    t.project("small", Visibility::Private).await;
    t.member("small", &ada, Role::Developer).await;
    limit(&t, "small", Some(999), None).await;
    let mounted = t.registry.mount_blob(&ada, &name("small/a"), &digest, Some(&from)).await;
    assert_eq!(mounted.expect_err("too small").code(), "quota_exceeded");
    assert_eq!(used(&t, "small").await, (0, 0));
}

#[tokio::test]
async fn artifacts_are_limited_and_a_lower_limit_removes_nothing() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.member("demo", &ada, Role::Maintainer).await;
    for n in 0..3 {
        t.push(&ada, "demo/a", &n.to_string(), &tiny(&n.to_string())).await;
    }
    limit(&t, "demo", None, Some(2)).await;
    assert_eq!(used(&t, "demo").await.1, 3);
    let refused = try_push(&t, &ada, "demo/a", &tiny("fourth")).await.expect_err("too many");
    assert!(refused.public_message().contains("may hold 2 artifacts"), "{refused}");
    try_push(&t, &ada, "demo/a", &tiny("0")).await.expect("nothing new");
    for n in 0..2 {
        let digest = tiny(&n.to_string()).digest();
        t.registry.delete_image(&ada, &name("demo/a"), &digest).await.expect("deleted");
    }
    try_push(&t, &ada, "demo/a", &tiny("fourth")).await.expect("room again");
}

#[tokio::test]
async fn only_an_administrator_sets_limits_and_an_old_view_of_them_changes_nothing() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.member("demo", &ada, Role::ProjectAdmin).await;
    let eve = t.user("eve").await;
    let limits = Limits { bytes: Some(5), artifacts: None };
    let demo = project("demo");
    let set = |actor: Actor, generation| {
        let (t, demo) = (&t, &demo);
        async move { t.registry.set_quota(&actor, demo, limits, generation).await }
    };
    assert_eq!(set(ada.clone(), None).await.expect_err("member").kind(), ErrorKind::Denied);
    assert_eq!(set(eve, None).await.expect_err("stranger").kind(), ErrorKind::NotFound);
    let first = set(admin(), Some(0)).await.expect("never set before");
    assert_eq!(set(admin(), Some(0)).await.expect_err("stale").kind(), ErrorKind::Stale);
    assert_eq!(first.limits, limits);
    t.member("demo", &ada, Role::LimitedGuest).await;
    let hidden = t.registry.quota(&ada, &demo).await.expect_err("limited guest");
    assert_eq!(hidden.kind(), ErrorKind::Denied);
    for bad in [-1, i64::MAX] {
        let limits = Limits { bytes: Some(bad), artifacts: None };
        let refused = t.registry.set_quota(&admin(), &demo, limits, None).await.expect_err("bad");
        assert_eq!(refused.fields()[0].field, "maxBytes");
    }
}

/// Eight clients at the limit: together they never exceed it, and none waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_clients_at_the_limit_never_exceed_it_and_never_deadlock() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.member("demo", &ada, Role::Maintainer).await;
    let shared = layer("shared by all");
    let images: Vec<TestImage> = (0..24)
        .map(|n| {
            let own = Bytes::from(vec![n as u8; 3000]);
            TestImage::new(vec![shared.clone(), own], serde_json::json!({ "N": n }))
        })
        .collect();
    let most = images.iter().map(whole).sum::<i64>() / 3;
    limit(&t, "demo", Some(most), Some(12)).await;
    let work = images.chunks(3).enumerate().map(|(client, images)| {
        let (t, ada) = (&t, &ada);
        async move {
            let mut stored = 0;
            for (n, image) in images.iter().enumerate() {
                // Two repositories, so that links of the same blobs come and go side by side.
                let repository = format!("demo/{}", (client + n) % 2);
                match try_push(t, ada, &repository, image).await {
                    Ok(()) => stored += 1,
                    Err(error) => assert_eq!(error.code(), "quota_exceeded", "{error:?}"),
                }
                let (bytes, artifacts) = used(t, "demo").await;
                assert!(bytes <= most && artifacts <= 12, "{bytes} of {most}, {artifacts}");
                if n == 1 {
                    let digest = image.digest();
                    // Absent when its push was refused.
                    let _ = t.registry.delete_image(ada, &name(&repository), &digest).await;
                }
            }
            stored
        }
    });
    let all = tokio::time::timeout(
        std::time::Duration::from_secs(60),
        futures_util::future::join_all(work),
    );
    let stored: usize = all.await.expect("nobody waits for ever").into_iter().sum();
    assert!(stored > 0 && stored < images.len(), "{stored} fit");
    let (_, wrong) = t.registry.verify_quotas(&admin(), false).await.expect("verified");
    assert_eq!(wrong, [], "the count is the sum");
}

#[tokio::test]
async fn a_count_that_drifted_is_found_told_and_mended() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.push(&ada, "demo/a", "1", &tiny("one")).await;
    let right = used(&t, "demo").await;
    for sql in [
        "insert into project_usage_changes (project_id, bytes, manifests)
         select id, 77, -3 from projects",
        "update project_blobs set links = links + 1",
    ] {
        sqlx::raw_sql(sql).execute(t.db.pool()).await.expect("drift");
    }
    let (looked, wrong) = t.registry.verify_quotas(&admin(), false).await.expect("verified");
    assert_eq!((looked, wrong.len()), (1, 1));
    assert_eq!(wrong[0].1.blobs, 2);
    assert_ne!(used(&t, "demo").await, right, "looking mends nothing");
    t.clock.advance(Duration::hours(25));
    t.registry.upkeep().await.expect("the nightly check");
    assert_eq!(used(&t, "demo").await, right);
    let drift = t.registry.recalculate_quota(&admin(), &project("demo")).await.expect("again");
    assert!(drift.is_none(), "{drift:?}");
    let log = events::list(&t.db, &events::Filter::default(), &Default::default()).await;
    let log = log.expect("events").items;
    let mended = log.iter().find(|e| e.action == "quota.mend").expect("an event");
    assert_eq!(mended.detail["counted"]["bytes"], right.0 + 77);
}

/// What people do to two projects, in any order.
#[derive(Debug, Clone)]
enum Step {
    Push { repository: usize, image: usize },
    Blob { repository: usize, image: usize },
    Mount { from: usize, to: usize, image: usize },
    DeleteImage { repository: usize, image: usize },
    DeleteBlob { repository: usize, image: usize },
    DeleteRepository { repository: usize },
    Limit { project: usize, bytes: Option<i64> },
    Wait,
    Collect,
    Settle,
    Both { repository: usize, image: usize, other: usize },
}

const REPOSITORIES: [&str; 4] = ["demo/a", "demo/b", "other/a", "other/b"];

fn step() -> impl Strategy<Value = Step> {
    let (r, i) = (0..4usize, 0..4usize);
    prop_oneof![
        4 => (r.clone(), i.clone()).prop_map(|(repository, image)| Step::Push { repository, image }),
        1 => (r.clone(), i.clone()).prop_map(|(repository, image)| Step::Blob { repository, image }),
        2 => (r.clone(), r.clone(), i.clone())
            .prop_map(|(from, to, image)| Step::Mount { from, to, image }),
        3 => (r.clone(), i.clone())
            .prop_map(|(repository, image)| Step::DeleteImage { repository, image }),
        1 => (r.clone(), i.clone())
            .prop_map(|(repository, image)| Step::DeleteBlob { repository, image }),
        1 => r.clone().prop_map(|repository| Step::DeleteRepository { repository }),
        1 => (0..2usize, proptest::option::of(0..20_000i64))
            .prop_map(|(project, bytes)| Step::Limit { project, bytes }),
        1 => Just(Step::Wait),
        2 => Just(Step::Collect),
        1 => Just(Step::Settle),
        2 => (r.clone(), i, r)
            .prop_map(|(repository, image, other)| Step::Both { repository, image, other }),
    ]
}

fn images() -> Vec<TestImage> {
    let layers: Vec<Bytes> = (0..3).map(|n| layer(&format!("shared {n}"))).collect();
    (0..4usize)
        .map(|n| {
            let chosen = vec![layers[n % 3].clone(), layers[(n + 1) % 3].clone()];
            TestImage::new(chosen, serde_json::json!({ "Env": [format!("N={}", n / 2)] }))
        })
        .collect()
}

async fn apply(t: &TestRegistry, ada: &Actor, images: &[TestImage], step: &Step) {
    // Whether a step succeeds does not matter here; that the count stays right does.
    match step {
        Step::Push { repository, image } => {
            let _ = try_push(t, ada, REPOSITORIES[*repository], &images[*image]).await;
        }
        Step::Blob { repository, image } => {
            let blob = images[*image].blobs().next().expect("a blob");
            let _ = try_blob(t, ada, REPOSITORIES[*repository], blob).await;
        }
        Step::Mount { from, to, image } => {
            let digest = Digest::sha256(images[*image].blobs().next().expect("a blob"));
            let (from, to) = (name(REPOSITORIES[*from]), name(REPOSITORIES[*to]));
            let _ = t.registry.mount_blob(ada, &to, &digest, Some(&from)).await;
        }
        Step::DeleteImage { repository, image } => {
            let digest = images[*image].digest();
            let _ = t.registry.delete_image(ada, &name(REPOSITORIES[*repository]), &digest).await;
        }
        Step::DeleteBlob { repository, image } => {
            let digest = Digest::sha256(images[*image].blobs().next().expect("a blob"));
            let _ = t.registry.delete_blob(ada, &name(REPOSITORIES[*repository]), &digest).await;
        }
        Step::DeleteRepository { repository } => {
            let _ = t.registry.delete_repository(ada, &name(REPOSITORIES[*repository])).await;
        }
        Step::Limit { project, bytes } => {
            limit(t, ["demo", "other"][*project], *bytes, None).await;
        }
        Step::Wait => t.clock.advance(Duration::hours(25)),
        Step::Collect => drop(t.registry.collect().await.expect("collected")),
        Step::Settle => t.registry.settle_usage().await.expect("settled"),
        Step::Both { repository, image, other } => {
            let push = try_push(t, ada, REPOSITORIES[*repository], &images[*image]);
            let gone = name(REPOSITORIES[*other]);
            let delete = t.registry.delete_repository(ada, &gone);
            let (_, _, collected, settled) =
                tokio::join!(push, delete, t.registry.collect(), t.registry.settle_usage());
            collected.expect("collected");
            settled.expect("settled");
        }
    }
}

async fn run(steps: Vec<Step>) -> std::result::Result<(), TestCaseError> {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.project("other", Visibility::Private).await;
    for project in ["demo", "other"] {
        t.member(project, &ada, Role::Maintainer).await;
    }
    let images = images();
    for step in &steps {
        apply(&t, &ada, &images, step).await;
        let (_, wrong) = t.registry.verify_quotas(&admin(), false).await.expect("verified");
        prop_assert!(wrong.is_empty(), "after {step:?}: {wrong:?}");
    }
    t.db.close().await;
    Ok(())
}

#[test]
fn used_always_equals_the_sum() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cases = if std::env::var_os("PORTOLAN_LONG_TESTS").is_some() { 200 } else { 12 };
    let config = ProptestConfig { cases, max_shrink_iters: 20, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&proptest::collection::vec(step(), 1..20), |steps| runtime.block_on(run(steps)))
        .expect("the property holds");
}

//! The store is kept sound: leases and touches, the dry run, runs, scrubs, quarantine, checks.

use bytes::Bytes;
use chrono::Duration;
use portolan::accounts::rbac::{Role, Visibility};
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, Algorithm, Digest, ErrorKind, PageRequest, Reference};
use portolan::config::Upkeep;
use portolan::events;
use portolan::registry::check::{How, What};
use portolan::registry::upkeep::{Kind, State};
use tokio_util::sync::CancellationToken;

use crate::support::images::tiny;
use crate::support::registry::{TestRegistry, body, name};

fn admin() -> Actor {
    Actor { platform_role: PlatformRole::Admin, ..Actor::system() }
}

fn path(t: &TestRegistry, digest: &Digest) -> std::path::PathBuf {
    let (shard, rest) = digest.hex().split_at(2);
    t.blob_dir.join("sha256").join(shard).join(rest)
}

async fn actions(t: &TestRegistry) -> Vec<String> {
    let log = events::list(&t.db, &events::Filter::default(), &PageRequest::first(100)).await;
    log.expect("events").items.into_iter().map(|e| e.action).collect()
}

async fn scrub(t: &TestRegistry) {
    let fast = t.registry.clone().with_upkeep(Upkeep { scrub_rate: 1 << 40, ..Upkeep::default() });
    fast.request_run(&admin(), Kind::Scrub).await.expect("asked for");
    fast.scrub(&CancellationToken::new()).await.expect("scrubbed");
}

const DAY: i64 = 24;

#[tokio::test]
async fn mounting_and_pushing_again_keep_a_blob_as_looking_does() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    for (n, how) in ["mount", "push"].into_iter().enumerate() {
        let bytes = Bytes::from(vec![n as u8; 50]);
        let digest = t.push_blob(&ada, "demo/a", &bytes).await;
        t.clock.advance(Duration::hours(DAY + 1));
        let a = name("demo/a");
        if how == "mount" {
            let done = t.registry.mount_blob(&ada, &name("demo/b"), &digest, Some(&a)).await;
            assert!(done.expect("mounted"));
        } else {
            t.push_blob(&ada, "demo/a", &bytes).await;
        }
        let done = t.registry.collect().await.expect("collected");
        assert!(t.has_file(&digest) && t.registry.blob(&ada, &a, &digest).await.is_ok(), "{how}");
        assert_eq!(done.blobs, 0, "{how}");
        t.clock.advance(Duration::hours(DAY + 1));
        assert_eq!(t.registry.collect().await.expect("collected").blobs, 1, "{how}: not for ever");
    }
}

#[tokio::test]
async fn an_upload_that_moves_is_a_lease_on_its_repository() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let (a, bytes) = (name("demo/a"), Bytes::from_static(b"found by HEAD a day ago"));
    let digest = t.push_blob(&ada, "demo/a", &bytes).await;
    let slow = t.registry.start_upload(&ada, &a).await.expect("an upload");
    t.clock.advance(Duration::hours(DAY - 1));
    let part = Bytes::from_static(b"half ");
    t.registry.append_upload(&ada, &a, slow.id, None, body(&part)).await.expect("it moves");
    t.clock.advance(Duration::hours(2));
    let plan = t.registry.reclaimable(&admin(), false, &PageRequest::first(9)).await.expect("plan");
    assert!(plan.items.is_empty(), "the dry run knows of leases");
    assert_eq!(t.registry.collect().await.expect("collected").links, 0);
    assert!(t.registry.blob(&ada, &a, &digest).await.is_ok(), "the push may rely on it");
    // A day without a byte: the upload is reaped, and with it the lease.
    t.clock.advance(Duration::hours(2 * DAY));
    let done = t.registry.collect().await.expect("collected");
    assert_eq!((done.uploads, done.blobs), (1, 1));
}

#[tokio::test]
async fn an_upload_ends_after_a_week_however_busy_it_is() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let a = name("demo/a");
    let upload = t.registry.start_upload(&ada, &a).await.expect("an upload");
    for _ in 0..8 {
        t.clock.advance(Duration::hours(DAY - 1));
        let byte = Bytes::from_static(b"x");
        let _ = t.registry.append_upload(&ada, &a, upload.id, None, body(&byte)).await;
        t.registry.collect().await.expect("collected");
    }
    let gone = t.registry.upload(&ada, &a, upload.id).await.expect_err("gone");
    assert_eq!(gone.code(), "blob_upload_unknown");
}

#[tokio::test]
async fn the_dry_run_names_exactly_what_a_collection_then_removes() {
    let mut t = TestRegistry::start().await;
    t.registry = t.registry.clone().with_undelete_window(Duration::zero());
    let ada = t.with_demo().await;
    t.member("demo", &ada, Role::Maintainer).await;
    let (kept, gone) = (tiny("kept"), tiny("gone"));
    t.push(&ada, "demo/a", "1", &kept).await;
    t.push(&ada, "demo/a", "2", &gone).await;
    t.registry.delete_image(&ada, &name("demo/a"), &gone.digest()).await.expect("deleted");
    let state = t.registry.store_state(&admin()).await.expect("state");
    assert_eq!((state.ready.blobs, state.stored.blobs), (0, 4));
    assert_eq!(state.pending.blobs, 2);
    let until = state.pending_until.expect("a moment");
    t.clock.advance(Duration::hours(DAY) + Duration::seconds(1));
    assert!(until < t.registry.store_state(&admin()).await.expect("state").next_at);
    let mut page = PageRequest::first(1);
    let mut planned = Vec::new();
    loop {
        let found = t.registry.reclaimable(&admin(), false, &page).await.expect("plan");
        planned.extend(found.items.into_iter().map(|blob| (blob.digest, blob.size)));
        match found.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    let mut expected: Vec<_> =
        gone.blobs().map(|b| (Digest::sha256(b), i64::try_from(b.len()).expect("small"))).collect();
    expected.sort_by_key(|(digest, _)| digest.to_string());
    assert_eq!(planned, expected);
    let ready = t.registry.store_state(&admin()).await.expect("state").ready;
    let done = t.registry.collect().await.expect("collected");
    assert_eq!((done.blobs, done.bytes), (ready.blobs, ready.bytes));
    assert!(planned.iter().all(|(digest, _)| !t.has_file(digest)));
    assert!(kept.blobs().all(|blob| t.has_file(&Digest::sha256(blob))));
}

#[tokio::test]
async fn a_run_that_is_asked_for_waits_once_runs_and_leaves_a_record() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.push_blob(&ada, "demo/a", &Bytes::from_static(b"loose")).await;
    let first = t.registry.request_run(&admin(), Kind::Collection).await.expect("asked for");
    let again = t.registry.request_run(&admin(), Kind::Collection).await.expect("asked for");
    assert_eq!((first.id, first.state), (again.id, State::Waiting));
    t.clock.advance(Duration::hours(DAY + 1));
    t.registry.upkeep().await.expect("a round");
    let done = t.registry.run_record(&admin(), first.id).await.expect("a record");
    assert_eq!((done.state, done.counts.blobs, done.counts.bytes), (State::Done, 1, 5));
    for _ in 0..3 {
        t.clock.advance(Duration::minutes(11));
        t.registry.upkeep().await.expect("a round");
    }
    let runs = t.registry.runs(&admin(), Some(Kind::Collection), &PageRequest::first(9)).await;
    assert_eq!(runs.expect("runs").items.len(), 2, "quiet scheduled runs are forgotten");
    assert!(actions(&t).await.contains(&"collection.run".to_owned()));
    for who in [&ada, &t.user("eve").await] {
        let refused = t.registry.request_run(who, Kind::Collection).await.expect_err("refused");
        assert_eq!(refused.kind(), ErrorKind::Denied);
        assert!(t.registry.store_state(who).await.is_err());
    }
    let check = t.registry.request_run(&admin(), Kind::Check).await.expect_err("a command");
    assert_eq!(check.fields()[0].field, "kind");
}

#[tokio::test]
async fn a_corrupt_blob_is_found_taken_out_of_service_and_healed_by_the_next_push() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let image = tiny("sound");
    t.push(&ada, "demo/a", "1", &image).await;
    scrub(&t).await;
    let found = t.registry.corrupt_blobs(&admin(), &PageRequest::first(9)).await.expect("list");
    assert!(found.items.is_empty(), "{:?}", found.items);
    let blob = image.blobs().next().expect("a blob").clone();
    let digest = Digest::sha256(&blob);
    let a = name("demo/a");
    assert!(t.registry.blob(&ada, &a, &digest).await.is_ok());
    let mut bytes = blob.to_vec();
    bytes[0] ^= 1;
    std::fs::write(path(&t, &digest), &bytes).expect("a flipped bit");
    scrub(&t).await;
    let found = t.registry.corrupt_blobs(&admin(), &PageRequest::first(9)).await.expect("list");
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].fault, "wrong content");
    assert_eq!(found.items[0].repositories, ["demo/a"]);
    let absent = t.registry.blob(&ada, &a, &digest).await.expect_err("out of service");
    assert_eq!(absent.code(), "blob_unknown");
    let from = t.registry.mount_blob(&ada, &name("demo/b"), &digest, Some(&a)).await;
    assert!(!from.expect("ok"), "no other repository gets it");
    let push = t.push_manifest(&ada, "demo/a", "2", &image.manifest).await.expect_err("absent");
    assert_eq!(push.code(), "manifest_blob_unknown");
    t.push(&ada, "demo/a", "2", &image).await;
    assert!(t.registry.blob(&ada, &a, &digest).await.is_ok());
    scrub(&t).await;
    let found = t.registry.corrupt_blobs(&admin(), &PageRequest::first(9)).await.expect("list");
    assert!(found.items.is_empty());
    let log = actions(&t).await;
    assert!(log.contains(&"blob.quarantine".to_owned()) && log.contains(&"blob.heal".to_owned()));
}

#[tokio::test]
async fn a_missing_file_is_noticed_by_the_pull_that_needs_it() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let bytes = Bytes::from_static(b"lost by the disk");
    let digest = t.push_blob(&ada, "demo/a", &bytes).await;
    std::fs::remove_file(path(&t, &digest)).expect("removed");
    let a = name("demo/a");
    let lost = t.registry.open_blob(&ada, &a, &digest).await.expect_err("lost");
    assert_eq!(lost.code(), "blob_unknown", "so that the next push brings it");
    assert!(t.registry.blob(&ada, &a, &digest).await.is_err());
    t.push_blob(&ada, "demo/a", &bytes).await;
    assert!(t.registry.open_blob(&ada, &a, &digest).await.is_ok());
}

#[tokio::test]
async fn a_scrub_that_is_stopped_goes_on_where_it_was() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    for n in 0..5u8 {
        t.push_blob(&ada, "demo/a", &Bytes::from(vec![n; 10])).await;
    }
    let run = t.registry.request_run(&admin(), Kind::Scrub).await.expect("asked for");
    let stopped = CancellationToken::new();
    stopped.cancel();
    t.registry.scrub(&stopped).await.expect("stopped at once");
    let position = Digest::sha256(b"").to_string();
    let set = format!("update collection_runs set position = '{position}', blobs = 3");
    sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(t.db.pool()).await.expect("as if half through");
    let later = sqlx::query_scalar::<_, i64>("select count(*) from blobs where digest > $1")
        .bind(&position)
        .fetch_one(t.db.pool())
        .await
        .expect("a count");
    t.restarted().await.scrub(&CancellationToken::new()).await.expect("through");
    let done = t.registry.run_record(&admin(), run.id).await.expect("a record");
    assert_eq!((done.state, done.counts.blobs), (State::Done, 3 + later));
}

#[tokio::test]
async fn a_check_explains_every_difference_and_repairs_what_is_safe() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    t.project("other", Visibility::Private).await;
    let (one, two) = (tiny("one"), tiny("two"));
    t.push(&ada, "demo/a", "1", &one).await;
    t.push(&ada, "demo/a", "2", &two).await;
    let clean = t.registry.check(How::default()).await.expect("checked");
    assert_eq!(clean.differences, []);
    assert_eq!((clean.blobs, clean.manifests, clean.projects), (4, 2, 2));
    let blobs: Vec<Digest> = one.blobs().map(|b| Digest::sha256(b)).collect();
    std::fs::write(path(&t, &blobs[0]), b"cut").expect("cut");
    let orphan = Digest::sha256(b"orphan");
    std::fs::write(path(&t, &orphan), b"orphan").expect("an orphan");
    let unlinked = Digest::sha256(two.blobs().next().expect("a blob"));
    let wrong = Digest::of(Algorithm::Sha512, b"something else");
    for sql in [
        format!("delete from repository_blobs where blob_digest = '{unlinked}'"),
        format!(
            "delete from manifest_references where manifest_id in
             (select id from manifests where digest = '{}')",
            one.digest()
        ),
        format!("insert into blob_aliases values ('{wrong}', '{}')", blobs[1]),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(t.db.pool()).await.expect("damage");
    }
    t.clock.advance(Duration::hours(DAY + 1));
    let whats = |checked: &portolan::registry::check::Checked| {
        let mut all: Vec<_> = checked.differences.iter().map(|d| d.what).collect();
        all.sort();
        all
    };
    let expected = [
        What::Blob,
        What::Alias,
        What::UnclaimedBlob,
        What::References,
        What::Unlinked,
        What::Count,
    ];
    let seen = t.registry.check(How::default()).await.expect("checked");
    assert_eq!(whats(&seen), expected, "{:#?}", seen.differences);
    assert!(seen.differences.iter().all(|d| !d.repaired && !d.remedy.is_empty()));
    let again = t.registry.check(How::default()).await.expect("checked");
    assert_eq!(again, seen, "looking changes nothing");
    let how = How { repair: true, ..How::default() };
    let repaired = t.registry.check(how).await.expect("repaired");
    assert!(repaired.differences.iter().all(|d| d.repaired), "{:#?}", repaired.differences);
    assert!(!t.has_file(&orphan));
    let left = t.registry.check(How::default()).await.expect("checked");
    assert_eq!(whats(&left), [What::Blob], "only a push can bring the bytes back");
    t.push(&ada, "demo/a", "1", &one).await;
    assert_eq!(t.registry.check(How::default()).await.expect("checked").differences, []);
    t.registry.collect().await.expect("collected");
    for image in [&one, &two] {
        let reference = Reference::Digest(image.digest());
        t.registry.manifest(&ada, &name("demo/a"), &reference, false).await.expect("there");
        for blob in image.blobs() {
            let digest = Digest::sha256(blob);
            t.registry.open_blob(&ada, &name("demo/a"), &digest).await.expect("there");
        }
    }
}

#[tokio::test]
async fn a_quick_check_reads_nothing_but_lengths() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let digest = t.push_blob(&ada, "demo/a", &Bytes::from_static(b"same length")).await;
    std::fs::write(path(&t, &digest), b"same lengtX").expect("damage");
    let quick = How { quick: true, ..How::default() };
    assert_eq!(t.registry.check(quick).await.expect("checked").differences, []);
    let full = t.registry.check(How::default()).await.expect("checked");
    assert_eq!(full.differences.len(), 1);
}

//! Uploads survive cut connections and crashes, and nothing half-done is ever visible.

use bytes::Bytes;
use chrono::Duration;
use futures_util::stream;
use portolan::accounts::rbac::Visibility;
use portolan::base::{Algorithm, Digest, Error, ErrorKind};
use portolan::registry::ChunkStart;

use crate::support::images::tiny;
use crate::support::registry::{TestRegistry, body, name, no_body};

const HELLO: &str = "demo/hello";

#[tokio::test]
async fn an_upload_cut_half_way_goes_on_from_where_it_was() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let (repository, bytes) = (name(HELLO), Bytes::from(vec![7u8; 3_000_000]));
    let digest = Digest::sha256(&bytes);
    let upload = t.registry.start_upload(&ada, &repository).await.expect("started");
    let cut = stream::iter([
        Ok(bytes.slice(..1_000_000)),
        Ok(bytes.slice(1_000_000..2_000_000)),
        Err(Error::malformed("the connection broke")),
    ]);
    let broken = t.registry.append_upload(&ada, &repository, upload.id, None, cut).await;
    assert_eq!(broken.expect_err("cut").kind(), ErrorKind::Malformed);
    let blob = t.registry.blob(&ada, &repository, &digest).await;
    assert!(blob.expect_err("nothing is visible").is_not_found());
    // The server crashes; what it acknowledged is still there and is hashed again.
    let registry = t.restarted().await;
    let state = registry.upload(&ada, &repository, upload.id).await.expect("still open");
    assert_eq!(state.received, 2_000_000);
    let rest = ChunkStart { start: 2_000_000, length: 1_000_000 };
    let rest_body = body(&bytes.slice(2_000_000..));
    registry
        .finish_upload(&ada, &repository, upload.id, &digest, Some(rest), rest_body)
        .await
        .expect("finished");
    let size = registry.blob(&ada, &repository, &digest).await.expect("visible").size;
    assert_eq!(size, 3_000_000);
}

#[tokio::test]
async fn bytes_that_were_never_acknowledged_are_cut_off() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let repository = name(HELLO);
    let upload = t.registry.start_upload(&ada, &repository).await.expect("started");
    let id = upload.id;
    t.registry
        .append_upload(&ada, &repository, id, None, body(&Bytes::from_static(b"good")))
        .await
        .expect("appended");
    let file = t.blob_dir.join("uploads").join(id.to_string());
    std::fs::write(&file, b"good and torn").expect("what a crash may leave");
    let registry = t.restarted().await;
    let digest = Digest::sha256(b"good end");
    let end = body(&Bytes::from_static(b" end"));
    registry
        .finish_upload(&ada, &repository, id, &digest, None, end)
        .await
        .expect("the torn bytes are gone");
}

#[tokio::test]
async fn a_finish_repeated_after_a_crash_succeeds() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let repository = name(HELLO);
    let bytes = Bytes::from_static(b"moved, not yet committed");
    let digest = Digest::sha256(&bytes);
    let id = t.registry.start_upload(&ada, &repository).await.expect("started").id;
    t.registry.append_upload(&ada, &repository, id, None, body(&bytes)).await.expect("appended");
    // The crash came after the file was moved into place and before the commit.
    let (shard, rest) = digest.hex().split_at(2);
    std::fs::rename(
        t.blob_dir.join("uploads").join(id.to_string()),
        t.blob_dir.join("sha256").join(shard).join(rest),
    )
    .expect("moved");
    let registry = t.restarted().await;
    assert!(registry.blob(&ada, &repository, &digest).await.is_err(), "no row, no blob");
    registry
        .finish_upload(&ada, &repository, id, &digest, None, no_body())
        .await
        .expect("finished");
    assert!(registry.blob(&ada, &repository, &digest).await.is_ok());
}

#[tokio::test]
async fn a_wrong_digest_links_nothing_and_the_right_one_still_works() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let repository = name(HELLO);
    let bytes = Bytes::from_static(b"content");
    let wrong = Digest::sha256(b"other");
    let id = t.registry.start_upload(&ada, &repository).await.expect("started").id;
    let refused = t.registry.finish_upload(&ada, &repository, id, &wrong, None, body(&bytes)).await;
    assert_eq!(refused.expect_err("wrong digest").code(), "digest_invalid");
    assert!(t.registry.blob(&ada, &repository, &wrong).await.is_err());
    let sha512 = Digest::of(Algorithm::Sha512, &bytes);
    t.registry
        .finish_upload(&ada, &repository, id, &sha512, None, body(&bytes))
        .await
        .expect("the same upload, again from its start");
    for digest in [sha512, Digest::sha256(&bytes)] {
        assert_eq!(t.registry.blob(&ada, &repository, &digest).await.expect("there").size, 7);
    }
}

#[tokio::test]
async fn chunks_come_in_order() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let repository = name(HELLO);
    let id = t.registry.start_upload(&ada, &repository).await.expect("started").id;
    let chunk = |start| Some(ChunkStart { start, length: 3 });
    let three = Bytes::from_static(b"abc");
    let early = t.registry.append_upload(&ada, &repository, id, chunk(3), body(&three)).await;
    assert_eq!(early.expect_err("out of order").kind(), ErrorKind::RangeInvalid);
    t.registry.append_upload(&ada, &repository, id, chunk(0), body(&three)).await.expect("first");
    let long = ChunkStart { start: 3, length: 2 };
    let lies = t.registry.append_upload(&ada, &repository, id, Some(long), body(&three)).await;
    assert_eq!(lies.expect_err("longer than it says").code(), "size_invalid");
    let state = t.registry.upload(&ada, &repository, id).await.expect("open");
    assert_eq!(state.received, 3, "the chunk that lied left nothing");
}

#[tokio::test]
async fn open_uploads_are_bounded_private_and_reaped() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let repository = name(HELLO);
    let first = t.registry.start_upload(&ada, &repository).await.expect("started").id;
    for _ in 1..32 {
        t.registry.start_upload(&ada, &repository).await.expect("started");
    }
    let refused = t.registry.start_upload(&ada, &repository).await.expect_err("too many");
    assert_eq!(refused.kind(), ErrorKind::RateLimited);
    assert!(refused.retry_after().is_some());
    let eve = t.user("eve").await;
    t.member("demo", &eve, portolan::accounts::rbac::Role::Developer).await;
    let foreign = t.registry.upload(&eve, &repository, first).await;
    assert!(foreign.expect_err("somebody else's upload").is_not_found());
    let project = "demo".parse().expect("name");
    let shown = t.registry.uploads(&eve, &project).await.expect("list");
    assert_eq!(shown.len(), 32);
    assert_eq!(shown[0].user.as_deref(), Some("ada"));
    // Abandoned uploads make room for new ones long before they are reaped.
    t.clock.advance(Duration::minutes(11));
    t.registry.start_upload(&ada, &repository).await.expect("started");
    t.clock.advance(Duration::hours(25));
    assert_eq!(t.registry.collect().await.expect("collected").uploads, 1);
    assert!(t.registry.uploads(&eve, &project).await.expect("list").is_empty());
}

#[tokio::test]
async fn uploads_that_failed_do_not_stand_in_the_way() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let (repository, wrong) = (name(HELLO), Digest::sha256(b"other"));
    let bytes = Bytes::from_static(b"content");
    for _ in 0..40 {
        let id = t.registry.start_upload(&ada, &repository).await.expect("there is room").id;
        let done = t.registry.finish_upload(&ada, &repository, id, &wrong, None, body(&bytes));
        assert_eq!(done.await.expect_err("a wrong digest").code(), "digest_invalid");
    }
}

#[tokio::test]
async fn a_mount_needs_the_right_to_read_the_source() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let eve = t.user("eve").await;
    t.project("other", Visibility::Private).await;
    t.member("other", &eve, portolan::accounts::rbac::Role::Developer).await;
    let image = tiny("secret");
    t.push(&ada, HELLO, "1", &image).await;
    let digest = Digest::sha256(&image.config);
    let (source, target) = (name(HELLO), name("other/app"));
    for from in [Some(&source), None] {
        let mounted = t.registry.mount_blob(&eve, &target, &digest, from).await;
        assert!(!mounted.expect("answered"), "eve cannot read {from:?}");
    }
    assert!(t.registry.blob(&eve, &target, &digest).await.expect_err("hidden").is_not_found());
    // Naming the blob in a manifest does not make it visible either.
    let named = t.push_manifest(&eve, "other/app", "1", &image.manifest).await;
    assert_eq!(named.expect_err("not linked").code(), "manifest_blob_unknown");
    assert!(t.registry.blob(&eve, &target, &digest).await.expect_err("hidden").is_not_found());
    t.member("demo", &eve, portolan::accounts::rbac::Role::LimitedGuest).await;
    assert!(t.registry.mount_blob(&eve, &target, &digest, None).await.expect("answered"));
    assert!(t.registry.blob(&eve, &target, &digest).await.is_ok());
}

//! Blobs by every way of the specification.

use bytes::Bytes;
use http::Method;
use portolan::base::{Algorithm, Digest};

use crate::support::oci::{Client, TestFace};

const UPLOADS: &str = "/v2/ta/app/blobs/uploads/";

fn blob_path(digest: &Digest) -> String {
    format!("/v2/ta/app/blobs/{digest}")
}

async fn put(client: &Client<'_>, location: &str, digest: &Digest, body: &'static [u8]) -> u16 {
    let path = format!("{location}?digest={digest}");
    client.send(Method::PUT, &path, &[], body).await.status.as_u16()
}

#[tokio::test]
async fn blobs_are_pushed_in_one_two_or_many_requests() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;

    let digest = Digest::sha256(b"single post");
    let path = format!("{UPLOADS}?digest={digest}");
    let created = ada.post(&path, "single post").await.expect(201);
    assert_eq!(created.header("location"), blob_path(&digest));
    assert_eq!(created.header("docker-content-digest"), digest.to_string());

    let digest = Digest::sha256(b"post and put");
    let location = ada.upload("ta/app").await;
    assert_eq!(put(&ada, &location, &digest, b"post and put").await, 201);

    let digest = Digest::sha256(b"streamed");
    let location = ada.upload("ta/app").await;
    let streamed = ada.send(Method::PATCH, &location, &[], "streamed").await.expect(202);
    assert_eq!(streamed.header("range"), "0-7");
    assert_eq!(put(&ada, streamed.header("location"), &digest, b"").await, 201);

    let digest = Digest::sha256(b"");
    let location = ada.upload("ta/app").await;
    assert_eq!(put(&ada, &location, &digest, b"").await, 201);
    assert_eq!(ada.get(&blob_path(&digest)).await.expect(200).body, Bytes::new());

    let digest = Digest::of(Algorithm::Sha512, b"long hash");
    let location = ada.upload("ta/app").await;
    assert_eq!(put(&ada, &location, &digest, b"long hash").await, 201);
    let got = ada.get(&blob_path(&digest)).await.expect(200);
    assert_eq!(got.header("docker-content-digest"), digest.to_string());
}

#[tokio::test]
async fn chunks_out_of_order_are_refused_and_the_upload_goes_on() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let location = ada.upload("ta/app").await;
    let patch = |range: &'static str, body: &'static str| {
        let location = location.clone();
        let ada = &ada;
        async move {
            let headers = [("content-range", range), ("content-type", "application/octet-stream")];
            ada.send(Method::PATCH, &location, &headers, body).await
        }
    };
    assert_eq!(patch("0-4", "first").await.expect(202).header("range"), "0-4");
    let early = patch("10-14", "third").await.expect(416);
    assert_eq!(early.code(), "BLOB_UPLOAD_INVALID");
    assert_eq!(early.header("range"), "0-4");
    let state = ada.get(&location).await.expect(204);
    assert_eq!((state.header("range"), state.header("location")), ("0-4", location.as_str()));
    patch("5-9", " then").await.expect(202);
    patch("oops", "x").await.expect(400);
    let digest = Digest::sha256(b"first then last");
    let path = format!("{location}?digest={digest}");
    let late = [("content-range", "20-24")];
    ada.send(Method::PUT, &path, &late, " last").await.expect(416);
    let right = [("content-range", "10-14")];
    ada.send(Method::PUT, &path, &right, " last").await.expect(201);
    ada.get(&location).await.expect(404);
}

#[tokio::test]
async fn a_wrong_digest_is_refused_by_every_way_of_uploading() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let wrong = Digest::sha256(b"something else");
    let refused = ada.post(&format!("{UPLOADS}?digest={wrong}"), "content").await.expect(400);
    assert_eq!(refused.code(), "DIGEST_INVALID");
    let location = ada.upload("ta/app").await;
    assert_eq!(put(&ada, &location, &wrong, b"content").await, 400);
    let location = ada.upload("ta/app").await;
    ada.send(Method::PATCH, &location, &[], "content").await.expect(202);
    assert_eq!(put(&ada, &location, &wrong, b"").await, 400);
    for bad in ["", "sha256:short", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        let path = format!("{location}?digest={bad}");
        ada.send(Method::PUT, &path, &[], "").await.expect(400);
    }
    ada.get(&blob_path(&wrong)).await.expect(404);
}

#[tokio::test]
async fn an_upload_can_be_cancelled() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let location = ada.upload("ta/app").await;
    ada.delete(&location).await.expect(204);
    assert_eq!(ada.get(&location).await.expect(404).code(), "BLOB_UPLOAD_UNKNOWN");
    ada.delete(&location).await.expect(404);
    ada.get(&format!("{UPLOADS}nonsense")).await.expect(404);
}

#[tokio::test]
async fn a_blob_is_read_whole_in_part_and_not_at_all_when_known() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let bytes = Bytes::from((0..700_000u32).map(|n| n as u8).collect::<Vec<_>>());
    let digest = ada.push_blob("ta/app", &bytes).await;
    let path = blob_path(&digest);
    let whole = ada.get(&path).await.expect(200);
    assert_eq!(whole.body, bytes);
    let head = ada.head(&path).await.expect(200);
    assert_eq!(head.header("content-length"), "700000");
    assert_eq!(head.header("docker-content-digest"), digest.to_string());
    assert!(head.body.is_empty());
    for (range, part) in [
        ("bytes=500-1499", 500..1500),
        ("bytes=300000-", 300_000..700_000),
        ("bytes=-500", 699_500..700_000),
        ("bytes=699000-800000", 699_000..700_000),
    ] {
        let got = ada.send(Method::GET, &path, &[("range", range)], "").await.expect(206);
        assert_eq!(got.body, bytes[part.clone()], "{range}");
        let shown = format!("bytes {}-{}/700000", part.start, part.end - 1);
        assert_eq!(got.header("content-range"), shown);
    }
    for range in ["bytes=500-0", "bytes=700000-800000"] {
        let got = ada.send(Method::GET, &path, &[("range", range)], "").await.expect(416);
        assert_eq!(got.header("content-range"), "bytes */700000");
    }
    let etag = format!("\"{digest}\"");
    ada.send(Method::GET, &path, &[("if-none-match", &etag)], "").await.expect(304);
    let absent = ada.get(&blob_path(&Digest::sha256(b"absent"))).await.expect(404);
    assert_eq!(absent.code(), "BLOB_UNKNOWN");
}

#[tokio::test]
async fn blobs_are_mounted_from_where_the_caller_reads_and_deleted_when_free() {
    let face = TestFace::start().await;
    let scopes = ["repository:ta/app:*", "repository:ta/copy:*"];
    let mia = face.client(Some("mia"), &scopes).await;
    let digest = mia.push_blob("ta/app", &Bytes::from_static(b"shared")).await;
    let mount = |query: String| format!("/v2/ta/copy/blobs/uploads/?{query}");
    let absent = Digest::sha256(b"absent");
    let fallen = mia.post(&mount(format!("mount={absent}&from=ta/app")), "").await.expect(202);
    assert!(fallen.header("location").starts_with("/v2/ta/copy/blobs/uploads/"));
    let mounted = mia.post(&mount(format!("mount={digest}&from=ta/app")), "").await.expect(201);
    assert_eq!(mounted.header("location"), format!("/v2/ta/copy/blobs/{digest}"));
    mia.delete(&format!("/v2/ta/copy/blobs/{digest}")).await.expect(202);
    mia.get(&format!("/v2/ta/copy/blobs/{digest}")).await.expect(404);
    mia.post(&mount(format!("mount={digest}")), "").await.expect(201);
    mia.head(&format!("/v2/ta/copy/blobs/{digest}")).await.expect(200);
}

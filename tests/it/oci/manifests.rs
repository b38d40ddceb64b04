//! Manifests, tags and referrers as the specification has them.

use bytes::Bytes;
use http::Method;
use portolan::base::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::support::images::{OCI_MANIFEST, TestImage, tiny};
use crate::support::oci::{Client, TestFace};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

fn path(reference: impl std::fmt::Display) -> String {
    format!("/v2/ta/app/manifests/{reference}")
}

async fn put(client: &Client<'_>, reference: &str, media_type: &str, body: &Value) -> u16 {
    let bytes = Bytes::from(body.to_string());
    client.push_manifest("ta/app", reference, media_type, &bytes).await.status.as_u16()
}

fn parsed(image: &TestImage) -> Value {
    serde_json::from_slice(&image.manifest).expect("JSON")
}

#[tokio::test]
async fn a_manifest_is_served_byte_for_byte_by_tag_and_digest() {
    let face = TestFace::start().await;
    let mia = face.client_of("mia", "ta/app").await;
    let mut image = tiny("exact");
    // Spaces and unknown fields must survive.
    let text = String::from_utf8(image.manifest.to_vec()).expect("text");
    image.manifest = Bytes::from(text.replacen('{', "{ \n \"x-custom\" : [ 1 ] , ", 1));
    mia.push("ta/app", "1", &image).await;
    let digest = image.digest();
    for reference in ["1".to_owned(), digest.to_string()] {
        let got = mia.get(&path(&reference)).await.expect(200);
        assert_eq!(got.body, image.manifest);
        assert_eq!(got.header("content-type"), OCI_MANIFEST);
        assert_eq!(got.header("docker-content-digest"), digest.to_string());
        let head = mia.head(&path(&reference)).await.expect(200);
        assert_eq!(head.header("content-length"), image.manifest.len().to_string());
        assert!(head.body.is_empty());
    }
    mia.delete(&path("1")).await.expect(202);
    assert_eq!(mia.get(&path("1")).await.expect(404).code(), "MANIFEST_UNKNOWN");
    mia.get(&path(&digest)).await.expect(200);
    mia.delete(&path(&digest)).await.expect(202);
    mia.get(&path(&digest)).await.expect(404);
    mia.delete(&path(&digest)).await.expect(404);
    for blob in image.blobs() {
        let path = format!("/v2/ta/app/blobs/{}", Digest::sha256(blob));
        mia.delete(&path).await.expect(202);
        mia.get(&path).await.expect(404);
    }
    mia.get(&path("sha256:bad")).await.expect(400);
    mia.get(&path(".bad")).await.expect(404);
}

#[tokio::test]
async fn a_blob_that_an_image_needs_cannot_be_deleted() {
    let face = TestFace::start().await;
    let mia = face.client_of("mia", "ta/app").await;
    let image = tiny("needed");
    mia.push("ta/app", "1", &image).await;
    let blob = format!("/v2/ta/app/blobs/{}", Digest::sha256(&image.config));
    assert_eq!(mia.delete(&blob).await.expect(405).code(), "UNSUPPORTED");
    mia.get(&blob).await.expect(200);
}

#[tokio::test]
async fn one_push_sets_many_tags_under_any_digest() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let image = tiny("many");
    for blob in image.blobs() {
        ada.push_blob("ta/app", blob).await;
    }
    let sha512 = Digest::of(Algorithm::Sha512, &image.manifest);
    let tags: Vec<_> = (0..12).map(|n| format!("tag=t{n}")).collect();
    let target = format!("{sha512}?{}", tags.join("&"));
    let pushed =
        ada.push_manifest("ta/app", &target, OCI_MANIFEST, &image.manifest).await.expect(201);
    assert_eq!(pushed.headers.get_all("oci-tag").iter().count(), 12);
    assert_eq!(pushed.header("docker-content-digest"), sha512.to_string());
    let got = ada.get(&path("t7")).await.expect(200);
    assert_eq!(got.header("docker-content-digest"), sha512.to_string());
    let tags: Vec<_> = (0..33).map(|n| format!("tag=t{n}")).collect();
    let target = format!("{sha512}?{}", tags.join("&"));
    ada.push_manifest("ta/app", &target, OCI_MANIFEST, &image.manifest).await.expect(414);
}

#[tokio::test]
async fn bodies_that_lie_are_refused() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let image = tiny("lies");
    for blob in image.blobs() {
        ada.push_blob("ta/app", blob).await;
    }
    let manifest = parsed(&image);
    let other = Digest::sha256(b"other bytes").to_string();
    let wrong = ada.push_manifest("ta/app", &other, OCI_MANIFEST, &image.manifest).await;
    assert_eq!(wrong.expect(400).code(), "DIGEST_INVALID");
    assert_eq!(put(&ada, "sha256:bad", OCI_MANIFEST, &manifest).await, 400);
    assert_eq!(put(&ada, ".bad", OCI_MANIFEST, &manifest).await, 400);
    assert_eq!(put(&ada, "1", INDEX, &manifest).await, 400, "Content-Type is not mediaType");
    let mut both = manifest.clone();
    both["manifests"] = json!([]);
    assert_eq!(put(&ada, "1", OCI_MANIFEST, &both).await, 400);
    let mut missing = manifest.clone();
    missing["layers"][0]["digest"] = json!(other);
    let bytes = Bytes::from(missing.to_string());
    let refused = ada.push_manifest("ta/app", "1", OCI_MANIFEST, &bytes).await.expect(404);
    assert_eq!(refused.code(), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(refused.json()["errors"][0]["detail"]["digest"], other);
    assert_eq!(put(&ada, "1", "application/x-unknown", &json!({"schemaVersion": 2})).await, 400);
    ada.get(&path("1")).await.expect(404);
    // Layers that may stay elsewhere need not be here.
    missing["layers"][0]["mediaType"] = json!(FOREIGN);
    assert_eq!(put(&ada, "1", OCI_MANIFEST, &missing).await, 201);
}

#[tokio::test]
async fn manifests_are_bounded_at_four_mebibytes() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let image = tiny("big");
    for blob in image.blobs() {
        ada.push_blob("ta/app", blob).await;
    }
    let mut padded = image.manifest.to_vec();
    padded.resize(4 * 1024 * 1024, b' ');
    let exactly = Bytes::from(padded.clone());
    ada.push_manifest("ta/app", "big", OCI_MANIFEST, &exactly).await.expect(201);
    assert_eq!(ada.get(&path("big")).await.expect(200).body, exactly);
    padded.push(b' ');
    let over = ada.push_manifest("ta/app", "over", OCI_MANIFEST, &padded.into()).await.expect(413);
    assert_eq!(over.code(), "SIZE_INVALID");
    let mut many = parsed(&image);
    many["layers"] = json!(vec![many["layers"][0].clone(); 1001]);
    assert_eq!(put(&ada, "many", OCI_MANIFEST, &many).await, 400);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    ada.push_manifest("ta/app", "deep", OCI_MANIFEST, &deep.into()).await.expect(400);
}

#[tokio::test]
async fn indexes_may_name_children_that_are_not_here() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let image = tiny("child");
    ada.push("ta/app", "child", &image).await;
    let child = |digest: Digest| {
        json!({ "mediaType": OCI_MANIFEST, "digest": digest, "size": 9,
        "platform": { "os": "linux", "architecture": "arm64" } })
    };
    let absent = Digest::sha256(b"absent");
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [child(image.digest()), child(absent.clone())] });
    assert_eq!(put(&ada, "multi", INDEX, &index).await, 201);
    assert_eq!(
        put(&ada, "empty", INDEX, &json!({ "schemaVersion": 2, "manifests": [] })).await,
        201
    );
    ada.get(&path(&absent)).await.expect(404);
    assert_eq!(ada.get(&path("multi")).await.expect(200).header("content-type"), INDEX);
}

#[tokio::test]
async fn tags_are_listed_in_order_and_paged() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let image = tiny("tags");
    ada.push("ta/app", "b", &image).await;
    for tag in ["a", "C", "d10", "d9"] {
        ada.push_manifest("ta/app", tag, OCI_MANIFEST, &image.manifest).await.expect(201);
    }
    let list = "/v2/ta/app/tags/list";
    let all = ada.get(list).await.expect(200);
    assert_eq!(all.json(), json!({ "name": "ta/app", "tags": ["C", "a", "b", "d10", "d9"] }));
    assert_eq!(all.header("link"), "");
    let first = ada.get(&format!("{list}?n=2")).await.expect(200);
    assert_eq!(first.json()["tags"], json!(["C", "a"]));
    let next = first.header("link").split(['<', '>']).nth(1).expect("a link").to_owned();
    assert_eq!(ada.get(&next).await.expect(200).json()["tags"], json!(["b", "d10"]));
    let none = ada.get(&format!("{list}?n=0")).await.expect(200);
    assert_eq!((none.json()["tags"].clone(), none.header("link")), (json!([]), ""));
    ada.get(&format!("{list}?n=999999999999")).await.expect(200);
    let bad = ada.get(&format!("{list}?n=-1")).await.expect(400);
    assert_eq!(bad.code(), "PAGINATION_NUMBER_INVALID");
    let absent = face.client_of("ada", "ta/none").await;
    assert_eq!(absent.get("/v2/ta/none/tags/list").await.expect(404).code(), "NAME_UNKNOWN");
}

#[tokio::test]
async fn referrers_are_listed_with_what_clients_filter_by() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let image = tiny("subject");
    // The signature may come before what it signs.
    let empty = Bytes::from_static(b"{}");
    ada.push_blob("ta/app", &empty).await;
    let mut signature = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/x-signature",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json",
                    "digest": Digest::sha256(&empty), "size": 2 },
        "layers": [], "annotations": { "by": "ada" },
        "subject": { "mediaType": OCI_MANIFEST, "digest": image.digest(), "size": 1 },
    });
    let bytes = Bytes::from(signature.to_string());
    let pushed = ada.push_manifest("ta/app", "sig", OCI_MANIFEST, &bytes).await.expect(201);
    assert_eq!(pushed.header("oci-subject"), image.digest().to_string());
    signature.as_object_mut().expect("object").remove("artifactType");
    signature["annotations"] = json!({});
    assert_eq!(put(&ada, "other", OCI_MANIFEST, &signature).await, 201);
    let list = format!("/v2/ta/app/referrers/{}", image.digest());
    let all = ada.get(&list).await.expect(200);
    assert_eq!(all.header("content-type"), INDEX);
    assert_eq!(all.json()["manifests"].as_array().expect("list").len(), 2);
    let filter = format!("{list}?artifactType=application/x-signature");
    let some = ada.get(&filter).await.expect(200);
    assert_eq!(some.header("oci-filters-applied"), "artifactType");
    let found = &some.json()["manifests"];
    assert_eq!(found.as_array().expect("list").len(), 1);
    assert_eq!(found[0]["digest"], json!(Digest::sha256(&bytes)));
    assert_eq!(found[0]["size"], json!(bytes.len()));
    assert_eq!(found[0]["annotations"]["by"], "ada");
    let config = format!("{list}?artifactType=application/vnd.oci.empty.v1%2Bjson");
    assert_eq!(
        ada.get(&config).await.expect(200).json()["manifests"].as_array().map(Vec::len),
        Some(1)
    );
    // A list that an older client kept under the fallback tag is folded in.
    let known = json!({ "mediaType": OCI_MANIFEST, "digest": Digest::sha256(b"old"), "size": 3,
        "artifactType": "application/x-old" });
    let fallback = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [known] });
    let tag = format!("sha256-{}", image.digest().hex());
    assert_eq!(put(&ada, &tag, INDEX, &fallback).await, 201);
    assert_eq!(
        ada.get(&list).await.expect(200).json()["manifests"].as_array().map(Vec::len),
        Some(3)
    );
    let unknown = format!("/v2/ta/app/referrers/{}", Digest::sha256(b"unknown"));
    let none = ada.get(&unknown).await.expect(200).json();
    assert_eq!((&none["schemaVersion"], &none["manifests"]), (&json!(2), &json!([])));
    ada.get("/v2/ta/app/referrers/sha256:bad").await.expect(400);
}

#[tokio::test]
async fn a_tag_moves_and_the_new_image_is_served_at_once() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    for text in ["one", "two", "three"] {
        let image = tiny(text);
        ada.push("ta/app", "latest", &image).await;
        assert_eq!(ada.get(&path("latest")).await.expect(200).body, image.manifest);
    }
    ada.send(Method::POST, &path("latest"), &[], "").await.expect(405);
}

//! Rules and tombstones as registry clients meet them.

use bytes::Bytes;
use http::Method;
use portolan::base::{Actor, Digest};
use portolan::registry::rules::{RuleInput, RuleKind};

use crate::support::images::{OCI_MANIFEST, tiny};
use crate::support::oci::TestFace;

const APP: &str = "ta/app";

async fn lock(face: &TestFace, tag: &str) {
    let input = RuleInput {
        kind: RuleKind::Immutable,
        repository: "app".to_owned(),
        tag: tag.to_owned(),
        exempt: None,
    };
    let ta = "ta".parse().expect("a name");
    let made = face.registry.registry.create_tag_rule(&Actor::system(), &ta, input).await;
    made.expect("a rule");
}

#[tokio::test]
async fn a_locked_tag_is_denied_by_name_and_not_by_a_new_challenge() {
    let face = TestFace::start().await;
    let mia = face.client_of("mia", APP).await;
    let (one, two) = (tiny("one"), tiny("two"));
    mia.push(APP, "v1", &one).await;
    mia.push(APP, "edge", &two).await;
    lock(&face, "v*").await;
    let path = |reference: &str| format!("/v2/{APP}/manifests/{reference}");
    let by_tag = mia.push_manifest(APP, "v1", OCI_MANIFEST, &two.manifest).await;
    let by_parameter = mia
        .push_manifest(
            APP,
            &format!("{}?tag=v1&tag=free", two.digest()),
            OCI_MANIFEST,
            &two.manifest,
        )
        .await;
    let tag = mia.delete(&path("v1")).await;
    let image = mia.delete(&path(&one.digest().to_string())).await;
    for refused in [by_tag, by_parameter, tag, image] {
        let refused = refused.expect(403);
        assert_eq!(refused.code(), "DENIED");
        assert_eq!(refused.header("www-authenticate"), "", "a new token would not help");
        let message =
            refused.json()["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains("immutable v* in app"), "{message}");
    }
    let served = mia.get(&path("v1")).await.expect(200);
    assert_eq!(served.header("docker-content-digest"), one.digest().to_string());
    mia.get(&path("free")).await.expect(404);
    // The same bytes again, a new tag, and what no rule is about are fine.
    mia.push_manifest(APP, "v1", OCI_MANIFEST, &one.manifest).await.expect(201);
    mia.push_manifest(APP, "v2", OCI_MANIFEST, &two.manifest).await.expect(201);
    mia.delete(&path("edge")).await.expect(202);
}

#[tokio::test]
async fn a_deleted_manifest_is_404_at_once_and_can_be_pushed_again() {
    let face = TestFace::start().await;
    let mia = face.client_of("mia", APP).await;
    let image = tiny("one");
    mia.push(APP, "1", &image).await;
    let path = format!("/v2/{APP}/manifests/{}", image.digest());
    mia.delete(&path).await.expect(202);
    for method in [Method::GET, Method::HEAD] {
        mia.send(method, &path, &[], Bytes::new()).await.expect(404);
    }
    mia.delete(&path).await.expect(404);
    mia.push_manifest(APP, "1", OCI_MANIFEST, &image.manifest).await.expect(201);
    mia.get(&path).await.expect(200);
    mia.delete(&path).await.expect(202);
    // Its blobs can be deleted, although they were kept for it.
    for blob in image.blobs() {
        mia.delete(&format!("/v2/{APP}/blobs/{}", Digest::sha256(blob))).await.expect(202);
    }
    let pushed = mia.push_manifest(APP, "1", OCI_MANIFEST, &image.manifest).await.expect(404);
    assert_eq!(pushed.code(), "MANIFEST_BLOB_UNKNOWN");
}

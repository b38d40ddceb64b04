//! Clients that sign: cosign, with its tags and with referrers, and notation.

use super::Desk;
use crate::support::images::tiny;
use crate::support::oci::{PASSWORD, TestFace};

/// A face with an image of `ta/app`, and the image's full name by digest.
async fn signed_by(text: &str) -> (TestFace, String, String) {
    let (face, host) = TestFace::serve().await;
    let image = tiny(text);
    face.client_of("mia", "ta/app").await.push("ta/app", "1", &image).await;
    let name = format!("{host}/ta/app@{}", image.digest());
    (face, host, name)
}

async fn tags(face: &TestFace) -> Vec<String> {
    let mia = face.client_of("mia", "ta/app").await;
    let list = mia.get("/v2/ta/app/tags/list").await.expect(200).json();
    serde_json::from_value(list["tags"].clone()).expect("a list")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cosign_signs_verifies_and_cleans_with_its_tags() {
    let (face, host, image) = signed_by("cosign").await;
    let desk = Desk::new(&host).logged_in("mia").await;
    let offline = ["--key", "cosign.key", "--tlog-upload=false", "--yes", "--allow-http-registry"];
    desk.must("cosign", &["generate-key-pair"]).await;
    desk.must("cosign", &[&["sign"], &offline[..], &[&image]].concat()).await;
    assert_eq!(tags(&face).await.len(), 2, "the image's and the signature's");
    let verify =
        ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry"];
    let verify = [&verify[..], &[&image]].concat();
    assert!(desk.must("cosign", &verify).await.contains("cosign container image signature"));
    desk.must("cosign", &["clean", "--force", "--allow-http-registry", &image]).await;
    assert_eq!(tags(&face).await, ["1"], "clean deletes the signature's tag");
    assert!(!desk.run("cosign", &verify).await.ok, "nothing is signed any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cosign_signs_with_referrers() {
    let (face, host, image) = signed_by("referrers").await;
    let desk = Desk::new(&host).logged_in("mia").await;
    let offline = ["--key", "cosign.key", "--tlog-upload=false", "--yes", "--allow-http-registry"];
    desk.must("cosign", &["generate-key-pair"]).await;
    let mode = "--registry-referrers-mode=oci-1-1";
    desk.must("cosign", &[&["sign", mode], &offline[..], &[&image]].concat()).await;
    assert_eq!(tags(&face).await, ["1"], "no tag is needed");
    let verify =
        ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry"];
    let verify = [&verify[..], &["--experimental-oci11", &image]].concat();
    assert!(desk.must("cosign", &verify).await.contains("cosign container image signature"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notation_signs_lists_and_verifies() {
    let (face, host, image) = signed_by("notation").await;
    let desk = Desk::new(&host);
    desk.must("notation", &["cert", "generate-test", "--default", "portolan.test"]).await;
    let wire = ["--insecure-registry", "-u", "ada", "-p", PASSWORD, &image];
    desk.must("notation", &[&["sign"], &wire[..]].concat()).await;
    let policy = serde_json::json!({ "version": "1.0", "trustPolicies": [{
        "name": "all", "registryScopes": ["*"], "trustedIdentities": ["*"],
        "signatureVerification": { "level": "strict" }, "trustStores": ["ca:portolan.test"],
    }] });
    std::fs::write(desk.path("policy.json"), policy.to_string()).expect("written");
    desk.must("notation", &["policy", "import", "policy.json"]).await;
    let verified = desk.must("notation", &[&["verify"], &wire[..]].concat()).await;
    assert!(verified.contains("Successfully verified"), "{verified}");
    let listed = desk.must("notation", &[&["ls"], &wire[..]].concat()).await;
    assert!(listed.contains("application/vnd.cncf.notary.signature"), "{listed}");
    // Notation keeps the list of older registries, too, unless told not to; one signature is
    // one referrer all the same.
    assert_eq!(tags(&face).await.len(), 2, "the image's and the fallback list's");
    let mia = face.client_of("mia", "ta/app").await;
    let subject = image.rsplit_once('@').expect("by digest").1;
    let found = mia.get(&format!("/v2/ta/app/referrers/{subject}")).await.expect(200).json();
    assert_eq!(found["manifests"].as_array().expect("a list").len(), 1, "{found}");
}

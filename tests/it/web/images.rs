//! The pages of what was really pushed: images, charts, and what refers to them.

use axum::http::StatusCode;
use portolan::base::{Actor, Digest};
use portolan::registry::{NewPush, Registry};
use serde_json::{Value, json};

use super::pages::furnish;
use crate::support::images::{OCI_MANIFEST, TestImage, layer, tiny};
use crate::support::portal::Portal;
use crate::support::registry::{body, name};
use crate::support::statements::Statements;

const SPDX: &str = "application/spdx+json";
const NOTARY: &str = "application/vnd.cncf.notary.signature";

pub(super) async fn admin(portal: &Portal) -> Actor {
    let me = portal.services.accounts.list_users(&Actor::system(), None, &Default::default()).await;
    let me = me.expect("users are listed").items.remove(0);
    Actor::user(me.id, "admin", me.platform_role, portolan::base::Channel::Registry)
}

pub(super) async fn push(
    registry: &Registry,
    actor: &Actor,
    repository: &str,
    tag: &str,
    image: &TestImage,
) {
    let repository = name(repository);
    for blob in image.blobs() {
        let upload = registry.start_upload(actor, &repository).await.expect("an upload");
        let digest = Digest::sha256(blob);
        let done =
            registry.finish_upload(actor, &repository, upload.id, &digest, None, body(blob)).await;
        done.expect("a blob");
    }
    let push = NewPush {
        reference: tag.parse().expect("a reference"),
        tags: Vec::new(),
        content_type: Some(OCI_MANIFEST),
        content: image.manifest.clone(),
        client: "test/1.0",
    };
    registry.push_manifest(actor, &repository, push).await.expect("a manifest");
}

/// An artifact of one file, with what its manifest says besides.
fn artifact(text: &str, config_type: &str, layer_type: &str, more: Value) -> TestImage {
    let mut made = TestImage::new(vec![layer(text)], json!({}));
    let mut manifest: Value = serde_json::from_slice(&made.manifest).expect("JSON");
    manifest["config"]["mediaType"] = config_type.into();
    manifest["layers"][0]["mediaType"] = layer_type.into();
    for (key, value) in more.as_object().expect("an object") {
        manifest[key] = value.clone();
    }
    made.manifest = manifest.to_string().into();
    made
}

fn about(image: &TestImage) -> Value {
    json!({ "subject": {
        "mediaType": OCI_MANIFEST, "digest": image.digest(), "size": image.manifest.len(),
    } })
}

/// `demo/app:1` with an SBOM, the SBOM's signature and a signature by a tag, and a chart.
async fn stocked() -> (Portal, TestImage, TestImage) {
    let portal = Portal::with_admin().await;
    furnish(&portal).await;
    let (registry, admin) = (&portal.services.registry, admin(&portal).await);
    let image = tiny("one");
    push(registry, &admin, "demo/app", "1", &image).await;
    let bill = artifact("bill", SPDX, "application/json", about(&image));
    push(registry, &admin, "demo/app", &bill.digest().to_string(), &bill).await;
    let signed = artifact("signed", NOTARY, "application/jose+json", about(&bill));
    push(registry, &admin, "demo/app", &signed.digest().to_string(), &signed).await;
    let simple = "application/vnd.dev.cosign.simplesigning.v1+json";
    let config = "application/vnd.oci.image.config.v1+json";
    let cosign = artifact("cosign", config, simple, json!({}));
    let tag = format!("sha256-{}.sig", image.digest().hex());
    push(registry, &admin, "demo/app", &tag, &cosign).await;
    let chart = artifact(
        "chart",
        "application/vnd.cncf.helm.config.v1+json",
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
        json!({}),
    );
    push(registry, &admin, "demo/charts/shop", "1.2.0_build.5", &chart).await;
    (portal, image, bill)
}

#[tokio::test]
async fn what_refers_to_an_image_is_a_tree_of_named_things() {
    let (mut portal, image, _) = stocked().await;
    let page = portal.get("/p/demo/r/app/-/tags/1?tab=referrers").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.all(".tree .kind"), ["Image", "SBOM", "Signature", "Signature"]);
    assert_eq!(page.all(".tree > ul > li > .n .kind"), ["SBOM", "Signature"]);
    assert_eq!(page.all(".tree ul ul .kind"), ["Signature"], "the SBOM's own signature");
    assert_eq!(page.all(".tree .chip"), ["found by tag"]);
    let links = page.all(".tree a.end");
    assert_eq!(links.len(), 3);
    let own = page.all(".head [data-kind]");
    assert!(own.is_empty(), "an image needs no word for what it is: {own:?}");
    let digest = image.digest();
    let shown = portal.get(&format!("/p/demo/r/app/-/digest/{digest}")).await;
    assert_eq!(shown.all(".tree .kind").len(), 4);
}

#[tokio::test]
async fn charts_and_documents_are_shown_as_what_they_are() {
    let (mut portal, _, bill) = stocked().await;
    let page = portal.get("/p/demo/r/charts/shop/-/tags/1.2.0_build.5").await;
    assert_eq!(page.all(".head [data-kind]"), ["Helm chart"]);
    let command = page.all(".pull code").concat();
    assert!(
        command.contains("helm pull oci://127.0.0.1:8080/demo/charts/shop --version 1.2.0+build.5"),
        "{command}"
    );
    assert!(page.all("a.btn.pri").iter().all(|text| text != "Deploy"), "a chart is not deployed");
    let page = portal.get(&format!("/p/demo/r/app/-/digest/{}", bill.digest())).await;
    assert_eq!(page.all(".head [data-kind]"), ["SBOM"]);
    assert!(page.all(".pull code").concat().contains("oras pull"));
    portal.speak("zh");
    let page = portal.get("/p/demo/r/app/-/tags/1?tab=referrers").await;
    assert!(page.all(".tree .kind").contains(&"签名".to_owned()));
}

#[tokio::test]
async fn pages_of_images_cost_a_bounded_number_of_statements() {
    let (mut portal, image, _) = stocked().await;
    let digest = image.digest();
    let mut statements = Statements::count();
    for path in [
        "/p/demo/r".to_owned(),
        "/p/demo/r/app".to_owned(),
        "/p/demo/r/app/-/tags/1".to_owned(),
        format!("/p/demo/r/app/-/digest/{digest}?tab=layers"),
        "/p/demo/r/app/-/tags/1/delete".to_owned(),
        format!("/p/demo/r/app/-/digest/{digest}/delete"),
        "/p/demo/r/app/-/delete".to_owned(),
    ] {
        portal.get(&path).await;
        statements.spent();
        let page = portal.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        let spent = statements.spent();
        assert!((1..=12).contains(&spent), "{path} took {spent} statements");
    }
}

#[tokio::test]
async fn an_image_is_deleted_when_its_digest_is_typed() {
    let (mut portal, image, _) = stocked().await;
    let digest = image.digest();
    let path = format!("/p/demo/r/app/-/digest/{digest}/delete");
    let asked = portal.get(&path).await;
    let name = asked.all("label[for=f-confirm] b").concat();
    let wrong = portal.post(&path, &[("confirm", "something else")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(portal.get("/p/demo/r/app/-/tags/1").await.status, StatusCode::OK);
    let done = portal.post(&path, &[("confirm", &name)]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    assert_eq!(portal.get("/p/demo/r/app/-/tags/1").await.status, StatusCode::NOT_FOUND);
}

//! What must not be seen is not seen, whatever the trick.

use bytes::Bytes;
use http::Method;
use portolan::base::Digest;
use serde_json::json;

use crate::support::images::{OCI_MANIFEST, tiny};
use crate::support::oci::{PASSWORD, TestFace, basic};

#[tokio::test]
async fn a_blob_of_another_project_is_not_found_by_any_trick() {
    let face = TestFace::start().await;
    let image = tiny("secret");
    face.client_of("ada", "ta/app").await.push("ta/app", "1", &image).await;
    let scopes = ["repository:tb/x:*", "repository:ta/app:*"];
    let bob = face.client(Some("bob"), &scopes).await;
    bob.push("tb/x", "own", &tiny("own")).await;
    let (blob, manifest) = (Digest::sha256(&image.config), image.digest());
    let hidden = async || {
        bob.get(&format!("/v2/tb/x/blobs/{blob}")).await.expect(404);
        bob.head(&format!("/v2/tb/x/blobs/{blob}")).await.expect(404);
        bob.get(&format!("/v2/tb/x/manifests/{manifest}")).await.expect(404);
    };
    hidden().await;
    for query in [
        format!("mount={blob}&from=ta/app"),
        format!("mount={blob}"),
        format!("mount={blob}&from=none/app"),
        format!("mount={}&from=ta/app", Digest::sha256(b"absent")),
    ] {
        bob.post(&format!("/v2/tb/x/blobs/uploads/?{query}"), "").await.expect(202);
        hidden().await;
    }
    // An upload that ends under the foreign digest with other bytes.
    let location = bob.upload("tb/x").await;
    bob.send(Method::PUT, &format!("{location}?digest={blob}"), &[], "guess").await.expect(400);
    hidden().await;
    // A manifest that names the blob, an index that names the manifest, and a subject.
    bob.push_manifest("tb/x", "1", OCI_MANIFEST, &image.manifest).await.expect(404);
    let index = json!({ "schemaVersion": 2, "manifests":
        [{ "mediaType": OCI_MANIFEST, "digest": manifest, "size": image.manifest.len() }] });
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = Bytes::from(index.to_string());
    bob.push_manifest("tb/x", "index", media_type, &index).await.expect(201);
    let own = tiny("own");
    let mut referrer: serde_json::Value = serde_json::from_slice(&own.manifest).expect("JSON");
    referrer["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": manifest, "size": 1 });
    let referrer = Bytes::from(referrer.to_string());
    bob.push_manifest("tb/x", "ref", OCI_MANIFEST, &referrer).await.expect(201);
    hidden().await;
    let ada = face.client_of("ada", "ta/app").await;
    let list = ada.get(&format!("/v2/ta/app/referrers/{manifest}")).await.expect(200);
    assert_eq!(list.json()["manifests"], json!([]), "the other project's list is unchanged");
}

#[tokio::test]
async fn strangers_get_nothing_with_a_token_or_a_password() {
    let face = TestFace::start().await;
    face.client_of("ada", "ta/app").await.push("ta/app", "1", &tiny("secret")).await;
    let scope = "repository:ta/app:pull,push";
    for user in [Some("eve"), None] {
        let stranger = face.client(user, &[scope]).await;
        for path in ["/v2/ta/app/manifests/1", "/v2/ta/app/tags/list"] {
            let refused = stranger.get(path).await.expect(401);
            assert!(refused.header("www-authenticate").contains("error=\"insufficient_scope\""));
            assert_eq!(refused.code(), "DENIED");
        }
        stranger.post("/v2/ta/app/blobs/uploads/", "").await.expect(401);
    }
    // With a password the absent and the hidden look the same.
    let mut eve = face.anonymous();
    eve.authorization = Some(basic("eve", PASSWORD));
    let hidden = eve.get("/v2/ta/app/manifests/1").await.expect(404);
    let absent = eve.get("/v2/no/app/manifests/1").await.expect(404);
    let shown = |body: &Bytes| String::from_utf8_lossy(body).replace("ta/app", "no/app");
    assert_eq!(shown(&hidden.body), shown(&absent.body));
    assert_eq!(hidden.code(), "NAME_UNKNOWN");
    let listed = eve.get("/v2/_catalog").await.expect(200);
    assert_eq!(listed.json(), json!({ "repositories": [] }));
}

#[tokio::test]
async fn everything_without_credentials_is_challenged() {
    let face = TestFace::start().await;
    let anonymous = face.anonymous();
    let ping = anonymous.get("/v2/").await.expect(401);
    assert_eq!(
        ping.header("www-authenticate"),
        "Bearer realm=\"http://registry.test/token\",service=\"registry.test\""
    );
    assert_eq!(ping.header("docker-distribution-api-version"), "registry/2.0");
    assert_eq!(ping.code(), "UNAUTHORIZED");
    let pull = anonymous.get("/v2/open/app/manifests/1").await.expect(401);
    assert!(pull.header("www-authenticate").ends_with("scope=\"repository:open/app:pull\""));
    let push = anonymous.post("/v2/ta/app/blobs/uploads/", "").await.expect(401);
    assert!(push.header("www-authenticate").ends_with("scope=\"repository:ta/app:pull,push\""));
    let mut bad = face.anonymous();
    bad.authorization = Some("Bearer nonsense".to_owned());
    let refused = bad.get("/v2/").await.expect(401);
    assert!(refused.header("www-authenticate").ends_with("error=\"invalid_token\""));
    bad.authorization = Some(basic("ada", "wrong"));
    bad.get("/v2/").await.expect(401);
    let search = anonymous.get("/v1/search?q=x").await.expect(404);
    assert_eq!(search.json()["errors"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn public_projects_are_pulled_anonymously_and_pushed_by_members() {
    let face = TestFace::start().await;
    let ada = face.user("olga").await;
    face.registry.member("open", &ada, portolan::accounts::rbac::Role::Developer).await;
    let image = tiny("public");
    face.client_of("olga", "open/app").await.push("open/app", "1", &image).await;
    let anybody = face.client(None, &["repository:open/app:pull,push"]).await;
    assert_eq!(anybody.get("/v2/open/app/manifests/1").await.expect(200).body, image.manifest);
    anybody.post("/v2/open/app/blobs/uploads/", "").await.expect(401);
    let lister = face.client(None, &["registry:catalog:*"]).await;
    assert_eq!(
        lister.get("/v2/_catalog").await.expect(200).json()["repositories"],
        json!(["open/app"])
    );
}

#[tokio::test]
async fn a_token_does_not_outlive_the_right_it_was_given_for() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    ada.push("ta/app", "1", &tiny("one")).await;
    let member = portolan::catalog::MemberName::User("ada".parse().expect("name"));
    face.registry
        .catalog
        .remove_member(&portolan::base::Actor::system(), &"ta".parse().expect("name"), &member)
        .await
        .expect("removed");
    ada.get("/v2/ta/app/manifests/1").await.expect(404);
    ada.post("/v2/ta/app/blobs/uploads/", "").await.expect(404);
}

#[tokio::test]
async fn a_developer_pushes_but_does_not_delete() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    ada.push("ta/app", "1", &tiny("one")).await;
    ada.delete("/v2/ta/app/manifests/1").await.expect(401);
    let mut ada = face.anonymous();
    ada.authorization = Some(basic("ada", PASSWORD));
    assert_eq!(ada.delete("/v2/ta/app/manifests/1").await.expect(403).code(), "DENIED");
}

#[tokio::test]
async fn hostile_paths_are_refused_and_write_nothing() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let parent = face.registry.blob_dir.parent().expect("a parent").to_owned();
    let entries = || std::fs::read_dir(&parent).expect("readable").count();
    let before = entries();
    let hex = "a".repeat(64);
    for path in [
        "/v2/%2e%2e/x/tags/list".to_owned(),
        "/v2/ta/%00/tags/list".to_owned(),
        "/v2/ta//b/tags/list".to_owned(),
        format!("/v2/ta/{}/tags/list", "a".repeat(256)),
        "/v2/TA/app/tags/list".to_owned(),
        format!("/v2/ta/app/blobs/sha256:{}", &hex[1..]),
        format!("/v2/ta/app/blobs/sha256:{hex}a"),
        format!("/v2/ta/app/blobs/sha256:{}", hex.to_uppercase()),
        "/v2/ta/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        "/v2/ta/app/blobs/sha256:..%2f..%2fx".to_owned(),
    ] {
        for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE] {
            let status = ada.send(method.clone(), &path, &[], "x").await.status.as_u16();
            assert!([400, 401, 404, 405].contains(&status), "{method} {path}: {status}");
        }
    }
    let location = ada.upload("ta/app").await;
    for digest in ["sha256:../../../x", "sha256:%2e%2e%2f%2e%2e", "../x"] {
        let path = format!("{location}?digest={digest}");
        ada.send(Method::PUT, &path, &[], "x").await.expect(400);
    }
    assert_eq!(entries(), before, "nothing appeared beside the blob directory");
}

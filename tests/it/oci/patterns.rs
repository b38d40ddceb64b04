//! What particular clients ask and in which order, beyond the specification.

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request};
use portolan::base::Digest;
use serde_json::{Value, json};

use crate::support::images::{OCI_MANIFEST, tiny};
use crate::support::oci::{Answer, Client, PASSWORD, TestFace, basic};

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

async fn by_form(face: &TestFace, fields: &[(&str, &str)]) -> Answer {
    let body = serde_urlencoded::to_string(fields).expect("a form");
    let request = Request::post("/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body));
    face.send(request.expect("a request")).await
}

/// The value of `name` in a challenge.
fn said(answer: &Answer, name: &str) -> String {
    let challenge = answer.header("www-authenticate");
    let value =
        challenge.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split_once('"'));
    value.map(|(value, _)| value.to_owned()).unwrap_or_default()
}

/// What a client does with a challenge: a token for exactly what it asks for.
async fn answer_challenge<'a>(face: &'a TestFace, user: &str, refused: &Answer) -> Client<'a> {
    face.client(Some(user), &[&said(refused, "scope")]).await
}

#[tokio::test]
async fn containerd_posts_a_form_first_and_falls_back_only_where_it_is_told_to() {
    let face = TestFace::start().await;
    let fields = [
        ("grant_type", "password"),
        ("service", "registry.test"),
        ("client_id", "containerd-client"),
        ("scope", "repository:ta/app:pull,push repository:ta/base:pull"),
        ("username", "ada"),
        ("password", PASSWORD),
    ];
    let token = by_form(&face, &fields).await.expect(200).json();
    assert!(token["access_token"].is_string() && token["expires_in"].as_u64() >= Some(60));
    let client = Client {
        face: &face,
        authorization: Some(format!("Bearer {}", token["access_token"].as_str().expect("text"))),
    };
    client.push("ta/app", "1", &tiny("one")).await;
    client.head("/v2/ta/base/manifests/1").await.expect(404);
    // Only these statuses make it try the other way.
    for (change, status) in [
        (("grant_type", "refresh_token"), 400),
        (("grant_type", ""), 400),
        (("password", "wrong"), 401),
        (("username", ""), 401),
    ] {
        let changed: Vec<_> =
            fields.iter().map(|f| if f.0 == change.0 { change } else { *f }).collect();
        by_form(&face, &changed).await.expect(status);
    }
    by_form(&face, &fields[..5]).await.expect(400);
    let big = "x".repeat(20_000);
    by_form(&face, &[("grant_type", "password"), ("username", &big)]).await.expect(413);
}

#[tokio::test]
async fn who_may_push_may_look_first_and_finds_nothing_rather_than_a_refusal() {
    let face = TestFace::start().await;
    for scope in ["repository:ta/new:pull,push", "repository:ta/new:push"] {
        let ada = face.client(Some("ada"), &[scope]).await;
        let absent = Digest::sha256(b"absent");
        ada.head("/v2/ta/new/manifests/1").await.expect(404);
        ada.head(&format!("/v2/ta/new/manifests/{absent}")).await.expect(404);
        ada.head(&format!("/v2/ta/new/blobs/{absent}")).await.expect(404);
    }
    let ada = face.client(Some("ada"), &["repository:ta/new:push"]).await;
    let image = tiny("first");
    ada.push("ta/new", "1", &image).await;
    let seen = ada.head("/v2/ta/new/manifests/1").await.expect(200);
    assert_eq!(seen.header("docker-content-digest"), image.digest().to_string());
    assert_eq!(seen.header("content-length"), image.manifest.len().to_string());
}

#[tokio::test]
async fn the_stored_manifest_comes_whatever_is_accepted() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let image = tiny("one");
    ada.push("ta/app", "oci", &image).await;
    let mut docker: Value = serde_json::from_slice(&image.manifest).expect("JSON");
    docker["mediaType"] = json!(DOCKER_MANIFEST);
    docker["config"]["mediaType"] = json!("application/vnd.docker.container.image.v1+json");
    // Written as docker writes it; every byte of it counts.
    let docker = Bytes::from(serde_json::to_string_pretty(&docker).expect("JSON"));
    ada.push_manifest("ta/app", "docker", DOCKER_MANIFEST, &docker).await.expect(201);
    let child = json!({ "mediaType": DOCKER_MANIFEST, "digest": Digest::sha256(&docker),
        "size": docker.len(), "platform": { "os": "linux", "architecture": "amd64" } });
    let list = json!({ "schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [child] });
    let list = Bytes::from(list.to_string());
    ada.push_manifest("ta/app", "list", DOCKER_LIST, &list).await.expect(201);
    for (tag, media_type, content) in [
        ("oci", OCI_MANIFEST, &image.manifest),
        ("docker", DOCKER_MANIFEST, &docker),
        ("list", DOCKER_LIST, &list),
    ] {
        for accept in
            [None, Some("*/*"), Some(OCI_MANIFEST), Some(DOCKER_MANIFEST), Some("text/html")]
        {
            let headers: Vec<_> = accept.map(|a| ("accept", a)).into_iter().collect();
            for reference in [tag.to_owned(), Digest::sha256(content).to_string()] {
                let path = format!("/v2/ta/app/manifests/{reference}");
                let got = ada.send(Method::GET, &path, &headers, "").await.expect(200);
                assert_eq!(got.header("content-type"), media_type, "{tag} {accept:?}");
                assert_eq!(got.body, *content, "{tag} {accept:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_mount_is_challenged_for_both_repositories_in_one_token() {
    let face = TestFace::start().await;
    let image = tiny("base");
    face.client_of("ada", "ta/base").await.push("ta/base", "1", &image).await;
    let blob = Digest::sha256(&image.config);
    let path = format!("/v2/ta/app/blobs/uploads/?mount={blob}&from=ta/base");
    let both = "repository:ta/app:pull,push repository:ta/base:pull";
    let refused = face.anonymous().post(&path, "").await.expect(401);
    assert_eq!(said(&refused, "scope"), both);
    // A token for the target alone is not enough, and the challenge says what is.
    let narrow = face.client_of("ada", "ta/app").await;
    let refused = narrow.post(&path, "").await.expect(401);
    assert_eq!(
        (said(&refused, "scope"), said(&refused, "error")),
        (both.to_owned(), "insufficient_scope".to_owned())
    );
    let wide = answer_challenge(&face, "ada", &refused).await;
    let mounted = wide.post(&path, "").await.expect(201);
    assert_eq!(mounted.header("location"), format!("/v2/ta/app/blobs/{blob}"));
    assert_eq!(mounted.header("docker-content-digest"), blob.to_string());
    // Without a source, whatever may be read will do, also with the narrow token.
    let layer = Digest::sha256(&image.layers[0]);
    narrow.post(&format!("/v2/ta/app/blobs/uploads/?mount={layer}"), "").await.expect(201);
    // Who may not read the source is not sent for a token that it will never get.
    let bob = face.client_of("bob", "tb/x").await;
    for from in ["ta/base", "none/base", "..%2fta"] {
        let path = format!("/v2/tb/x/blobs/uploads/?mount={blob}&from={from}");
        bob.post(&path, "").await.expect(202);
    }
    bob.post("/v2/tb/x/blobs/uploads/?mount=sha256:short&from=ta/base", "").await.expect(202);
}

#[tokio::test(flavor = "current_thread")]
async fn a_mount_that_fails_does_the_same_work_whether_the_blob_exists_or_not() {
    use crate::support::statements::Statements;
    let face = TestFace::start().await;
    let image = tiny("secret");
    face.client_of("ada", "ta/app").await.push("ta/app", "1", &image).await;
    let bob = face.client_of("bob", "tb/x").await;
    bob.push("tb/x", "own", &tiny("own")).await;
    let mount = async |digest: &Digest, from: &str| {
        let path = format!("/v2/tb/x/blobs/uploads/?mount={digest}{from}");
        bob.post(&path, "").await.expect(202);
    };
    let (there, nowhere) = (Digest::sha256(&image.config), Digest::sha256(b"nowhere"));
    mount(&nowhere, "&from=ta/app").await;
    let mut statements = Statements::count();
    let mut spent = Vec::new();
    for from in ["&from=ta/app", ""] {
        for digest in [&there, &nowhere] {
            mount(digest, from).await;
            spent.push(statements.spent());
        }
    }
    assert!(spent.iter().all(|n| *n > 0), "{spent:?}");
    assert_eq!((spent[0], spent[2]), (spent[1], spent[3]), "there and nowhere");
}

#[tokio::test]
async fn an_expired_token_is_said_to_be_invalid_and_a_new_one_works() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    ada.push("ta/app", "1", &tiny("one")).await;
    face.registry.clock.advance(chrono::Duration::seconds(310));
    for path in ["/v2/", "/v2/ta/app/manifests/1"] {
        let refused = ada.get(path).await.expect(401);
        assert_eq!(said(&refused, "error"), "invalid_token");
        let again = match said(&refused, "scope").as_str() {
            "" => face.client(Some("ada"), &["repository:ta/app:pull"]).await,
            _ => answer_challenge(&face, "ada", &refused).await,
        };
        again.get(path).await.expect(200);
    }
}

#[tokio::test]
async fn methods_that_are_not_served_say_which_are() {
    let face = TestFace::start().await;
    let ada = face.client(Some("ada"), &["repository:ta/app:*", "registry:catalog:*"]).await;
    ada.push("ta/app", "1", &tiny("one")).await;
    let digest = Digest::sha256(b"x");
    for (path, method, allow) in [
        ("/v2/".to_owned(), Method::POST, "GET, HEAD"),
        ("/v2/_catalog".to_owned(), Method::DELETE, "GET, HEAD"),
        ("/v2/ta/app/tags/list".to_owned(), Method::PUT, "GET, HEAD"),
        (format!("/v2/ta/app/referrers/{digest}"), Method::POST, "GET, HEAD"),
        ("/v2/ta/app/manifests/1".to_owned(), Method::PATCH, "GET, HEAD, PUT, DELETE"),
        (format!("/v2/ta/app/blobs/{digest}"), Method::PUT, "GET, HEAD, DELETE"),
        ("/v2/ta/app/blobs/uploads/".to_owned(), Method::GET, "POST"),
    ] {
        let scoped = face.client(Some("mia"), &["repository:ta/app:*", "registry:catalog:*"]).await;
        let refused = scoped.send(method.clone(), &path, &[], "").await.expect(405);
        assert_eq!(
            (refused.header("allow"), refused.code().as_str()),
            (allow, "UNSUPPORTED"),
            "{method} {path}"
        );
    }
    for path in ["/v2/ta/app/tags/list".to_owned(), format!("/v2/ta/app/referrers/{digest}")] {
        let looked = ada.head(&path).await.expect(200);
        assert_eq!(looked.header("content-type"), ada.get(&path).await.header("content-type"));
    }
}

#[tokio::test]
async fn a_chunk_out_of_order_is_told_where_to_go_on() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let location = ada.upload("ta/app").await;
    let send = async |method: Method, path: &str, range: &str, body: &'static str| {
        ada.send(method, path, &[("content-range", range)], body).await
    };
    send(Method::PATCH, &location, "0-4", "first").await.expect(202);
    let put = format!("{location}?digest={}", Digest::sha256(b"firstlast"));
    for (method, path) in [(Method::PATCH, &location), (Method::PUT, &put)] {
        let refused = send(method, path, "9-12", "last").await.expect(416);
        assert_eq!(
            (refused.header("range"), refused.header("location")),
            ("0-4", location.as_str())
        );
    }
    send(Method::PUT, &put, "5-8", "last").await.expect(201);
}

#[tokio::test]
async fn what_signers_charts_and_modules_push_is_kept_as_it_is() {
    let face = TestFace::start().await;
    let mia = face.client_of("mia", "ta/app").await;
    let image = tiny("signed");
    mia.push("ta/app", "1", &image).await;
    let empty = Bytes::from_static(b"{}");
    mia.push_blob("ta/app", &empty).await;
    let part = |media_type: &str| json!({ "mediaType": media_type, "digest": Digest::sha256(&empty), "size": 2 });
    let hex = image.digest().hex().to_owned();
    for (tag, config, layer) in [
        (
            format!("sha256-{hex}.sig"),
            OCI_CONFIG,
            "application/vnd.dev.cosign.simplesigning.v1+json",
        ),
        (format!("sha256-{hex}.att"), OCI_CONFIG, "application/vnd.dsse.envelope.v1+json"),
        (format!("sha256-{hex}.sbom"), OCI_CONFIG, "text/spdx+json"),
        (
            "0.1.0_build.5".to_owned(),
            "application/vnd.cncf.helm.config.v1+json",
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
        ),
        ("wasm".to_owned(), "application/vnd.wasm.config.v0+json", "application/wasm"),
    ] {
        let manifest =
            json!({ "schemaVersion": 2, "config": part(config), "layers": [part(layer)] });
        let bytes = Bytes::from(manifest.to_string());
        mia.push_manifest("ta/app", &tag, OCI_MANIFEST, &bytes).await.expect(201);
        let path = format!("/v2/ta/app/manifests/{tag}");
        assert_eq!(mia.get(&path).await.expect(200).body, bytes, "{tag}");
        // `cosign clean` removes by tag.
        mia.delete(&path).await.expect(202);
        mia.head(&path).await.expect(404);
        mia.head(&format!("/v2/ta/app/manifests/{}", Digest::sha256(&bytes))).await.expect(200);
    }
}

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

#[tokio::test]
async fn basic_credentials_alone_are_enough_for_a_person_with_curl() {
    let face = TestFace::start().await;
    let mut ada = face.anonymous();
    ada.authorization = Some(basic("ada", PASSWORD));
    let ping = ada.get("/v2/").await.expect(200);
    assert_eq!(ping.header("docker-distribution-api-version"), "registry/2.0");
    ada.push("ta/app", "1", &tiny("one")).await;
    ada.get("/v2/ta/app/manifests/1").await.expect(200);
    assert_eq!(ada.get("/v2/_catalog").await.expect(200).json()["repositories"], json!(["ta/app"]));
}

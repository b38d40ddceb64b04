//! Every kind of caller against every endpoint: who may not see a repository learns nothing of
//! it, and nobody changes what is not theirs.

use bytes::Bytes;
use http::Method;
use portolan::base::Digest;
use serde_json::{Value, json};

use super::visitors::{Kind, May, Visitor};
use crate::support::images::{OCI_MANIFEST, TestImage, tiny};
use crate::support::oci::{Answer, Client, TestFace};

/// One request to the repository `NAME`.
struct Ask {
    method: Method,
    path: String,
    body: Bytes,
    does: Does,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Read,
    Write,
    Delete,
}

/// Every endpoint of the specification; `upload` is somebody else's.
fn asks(image: &TestImage, upload: &str) -> Vec<Ask> {
    let ask =
        |method, path: String, body: &Bytes, does| Ask { method, path, body: body.clone(), does };
    let none = Bytes::new();
    let (manifest, blob) = (image.digest(), Digest::sha256(&image.config));
    let mut all = Vec::new();
    for method in [Method::GET, Method::HEAD] {
        for path in [
            "manifests/1".to_owned(),
            format!("manifests/{manifest}"),
            format!("blobs/{blob}"),
            "tags/list".to_owned(),
            "tags/list?n=0".to_owned(),
            format!("referrers/{manifest}"),
        ] {
            all.push(ask(method.clone(), path, &none, Does::Read));
        }
    }
    let fresh = Digest::sha256(b"fresh");
    for (method, path) in [
        (Method::GET, format!("blobs/uploads/{upload}")),
        (Method::PATCH, format!("blobs/uploads/{upload}")),
        (Method::PUT, format!("blobs/uploads/{upload}?digest={fresh}")),
        (Method::DELETE, format!("blobs/uploads/{upload}")),
        (Method::POST, format!("blobs/uploads/?digest={fresh}")),
        (Method::POST, format!("blobs/uploads/?mount={blob}&from=ta/app")),
        (Method::PUT, "manifests/1".to_owned()),
        (Method::PUT, format!("manifests/{manifest}?tag=2&tag=3")),
    ] {
        let body = if path.starts_with("manifests") { &image.manifest } else { &none };
        all.push(ask(method, path, body, Does::Write));
    }
    for path in ["manifests/1".to_owned(), format!("manifests/{manifest}"), format!("blobs/{blob}")]
    {
        all.push(ask(Method::DELETE, path, &none, Does::Delete));
    }
    all
}

async fn send(client: &Client<'_>, ask: &Ask, repository: &str) -> Answer {
    let path = format!(
        "/v2/{repository}/{}",
        ask.path.replace("from=ta/app", &format!("from={repository}"))
    );
    let headers = [("content-type", OCI_MANIFEST)];
    client.send(ask.method.clone(), &path, &headers, ask.body.clone()).await
}

/// What is in the registry, in numbers that any change would change.
async fn state(face: &TestFace) -> Value {
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(
        "select 'manifests', string_agg(digest, ',' order by digest) from manifests
         union all select 'tags', string_agg(name || manifest_id::text, ',' order by name) from tags
         union all select 'links', string_agg(blob_digest, ',' order by blob_digest)
             from repository_blobs
         union all select 'repositories', string_agg(name, ',' order by name) from repositories
         union all select 'uploads',
             string_agg(id::text || ' ' || received::text, ',' order by id) from uploads",
    )
    .fetch_all(face.registry.db.pool())
    .await
    .expect("the state");
    json!(rows)
}

/// Whether an answer tells anything about the image or the project.
fn tells(answer: &Answer, image: &TestImage) -> bool {
    let text = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
    let size = image.manifest.len().to_string();
    answer.headers.contains_key("docker-content-digest")
        || answer.headers.contains_key("etag")
        || text.contains("canary")
        || answer.header("content-length") == size
}

/// The same refusal with the name of the repository and everything drawn by lot left out.
fn faceless(answer: &Answer, repository: &str) -> String {
    let challenge = answer.header("www-authenticate").replace(repository, "NAME");
    let body = String::from_utf8_lossy(&answer.body).replace(repository, "NAME");
    format!("{} {challenge} {body}", answer.status)
}

async fn visit(face: &TestFace, visitor: &Visitor, image: &TestImage, upload: &str) {
    let client = Client { face, authorization: visitor.authorization.clone() };
    let who = visitor.kind;
    for ask in asks(image, upload) {
        let answer = send(&client, &ask, "ta/app").await;
        let what = format!("{who:?} {} {}: {:?}", ask.method, ask.path, answer);
        let status = answer.status.as_u16();
        let allowed = match visitor.may {
            May::Push => ask.does != Does::Delete,
            May::Pull => ask.does == Does::Read,
            May::Nothing | May::Unproven => false,
        };
        if allowed {
            // Writing is left to those who may; it is not what this is about.
            assert!(ask.does == Does::Write || answer.status.is_success(), "{what}");
            continue;
        }
        match visitor.may {
            // Members learn what they may not do; the others not even that.
            May::Push | May::Pull => assert!([401, 403].contains(&status), "{what}"),
            May::Nothing => assert!([401, 404].contains(&status), "{what}"),
            May::Unproven => assert!([401, 429].contains(&status), "{what}"),
        }
        assert!(!tells(&answer, image), "{what}");
        assert!(
            status != 401 || answer.header("www-authenticate").starts_with("Bearer "),
            "{what}"
        );
        // Whoever was a member has it in writing that the repository exists.
        let absent = send(&client, &ask, "none/app").await;
        let told =
            matches!(visitor.may, May::Push | May::Pull) || who == Kind::RemovedMemberByToken;
        if !told && status != 429 && absent.status != 429 {
            assert_eq!(faceless(&answer, "ta/app"), faceless(&absent, "none/app"), "{what}");
        }
    }
}

#[tokio::test]
async fn nobody_reads_or_changes_what_is_not_theirs_or_learns_that_it_exists() {
    let face = TestFace::start().await;
    let image = tiny("canary");
    let ada = face.client_of("ada", "ta/app").await;
    ada.push("ta/app", "1", &image).await;
    ada.push_manifest("ta/app", "canary", OCI_MANIFEST, &image.manifest).await.expect(201);
    let upload = ada.upload("ta/app").await;
    let upload = upload.rsplit('/').next().expect("an id");
    let before = state(&face).await;
    let (members, others): (Vec<Kind>, _) = Kind::ALL.into_iter().partition(|k| k.is_member());
    for kind in others {
        let visitor = kind.at(&face).await;
        visit(&face, &visitor, &image, upload).await;
        assert_eq!(state(&face).await, before, "{kind:?} changed something");
    }
    // The members come last, for they may change things.
    for kind in members {
        let visitor = kind.at(&face).await;
        visit(&face, &visitor, &image, "01890a5d-ac96-774b-bcce-b302099a8057").await;
    }
}

#[tokio::test]
async fn no_visitor_gets_a_token_for_what_it_may_not_do() {
    let face = TestFace::start().await;
    for kind in Kind::ALL {
        let visitor = kind.at(&face).await;
        let client = Client { face: &face, authorization: visitor.authorization };
        let path = "/token?service=registry.test&scope=repository:ta/app:pull,push,delete,*";
        let answer = client.get(path).await;
        let is_token = |text: &str| text.starts_with("Bearer ") && !text.starts_with("Bearer ptl_");
        let by_token = client.authorization.as_deref().is_some_and(is_token);
        if by_token {
            // A token is no proof for another one, or it would never end.
            assert_eq!(answer.status, 401, "{kind:?}");
            continue;
        }
        match (visitor.may, kind) {
            (May::Unproven, Kind::Nobody) => assert_eq!(granted(&answer), json!([]), "{kind:?}"),
            (May::Unproven, _) => assert_eq!(answer.status, 401, "{kind:?}"),
            (May::Nothing, _) => assert_eq!(granted(&answer), json!([]), "{kind:?}"),
            (May::Push | May::Pull, _) => {
                assert_eq!(granted(&answer)[0]["actions"], json!(["pull", "push"]), "{kind:?}");
            }
        }
    }
}

fn granted(answer: &Answer) -> Value {
    use base64::Engine as _;
    let body = answer.json();
    let payload = body["token"].as_str().and_then(|t| t.split('.').nth(1)).expect("a token");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64");
    let claims: Value = serde_json::from_slice(&bytes).expect("JSON");
    claims["access"].clone()
}

#[tokio::test]
async fn hostile_paths_and_parameters_are_refused_whoever_sends_them() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    ada.push("ta/app", "1", &tiny("canary")).await;
    let root = face.registry.blob_dir.parent().expect("a parent").to_owned();
    let entries = || std::fs::read_dir(&root).expect("readable").count();
    let (before, beside) = (state(&face).await, entries());
    let hex = "a".repeat(64);
    let paths = [
        "/v2/../x".to_owned(),
        "/v2/%2e%2e%2f%2e%2e%2fetc/manifests/1".to_owned(),
        "/v2/ta/%00/tags/list".to_owned(),
        "/v2/ta%2fapp%00/tags/list".to_owned(),
        "/v2/ta//app/tags/list".to_owned(),
        "/v2/ta/./app/tags/list".to_owned(),
        "/v2/TA/app/manifests/1".to_owned(),
        format!("/v2/ta/{}/tags/list", "a".repeat(256)),
        format!("/v2/ta/app/manifests/{}", "t".repeat(129)),
        "/v2/ta/app/manifests/-x".to_owned(),
        format!("/v2/ta/app/blobs/sha256:{}", &hex[1..]),
        format!("/v2/ta/app/blobs/sha256:{hex}a"),
        format!("/v2/ta/app/blobs/sha256:{}", hex.to_uppercase()),
        format!("/v2/ta/app/blobs/sha512:{hex}"),
        "/v2/ta/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        "/v2/ta/app/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd".to_owned(),
        "/v2/ta/app/blobs/uploads/..%2f..%2fx".to_owned(),
        "/v2/ta/app/referrers/sha256:bad".to_owned(),
        "/v2/_catalog/".to_owned(),
        "/v2/_catalog/x".to_owned(),
        "/v2/ta/app/unknown/x".to_owned(),
    ];
    for kind in Kind::ALL {
        let visitor = kind.at(&face).await;
        let client = Client { face: &face, authorization: visitor.authorization };
        for path in &paths {
            for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE] {
                let answer = client.send(method.clone(), path, &[], "x").await;
                let status = answer.status.as_u16();
                let refused = [400, 401, 404, 405, 429].contains(&status);
                assert!(refused, "{kind:?} {method} {path}: {answer:?}");
                assert!(!answer.code().is_empty(), "{kind:?} {method} {path}: {answer:?}");
            }
        }
    }
    assert_eq!(state(&face).await, before);
    assert_eq!(entries(), beside, "nothing appeared beside the blob directory");
    // Parameters are values, never a part of anything.
    let ada = face.client_of("ada", "ta/app").await;
    let list = ada.get("/v2/ta/app/tags/list").await.expect(200).json()["tags"].clone();
    for query in ["last=%27%20or%201=1--", "n=10&sort=secret_hash", "q=password~%242&fields=*"] {
        let answer = ada.get(&format!("/v2/ta/app/tags/list?{query}")).await.expect(200);
        let tags = answer.json()["tags"].clone();
        assert!(tags == list || tags == json!([]), "{query}: {tags}");
    }
    for bad in ["n=1e3", "n=-1", "n=%00", "n="] {
        ada.get(&format!("/v2/ta/app/tags/list?{bad}")).await.expect(400);
    }
    ada.get("/v2/ta/app/tags/list?n=99999999999999999999999").await.expect(200);
}

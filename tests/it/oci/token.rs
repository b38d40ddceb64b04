//! The token service grants what is asked *and* allowed, no more.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::support::oci::{Answer, PASSWORD, TestFace, basic};

fn claims(answer: &Answer) -> Value {
    use base64::Engine as _;
    let token = answer.json()["token"].as_str().expect("a token").to_owned();
    let payload = token.split('.').nth(1).expect("three parts");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[tokio::test]
async fn the_answer_is_what_clients_expect() {
    let face = TestFace::start().await;
    let answer = face.ask_token(Some("ada"), &["repository:ta/app:pull,push"]).await.expect(200);
    let body = answer.json();
    assert_eq!(body["token"], body["access_token"]);
    assert_eq!(body["expires_in"], 300);
    let issued = body["issued_at"].as_str().expect("text");
    assert!(chrono::DateTime::parse_from_rfc3339(issued).is_ok() && issued.ends_with('Z'));
    assert_eq!(answer.header("cache-control"), "no-store");
    let claims = claims(&answer);
    assert_eq!(claims["sub"], "ada");
    assert_eq!(claims["aud"], "registry.test");
    let access = json!([{ "type": "repository", "name": "ta/app", "actions": ["pull", "push"] }]);
    assert_eq!(claims["access"], access);
}

#[tokio::test]
async fn no_wording_of_a_scope_widens_the_grant() {
    let face = TestFace::start().await;
    for scopes in [
        vec!["repository:ta/app:pull,push,delete,*"],
        vec!["repository:tb/x:pull repository:ta/app:pull"],
        vec!["repository:tb/x:pull", "repository:ta/app:*"],
        vec!["repository:TA/app:pull"],
        vec!["repository:tb/../ta/app:pull"],
        vec!["repository(plugin):ta/app:pull"],
        vec!["repository:ta/app:pull:pull"],
        vec!["repository:*:pull"],
        vec!["nonsense"],
    ] {
        let answer = face.ask_token(Some("bob"), &scopes).await.expect(200);
        let access = claims(&answer)["access"].clone();
        for entry in access.as_array().expect("a list") {
            assert_eq!(entry["name"], "tb/x", "{scopes:?}");
            assert_eq!(entry["actions"], json!(["pull"]), "{scopes:?}");
        }
    }
    // A token is good for what it names and nothing else.
    let bob = face.client(Some("bob"), &["repository:tb/x:pull"]).await;
    let push = bob.post("/v2/tb/x/blobs/uploads/", "").await.expect(401);
    assert!(push.header("www-authenticate").contains("insufficient_scope"));
    bob.get("/v2/tb/y/tags/list").await.expect(401);
    bob.get("/v2/_catalog").await.expect(401);
}

#[tokio::test]
async fn wrong_passwords_are_refused_and_no_credentials_are_anonymous() {
    let face = TestFace::start().await;
    let request = |authorization: &str| {
        Request::get("/token?scope=repository:ta/app:pull")
            .header("authorization", authorization)
            .body(Body::empty())
            .expect("a request")
    };
    for wrong in [basic("ada", "wrong"), basic("nobody", PASSWORD), "Basic !".to_owned()] {
        let refused = face.send(request(&wrong)).await.expect(401);
        assert_eq!(refused.code(), "UNAUTHORIZED");
    }
    face.ask_token(None, &[]).await.expect(401);
    let anonymous = face.ask_token(None, &["repository:ta/app:pull"]).await.expect(200);
    assert_eq!(claims(&anonymous)["access"], json!([]));
    assert_eq!(claims(&anonymous)["sub"], "");
}

#[tokio::test]
async fn the_oauth2_form_works_for_passwords_only() {
    let face = TestFace::start().await;
    let form = |fields: &[(&str, &str)]| {
        let body = serde_urlencoded::to_string(fields).expect("a form");
        Request::post("/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .expect("a request")
    };
    let mut fields = vec![
        ("grant_type", "password"),
        ("service", "registry.test"),
        ("client_id", "containerd-client"),
        ("scope", "repository:ta/app:pull repository:ta/other:pull"),
        ("username", "ada"),
        ("password", PASSWORD),
    ];
    let answer = face.send(form(&fields)).await.expect(200);
    assert_eq!(claims(&answer)["access"].as_array().map(Vec::len), Some(2));
    fields[5].1 = "wrong";
    face.send(form(&fields)).await.expect(401);
    fields[0].1 = "refresh_token";
    face.send(form(&fields)).await.expect(400);
}

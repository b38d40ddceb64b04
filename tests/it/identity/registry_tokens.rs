//! Registry tokens are ours and say what they say, or they are nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Duration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portolan::accounts::{AccessEntry, Accounts};
use portolan::base::{Actor, ActorKind, Channel, ErrorKind, Secret};
use serde_json::{Value, json};

use super::{PASSWORD, origin, secret, with_ada};

fn parts(token: &Secret) -> (Value, Value, String) {
    let mut parts = token.expose().split('.');
    let mut next = || parts.next().expect("three parts").to_owned();
    let read = |part: String| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
    };
    let (header, claims) = (read(next()), read(next()));
    (header, claims, next())
}

fn join(header: &Value, claims: &Value, signature: &str) -> Secret {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    Secret::new(format!("{}.{}.{signature}", part(header), part(claims)))
}

async fn refused(accounts: &Accounts, what: &str, token: &Secret) {
    let result = accounts.verify_registry_token(token, &origin("192.0.2.1")).await;
    let error = result.err().unwrap_or_else(|| panic!("{what} was accepted"));
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{what}");
}

#[tokio::test]
async fn a_token_carries_its_access_for_five_minutes() {
    let (_db, clock, accounts) = with_ada().await;
    let here = origin("192.0.2.1");
    let actor = accounts.authenticate_basic("ada", &secret(PASSWORD), &here).await.expect("in");
    let access = vec![AccessEntry {
        kind: "repository".to_owned(),
        name: "demo/hello".to_owned(),
        actions: vec!["pull".to_owned()],
    }];
    let token = accounts.issue_registry_token(&actor, access.clone()).await.expect("a token");
    let claims = accounts.verify_registry_token(&token.token, &here).await.expect("valid");
    assert_eq!((claims.actor.name.as_str(), claims.access), ("ada", access));
    clock.advance(Duration::seconds(306));
    refused(&accounts, "an expired token", &token.token).await;
}

#[tokio::test]
async fn a_node_token_is_nobody_elses() {
    let (_db, clock, accounts) = with_ada().await;
    let repository = "demo/hello".parse().expect("a name");
    let project = portolan::base::id::ProjectId::new(portolan::base::Clock::now(&*clock));
    let life = std::time::Duration::from_secs(60);
    let token = accounts.issue_node_token(&repository, project, life).await.expect("a token");
    let claims =
        accounts.verify_registry_token(&token.token, &origin("192.0.2.1")).await.expect("valid");
    assert_eq!(claims.actor.kind, ActorKind::Node);
    assert_eq!(claims.access.len(), 1);
    assert!(accounts.authenticate_token(&token.token, &origin("192.0.2.1")).await.is_err());
}

#[tokio::test]
async fn confused_and_forged_tokens_are_refused() {
    let (_db, _clock, accounts) = with_ada().await;
    let here = origin("192.0.2.1");
    let actor = accounts.authenticate_basic("ada", &secret(PASSWORD), &here).await.expect("in");
    let good = accounts.issue_registry_token(&actor, vec![]).await.expect("a token").token;
    let (header, claims, signature) = parts(&good);
    let changed = |key: &str, value: Value| {
        let mut header = header.clone();
        header[key] = value;
        join(&header, &claims, &signature)
    };
    for (key, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("kid", json!("../../dev/null")),
        ("kid", json!("' or 1=1")),
        ("jwk", json!({"kty": "EC"})),
        ("jku", json!("http://127.0.0.1/keys")),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
    ] {
        refused(&accounts, &format!("{key} {value}"), &changed(key, value)).await;
    }

    let mut more = claims.clone();
    more["access"] = json!([{"type": "registry", "name": "catalog", "actions": ["*"]}]);
    refused(&accounts, "changed claims", &join(&header, &more, &signature)).await;

    // Signed by somebody else's keys: a symmetric one, and one of the right kind.
    let kid = header["kid"].as_str().map(str::to_owned);
    let mut forged = Header::new(Algorithm::HS256);
    forged.kid.clone_from(&kid);
    let token = jsonwebtoken::encode(&forged, &claims, &EncodingKey::from_secret(b"public"))
        .expect("signed");
    refused(&accounts, "HS256", &Secret::new(token)).await;

    let (_db, _clock, others) = with_ada().await;
    let theirs = others
        .issue_registry_token(&Actor::anonymous(Channel::Api), vec![])
        .await
        .expect("a token");
    refused(&accounts, "another installation's token", &theirs.token).await;
    for junk in ["", ".", "..", "a.b.c", &"x".repeat(20_000)] {
        refused(&accounts, junk.get(..1).unwrap_or("nothing"), &secret(junk)).await;
    }
}

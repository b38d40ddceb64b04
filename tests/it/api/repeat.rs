//! Creates that are repeated with an `Idempotency-Key`, and the stream of events.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use futures_util::StreamExt as _;
use serde_json::json;

use super::rig::{Person, Reply, Rig};

async fn create(rig: &Rig, who: &Person, name: &str, key: &str) -> Reply {
    let body = json!({ "name": name }).to_string();
    let headers = [("idempotency-key", key)];
    rig.call(Some(who), Method::POST, "/api/v1/teams", body, &headers).await
}

#[tokio::test]
async fn the_same_key_and_request_get_the_first_answer_for_a_day() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let first = create(&rig, &admin, "core", "k1").await.expect(201);
    let again = create(&rig, &admin, "core", "k1").await.expect(201);
    assert_eq!((&first.text, first.header("location")), (&again.text, again.header("location")));
    assert_eq!(
        (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
        ("", "true")
    );
    let other = create(&rig, &admin, "other", "k1").await.expect(409);
    assert_eq!(other.json()["code"], "idempotency_key_reused");
    create(&rig, &admin, "core", "k2").await.expect(409);
    create(&rig, &admin, "core", "").await.expect(422);
    rig.registry.clock.advance(chrono::Duration::hours(25));
    let late = create(&rig, &admin, "core", "k1").await.expect(409);
    assert_eq!(late.header("idempotency-replayed"), "");
}

#[tokio::test]
async fn a_refused_create_frees_its_key() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    create(&rig, &admin, "Not_A_Label", "k").await.expect(422);
    create(&rig, &admin, "core", "k").await.expect(201);
}

#[tokio::test]
async fn creates_with_one_key_at_the_same_time_make_one_thing() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let all =
        futures_util::future::join_all((0..8).map(|_| create(&rig, &admin, "core", "k"))).await;
    let made: Vec<_> = all.iter().filter(|r| r.status == 201).collect();
    assert_eq!(made.iter().filter(|r| r.header("idempotency-replayed").is_empty()).count(), 1);
    for reply in all.iter().filter(|r| r.status != 201) {
        assert_eq!(reply.json()["code"], "idempotency_in_progress", "{}", reply.text);
    }
}

#[tokio::test]
async fn keys_are_not_taken_where_the_answer_holds_a_secret() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let headers = [("idempotency-key", "k")];
    let body = r#"{"name":"ci"}"#;
    let reply = rig.call(Some(&admin), Method::POST, "/api/v1/me/tokens", body, &headers).await;
    assert_eq!(reply.expect(422).fields(), ["idempotency-key"]);
}

#[tokio::test]
async fn events_are_streamed_as_they_happen_and_from_where_the_client_was() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let stranger = rig.person("eve", portolan::base::actor::PlatformRole::User).await;
    let admin = rig.admin().await;
    let open = |who: &Person, last: Option<&str>| {
        let mut request = Request::get("/api/v1/events/stream?action=application.")
            .header("authorization", format!("Bearer {}", who.token));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        rig.open(request.body(Body::empty()).expect("a request"))
    };
    let (mut ours, mut theirs) = (open(&ada, None).await, open(&stranger, None).await);
    for name in ["one", "two"] {
        let path = "/api/v1/projects/demo/applications";
        rig.post(&ada, path, json!({ "name": name })).await.expect(201);
    }
    let first = next(&mut ours).await;
    assert!(first.contains("demo/one"), "{first}");
    let id = first.lines().find_map(|l| l.strip_prefix("id: ")).expect("an id").to_owned();
    let second = next(&mut ours).await;
    assert!(second.contains("demo/two"), "{second}");
    let mut resumed = open(&admin, Some(&id)).await;
    assert_eq!(next(&mut resumed).await, second);
    let quiet = tokio::time::timeout(Duration::from_millis(700), theirs.next()).await;
    assert!(quiet.is_err(), "a stranger was sent {quiet:?}");
    let bad = [("last-event-id", "nonsense")];
    rig.call(Some(&ada), Method::GET, "/api/v1/events/stream", "", &bad).await.expect(422);
}

async fn next(stream: &mut axum::body::BodyDataStream) -> String {
    let chunk = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
    let bytes = chunk.expect("in time").expect("an event").expect("readable");
    String::from_utf8(bytes.to_vec()).expect("text")
}

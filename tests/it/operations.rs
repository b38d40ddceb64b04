//! The endpoints for those who run Portolan, on the real binary.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::server::{Server, ServerSettings};

#[tokio::test(flavor = "multi_thread")]
async fn health_is_public_and_figures_are_not() {
    let token = "a token for the collector of figures";
    let env = vec![("PORTOLAN_METRICS_TOKEN".to_owned(), token.to_owned())];
    let server = Server::start(ServerSettings { database_url: None, env }).await;
    let get = |path: &str| reqwest::Client::new().get(format!("{}{path}", server.url()));

    let health = get("/healthz").send().await.expect("an answer");
    assert_eq!(
        (health.status(), health.text().await.expect("text")),
        (StatusCode::OK, "ok\n".into())
    );
    let ready = get("/readyz").send().await.expect("an answer");
    let ready: Value = ready.json().await.expect("JSON");
    assert_eq!(ready, json!({ "database": "ok", "storage": "ok" }));

    let nobody = get("/metrics").send().await.expect("an answer");
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert!(nobody.headers()["www-authenticate"].to_str().expect("text").starts_with("Basic"));
    assert_eq!(nobody.json::<Value>().await.expect("a problem")["code"], "unauthenticated");
    let wrong = get("/metrics").bearer_auth("another").send().await.expect("an answer");
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);

    let eve = json!({"name": "eve", "email": "eve@example.org", "password": "a long enough one"});
    server.admin().post("/api/v1/users", eve).await.expect(201);
    let refused = server.client("eve", "a long enough one").get("/metrics").await.expect(403);
    assert!(refused.json()["detail"].as_str().expect("a sentence").contains("system:read"));

    let seen = server.admin().get("/metrics").await.expect(200).text;
    assert!(seen.contains("# TYPE"), "{seen}");
    let collected = get("/metrics").bearer_auth(token).send().await.expect("an answer");
    assert_eq!(collected.status(), StatusCode::OK);
    assert!(collected.text().await.expect("text").contains("route=\"/healthz\""));
}

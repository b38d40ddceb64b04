//! The main job through the API, call by call.

use axum::http::Method;
use serde_json::{Value, json};

use super::rig::{PASSWORD, Rig};

const DEPLOYMENT: &str = "/api/v1/environments/demo/deployments/hello";

fn spec(image: &str) -> Value {
    json!({"application": "hello", "replicas": 3, "template": {"containers": [{
        "name": "hello", "image": image, "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "resources": {"requests": {"cpu": "50m", "memory": "16Mi"},
                      "limits": {"cpu": "200m", "memory": "64Mi"}}}]}})
}

#[tokio::test]
async fn objects_are_made_read_changed_and_removed() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let project = json!({"name": "shop", "visibility": "private"});
    let made = rig.post(&admin, "/api/v1/projects", project).await.expect(201);
    assert_eq!(made.header("location"), "/api/v1/projects/shop");
    assert_eq!(made.json()["role"], "project_admin");
    let user = json!({"name": "bob", "email": "bob@example.org", "password": PASSWORD});
    let made = rig.post(&admin, "/api/v1/users", user).await.expect(201);
    assert_eq!(made.header("location"), "/api/v1/users/bob");
    let member = json!({"role": "developer"});
    let path = "/api/v1/projects/shop/members/bob";
    rig.put(&admin, path, member.clone()).await.expect(200);
    rig.put(&admin, path, member).await.expect(200);
    rig.post(&admin, "/api/v1/teams", json!({"name": "core"})).await.expect(201);
    let joined = rig.call(Some(&admin), Method::PUT, "/api/v1/teams/core/members/bob", "", &[]);
    assert_eq!(joined.await.expect(200).json()["members"], json!(["bob"]));
    rig.put(&admin, "/api/v1/teams/core/members/bob", json!({})).await.expect(200);
    rig.put(&admin, "/api/v1/projects/shop/team-members/core", json!({"role": "guest"}))
        .await
        .expect(200);
    let members = rig.get(&admin, "/api/v1/projects/shop/members").await.expect(200).json();
    assert_eq!(members["items"].as_array().map(Vec::len), Some(3), "{members}");
    assert_eq!(members["next"], Value::Null);

    let application = json!({"name": "web", "team": "core"});
    let made =
        rig.post(&admin, "/api/v1/projects/shop/applications", application).await.expect(201);
    assert_eq!(made.header("location"), "/api/v1/projects/shop/applications/web");
    let path = "/api/v1/projects/shop/applications/web";
    let changed = json!({"team": null, "description": "The shop", "lifecycle": "experimental"});
    let view = rig.patch(&admin, path, changed).await.expect(200).json();
    assert_eq!((&view["team"], &view["lifecycle"]), (&Value::Null, &json!("experimental")));
    let found = rig.get(&admin, "/api/v1/applications?q=web").await.expect(200).json();
    assert_eq!(found["items"][0]["description"], "The shop");

    let events = rig.get(&admin, "/api/v1/events?project=shop&action=member.").await.expect(200);
    let events = events.json();
    assert_eq!(events["items"].as_array().map(Vec::len), Some(2), "{events}");
    assert_eq!(events["items"][0]["requestId"], "req-1");

    rig.delete(&admin, path).await.expect(204);
    rig.get(&admin, path).await.expect(404);
    for path in ["/api/v1/projects/shop/members/bob", "/api/v1/projects/shop", "/api/v1/users/bob"]
    {
        assert_eq!(rig.delete(&admin, path).await.expect(204).text, "");
    }
}

#[tokio::test]
async fn a_deployment_is_declared_changed_and_guarded_by_its_tag() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let application = json!({"name": "hello"});
    rig.post(&ada, "/api/v1/projects/demo/applications", application).await.expect(201);
    let made = rig.put(&ada, DEPLOYMENT, spec("demo/hello:1")).await.expect(201);
    assert_eq!(made.header("location"), DEPLOYMENT);
    let tag = made.header("etag").to_owned();
    assert_eq!(tag, format!("\"{}\"", made.json()["generation"]));
    let again = rig.put(&ada, DEPLOYMENT, spec("demo/hello:1")).await.expect(200);
    assert_eq!((again.header("etag"), &again.json()["revision"]), (tag.as_str(), &json!(1)));

    let scale = || json!({"replicas": 5}).to_string();
    let guarded = [("if-match", tag.as_str())];
    let changed = rig.call(Some(&ada), Method::PATCH, DEPLOYMENT, scale(), &guarded).await;
    assert_eq!(changed.expect(200).json()["spec"]["replicas"], 5);
    let late = rig.call(Some(&ada), Method::PATCH, DEPLOYMENT, scale(), &guarded).await;
    assert_eq!(late.expect(412).json()["code"], "stale");

    for list in ["revisions", "replicas"] {
        let list = rig.get(&ada, &format!("{DEPLOYMENT}/{list}")).await.expect(200).json();
        assert!(list["items"].is_array() && list["next"].is_null(), "{list}");
    }
    let service = json!({"deployment": "hello",
        "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}]});
    let path = "/api/v1/environments/demo/services/hello";
    rig.put(&ada, path, service.clone()).await.expect(201);
    rig.put(&ada, path, service).await.expect(200);
    let restarted = format!("{DEPLOYMENT}/restart");
    rig.call(Some(&ada), Method::POST, &restarted, "", &[]).await.expect(200);
    let undo = json!({"to": 99, "reason": "no such revision"});
    let refused = rig.post(&ada, &format!("{DEPLOYMENT}/rollback"), undo).await;
    assert!(refused.status.is_client_error(), "{}", refused.text);
    let all = rig.get(&ada, "/api/v1/deployments").await.expect(200).json();
    assert_eq!(all["items"][0]["name"], "hello");
}

#[tokio::test]
async fn repositories_are_read_and_pruned_by_their_names_with_slashes() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let list = rig.get(&ada, "/api/v1/projects/demo/repositories").await.expect(200).json();
    assert_eq!(list["items"][0]["name"], "demo/hello");
    let at = |rest: &str| format!("/api/v1/repositories/demo/hello{rest}");
    assert_eq!(rig.get(&ada, &at("")).await.expect(200).json()["tagCount"], 1);
    let tags = rig.get(&ada, &at("/-/tags")).await.expect(200).json();
    let digest = tags["items"][0]["digest"].as_str().expect("a digest").to_owned();
    let by_tag = rig.get(&ada, &at("/-/tags/1")).await.expect(200).json();
    let by_digest = rig.get(&ada, &at(&format!("/-/manifests/{digest}"))).await.expect(200).json();
    assert_eq!(by_tag, by_digest);
    let moves = rig.get(&ada, &at("/-/history?tag=1")).await.expect(200).json();
    assert_eq!(moves["items"][0]["to"], json!(digest));
    rig.get(&ada, &at("/-/deployments")).await.expect(200);
    for absent in ["/-/tags/9", "/-/manifests/sha256:0", "/-/nothing", "/-/tags/1/2", "/../x"] {
        let reply = rig.get(&ada, &at(absent)).await.expect(404);
        assert_eq!(reply.json()["code"].as_str().map(|c| c.is_empty()), Some(false), "{absent}");
    }
    rig.delete(&ada, &at("/-/tags/1")).await.expect(403);
    let refused = rig.delete(&ada, &at("/-/tags")).await.expect(405);
    assert_eq!(refused.header("allow"), "GET,HEAD");
    let admin = rig.admin().await;
    rig.delete(&admin, &at("/-/tags/1")).await.expect(204);
    rig.delete(&admin, &at(&format!("/-/manifests/{digest}"))).await.expect(204);
    rig.delete(&admin, &at("")).await.expect(204);
    rig.get(&admin, &at("")).await.expect(404);
}

//! What the API refuses, and how it says so.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use super::rig::Rig;

const PROJECTS: &str = "/api/v1/projects";
const DEPLOYMENT: &str = "/api/v1/environments/demo/deployments/hello";

#[tokio::test]
async fn what_is_not_json_is_malformed() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let deep = format!("{{\"name\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", b"".to_vec(), "JSON body"),
        ("cut off", br#"{"name":"demo""#.to_vec(), "JSON"),
        ("no JSON", b"name=demo".to_vec(), "JSON"),
        ("a byte order mark", b"\xef\xbb\xbf{\"name\":\"demo\"}".to_vec(), "byte order mark"),
        ("trailing data", br#"{"name":"demo"} {}"#.to_vec(), "after the end"),
        ("a key twice", br#"{"name":"demo","name":"other"}"#.to_vec(), "\"name\" appears twice"),
        ("not UTF-8", b"{\"name\":\"\xff\xfe\"}".to_vec(), "JSON"),
        ("NUL", br#"{"name":"demo","description":"a\u0000b"}"#.to_vec(), "U+0000"),
        ("too deep", deep.into_bytes(), "recursion"),
        ("a number out of range", br#"{"name":1e999}"#.to_vec(), "number"),
        ("a lone surrogate", br#"{"name":"\ud800"}"#.to_vec(), "JSON"),
    ];
    for (what, body, says) in cases {
        let reply = rig.call(Some(&admin), Method::POST, PROJECTS, body, &[]).await;
        assert_eq!(reply.status, 400, "{what}: {}", reply.text);
        let problem = reply.json();
        assert!(problem["detail"].as_str().is_some_and(|d| d.contains(says)), "{what}: {problem}");
    }
    assert_eq!(rig.get(&admin, PROJECTS).await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_key_twice_is_found_at_any_depth_and_its_place_is_named() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let body =
        r#"{"template":{"containers":[{"name":"a","image":"b","env":[{"name":"x","name":"y"}]}]}}"#;
    let reply = rig.call(Some(&ada), Method::PUT, DEPLOYMENT, body, &[]).await.expect(400);
    let detail = reply.json()["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("template.containers[0].env[0]"), "{detail}");
    assert!(detail.contains("\"name\" appears twice"), "{detail}");
}

#[tokio::test]
async fn what_does_not_fit_is_invalid_and_its_field_is_named() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let spec = |change: &dyn Fn(&mut Value)| {
        let mut spec =
            json!({"template": {"containers": [{"name": "a", "image": "demo/hello:1"}]}});
        change(&mut spec);
        spec
    };
    let container = "template.containers[0]";
    let cases = [
        (spec(&|s| s["replica"] = json!(1)), "replica".to_owned()),
        (spec(&|s| s["replicas"] = json!(-1)), "replicas".to_owned()),
        (spec(&|s| s["replicas"] = json!("3")), "replicas".to_owned()),
        (spec(&|s| s["template"] = json!({})), "template.containers".to_owned()),
        (
            spec(&|s| {
                s["template"]["containers"][0]["resources"] = json!({"limits": {"cpu": "50x"}})
            }),
            format!("{container}.resources.limits.cpu"),
        ),
        (
            spec(&|s| {
                s["template"]["containers"][0]["securityContext"] = json!({"privileged": true})
            }),
            format!("{container}.securityContext.privileged"),
        ),
        (
            spec(&|s| s["template"]["containers"][0]["ports"] = json!([{"containerPort": 70000}])),
            format!("{container}.ports[0].containerPort"),
        ),
        (json!([]), String::new()),
    ];
    for (body, field) in cases {
        let reply = rig.put(&ada, DEPLOYMENT, body.clone()).await;
        assert_eq!(reply.status, 422, "{body}: {}", reply.text);
        assert_eq!(reply.fields(), [field], "{body}: {}", reply.text);
    }
    rig.get(&ada, DEPLOYMENT).await.expect(404);

    let name = json!({"name": "Not_A_Label"});
    let reply = rig.post(&ada, "/api/v1/projects/demo/applications", name).await.expect(422);
    assert_eq!(reply.fields(), ["name"]);
    assert!(reply.text.contains("lower-case"), "{}", reply.text);
    let reply = rig.patch(&ada, "/api/v1/projects/demo", json!({"visibility": null})).await;
    assert_eq!((reply.status.as_u16(), reply.fields()), (422, vec!["visibility".to_owned()]));
}

#[tokio::test]
async fn queries_refuse_what_they_do_not_know() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    for (path, field) in [
        ("/api/v1/projects?query=x", "query"),
        ("/api/v1/projects?limit=many", "limit"),
        ("/api/v1/projects?limit=0", "limit"),
        ("/api/v1/projects?limit=1&limit=2", "limit"),
        ("/api/v1/projects?after=nonsense", "after"),
        ("/api/v1/projects?q=%00", "q"),
        ("/api/v1/events?outcome=maybe", "outcome"),
        ("/api/v1/events?from=yesterday", "from"),
        ("/api/v1/me?x=1", "x"),
        ("/api/v1/environments/demo/deployments/a/replicas/b/logs?follow=yes", "follow"),
    ] {
        let reply = rig.get(&admin, path).await;
        assert_eq!(reply.status, 422, "{path}: {}", reply.text);
        assert_eq!(reply.fields(), [field], "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn sizes_and_content_types_are_bounded() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let long = json!({"name": "demo", "description": "x".repeat(300 << 10)}).to_string();
    let reply = rig.call(Some(&admin), Method::POST, PROJECTS, long, &[]).await.expect(413);
    assert_eq!(reply.json()["code"], "too_large");
    let password = json!({"name": "x", "email": "x@y.z", "password": "x".repeat(5000)});
    rig.post(&admin, "/api/v1/users", password).await.expect(413);
    let form = [("content-type", "text/plain")];
    let mut request = axum::http::Request::post(PROJECTS)
        .header("authorization", format!("Bearer {}", admin.token));
    for (name, value) in form {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(r#"{"name":"demo"}"#)).expect("a request");
    rig.send(request).await.expect(415);
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let body = Body::from_stream(futures_util::stream::pending::<std::io::Result<bytes::Bytes>>());
    let soon = std::time::Duration::from_millis(20);
    let refused = portolan::http::json::read_within(body, 100, soon).await.expect_err("gives up");
    assert!(format!("{refused:?}").contains("did not arrive"), "{refused:?}");
}

#[tokio::test]
async fn problems_say_what_and_carry_the_requests_id() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let reply = rig.get(&admin, "/api/v1/projects/absent").await.expect(404);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.header("cache-control"), "no-store");
    let problem = reply.json();
    assert_eq!(problem["type"], "urn:portolan:error:not_found");
    assert_eq!((&problem["status"], &problem["title"]), (&json!(404), &json!("Not Found")));
    assert_eq!(problem["request_id"], "req-1");
    for path in ["/api/v1/nothing", "/api", "/api/v2/x", "/api/v1/projects/a/b/c/d"] {
        assert_eq!(rig.get(&admin, path).await.expect(404).json()["code"], "not_found", "{path}");
    }
    let reply = rig.delete(&admin, "/api/v1/projects").await.expect(405);
    assert_eq!(reply.json()["code"], "method_not_allowed");
    let mut allowed: Vec<&str> = reply.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
}

#[tokio::test]
async fn names_that_break_the_rules_are_not_found_but_cannot_be_made() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    for path in [
        "/api/v1/projects/Not_A_Label",
        "/api/v1/users/%00",
        "/api/v1/teams/..%2f..",
        "/api/v1/me/tokens/nonsense",
        "/api/v1/environments/demo/deployments/%F0%9F%92%A9",
        "/api/v1/environments/demo/deployments/hello/replicas/%00/logs",
        "/api/v1/repositories/nonsense",
    ] {
        let method = if path.contains("tokens") { Method::DELETE } else { Method::GET };
        rig.call(Some(&ada), method, path, "", &[]).await.expect(404);
    }
    let spec = json!({"template": {"containers": [{"name": "a", "image": "demo/hello:1"}]}});
    let path = "/api/v1/environments/demo/deployments/Not_A_Label";
    let reply = rig.put(&ada, path, spec).await.expect(422);
    assert_eq!(reply.json()["code"], "name_invalid");
}

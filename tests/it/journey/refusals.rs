//! Bad input gets a clear error and changes nothing.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::template;
use crate::support::server::{ApiClient, Server};

/// What somebody without membership may not learn through the registry.
pub(super) async fn registry(server: &Server, name: &str, password: &str) {
    let http = reqwest::Client::new();
    let token = |scope: &'static str| {
        let request = http
            .get(format!("{}/token", server.url()))
            .basic_auth(name, Some(password))
            .query(&[("service", "portolan"), ("scope", scope)]);
        async move {
            let answer: serde_json::Value =
                request.send().await.expect("an answer").json().await.expect("JSON");
            answer["token"].as_str().expect("a token").to_owned()
        }
    };
    let real = token("repository:demo/hello:pull").await;
    let absent = token("repository:nobody/nothing:pull").await;
    for path in ["manifests/1", "tags/list", "blobs/sha256:DIGEST"] {
        let path = path.replace("DIGEST", &"0".repeat(64));
        let ask = |repository: &str, token: &str| {
            http.get(format!("{}/v2/{repository}/{path}", server.url())).bearer_auth(token)
        };
        let hidden = ask("demo/hello", &real).send().await.expect("an answer");
        let missing = ask("nobody/nothing", &absent).send().await.expect("an answer");
        assert_ne!(hidden.status(), StatusCode::OK, "{path}");
        assert_eq!(hidden.status(), missing.status(), "{path} tells that the project exists");
    }
}

/// Wrong deployments and services; `path` is a healthy deployment that must not change.
pub(super) async fn engine(client: &ApiClient, path: &str, taken_port: u16) {
    let before = client.get(path).await.expect(200).text;
    let with = |change: fn(&mut serde_json::Value)| {
        let mut spec =
            json!({"application": "hello", "replicas": 3, "template": template("demo/hello:1")});
        change(&mut spec);
        spec.to_string()
    };
    let cases: [(&str, String, &str); 8] = [
        ("malformed JSON", "{\"replicas\": ".to_owned(), ""),
        ("an unknown field", with(|s| s["replica"] = json!(1)), "replica"),
        (
            "a wrong quantity",
            with(|s| {
                s["template"]["containers"][0]["resources"]["limits"]["memory"] = json!("50x");
            }),
            "template.containers[0].resources.limits.memory",
        ),
        ("negative replicas", with(|s| s["replicas"] = json!(-1)), "replicas"),
        (
            "an image of a hidden project",
            with(|s| s["template"]["containers"][0]["image"] = json!("secret/app:1")),
            "image",
        ),
        (
            "a bare image id",
            with(|s| {
                let id = format!("sha256:{}", "a".repeat(64));
                s["template"]["containers"][0]["image"] = json!(id);
            }),
            "image",
        ),
        (
            "a privileged container",
            with(|s| {
                s["template"]["containers"][0]["securityContext"] = json!({"privileged": true});
            }),
            "privileged",
        ),
        (
            "a host path",
            with(|s| s["template"]["volumes"] = json!([{"hostPath": {"path": "/"}}])),
            "volumes",
        ),
    ];
    for (what, body, field) in cases {
        let answer = client.send(Method::PUT, path, body).await;
        assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text);
        assert!(answer.text.contains(field), "{what} does not name \"{field}\": {}", answer.text);
    }
    assert_eq!(
        client.get(path).await.expect(200).text,
        before,
        "a refused write changed something"
    );

    let ports = json!([{"port": 80, "targetPort": 8080, "nodePort": taken_port}]);
    let second = json!({"deployment": "hello", "ports": ports});
    let answer = client.put("/api/v1/environments/demo/services/second", second).await;
    assert_eq!(answer.status, 409, "a taken port: {}", answer.text);
    assert!(answer.text.contains(&taken_port.to_string()), "{}", answer.text);
    client.get("/api/v1/environments/demo/services/second").await.expect(404);

    let name = json!({"name": "Not_A_Label"});
    let answer = client.post("/api/v1/projects/demo/applications", name).await;
    assert!(matches!(answer.status, 400 | 422), "{}", answer.text);
    assert!(answer.text.contains("lower-case"), "{}", answer.text);
}

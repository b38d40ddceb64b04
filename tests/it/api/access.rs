//! Who may call what: the rows against the router and the document, and the roles against the
//! main routes.

use std::collections::BTreeSet;

use axum::http::Method;
use portolan::accounts::rbac::{Role, Visibility};
use portolan::accounts::{Origin, rbac};
use portolan::base::actor::PlatformRole;
use portolan::base::{Channel, Secret};
use portolan::http::Access;
use serde_json::{Value, json};

use super::rig::{PASSWORD, Rig};

fn document() -> Value {
    serde_json::from_str(&portolan::api::openapi()).expect("JSON")
}

/// A path of the template with a name for every parameter.
fn filled(template: &str) -> String {
    let names = template.split('/').map(|part| match part {
        "{*path}" => "demo/hello",
        "{project}" | "{environment}" => "demo",
        "{token}" | "{session}" | "{import}" | "{preview}" | "{run}" => {
            "00000000-0000-7000-8000-000000000000"
        }
        part if part.starts_with('{') => "hello",
        part => part,
    });
    names.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn router_document_and_access_name_the_same_routes() {
    let rig = Rig::start().await;
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("operations").keys() {
            // One wildcard route serves everything below a repository's name.
            let at = if path.starts_with("/api/v1/repositories/") {
                "/api/v1/repositories/{*path}"
            } else {
                path
            };
            documented.insert((method.to_uppercase(), at.to_owned()));
        }
    }
    let rows = portolan::api::access();
    let named: BTreeSet<_> =
        rows.iter().map(|row| (row.method.to_string(), row.path.to_owned())).collect();
    assert_eq!(named.len(), rows.len(), "a row is there twice");
    assert_eq!(named, documented);
    for (_, path) in &named {
        // No route takes OPTIONS, so the answer names the methods that the router knows.
        let reply = rig.call(None, Method::OPTIONS, &filled(path), "", &[]).await.expect(405);
        let served: BTreeSet<_> =
            reply.header("allow").split(',').filter(|m| *m != "HEAD").map(str::to_owned).collect();
        let expected: BTreeSet<_> =
            named.iter().filter(|(_, p)| p == path).map(|(m, _)| m.clone()).collect();
        assert_eq!(served, expected, "{path}");
    }
}

#[test]
fn every_reference_of_the_document_resolves_and_operations_have_names_of_their_own() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    found.insert(target.clone());
                }
                fields.values().for_each(|v| references(v, found));
            }
            Value::Array(values) => values.iter().for_each(|v| references(v, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for target in found {
        let place = target.strip_prefix('#').expect("local");
        assert!(document.pointer(place).is_some(), "{target}");
    }
    let mut ids = BTreeSet::new();
    for item in document["paths"].as_object().expect("paths").values() {
        for operation in item.as_object().expect("operations").values() {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(id.to_owned()), "{id} twice");
        }
    }
}

#[tokio::test]
async fn nobody_gets_a_challenge_everywhere_but_on_public_routes() {
    let rig = Rig::start().await;
    rig.registry.project("demo", Visibility::Public).await;
    for row in portolan::api::access() {
        let path = filled(row.path);
        let reply = rig.call(None, row.method.clone(), &path, "{}", &[]).await;
        if row.access == Access::Public {
            assert_eq!(reply.status, 200, "{path}");
            continue;
        }
        assert_eq!(reply.status, 401, "{} {path}: {}", row.method, reply.text);
        assert!(reply.header("www-authenticate").starts_with("Basic realm=\"portolan\""), "{path}");
        assert_eq!(reply.json()["code"], "unauthenticated", "{path}");
    }
}

#[tokio::test]
async fn hidden_and_absent_look_the_same_to_a_stranger() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let stranger = rig.person("eve", PlatformRole::User).await;
    let spec = json!({"template": {"containers": [{"name": "a", "image": "demo/hello:1"}]}});
    rig.put(&ada, "/api/v1/environments/demo/deployments/hello", spec.clone()).await.expect(201);
    for row in portolan::api::access() {
        let hidden = filled(row.path);
        let is_in_project =
            matches!(row.access, Access::Project(_)) || row.path.contains("{*path}");
        if !is_in_project {
            continue;
        }
        let body = match (row.method.as_str(), row.path) {
            ("PUT" | "PATCH", p) if p.ends_with("{deployment}") => spec.clone(),
            ("PUT", p) if p.ends_with("{service}") => {
                json!({"deployment": "hello", "ports": [{"port": 80}]})
            }
            ("PUT" | "POST", p) if p.contains("tag-rules") => {
                json!({"kind": "immutable", "tag": "v*"})
            }
            ("PUT", p) if p.ends_with("/quota") => json!({"maxBytes": 1}),
            ("PUT", p) if p.ends_with("/retention") => json!({"rules": []}),
            ("POST", p) if p.ends_with("/previews") => json!({}),
            ("POST", p) if p.ends_with("/runs") => {
                json!({"preview": "00000000-0000-7000-8000-000000000000"})
            }
            ("PUT", _) => json!({"role": "guest"}),
            ("POST", p) if p.ends_with("rollback") => json!({"to": 1}),
            ("POST", p) if p.ends_with("restart") => json!({}),
            ("POST", p) if p.ends_with("/imports") => json!({"from": "hello"}),
            ("POST", p) if p.ends_with("/sources") => json!({"name": "hello", "url": "hello"}),
            ("PATCH", p) if p.ends_with("{source}") => json!({"username": "x"}),
            ("POST", _) => json!({"name": "hello"}),
            ("PATCH", _) => json!({"description": "x"}),
            _ => Value::Null,
        };
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let absent = hidden.replace("demo", "gone");
        let seen = rig.call(Some(&stranger), row.method.clone(), &hidden, text.clone(), &[]).await;
        let unseen = rig.call(Some(&stranger), row.method.clone(), &absent, text, &[]).await;
        assert_eq!(seen.status, 404, "{} {hidden}: {}", row.method, seen.text);
        assert_eq!(unseen.status, 404, "{} {absent}: {}", row.method, unseen.text);
        assert_eq!(seen.text.replace("demo", "gone"), unseen.text, "{} {hidden}", row.method);
    }
}

#[tokio::test]
async fn roles_may_do_on_the_main_routes_what_the_matrix_says() {
    use rbac::{Action, Permission, Resource};
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let environment = "/api/v1/environments/demo";
    let spec = json!({"template": {"containers": [{"name": "a", "image": "demo/hello:1"}]}});
    rig.put(&ada, &format!("{environment}/deployments/hello"), spec.clone()).await.expect(201);
    rig.post(&ada, "/api/v1/projects/demo/applications", json!({"name": "hello"}))
        .await
        .expect(201);
    let mut people = Vec::new();
    for role in Role::ALL {
        let person = rig.person(&role.as_str().replace('_', "-"), PlatformRole::User).await;
        rig.registry.member("demo", &person.actor, role).await;
        people.push((Some(role), person));
    }
    people.push((None, rig.person("auditor", PlatformRole::Auditor).await));
    let route = |method, path: &str, resource, action| {
        (method, path.to_owned(), Permission(resource, action))
    };
    // The changes are such that nothing is different afterwards, or what they name is absent.
    let deployment = format!("{environment}/deployments/hello");
    let routes = [
        route(Method::GET, "/api/v1/projects/demo", Resource::Project, Action::Read),
        route(Method::PATCH, "/api/v1/projects/demo", Resource::Project, Action::Update),
        route(Method::GET, "/api/v1/projects/demo/members", Resource::Member, Action::List),
        route(
            Method::GET,
            "/api/v1/projects/demo/repositories",
            Resource::Repository,
            Action::List,
        ),
        route(
            Method::GET,
            "/api/v1/projects/demo/applications/hello",
            Resource::Application,
            Action::Read,
        ),
        route(
            Method::PATCH,
            "/api/v1/projects/demo/applications/hello",
            Resource::Application,
            Action::Update,
        ),
        route(Method::GET, environment, Resource::Environment, Action::Read),
        route(Method::GET, &deployment, Resource::Deployment, Action::Read),
        route(Method::PATCH, &deployment, Resource::Deployment, Action::Update),
        route(Method::GET, &format!("{deployment}/replicas"), Resource::Replica, Action::List),
        route(Method::GET, &format!("{environment}/services"), Resource::Service, Action::List),
        route(
            Method::DELETE,
            &format!("{environment}/services/none"),
            Resource::Service,
            Action::Delete,
        ),
        route(
            Method::DELETE,
            "/api/v1/repositories/demo/hello/-/tags/none",
            Resource::Tag,
            Action::Delete,
        ),
        route(Method::GET, "/api/v1/events?project=demo", Resource::Event, Action::List),
    ];
    for (role, person) in &people {
        for (method, path, permission) in &routes {
            let body = if *method == Method::PATCH { "{}" } else { "" };
            let reply = rig.call(Some(person), method.clone(), path, body, &[]).await;
            let allowed = match role {
                Some(role) => rbac::role_allows(*role, *permission),
                None => method == Method::GET,
            };
            let who = &person.actor.name;
            if allowed {
                let done = reply.status.is_success() || reply.status == 404;
                assert!(done, "{who} {method} {path}: {} {}", reply.status, reply.text);
            } else {
                assert_eq!(reply.status, 403, "{who} {method} {path}: {}", reply.text);
                assert_eq!(reply.json()["code"], "denied", "{who} {method} {path}");
            }
        }
    }
    for (path, auditor) in [("/api/v1/nodes", 200), ("/api/v1/users", 200)] {
        rig.get(&people[5].1, path).await.expect(auditor);
    }
    rig.get(&ada, "/api/v1/nodes").await.expect(403);
    rig.post(&ada, "/api/v1/teams", json!({"name": "own"})).await.expect(403);
    let matrix = rig.get(&ada, "/api/v1/permissions").await.expect(200).json();
    let developer = matrix["roles"]["developer"].as_array().expect("a list");
    assert!(developer.contains(&json!("deployment:update")), "{developer:?}");
    assert!(!developer.contains(&json!("tag:delete")), "{developer:?}");
}

#[tokio::test]
async fn names_with_passwords_and_tokens_prove_who_calls() {
    use base64::Engine as _;
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let basic = |name: &str, secret: &str| {
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{secret}"));
        format!("Basic {text}")
    };
    for (value, status) in [
        (basic("ada", PASSWORD), 200),
        (basic("ada", &ada.token), 200),
        (format!("bearer {}", ada.token), 200),
        (basic("ada", "wrong password"), 401),
        ("Bearer ptl_nonsense".to_owned(), 401),
        ("Bearer".to_owned(), 401),
        ("Basic ????".to_owned(), 401),
        ("Digest x".to_owned(), 401),
    ] {
        let headers = [("authorization", value.as_str())];
        let reply = rig.call(None, Method::GET, "/api/v1/me", "", &headers).await;
        assert_eq!(reply.status, status, "{value}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_session_changes_things_only_from_the_portals_own_pages() {
    let rig = Rig::start().await;
    rig.demo().await;
    let origin =
        Origin { channel: Channel::Web, address: None, request_id: None, user_agent: None };
    let secret = Secret::new(PASSWORD.to_owned());
    let made = rig.services.accounts.login("ada", &secret, &origin).await.expect("a session");
    let cookie = format!("__Host-portolan={}", made.cookie.expose());
    let csrf = made.session.csrf_token.as_str();
    let ours = ("sec-fetch-site", "same-origin");
    let change = r#"{"locale":"zh"}"#;
    type Case<'a> = (&'a str, Method, &'a [(&'a str, &'a str)], u16);
    let cases: [Case<'_>; 9] = [
        ("reading", Method::GET, &[ours], 200),
        ("reading without saying where from", Method::GET, &[], 200),
        ("reading from elsewhere", Method::GET, &[("sec-fetch-site", "cross-site")], 403),
        ("changing", Method::PATCH, &[ours, ("x-csrf-token", csrf)], 200),
        (
            "by origin",
            Method::PATCH,
            &[("origin", "http://portolan.test"), ("x-csrf-token", csrf)],
            200,
        ),
        ("without the token", Method::PATCH, &[ours], 403),
        ("with a wrong token", Method::PATCH, &[ours, ("x-csrf-token", "x")], 403),
        (
            "from elsewhere",
            Method::PATCH,
            &[("sec-fetch-site", "same-site"), ("x-csrf-token", csrf)],
            403,
        ),
        ("without saying where from", Method::PATCH, &[("x-csrf-token", csrf)], 403),
    ];
    for (what, method, headers, status) in cases {
        let mut all = vec![("cookie", cookie.as_str()), ("host", "portolan.test")];
        all.extend(headers);
        let body = if method == Method::GET { "" } else { change };
        let reply = rig.call(None, method, "/api/v1/me", body, &all).await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text);
    }
    let dead = [("cookie", "__Host-portolan=nonsense"), ours];
    rig.call(None, Method::GET, "/api/v1/me", "", &dead).await.expect(401);
}

#[tokio::test]
async fn the_page_of_routes_has_no_scripts_and_names_every_operation() {
    let rig = Rig::start().await;
    let page = rig.call(None, Method::GET, "/api/docs", "", &[]).await.expect(200);
    assert!(!page.text.contains("<script") && !page.text.contains("style="));
    for path in document()["paths"].as_object().expect("paths").keys() {
        assert!(page.text.contains(path.as_str()), "{path}");
    }
    let served = rig.call(None, Method::GET, "/api/v1/openapi.json", "", &[]).await.expect(200);
    assert_eq!(served.json(), document());
}

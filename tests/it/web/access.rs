//! Every page's route has its row, and the rows are true for those who may not.

use std::collections::BTreeSet;
use std::path::Path;

use axum::http::{Method, StatusCode};
use portolan::accounts::NewUser;
use portolan::accounts::rbac::{Decision, decide_platform};
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, Channel, Secret};
use portolan::http::Access;

use super::pages::furnish;
use crate::support::portal::{PASSWORD, Portal};

/// `.route("/path", get(a).post(b))` in the source of the pages, as (method, path).
fn routes() -> BTreeSet<(String, String)> {
    let mut text = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text.push_str(&std::fs::read_to_string(path).expect("source"));
            }
        }
    }
    let mut found = BTreeSet::new();
    for call in text.split(".route(").skip(1) {
        let path = call.split('"').nth(1).expect("a path").to_owned();
        let mut depth = 1;
        let end = call.find(|c| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        let handlers = &call[..end.expect("the call ends")];
        for (word, method) in [("get(", "GET"), ("post(", "POST")] {
            if handlers.contains(word) {
                found.insert((method.to_owned(), path.clone()));
            }
        }
    }
    found
}

/// A path with its parts filled in, in the project `project`.
fn filled(template: &str, project: &str) -> String {
    const ID: &str = "00000000-0000-0000-0000-000000000001";
    template
        .replace("{project}", project)
        .replace("{app}", "hello")
        .replace("{application}", "hello")
        .replace("{team}", "core")
        .replace("{id}", ID)
        .replace("{kind}", "user")
        .replace("{replica}", "hello-1")
        .replace("{*rest}", "hello/-/tags/1")
        .replace("{*path}", "app.css")
        .replace("{*what}", "demo")
        .replace("{name}", "admin")
        .replace("{user}", "admin")
        .replace("{node}", "local")
}

#[test]
fn routes_and_rows_are_the_same() {
    let rows = portolan::web::access();
    let named: BTreeSet<_> =
        rows.iter().map(|row| (row.method.to_string(), row.path.to_owned())).collect();
    assert_eq!(named.len(), rows.len(), "a row is there twice");
    assert_eq!(named, routes());
    assert!(named.iter().all(|(_, path)| !filled(path, "demo").contains('{')));
}

#[tokio::test]
async fn nobody_gets_further_than_the_login_page() {
    let mut portal = Portal::with_admin().await;
    furnish(&portal).await;
    portal.post("/logout", &[]).await;
    for row in portolan::web::access() {
        if row.access == Access::Public {
            continue;
        }
        let path = filled(row.path, "demo");
        let answer = if row.method == Method::GET {
            portal.get(&path).await
        } else {
            portal.post(&path, &[]).await
        };
        let led = answer.status == StatusCode::SEE_OTHER && answer.location().starts_with("/login");
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status);
        assert!(led || refused, "{} {path}: {} {}", row.method, answer.status, answer.location());
        assert!(!answer.text.contains("hello"), "{path}");
    }
}

#[tokio::test]
async fn a_stranger_cannot_tell_a_hidden_project_from_none() {
    let mut portal = Portal::start().await;
    let accounts = portal.services.accounts.clone();
    let new = NewUser {
        name: "eve".parse().expect("a name"),
        email: "eve@example.org".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        platform_role: PlatformRole::User,
    };
    let eve = accounts.create_user(&Actor::system(), new).await.expect("a user");
    let eve = Actor::user(eve.id, "eve", PlatformRole::User, Channel::Web);
    furnish(&portal).await;
    assert_eq!(portal.log_in("eve", PASSWORD).await.status, StatusCode::SEE_OTHER);
    let fields = [
        ("name", "eve2"),
        ("visibility", "private"),
        ("email", "eve2@example.org"),
        ("password", PASSWORD),
        ("role", "user"),
        ("user", "eve"),
        ("replicas", "1"),
        ("to", "1"),
    ];
    for row in portolan::web::access() {
        let in_project = row.path.contains("{project}");
        let on_platform = match row.access {
            Access::Platform(permission) => decide_platform(&eve, permission) != Decision::Allow,
            _ => false,
        };
        if !in_project && !on_platform {
            continue;
        }
        let mut seen = Vec::new();
        for project in ["demo", "gone"] {
            let path = filled(row.path, project);
            let answer = if row.method == Method::GET {
                portal.get(&path).await
            } else {
                portal.post(&path, &fields).await
            };
            let is_refused = match answer.status {
                StatusCode::NOT_FOUND => true,
                StatusCode::FORBIDDEN => on_platform,
                _ => false,
            };
            assert!(is_refused, "{} {path}: {}", row.method, answer.status);
            // The page repeats the address asked for, and nothing else differs.
            seen.push(answer.all("main").join("").replace(project, "it"));
        }
        assert_eq!(seen[0], seen[1], "{} {}", row.method, row.path);
    }
}

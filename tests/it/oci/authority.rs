//! Rights that were lost, uploads of others, and proofs used where they prove nothing.

use axum::Router;
use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use portolan::accounts::rbac::{Role, Visibility};
use portolan::accounts::{NewUser, Origin};
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, Channel, Digest, Secret};
use tower::ServiceExt as _;

use crate::support::images::{OCI_MANIFEST, tiny};
use crate::support::oci::{Client, PASSWORD, TestFace, basic};
use crate::support::portal::Portal;

#[tokio::test]
async fn a_demoted_member_pushes_no_more_with_the_token_it_has() {
    let face = TestFace::start().await;
    let image = tiny("one");
    let ada = face.client_of("ada", "ta/app").await;
    ada.push("ta/app", "1", &image).await;
    let user = face.accounts.user(&Actor::system(), &"ada".parse().expect("a name")).await;
    let user = user.expect("a user");
    let actor = Actor::user(user.id, "ada", user.platform_role, Channel::Registry);
    face.registry.member("ta", &actor, Role::Guest).await;
    ada.get("/v2/ta/app/manifests/1").await.expect(200);
    ada.post("/v2/ta/app/blobs/uploads/", "").await.expect(401);
    ada.push_manifest("ta/app", "2", OCI_MANIFEST, &image.manifest).await.expect(401);
}

#[tokio::test]
async fn what_was_got_with_a_revoked_personal_token_ends_with_it() {
    let face = TestFace::start().await;
    face.client_of("mia", "ta/app").await.push("ta/app", "1", &tiny("one")).await;
    let user = face.accounts.user(&Actor::system(), &"mia".parse().expect("a name")).await;
    let user = user.expect("a user");
    let actor = Actor::user(user.id, "mia", user.platform_role, Channel::Api);
    let (token, secret) =
        face.accounts.create_token(&actor, "ci", None).await.expect("a personal token");
    let ask = "/token?service=registry.test&scope=repository:ta/app:pull";
    let request = Request::get(ask).header("authorization", basic("mia", secret.expose()));
    let granted = face.send(request.body(Body::empty()).expect("a request")).await.expect(200);
    let bearer = granted.json()["token"].as_str().expect("a token").to_owned();
    let client = Client { face: &face, authorization: Some(format!("Bearer {bearer}")) };
    client.get("/v2/ta/app/manifests/1").await.expect(200);
    face.accounts.revoke_token(&actor, token.id).await.expect("revoked");
    client.get("/v2/ta/app/manifests/1").await.expect(401);
    // Who may still log in goes on with another.
    face.client_of("mia", "ta/app").await.get("/v2/ta/app/manifests/1").await.expect(200);
}

#[tokio::test]
async fn a_token_is_worth_nothing_in_a_new_project_of_the_same_name() {
    let face = TestFace::start().await;
    let mia = face.client_of("mia", "ta/app").await;
    mia.push("ta/app", "1", &tiny("old")).await;
    let (system, ta) = (Actor::system(), "ta".parse().expect("a name"));
    let app = "ta/app".parse().expect("a name");
    face.registry.registry.delete_repository(&system, &app).await.expect("deleted");
    face.registry.catalog.delete_project(&system, &ta).await.expect("deleted");
    mia.get("/v2/ta/app/manifests/1").await.expect(404);
    face.registry.project("ta", Visibility::Private).await;
    mia.get("/v2/ta/app/tags/list").await.expect(404);
    mia.post("/v2/ta/app/blobs/uploads/", "").await.expect(404);
}

#[tokio::test]
async fn an_upload_is_nobody_elses() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let location = ada.upload("ta/app").await;
    ada.send(Method::PATCH, &location, &[], "secret").await.expect(202);
    let id = location.rsplit('/').next().expect("an id");
    let digest = Digest::sha256(b"secret");
    // A colleague in the same repository, and a stranger in a repository of its own.
    for (user, repository) in [("mia", "ta/app"), ("bob", "tb/x"), ("ada", "ta/other")] {
        let other = face.client_of(user, repository).await;
        other.push(repository, "own", &tiny(user)).await;
        let path = format!("/v2/{repository}/blobs/uploads/{id}");
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::PATCH, path.clone()),
            (Method::PUT, format!("{path}?digest={digest}")),
            (Method::DELETE, path),
        ] {
            let refused = other.send(method.clone(), &path, &[], "").await.expect(404);
            assert_eq!(refused.code(), "BLOB_UPLOAD_UNKNOWN", "{user} {method}");
        }
    }
    let state = ada.get(&location).await.expect(204);
    assert_eq!(state.header("range"), "0-5");
}

/// The registry and the API together, as one server has them.
async fn both(portal: &Portal) -> Router {
    portolan::oci::router().merge(portolan::api::router()).with_state(portal.services.clone())
}

async fn status(router: &Router, path: &str, header: (&str, &str)) -> u16 {
    let request = Request::get(path).header("host", "127.0.0.1:8080").header(header.0, header.1);
    let request = request.header("sec-fetch-site", "same-origin");
    let request = request.body(Body::empty()).expect("a request");
    let response = router.clone().oneshot(request).await.expect("an answer");
    response.status().as_u16()
}

#[tokio::test]
async fn a_proof_of_one_kind_proves_nothing_where_another_is_asked_for() {
    let portal = Portal::start().await;
    let accounts = &portal.services.accounts;
    let new = NewUser {
        name: "ada".parse().expect("a name"),
        email: "ada@example.org".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        platform_role: PlatformRole::User,
    };
    let user = accounts.create_user(&Actor::system(), new).await.expect("a user");
    let ada = Actor::user(user.id, "ada", user.platform_role, Channel::Api);
    let origin =
        Origin { channel: Channel::Web, address: None, request_id: None, user_agent: None };
    let password = Secret::new(PASSWORD.to_owned());
    let session = accounts.login("ada", &password, &origin).await.expect("a session");
    let (_, personal) = accounts.create_token(&ada, "ci", None).await.expect("a token");
    let registry = accounts.issue_registry_token(&ada, Vec::new()).await.expect("a token");
    let node = accounts
        .issue_node_token(
            &"demo/app".parse().expect("a name"),
            portolan::base::id::ProjectId::new(portolan::base::Clock::now(&*portal.services.clock)),
            std::time::Duration::from_secs(60),
        )
        .await
        .expect("a token");
    let router = both(&portal).await;
    // Places: the registry by Bearer and by Basic, the API by Bearer, by Basic and by cookie, the
    // token service by Basic.
    let table = [
        ("a password", PASSWORD, [false, true, false, true, false, true]),
        ("a personal token", personal.expose(), [true, true, true, true, false, true]),
        ("a registry token", registry.token.expose(), [true, false, false, false, false, false]),
        ("a node's token", node.token.expose(), [true, false, false, false, false, false]),
        ("a session", session.cookie.expose(), [false, false, false, false, true, false]),
        (
            "a session's form token",
            session.session.csrf_token.as_str(),
            [false, false, false, false, false, false],
        ),
        ("nothing", "", [false, false, false, false, false, false]),
    ];
    for (what, proof, expected) in table {
        let bearer = format!("Bearer {proof}");
        let basic = basic("ada", proof);
        let cookie = format!("__Host-portolan={proof}");
        let places = [
            ("/v2/", ("authorization", &bearer)),
            ("/v2/", ("authorization", &basic)),
            ("/api/v1/me", ("authorization", &bearer)),
            ("/api/v1/me", ("authorization", &basic)),
            ("/api/v1/me", ("cookie", &cookie)),
            ("/token?service=x", ("authorization", &basic)),
        ];
        for ((path, (name, value)), expected) in places.into_iter().zip(expected) {
            let status = status(&router, path, (name, value)).await;
            // Wrong passwords are slowed down after a while, which is a refusal as well.
            let right = if expected { status == 200 } else { [401, 429].contains(&status) };
            let scheme = value.split(' ').next().unwrap_or_default();
            assert!(right, "{what} at {path} by {name} {scheme}: {status}");
        }
        // Nobody's proof is read from the address, where logs would keep it.
        for query in ["token", "access_token", "authorization"] {
            let query = serde_urlencoded::to_string([(query, proof)]).expect("a query");
            for path in ["/v2/", "/api/v1/me"] {
                let status = status(&router, &format!("{path}?{query}"), ("accept", "*/*")).await;
                assert_eq!(status, 401, "{what} in the address of {path}");
            }
        }
    }
}

#[tokio::test]
async fn what_anybody_may_ask_names_no_tenant() {
    let portal = Portal::start().await;
    let catalog = &portal.services.catalog;
    let new = portolan::catalog::NewProject {
        name: "canary".parse().expect("a name"),
        description: "canary".to_owned(),
        visibility: Visibility::Private,
    };
    catalog.create_project(&Actor::system(), new).await.expect("a project");
    let router = both(&portal).await;
    for path in [
        "/v2/",
        "/v2/_catalog",
        "/v2/_catalog/",
        "/v2/_catalog?n=0",
        "/v2/_catalog?last=c",
        "/v1/search?q=c",
        "/token",
        "/token?scope=registry:catalog:*",
        "/api/v1/openapi.json",
        "/api/docs",
        "/api/v1/projects",
        "/api/v1/events",
        "/api/v1/search?q=can",
        "/api/v1/nothing",
        "/debug",
        "/debug/pprof/",
    ] {
        let request = Request::get(path).header("host", "127.0.0.1:8080").body(Body::empty());
        let response =
            router.clone().oneshot(request.expect("a request")).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let text = format!("{:?} {}", parts.headers, String::from_utf8_lossy(&body));
        assert!(!text.contains("canary"), "{path}: {text}");
        assert!(parts.status.as_u16() < 500, "{path}: {}", parts.status);
    }
}

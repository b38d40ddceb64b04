//! The API in process: the real router over real PostgreSQL, an engine on a machine of memory.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use portolan::accounts::rbac::{Role, Visibility};
use portolan::accounts::{Accounts, NewUser, Settings};
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, Channel, Secret};
use portolan::config::Config;
use portolan::engine::{Engine, Parts};
use portolan::http::Services;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::support::images::tiny;
use crate::support::imports::imports_from;
use crate::support::machine::Machine;
use crate::support::registry::TestRegistry;

pub(super) const PASSWORD: &str = "a long enough password";

pub(super) struct Rig {
    pub(super) services: Services,
    pub(super) registry: TestRegistry,
    router: Router,
}

/// Somebody with a personal token, or nobody.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) actor: Actor,
    pub(super) token: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// Paths of the fields at fault.
    #[track_caller]
    pub(super) fn fields(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|e| e["field"].as_str().expect("a field").to_owned()).collect()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

impl Rig {
    pub(super) async fn start() -> Self {
        let registry = TestRegistry::start().await;
        let (db, clock) = (registry.db.clone(), registry.clock.clone());
        let settings = Settings {
            master_key: Secret::new([7; 32]),
            issuer: "test".to_owned(),
            audience: "test".to_owned(),
        };
        let accounts = Accounts::open(db.clone(), clock.clone(), settings).await.expect("accounts");
        let machine = Machine::new();
        let engine = Engine::new(Parts {
            db: db.clone(),
            clock: clock.clone(),
            accounts: accounts.clone(),
            catalog: registry.catalog.clone(),
            registry: registry.registry.clone(),
            runtime: Arc::new(machine.clone()),
            balancer: Arc::new(machine),
            node_address: "test".to_owned(),
        });
        let imports = imports_from(
            "127.0.0.0/8",
            &db,
            clock.clone(),
            &accounts,
            &registry.catalog,
            &registry.registry,
        );
        let config = Config {
            data_dir: registry.blob_dir.clone(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls_listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            external_url: "http://127.0.0.1:8080".to_owned(),
            database_url: None,
            docker_host: None,
            gateway_address: [127, 0, 0, 1].into(),
            undelete_days: portolan::config::UNDELETE_DAYS,
            accept_sparse_images: false,
            upkeep: portolan::config::Upkeep::default(),
        };
        let services = Services {
            db,
            clock,
            config: Arc::new(config),
            accounts,
            catalog: registry.catalog.clone(),
            registry: registry.registry.clone(),
            imports,
            engine,
        };
        let router = portolan::api::router().with_state(services.clone());
        Self { services, registry, router }
    }

    /// A user with a token.
    pub(super) async fn person(&self, name: &str, role: PlatformRole) -> Person {
        let accounts = &self.services.accounts;
        let new = NewUser {
            name: name.parse().expect("a name"),
            email: format!("{name}@example.org"),
            password: Secret::new(PASSWORD.to_owned()),
            platform_role: role,
        };
        let user = accounts.create_user(&Actor::system(), new).await.expect("a user");
        let actor = Actor::user(user.id, name, role, Channel::Api);
        let (_, token) = accounts.create_token(&actor, "test", None).await.expect("a token");
        Person { actor, token: token.expose().clone() }
    }

    pub(super) async fn admin(&self) -> Person {
        self.person("root", PlatformRole::Admin).await
    }

    /// Private project `demo` with image `demo/hello:1` and its developer `ada`.
    pub(super) async fn demo(&self) -> Person {
        self.registry.project("demo", Visibility::Private).await;
        let ada = self.person("ada", PlatformRole::User).await;
        self.registry.member("demo", &ada.actor, Role::Developer).await;
        self.registry.push(&ada.actor, "demo/hello", "1", &tiny("1")).await;
        ada
    }

    pub(super) async fn send(&self, mut request: Request<Body>) -> Reply {
        let peer: SocketAddr = ([127, 0, 0, 9], 4242).into();
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Reply { status: parts.status, headers: parts.headers, text }
    }

    /// Opens an answer that streams.
    pub(super) async fn open(&self, request: Request<Body>) -> axum::body::BodyDataStream {
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.into_body().into_data_stream()
    }

    /// Sends `body` as it is (none when empty) with the headers given.
    pub(super) async fn call(
        &self,
        who: Option<&Person>,
        method: Method,
        path: &str,
        body: impl Into<Body>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("x-request-id", "req-1");
        if let Some(person) = who {
            request = request.header("authorization", format!("Bearer {}", person.token));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).expect("a request")).await
    }

    pub(super) async fn get(&self, who: &Person, path: &str) -> Reply {
        self.call(Some(who), Method::GET, path, "", &[]).await
    }

    pub(super) async fn post(&self, who: &Person, path: &str, body: Value) -> Reply {
        self.call(Some(who), Method::POST, path, body.to_string(), &[]).await
    }

    pub(super) async fn put(&self, who: &Person, path: &str, body: Value) -> Reply {
        self.call(Some(who), Method::PUT, path, body.to_string(), &[]).await
    }

    pub(super) async fn patch(&self, who: &Person, path: &str, body: Value) -> Reply {
        self.call(Some(who), Method::PATCH, path, body.to_string(), &[]).await
    }

    pub(super) async fn delete(&self, who: &Person, path: &str) -> Reply {
        self.call(Some(who), Method::DELETE, path, "", &[]).await
    }
}

//! The registry's HTTP face, in process or on a socket of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use portolan::accounts::rbac::{Role, Visibility};
use portolan::accounts::{Accounts, NewUser, Settings};
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, Digest, Secret};
use portolan::config::Config;
use portolan::oci::Face;
use tower::ServiceExt as _;

use super::images::TestImage;
use super::registry::TestRegistry;

pub const PASSWORD: &str = "correct horse battery staple";

/// The face over a fresh registry. `ada` and `bob` are developers of `ta` and `tb`; `eve` is
/// nobody's member; `mia` is a maintainer of `ta`.
pub struct TestFace {
    pub registry: TestRegistry,
    pub accounts: Accounts,
    pub router: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("text"))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The code of the first error.
    pub fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?} {:?}", self.headers, self.body);
        self
    }
}

impl TestFace {
    pub async fn start() -> Self {
        Self::with_url("http://registry.test".to_owned()).await
    }

    async fn with_url(external_url: String) -> Self {
        let registry = TestRegistry::start().await;
        let config = Config {
            data_dir: registry.blob_dir.clone(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            external_url,
            database_url: None,
            docker_host: None,
            gateway_address: [127, 0, 0, 1].into(),
            undelete_days: portolan::config::UNDELETE_DAYS,
            accept_sparse_images: false,
            upkeep: portolan::config::Upkeep::default(),
        };
        let settings = Settings {
            master_key: Secret::new([7; 32]),
            issuer: "portolan".to_owned(),
            audience: config.registry_host().to_owned(),
        };
        let accounts = Accounts::open(registry.db.clone(), registry.clock.clone(), settings)
            .await
            .expect("open accounts");
        let face = Face {
            config: Arc::new(config),
            accounts: accounts.clone(),
            registry: registry.registry.clone(),
        };
        let router = portolan::oci::routes::<Face>().with_state(face);
        let this = Self { registry, accounts, router };
        this.registry.project("ta", Visibility::Private).await;
        this.registry.project("tb", Visibility::Private).await;
        this.registry.project("open", Visibility::Public).await;
        for (user, project, role) in [
            ("ada", Some("ta"), Role::Developer),
            ("bob", Some("tb"), Role::Developer),
            ("mia", Some("ta"), Role::Maintainer),
            ("eve", None, Role::Guest),
        ] {
            let actor = this.user(user).await;
            if let Some(project) = project {
                this.registry.member(project, &actor, role).await;
            }
        }
        this
    }

    /// Serves on a free port of 127.0.0.1 until the process ends: the face and its host.
    pub async fn serve() -> (Self, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let host = listener.local_addr().expect("bound").to_string();
        let this = Self::with_url(format!("http://{host}")).await;
        let service = this.router.clone().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        (this, host)
    }

    pub async fn user(&self, name: &str) -> Actor {
        let new = NewUser {
            name: name.parse().expect("a name"),
            email: format!("{name}@example.org"),
            password: Secret::new(PASSWORD.to_owned()),
            platform_role: PlatformRole::User,
        };
        let user = self.accounts.create_user(&Actor::system(), new).await.expect("a user");
        Actor::user(user.id, name, user.platform_role, portolan::base::Channel::Registry)
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("answered");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("read").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Asks `/token` as `user` (`None`: anonymous): the whole answer.
    pub async fn ask_token(&self, user: Option<&str>, scopes: &[&str]) -> Answer {
        let mut query = vec![("service", "registry.test")];
        query.extend(scopes.iter().map(|s| ("scope", *s)));
        let query = serde_urlencoded::to_string(query).expect("a query");
        let mut request = Request::get(format!("/token?{query}"));
        if let Some(user) = user {
            request = request.header("authorization", basic(user, PASSWORD));
        }
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    /// A client with a token for these scopes.
    pub async fn client(&self, user: Option<&str>, scopes: &[&str]) -> Client<'_> {
        let answer = self.ask_token(user, scopes).await.expect(200);
        let token = answer.json()["token"].as_str().expect("a token").to_owned();
        Client { face: self, authorization: Some(format!("Bearer {token}")) }
    }

    /// A client that may do with `repository` whatever `user` may.
    pub async fn client_of(&self, user: &str, repository: &str) -> Client<'_> {
        self.client(Some(user), &[&format!("repository:{repository}:*")]).await
    }

    pub fn anonymous(&self) -> Client<'_> {
        Client { face: self, authorization: None }
    }
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Somebody who speaks to `/v2/`.
pub struct Client<'a> {
    pub face: &'a TestFace,
    pub authorization: Option<String>,
}

impl Client<'_> {
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.header("user-agent", "test/1.0").body(body.into());
        self.face.send(request.expect("a request")).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Body::empty()).await
    }

    pub async fn head(&self, path: &str) -> Answer {
        self.send(Method::HEAD, path, &[], Body::empty()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Method::POST, path, &[], body).await
    }

    /// Starts an upload: its location.
    pub async fn upload(&self, repository: &str) -> String {
        let started = self.post(&format!("/v2/{repository}/blobs/uploads/"), Body::empty()).await;
        started.expect(202).header("location").to_owned()
    }

    pub async fn push_blob(&self, repository: &str, bytes: &Bytes) -> Digest {
        let digest = Digest::sha256(bytes);
        let location = self.upload(repository).await;
        let path = format!("{location}?digest={digest}");
        self.send(Method::PUT, &path, &[], bytes.clone()).await.expect(201);
        digest
    }

    pub async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &Bytes,
    ) -> Answer {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.send(Method::PUT, &path, &[("content-type", media_type)], bytes.clone()).await
    }

    pub async fn push(&self, repository: &str, tag: &str, image: &TestImage) {
        for blob in image.blobs() {
            self.push_blob(repository, blob).await;
        }
        self.push_manifest(repository, tag, super::images::OCI_MANIFEST, &image.manifest)
            .await
            .expect(201);
    }
}

//! The pages over real services, in process: a browser's worth of cookies, forms and selectors.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use portolan::accounts::{Accounts, Settings};
use portolan::base::{Secret, SharedClock, SystemClock};
use portolan::catalog::Catalog;
use portolan::config::Config;
use portolan::engine::balance::client::GatewayClient;
use portolan::engine::runtime::fake::FakeRuntime;
use portolan::engine::{Engine, Parts};
use portolan::http::Services;
use portolan::registry::Registry;
use portolan::web;
use scraper::{Html, Selector};
use tower::ServiceExt;

/// Password of the admin.
pub const PASSWORD: &str = "correct horse battery staple";
const HOST: &str = "127.0.0.1:8080";

/// The portal and one browser.
pub struct Portal {
    pub services: Services,
    router: Router,
    cookies: Vec<(String, String)>,
    language: &'static str,
    _blobs: tempfile::TempDir,
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: axum::http::HeaderMap,
    pub text: String,
}

impl Answer {
    async fn read(response: axum::response::Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 4 << 20).await.expect("a body");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self { status: parts.status, headers: parts.headers, text }
    }

    /// Texts of the elements that match a selector.
    pub fn all(&self, selector: &str) -> Vec<String> {
        let selector = Selector::parse(selector).expect("a selector");
        Html::parse_document(&self.text)
            .select(&selector)
            .map(|element| element.text().collect::<String>().trim().to_owned())
            .collect()
    }

    /// An attribute of the first element that matches.
    pub fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        let selector = Selector::parse(selector).expect("a selector");
        let html = Html::parse_document(&self.text);
        html.select(&selector).next()?.attr(name).map(str::to_owned)
    }

    /// Where a redirect leads.
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

impl Portal {
    /// A portal with the admin, nobody logged in.
    pub async fn start() -> Self {
        let db = super::test_db().await;
        let clock: SharedClock = Arc::new(SystemClock);
        let settings = Settings {
            master_key: Secret::new([7; 32]),
            issuer: "portolan".to_owned(),
            audience: HOST.to_owned(),
        };
        let accounts =
            Accounts::open(db.clone(), clock.clone(), settings).await.expect("accounts open");
        let given = Some(Secret::new(PASSWORD.to_owned()));
        accounts.ensure_admin(given).await.expect("the admin is made");
        let catalog = Catalog::new(db.clone(), clock.clone());
        let blobs = tempfile::tempdir().expect("temporary directory");
        let path = blobs.path().to_owned();
        let registry = Registry::open(db.clone(), clock.clone(), catalog.clone(), path.clone())
            .await
            .expect("the registry opens");
        let engine = Engine::new(Parts {
            db: db.clone(),
            clock: clock.clone(),
            accounts: accounts.clone(),
            catalog: catalog.clone(),
            registry: registry.clone(),
            runtime: Arc::new(FakeRuntime::new(clock.clone())),
            balancer: Arc::new(GatewayClient::new(path.join("gateway.sock"))),
            node_address: String::new(),
        });
        let address = HOST.parse().expect("an address");
        let config = Config {
            data_dir: path,
            listen: address,
            tls_listen: address,
            external_url: format!("http://{HOST}"),
            database_url: None,
            docker_host: None,
            gateway_address: address.ip(),
            undelete_days: portolan::config::UNDELETE_DAYS,
            accept_sparse_images: false,
            upkeep: portolan::config::Upkeep::default(),
        };
        let config = Arc::new(config);
        let imports = super::imports::imports_from(
            "127.0.0.0/8",
            &db,
            clock.clone(),
            &accounts,
            &catalog,
            &registry,
        );
        let services = Services { db, clock, config, accounts, catalog, registry, imports, engine };
        let router = web::with_error_pages(web::router(), &services).with_state(services.clone());
        Self { services, router, cookies: Vec::new(), language: "en", _blobs: blobs }
    }

    /// A portal with the admin logged in.
    pub async fn with_admin() -> Self {
        let mut portal = Self::start().await;
        let answer = portal.log_in("admin", PASSWORD).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        portal
    }

    /// What `Accept-Language` says from now on.
    pub fn speak(&mut self, language: &'static str) {
        self.language = language;
    }

    /// A cookie's value.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Gives the browser a cookie from elsewhere.
    pub fn take_cookie(&mut self, name: &str, value: &str) {
        self.cookies.push((name.to_owned(), value.to_owned()));
    }

    /// Sends the login form.
    pub async fn log_in(&mut self, name: &str, password: &str) -> Answer {
        self.post("/login", &[("name", name), ("password", password)]).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, String::new(), Some(HOST)).await
    }

    /// A page as somebody without cookies sees it who reaches the portal as `host`.
    pub async fn visit(&self, path: &str, host: &str) -> Answer {
        let request = Request::builder().uri(path).header(header::HOST, host);
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        Answer::read(response).await
    }

    /// Posts a form with the page's own proof.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let proof = self.get("/login-proof-is-on-every-page").await;
        let csrf = proof.attribute("input[name=csrf]", "value").unwrap_or_default();
        let mut fields = fields.to_vec();
        fields.push(("csrf", &csrf));
        let body = serde_urlencoded::to_string(&fields).expect("a form");
        self.send("POST", path, body, Some(HOST)).await
    }

    /// Sends a request as a page of `site` would.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: String,
        site: Option<&str>,
    ) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, HOST)
            .header(header::ACCEPT_LANGUAGE, self.language)
            .header(header::COOKIE, cookies.join("; "))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(site) = site {
            request = request.header(header::ORIGIN, format!("http://{site}"));
        }
        let request = request.body(Body::from(body)).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().expect("text").split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie");
            self.cookies.retain(|(key, _)| key != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        Answer::read(response).await
    }
}

//! The registry's HTTP face: the OCI distribution API under `/v2/` and the token service.
//!
//! # Design notes
//!
//! A caller proves itself with a token of `/token` (what clients do), a personal token, or Basic
//! (what people with `curl` do). A token's claims only narrow: every request asks the present
//! permissions again, so a removed member stops within the time a permission is remembered.
//! Nothing on `/v2/` answers without credentials, not even for public projects, because clients
//! take the challenge as the place to get an (anonymous) token.

mod blobs;
mod caller;
mod error;
mod lists;
mod manifests;
mod path;
mod query;
mod token;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::Method;
use http::request::Parts;

use crate::accounts::Accounts;
use crate::base::{Actor, Error, ErrorKind};
use crate::config::Config;
use crate::http::{Access, RouteAccess, Services};
use crate::registry::Registry;

use caller::{Caller, Scope};
pub use error::Failure;
use path::Route;
use query::Query;

/// The services this face calls.
#[derive(Clone)]
pub struct Face {
    pub config: Arc<Config>,
    pub accounts: Accounts,
    pub registry: Registry,
}

impl FromRef<Services> for Face {
    fn from_ref(services: &Services) -> Self {
        Self {
            config: Arc::clone(&services.config),
            accounts: services.accounts.clone(),
            registry: services.registry.clone(),
        }
    }
}

/// All routes of this face.
pub fn router() -> Router<Services> {
    routes()
}

/// The same over any state that holds a [`Face`].
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Face: FromRef<S>,
{
    Router::new()
        .route("/v2", any(dispatch))
        .route("/v2/", any(dispatch))
        .route("/v2/{*path}", any(dispatch))
        .route("/v1/{*path}", any(unknown_version))
        .route("/token", get(token::by_query).post(token::by_form))
}

/// Who may call what; the use-cases decide about each repository.
pub fn access() -> Vec<RouteAccess> {
    let row = |method: Method, path, access| RouteAccess { method, path, access };
    let mut rows = vec![
        row(Method::GET, "/token", Access::Public),
        row(Method::POST, "/token", Access::Public),
        row(Method::GET, "/v1/{*path}", Access::Public),
        row(Method::GET, "/v2", Access::PerObject),
        row(Method::GET, "/v2/", Access::PerObject),
    ];
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::PUT, Method::DELETE];
    rows.extend(methods.map(|method| row(method, "/v2/{*path}", Access::PerObject)));
    rows
}

/// One request without its body, once its caller is known.
struct Call {
    face: Face,
    caller: Caller,
    scopes: Vec<Scope>,
    parts: Parts,
    query: Query,
}

impl Call {
    fn actor(&self) -> &Actor {
        &self.caller.actor
    }

    fn registry(&self) -> &Registry {
        &self.face.registry
    }

    fn is_head(&self) -> bool {
        self.parts.method == Method::HEAD
    }

    fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.parts.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The caller may do it, its token does not say so: it has to get another.
    fn insufficient(&self) -> Failure {
        let challenge = self.caller.challenge(&self.scopes, "insufficient_scope");
        Failure::challenge(Error::denied("requested access is denied"), challenge)
    }
}

async fn dispatch(State(face): State<Face>, request: Request) -> Response {
    let mut response = match answer(face, request).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    };
    let (name, value) = error::API_VERSION;
    response.headers_mut().insert(name, value);
    response
}

async fn answer(face: Face, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let method = parts.method.clone();
    let parsed = Route::parse(parts.uri.path());
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let scopes = parsed.as_ref().map_or_else(
        |_| Vec::new(),
        |route| caller::scopes_of(&method, route, query.as_ref().ok()),
    );
    let caller = Caller::of(&face, &parts, &scopes).await?;
    let route = parsed.map_err(|e| {
        let pushing = method == Method::PUT && e.code() == "tag_invalid";
        if pushing {
            Error::new(ErrorKind::Malformed, "tag_invalid", e.public_message().to_owned())
        } else {
            e
        }
    })?;
    let query = query?;
    let narrowed = caller.is_narrowed();
    let challenge = caller.challenge(&scopes, "insufficient_scope");
    let call = Call { face, caller, scopes, parts, query };
    let answered = match (method.as_str(), route) {
        ("GET" | "HEAD", Route::Base) => Ok(axum::Json(serde_json::json!({})).into_response()),
        ("GET" | "HEAD", Route::Catalog) => lists::catalog(call).await,
        ("GET" | "HEAD", Route::Tags(name)) => lists::tags(call, &name).await,
        ("GET" | "HEAD", Route::Referrers(name, digest)) => {
            lists::referrers(call, &name, &digest).await
        }
        ("GET" | "HEAD", Route::Manifest(name, reference)) => {
            manifests::show(call, &name, &reference).await
        }
        ("PUT", Route::Manifest(name, reference)) => {
            manifests::push(call, body, &name, reference).await
        }
        ("DELETE", Route::Manifest(name, reference)) => {
            manifests::delete(call, &name, &reference).await
        }
        ("GET" | "HEAD", Route::Blob(name, digest)) => blobs::show(call, &name, &digest).await,
        ("DELETE", Route::Blob(name, digest)) => blobs::delete(call, &name, &digest).await,
        ("POST", Route::Uploads(name)) => uploads::start(call, body, &name).await,
        ("GET" | "HEAD", Route::Upload(name, id)) => uploads::show(call, &name, id).await,
        ("PATCH", Route::Upload(name, id)) => uploads::append(call, body, &name, id).await,
        ("PUT", Route::Upload(name, id)) => uploads::finish(call, body, &name, id).await,
        ("DELETE", Route::Upload(name, id)) => uploads::cancel(call, &name, id).await,
        (_, route) => Err(Failure::with_status(
            Error::new(ErrorKind::Malformed, "unsupported", "this method is not supported here"),
            http::StatusCode::METHOD_NOT_ALLOWED,
        )
        .with_header(http::header::ALLOW, route.methods().to_owned())),
    };
    // A client renews its token only on 401, so whoever came with one gets that instead of 403. A
    // refusal that no other token would change (a quota, a rule that locks a tag) keeps its words.
    answered.map_err(|failure| match (failure.error().kind(), failure.error().code()) {
        (ErrorKind::Denied, "denied") | (ErrorKind::Unauthenticated, _) if narrowed => {
            Failure::challenge(Error::denied("requested access is denied"), challenge)
        }
        _ => failure,
    })
}

/// Clients probe the API of 2013 (`docker search`); a quick JSON answer stops them.
async fn unknown_version() -> Failure {
    let error =
        Error::new(ErrorKind::NotFound, "unsupported", "only version 2 of the API is served");
    Failure::from(error)
}

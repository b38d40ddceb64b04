//! Who calls, and the challenge for who does not say.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, Method, header};

use super::Face;
use super::error::Failure;
use super::path::Route;
use super::query::Query;
use crate::accounts::{AccessEntry, Origin};
use crate::base::{Actor, Channel, Error, RepositoryName, Result, Secret};
use crate::config::Config;

/// Characters of `User-Agent` that are kept.
const MAX_USER_AGENT: usize = 200;
/// Personal tokens start with this; everything else after `Bearer` is a registry token.
const PERSONAL_TOKEN: &str = "ptl_";

/// What a request needs, in the words of the token specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub kind: &'static str,
    pub name: String,
    /// The first is what the request needs; the others go with it in a challenge.
    pub actions: &'static [&'static str],
}

impl Scope {
    fn repository(name: &RepositoryName, actions: &'static [&'static str]) -> Self {
        Self { kind: "repository", name: name.to_string(), actions }
    }
}

/// The scopes a request needs. The first decides about the request; the others are only asked for
/// along with it, so that one token is enough. None: any credentials will do.
pub(super) fn scopes_of(method: &Method, route: &Route, query: Option<&Query>) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = scope_of(method, route).into_iter().collect();
    if let (Route::Uploads(name), Some(query)) = (route, query)
        && query.get("mount").is_some()
        && let Some(from) = query.get("from").and_then(|from| from.parse::<RepositoryName>().ok())
        && from != *name
    {
        scopes.push(Scope::repository(&from, &["pull"]));
    }
    scopes
}

fn scope_of(method: &Method, route: &Route) -> Option<Scope> {
    let repository = |name: &RepositoryName, actions| Some(Scope::repository(name, actions));
    let reads = method == Method::GET || method == Method::HEAD;
    match route {
        Route::Base => None,
        Route::Catalog => {
            Some(Scope { kind: "registry", name: "catalog".to_owned(), actions: &["*"] })
        }
        Route::Uploads(name) | Route::Upload(name, _) => repository(name, &["push", "pull"]),
        Route::Tags(name)
        | Route::Referrers(name, _)
        | Route::Manifest(name, _)
        | Route::Blob(name, _) => {
            if reads {
                repository(name, &["pull"])
            } else if method == Method::DELETE {
                repository(name, &["delete", "pull"])
            } else {
                repository(name, &["push", "pull"])
            }
        }
    }
}

/// An authenticated caller; the claims narrow what its permissions allow.
#[derive(Debug)]
pub(super) struct Caller {
    pub actor: Actor,
    pub client: String,
    claims: Option<Vec<AccessEntry>>,
    realm: String,
}

impl Caller {
    /// Authenticates; refuses with a challenge whoever has no, or not enough, credentials.
    pub(super) async fn of(face: &Face, parts: &Parts, scopes: &[Scope]) -> Result<Self, Failure> {
        let realm = realm(&face.config);
        let refuse = |error: Error, reason: &str| {
            Failure::challenge(error, challenge(&realm, scopes, reason))
        };
        let origin = origin(parts);
        let client = origin.user_agent.clone().unwrap_or_default();
        let (actor, claims) = match credentials(&parts.headers) {
            Credentials::None => {
                return Err(refuse(Error::unauthenticated("authentication required"), ""));
            }
            Credentials::Malformed => {
                let error = Error::unauthenticated("the Authorization header is not valid");
                return Err(refuse(error, "invalid_token"));
            }
            Credentials::Basic(name, secret) => {
                let found = face.accounts.authenticate_basic(&name, &secret, &origin).await;
                (found.map_err(|e| unauthenticated(e, &refuse, ""))?, None)
            }
            Credentials::Personal(token) => {
                let found = face.accounts.authenticate_token(&token, &origin).await;
                (found.map_err(|e| unauthenticated(e, &refuse, "invalid_token"))?, None)
            }
            Credentials::Bearer(token) => {
                let found = face.accounts.verify_registry_token(&token, &origin).await;
                let claims = found.map_err(|e| unauthenticated(e, &refuse, "invalid_token"))?;
                (claims.actor, Some(claims.access))
            }
        };
        let caller = Self { actor, client, claims, realm: realm.clone() };
        if let Some(scope) = scopes.first()
            && !caller.claims(scope.kind, &scope.name, scope.actions[0])
        {
            return Err(refuse(Error::denied("requested access is denied"), "insufficient_scope"));
        }
        Ok(caller)
    }

    /// Whether the claims allow `action`; without a token there is nothing that narrows. Push
    /// includes pull, because clients look before they push.
    pub(super) fn claims(&self, kind: &str, name: &str, action: &str) -> bool {
        let Some(claims) = &self.claims else { return true };
        claims.iter().filter(|entry| entry.kind == kind && entry.name == name).any(|entry| {
            let has = |wanted: &str| entry.actions.iter().any(|a| a == wanted);
            has(action) || has("*") || (action == "pull" && has("push"))
        })
    }

    /// Whether a registry token narrows the caller.
    pub(super) fn is_narrowed(&self) -> bool {
        self.claims.is_some()
    }

    /// A challenge for this request.
    pub(super) fn challenge(&self, scopes: &[Scope], reason: &str) -> String {
        challenge(&self.realm, scopes, reason)
    }
}

/// Wrong credentials become a challenge; a rate limit or an outage stays what it is.
fn unauthenticated(
    error: Error,
    refuse: &impl Fn(Error, &str) -> Failure,
    reason: &str,
) -> Failure {
    match error.kind() {
        crate::base::ErrorKind::Unauthenticated => refuse(error, reason),
        _ => error.into(),
    }
}

/// What the `Authorization` header holds.
pub(super) enum Credentials {
    None,
    Malformed,
    Basic(String, Secret),
    Personal(Secret),
    Bearer(Secret),
}

pub(super) fn credentials(headers: &HeaderMap) -> Credentials {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Credentials::None };
    let Some((scheme, rest)) = value.to_str().ok().and_then(|v| v.split_once(' ')) else {
        return Credentials::Malformed;
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        let token = Secret::new(rest.to_owned());
        return if rest.starts_with(PERSONAL_TOKEN) {
            Credentials::Personal(token)
        } else {
            Credentials::Bearer(token)
        };
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Credentials::Malformed;
    }
    let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((name, secret)) => Credentials::Basic(name.to_owned(), Secret::new(secret.to_owned())),
        None => Credentials::Malformed,
    }
}

/// The token service's address and this registry's name, ready for a header. Both come from the
/// configuration, never from the request.
fn realm(config: &Config) -> String {
    format!("realm=\"{}/token\",service=\"{}\"", config.external_url, config.registry_host())
}

fn challenge(realm: &str, scopes: &[Scope], reason: &str) -> String {
    let mut text = format!("Bearer {realm}");
    if !scopes.is_empty() {
        let written: Vec<String> = scopes.iter().map(Scope::to_string).collect();
        text.push_str(&format!(",scope=\"{}\"", written.join(" ")));
    }
    if !reason.is_empty() {
        text.push_str(&format!(",error=\"{reason}\""));
    }
    text
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut actions = self.actions.to_vec();
        actions.sort_unstable();
        write!(f, "{}:{}:{}", self.kind, self.name, actions.join(","))
    }
}

/// Where a request came from.
pub(super) fn origin(parts: &Parts) -> Origin {
    let header = |name: &str| {
        parts.headers.get(name).map(|v| {
            String::from_utf8_lossy(v.as_bytes())
                .chars()
                .filter(|c| !c.is_control())
                .take(MAX_USER_AGENT)
                .collect::<String>()
        })
    };
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    Origin {
        channel: Channel::Registry,
        address: peer.map(|ConnectInfo(address)| address.ip()),
        request_id: header("x-request-id"),
        user_agent: header("user-agent"),
    }
}

//! Who calls the API: HTTP Basic (a password or a personal token), a personal token as Bearer, or
//! the portal's session.
//!
//! A session counts only on requests that come from the portal's own pages: browsers say so in
//! `Sec-Fetch-Site` (or `Origin`), and a change also carries the session's token in
//! `x-csrf-token`. Credentials that are given but wrong never fall back to weaker ones.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Services;
use super::problem::Problem;
use crate::accounts::Origin;
use crate::base::{Actor, Channel, Error, Result, Secret};

/// Name of the cookie that holds a session.
pub const SESSION_COOKIE: &str = "__Host-portolan";
/// Characters of `User-Agent` that are kept.
const MAX_USER_AGENT: usize = 200;

/// An authenticated caller; everybody else gets 401 and a challenge.
#[derive(Debug, Clone)]
pub struct ApiCaller {
    pub actor: Actor,
    /// The client's name for itself.
    pub client: String,
}

impl FromRequestParts<Services> for ApiCaller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Services,
    ) -> std::result::Result<Self, Problem> {
        // A layer may have asked already; hashing a password twice would be a waste.
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let origin = origin(parts, Channel::Api);
        let actor = authenticate(parts, services, &origin).await?;
        let caller = Self { actor, client: origin.user_agent.unwrap_or_default() };
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

async fn authenticate(parts: &Parts, services: &Services, origin: &Origin) -> Result<Actor> {
    let accounts = &services.accounts;
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        return match credentials(value.as_bytes()) {
            Some(Credentials::Basic(name, secret)) => {
                accounts.authenticate_basic(&name, &secret, origin).await
            }
            Some(Credentials::Bearer(token)) => accounts.authenticate_token(&token, origin).await,
            None => Err(Error::unauthenticated(
                "the Authorization header is not valid; send Basic or Bearer credentials",
            )),
        };
    }
    let log_in = || Error::unauthenticated("log in first: send a name with a password or a token");
    let cookie = cookie(&parts.headers, SESSION_COOKIE).ok_or_else(log_in)?;
    let is_change = !parts.method.is_safe();
    if !is_from_portal(&parts.headers, is_change) {
        return Err(foreign());
    }
    let found = accounts.session(&Secret::new(cookie.to_owned()), origin).await?;
    let (actor, session) = found.ok_or_else(log_in)?;
    if is_change {
        let given = parts.headers.get("x-csrf-token").map_or(&b""[..], |v| v.as_bytes());
        let same = subtle::ConstantTimeEq::ct_eq(given, session.csrf_token.as_bytes());
        if session.csrf_token.is_empty() || !bool::from(same) {
            return Err(foreign());
        }
    }
    Ok(actor)
}

fn foreign() -> Error {
    Error::denied(
        "this request does not come from a page of this site; send credentials of its own",
    )
    .with_code("csrf")
}

/// Where a request came from.
pub fn origin(parts: &Parts, channel: Channel) -> Origin {
    let text = |name: &str, most: usize| {
        parts.headers.get(name).map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .chars()
                .filter(|c| !c.is_control())
                .take(most)
                .collect::<String>()
        })
    };
    Origin {
        channel,
        address: parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip()),
        request_id: text("x-request-id", 64),
        user_agent: text("user-agent", MAX_USER_AGENT),
    }
}

enum Credentials {
    Basic(String, Secret),
    Bearer(Secret),
}

fn credentials(value: &[u8]) -> Option<Credentials> {
    let (scheme, rest) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials::Bearer(Secret::new(rest.to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some(Credentials::Basic(name.to_owned(), Secret::new(secret.to_owned())))
}

/// The value of a cookie of the request.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Whether the browser says that one of our own pages (or, for reading, its user) sent this.
fn is_from_portal(headers: &HeaderMap, is_change: bool) -> bool {
    let value = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = value("sec-fetch-site") {
        return site == "same-origin" || (site == "none" && !is_change);
    }
    match (value("origin"), value("host")) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, o)| o == host),
        _ => !is_change,
    }
}

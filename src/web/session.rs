//! The session behind a page request, and the check that a form comes from our own pages.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::cookies;
use super::errors::Failure;
use super::shell::{Shell, Visitor};
use crate::accounts::{Origin, Session};
use crate::base::{Actor, Channel, Error, Result, Secret};
use crate::http::Services;
use crate::http::caller::SESSION_COOKIE as COOKIE;

/// Largest form, bytes.
const FORM_LIMIT: usize = 64 * 1024;

/// Where a request came from.
pub(super) fn origin(parts: &Parts) -> Origin {
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    Origin {
        channel: Channel::Web,
        address: parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip()),
        request_id: header("x-request-id").map(str::to_owned),
        user_agent: header("user-agent").map(|agent| agent.chars().take(200).collect()),
    }
}

pub(super) async fn of(parts: &Parts, services: &Services) -> Result<(Actor, Option<Session>)> {
    let Some(cookie) = cookies::get(&parts.headers, COOKIE) else {
        return Ok((Actor::anonymous(Channel::Web), None));
    };
    match services.accounts.session(&Secret::new(cookie.to_owned()), &origin(parts)).await? {
        Some((actor, session)) => Ok((actor, Some(session))),
        None => Ok((Actor::anonymous(Channel::Web), None)),
    }
}

/// Gives the browser its session. The cookie is bound to this host and never readable by script.
pub(super) fn set_cookie(headers: &mut HeaderMap, cookie: &Secret) {
    add(headers, &format!("{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax", cookie.expose()));
}

pub(super) fn clear_cookie(headers: &mut HeaderMap) {
    add(headers, &format!("{COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"));
}

fn add(headers: &mut HeaderMap, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        headers.append(header::SET_COOKIE, value);
    }
}

/// A form posted by somebody who is logged in, from one of our own pages.
pub struct Posted<T>(pub Shell, pub T);

/// A form posted by anybody, from one of our own pages.
pub struct PostedByVisitor<T>(pub Shell, pub T);

impl<T: DeserializeOwned> FromRequest<Services> for Posted<T> {
    type Rejection = Response;

    async fn from_request(
        request: Request,
        services: &Services,
    ) -> std::result::Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let shell = Shell::from_request_parts(&mut parts, services).await?;
        let form =
            read(&shell, &parts.headers, body).await.map_err(|e| Failure(e).into_response())?;
        Ok(Self(shell, form))
    }
}

impl<T: DeserializeOwned> FromRequest<Services> for PostedByVisitor<T> {
    type Rejection = Response;

    async fn from_request(
        request: Request,
        services: &Services,
    ) -> std::result::Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Visitor(shell) = Visitor::from_request_parts(&mut parts, services)
            .await
            .map_err(IntoResponse::into_response)?;
        let form =
            read(&shell, &parts.headers, body).await.map_err(|e| Failure(e).into_response())?;
        Ok(Self(shell, form))
    }
}

async fn read<T: DeserializeOwned>(
    shell: &Shell,
    headers: &HeaderMap,
    body: axum::body::Body,
) -> Result<T> {
    let foreign = || {
        Error::denied("this form does not come from a page of this site; open the page again")
            .with_code("csrf")
    };
    if !same_site(headers) {
        return Err(foreign());
    }
    let body = axum::body::to_bytes(body, FORM_LIMIT)
        .await
        .map_err(|_| Error::too_large("the form", FORM_LIMIT as u64))?;
    if shell.session.is_some() {
        let fields: Vec<(String, String)> = serde_urlencoded::from_bytes(&body)
            .map_err(|_| Error::malformed("the form cannot be read"))?;
        let given = fields.iter().find(|(key, _)| key == "csrf").map_or("", |(_, v)| v.as_str());
        if !bool::from(subtle::ConstantTimeEq::ct_eq(given.as_bytes(), shell.csrf().as_bytes())) {
            return Err(foreign());
        }
    }
    serde_urlencoded::from_bytes(&body).map_err(|_| Error::malformed("the form cannot be read"))
}

/// Whether the browser says the form comes from this site: `Sec-Fetch-Site`, else `Origin`, else
/// `Referer` must name our host. A request with none of them is refused.
fn same_site(headers: &HeaderMap) -> bool {
    let value = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site").and_then(|v| v.to_str().ok()) {
        return site == "same-origin" || site == "none";
    }
    let host = value(header::HOST).unwrap_or_default();
    let source = value(header::ORIGIN).or_else(|| value(header::REFERER)).unwrap_or_default();
    let named =
        source.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(""));
    !host.is_empty() && named == host
}

//! What every page handler starts from: who looks, in which language and theme, and how the
//! answer is rendered.
//!
//! [`Shell`] is for people who are logged in (others are led to `/login`); [`Visitor`] is for
//! pages anybody may open.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::cookies::{self, Flash, Theme};
use super::errors::Failure;
use super::text::{Locale, Text};
use crate::accounts::rbac::{self, Decision, Permission};
use crate::accounts::{Origin, Session};
use crate::base::{Actor, Error, ErrorKind, ProjectName, Result};
use crate::catalog::Project;
use crate::http::Services;

/// A request for a page by somebody who is logged in.
#[derive(Clone)]
pub struct Shell {
    pub services: Services,
    pub actor: Actor,
    pub session: Option<Session>,
    pub origin: Origin,
    pub t: Text,
    pub theme: Theme,
    /// Path and query of the request, for links back.
    pub path: String,
    pub flash: Option<Flash>,
    /// The project last looked at.
    pub last_project: Option<ProjectName>,
}

/// A request for a page that anybody may open.
pub struct Visitor(pub Shell);

/// The names in a page's address. An address whose names break the rules is not found.
pub struct At<T>(pub T);

impl<T: serde::de::DeserializeOwned + Send> FromRequestParts<Services> for At<T> {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Services,
    ) -> std::result::Result<Self, Failure> {
        axum::extract::Path::from_request_parts(parts, services)
            .await
            .map(|axum::extract::Path(names)| Self(names))
            .map_err(|_| Failure(Error::not_found("page", parts.uri.path())))
    }
}

/// What a page handler returns.
pub type PageResult = std::result::Result<Response, Failure>;

impl Shell {
    /// Renders a page with status 200.
    pub fn render(&self, page: &impl Template) -> PageResult {
        self.render_as(StatusCode::OK, page)
    }

    /// Renders a page. A page with a flash message takes it off the browser.
    pub fn render_as(&self, status: StatusCode, page: &impl Template) -> PageResult {
        let html = page.render().map_err(|e| Error::internal("rendering a page", e))?;
        let mut response = (status, axum::response::Html(html)).into_response();
        self.decorate(response.headers_mut());
        Ok(response)
    }

    fn decorate(&self, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.flash.is_some() {
            cookies::clear_flash(headers);
        }
    }

    /// Leads on after a form: 303, with a message shown on the next page.
    pub fn done(&self, to: &str, flash: &str, name: impl ToString) -> Response {
        let mut response = Redirect::to(to).into_response();
        cookies::set_flash(response.headers_mut(), &Flash::new(flash, name));
        response
    }

    /// The form token of this session; empty for a visitor.
    pub fn csrf(&self) -> &str {
        self.session.as_ref().map_or("", |session| session.csrf_token.as_str())
    }

    /// Whether the caller may do something in a project it sees.
    pub fn may(&self, project: &Project, permission: Permission) -> bool {
        rbac::decide_in_project(&self.actor, project.role, project.visibility, permission)
            == Decision::Allow
    }

    /// Whether the caller has a platform permission.
    pub fn may_platform(&self, permission: Permission) -> bool {
        rbac::decide_platform(&self.actor, permission) == Decision::Allow
    }

    /// A part of a page that may be missing: when what it needs does not answer, the page shows
    /// why in its place instead of failing whole.
    pub fn part<T>(&self, result: Result<T>) -> Result<std::result::Result<T, String>> {
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(Err(self.t.error(&error))),
            Err(error) => Err(error),
        }
    }

    /// The same, silently: a missing part is its default.
    pub fn part_or_default<T: Default>(&self, result: Result<T>) -> Result<T> {
        Ok(self.part(result)?.unwrap_or_default())
    }
}

impl FromRequestParts<Services> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Services,
    ) -> std::result::Result<Self, Failure> {
        let (actor, session) = super::session::of(parts, services).await?;
        let headers = &parts.headers;
        let locale = query_value(parts.uri.query(), "lang")
            .and_then(Locale::parse)
            .or_else(|| cookies::get(headers, cookies::LOCALE).and_then(Locale::parse))
            .or_else(|| session.as_ref()?.user.locale.as_deref().and_then(Locale::parse))
            .unwrap_or_else(|| {
                let accepted = headers.get(header::ACCEPT_LANGUAGE);
                Locale::negotiate(accepted.and_then(|v| v.to_str().ok()).unwrap_or_default())
            });
        Ok(Self(Shell {
            t: Text { locale, now: services.clock.now() },
            theme: cookies::get(headers, cookies::THEME).map(Theme::parse).unwrap_or_default(),
            path: parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
            flash: cookies::flash(headers),
            last_project: cookies::get(headers, cookies::PROJECT).and_then(|p| p.parse().ok()),
            origin: super::session::origin(parts),
            services: services.clone(),
            actor,
            session,
        }))
    }
}

impl FromRequestParts<Services> for Shell {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Services,
    ) -> std::result::Result<Self, Response> {
        let Visitor(shell) =
            Visitor::from_request_parts(parts, services).await.map_err(Failure::into_response)?;
        if shell.session.is_none() {
            return Err(Redirect::to(&login_url(&shell.path)).into_response());
        }
        Ok(shell)
    }
}

/// Whether an error says only that the caller may not, or that nothing is there.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Unauthenticated)
}

/// The login page that leads back to `path`.
pub(super) fn login_url(path: &str) -> String {
    if path == "/" {
        return "/login".to_owned();
    }
    format!("/login?{}", serde_urlencoded::to_string([("next", path)]).unwrap_or_default())
}

fn query_value<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(k, v)| (k == name).then_some(v))
}

/// `next` if it is a path of this site, else `/`. Whatever a browser might read as another
/// host (`//e`, `/\e`, control characters, their escaped forms) is refused.
pub(super) fn safe_next(next: &str) -> &str {
    let decoded = percent_decoded(next);
    let path = decoded.split(['?', '#']).next().unwrap_or_default();
    let plain = next.starts_with('/')
        && !decoded.chars().any(|c| c.is_control() || c == '\\')
        && !path.contains("//");
    if plain { next } else { "/" }
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = (bytes[i] == b'%')
            .then(|| text.get(i + 1..i + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()))
            .flatten();
        match escaped {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_address_stays_on_this_site() {
        for good in ["/", "/p/demo/r?q=a%20b", "/search?q=https://e.example"] {
            assert_eq!(safe_next(good), good);
        }
        for bad in [
            "//e",
            "/\\e",
            "/%09/e",
            "https:e",
            "\\\\e",
            "/%2f%2fe",
            "javascript:alert(1)",
            "",
            "e",
            "/%5ce",
            "/\t/e",
            "/p//e",
            "/%0d%0aSet-Cookie:x",
        ] {
            assert_eq!(safe_next(bad), "/", "{bad}");
        }
    }
}

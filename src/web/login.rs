//! Logging in and out, and the two preferences of a browser: language and theme.

use std::net::IpAddr;

use askama::Template;
use axum::extract::Query;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::cookies::{self, Theme};
use super::form::Form;
use super::frame::{Frame, Section};
use super::session::{self, Posted, PostedByVisitor};
use super::shell::{PageResult, Shell, Visitor, safe_next};
use super::text::Locale;
use crate::accounts::UserChange;
use crate::base::{ErrorKind, Secret};
use crate::config::Config;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    form: Form,
    next: String,
    unencrypted: Option<Unencrypted>,
}

/// The page was asked for at an address to which browsers do not send the session's cookie.
struct Unencrypted {
    /// The same page over HTTPS; empty when the HTTPS listener is out of a browser's reach.
    href: String,
}

impl Unencrypted {
    /// Looks at the `Host` of a request. Browsers keep `Secure` cookies of loopback addresses.
    fn of(config: &Config, headers: &HeaderMap, next: &str) -> Option<Self> {
        let host = headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok()?;
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let is_loopback = name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let tls = config.tls_listen;
        if config.is_secure() || is_loopback || host.port_u16() == Some(tls.port()) {
            return None;
        }
        let href = if tls.ip().is_loopback() {
            String::new()
        } else {
            format!("https://{}:{}{}", host.host(), tls.port(), super::shell::login_url(next))
        };
        Some(Self { href })
    }
}

#[derive(serde::Deserialize)]
pub(super) struct NextQuery {
    #[serde(default)]
    next: String,
}

/// `GET /login`
pub(super) async fn page(
    Visitor(shell): Visitor,
    headers: HeaderMap,
    Query(query): Query<NextQuery>,
) -> PageResult {
    let next = safe_next(&query.next);
    if shell.session.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let frame = Frame::bare(&shell, Section::Other, shell.t.get("login-title"));
    let unencrypted = Unencrypted::of(&shell.services.config, &headers, next);
    shell.render(&LoginPage { frame, form: Form::default(), next: next.to_owned(), unencrypted })
}

#[derive(serde::Deserialize)]
pub(super) struct LoginForm {
    #[serde(default)]
    name: String,
    password: Secret,
    #[serde(default)]
    next: String,
}

/// `POST /login`
pub(super) async fn submit(
    headers: HeaderMap,
    PostedByVisitor(shell, form): PostedByVisitor<LoginForm>,
) -> PageResult {
    let next = safe_next(&form.next);
    let name = form.name.trim();
    match shell.services.accounts.login(name, &form.password, &shell.origin).await {
        Ok(new) => {
            let mut response = Redirect::to(next).into_response();
            session::set_cookie(response.headers_mut(), &new.cookie);
            Ok(response)
        }
        Err(error) => {
            let status = match error.kind() {
                ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNAUTHORIZED,
            };
            let form = Form::of([("name", name)]).refused(&shell.t, error)?;
            let mut frame = Frame::bare(&shell, Section::Other, shell.t.get("login-title"));
            frame.path = super::shell::login_url(next);
            let unencrypted = Unencrypted::of(&shell.services.config, &headers, next);
            shell.render_as(status, &LoginPage { frame, form, next: next.to_owned(), unencrypted })
        }
    }
}

/// A form that carries nothing but its proof.
#[derive(serde::Deserialize)]
pub(super) struct Nothing {}

/// `POST /logout`
pub(super) async fn logout(Posted(shell, Nothing {}): Posted<Nothing>) -> PageResult {
    shell.services.accounts.logout(&shell.actor).await?;
    let mut response = shell.done("/login", "flash-logged-out", "");
    session::clear_cookie(response.headers_mut());
    Ok(response)
}

#[derive(serde::Deserialize)]
pub(super) struct Preferences {
    lang: Option<String>,
    theme: Option<String>,
    #[serde(default)]
    next: String,
}

/// `POST /preferences`
pub(super) async fn preferences(
    PostedByVisitor(shell, form): PostedByVisitor<Preferences>,
) -> Response {
    let mut response = Redirect::to(safe_next(&form.next)).into_response();
    if let Some(locale) = form.lang.as_deref().and_then(Locale::parse) {
        cookies::keep(response.headers_mut(), cookies::LOCALE, locale.as_str());
        remember(&shell, locale).await;
    }
    if let Some(theme) = form.theme {
        cookies::keep(response.headers_mut(), cookies::THEME, Theme::parse(&theme).as_str());
    }
    response
}

/// Keeps the language with the user, for other browsers. The cookie alone serves this one, so a
/// failure only costs that.
async fn remember(shell: &Shell, locale: Locale) {
    let Some(session) = &shell.session else { return };
    let change = UserChange { locale: Some(locale.as_str().to_owned()), ..UserChange::default() };
    let kept = shell.services.accounts.update_user(&shell.actor, &session.user.name, change).await;
    if let Err(error) = kept {
        tracing::warn!(error = %error.chain(), "cannot keep a user's language");
    }
}

//! Errors as pages: what failed, whose doing it is, what to try, the request id, a way out.
//!
//! Handlers return [`Failure`]; the layer [`render`] turns it into a page in the reader's
//! language, because only there the request is still known.

use askama::Template;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::frame::{Frame, Section};
use super::shell::Visitor;
use crate::base::Error;
use crate::http::{Services, status};

/// A page that could not be made.
#[derive(Debug)]
pub struct Failure(pub Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// Carries the error from the handler to the layer.
#[derive(Clone)]
struct Cause(std::sync::Arc<Error>);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = status::of(self.0.kind()).into_response();
        response.extensions_mut().insert(Cause(std::sync::Arc::new(self.0)));
        response
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    message: String,
    advice: String,
    request_id: String,
}

/// Chooses title and advice: `error-<word>-title`, `error-<word>-try`.
fn word(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 | 401 => "denied",
        404 | 405 => "missing",
        409 | 412 => "conflict",
        400 | 413 | 416 | 422 => "input",
        429 => "busy",
        503 => "away",
        _ => "broken",
    }
}

/// Renders failures, and what the router itself refuses, as pages.
pub(super) async fn render(
    State(services): State<Services>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let copy = (parts.uri.clone(), parts.headers.clone(), parts.method.clone());
    let peer = parts.extensions.clone();
    let response = {
        let request = Request::from_parts(parts, body);
        next.run(request).await
    };
    let cause = response.extensions().get::<Cause>().cloned();
    let bare = response.status().is_client_error()
        && !response.headers().contains_key(header::CONTENT_TYPE);
    if cause.is_none() && !bare {
        return response;
    }
    let status = response.status();
    parts = axum::http::Request::new(()).into_parts().0;
    (parts.uri, parts.headers, parts.method) = copy;
    parts.extensions = peer;
    let request_id = super::session::origin(&parts).request_id.unwrap_or_default();
    if let Some(Cause(error)) = &cause
        && status.is_server_error()
    {
        tracing::error!(error = %error.chain(), path = parts.uri.path(), "a page failed");
    }
    let Ok(Visitor(shell)) = Visitor::from_request_parts(&mut parts, &services).await else {
        return response;
    };
    let message = match &cause {
        Some(Cause(error)) if status != StatusCode::NOT_FOUND => shell.t.error(error),
        _ => String::new(),
    };
    let word = word(status);
    let title = shell.t.get(format!("error-{word}-title"));
    let frame = Frame::bare(&shell, Section::Other, title);
    let page = ErrorPage {
        frame,
        status: status.as_u16(),
        message,
        advice: shell.t.get(format!("error-{word}-try")),
        request_id,
    };
    let mut response = match shell.render_as(status, &page) {
        Ok(page) => page,
        Err(_) => return status.into_response(),
    };
    let wait = cause.and_then(|Cause(error)| error.retry_after());
    if let Some(seconds) = wait
        && let Ok(value) = HeaderValue::from_str(&seconds.to_string())
    {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

//! Errors as RFC 9457 problem documents.
//!
//! A [`Problem`] travels in the response's extensions; [`render`], the outermost layer of the
//! API, writes its body, because only there the request's id is at hand. The cause of a 5xx goes
//! to the log once and never to the client.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::layers::REQUEST_ID;
use super::status;
use crate::base::{Error, FieldError};

/// Media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Most characters of a sentence that may quote the client's input.
const MAX_DETAIL: usize = 2000;
/// Most fields reported at once.
const MAX_FIELDS: usize = 100;

/// An error on its way to the client.
#[derive(Debug, Clone)]
pub struct Problem {
    error: Arc<Error>,
    status: StatusCode,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = status::of(error.kind());
        Self { error: Arc::new(error), status }
    }
}

impl Problem {
    /// An error with a status that no kind has.
    pub fn with_status(error: Error, status: StatusCode) -> Self {
        Self { error: Arc::new(error), status }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The body of every refused request (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDocument {
    /// `urn:portolan:error:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// Stable, snake_case.
    code: &'static str,
    /// One sentence for people.
    detail: String,
    /// Names the request in the log.
    request_id: Option<String>,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ProblemField>,
    /// Machine-readable detail of some codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<serde_json::Value>,
}

/// One field of the input and what is wrong with it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemField {
    /// Path of the field, e.g. `template.containers[0].image`.
    field: String,
    message: String,
}

impl From<&FieldError> for ProblemField {
    fn from(error: &FieldError) -> Self {
        Self { field: cut(&error.field, MAX_DETAIL), message: cut(&error.message, MAX_DETAIL) }
    }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Writes the body of a problem; forbids caches to keep any answer.
pub async fn render(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let (allow, retry) =
            (response.headers_mut().remove(header::ALLOW), problem.error.retry_after());
        response = document(&problem, id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if let Some(seconds) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn document(problem: &Problem, request_id: Option<String>) -> Response {
    let (error, status) = (&problem.error, problem.status);
    let id = request_id.as_deref().unwrap_or_default();
    match status.as_u16() {
        503 => tracing::warn!(request.id = id, error = %error.chain(), "an API request must wait"),
        500.. => tracing::error!(request.id = id, error = %error.chain(), "an API request failed"),
        _ => tracing::debug!(request.id = id, error = %error.chain(), "an API request was refused"),
    }
    let body = ProblemDocument {
        kind: format!("urn:portolan:error:{}", error.code()),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        code: error.code(),
        detail: cut(error.public_message(), MAX_DETAIL),
        request_id,
        errors: error.fields().iter().take(MAX_FIELDS).map(ProblemField::from).collect(),
        info: error.detail().cloned(),
    };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"portolan\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

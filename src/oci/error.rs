//! Errors as the distribution specification wants them: `{"errors":[{code,message,detail}]}`,
//! with a Bearer challenge on every 401.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::base::{Error, ErrorKind};
use crate::http::status;

/// Clients take it as the sign that they speak to a registry.
pub const API_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("docker-distribution-api-version"),
    HeaderValue::from_static("registry/2.0"),
);

/// An error of this face.
#[derive(Debug)]
pub struct Failure {
    error: Error,
    status: Option<StatusCode>,
    headers: Vec<(HeaderName, String)>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, status: None, headers: Vec::new() }
    }
}

impl Failure {
    /// A 401 with this `WWW-Authenticate`, whatever the kind of `error`.
    pub fn challenge(error: Error, challenge: String) -> Self {
        Self::with_status(error, StatusCode::UNAUTHORIZED)
            .with_header(header::WWW_AUTHENTICATE, challenge)
    }

    /// An error with a status that no kind has.
    pub fn with_status(error: Error, status: StatusCode) -> Self {
        Self { error, status: Some(status), headers: Vec::new() }
    }

    /// The same with one more header.
    pub fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What went wrong.
    pub fn error(&self) -> &Error {
        &self.error
    }

    fn status(&self) -> StatusCode {
        if let Some(status) = self.status {
            return status;
        }
        match self.error.kind() {
            ErrorKind::Conflict if self.error.code() == "blob_in_use" => {
                StatusCode::METHOD_NOT_ALLOWED
            }
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            kind => status::of(kind),
        }
    }

    /// One entry, or one for each blob that is missing.
    fn entries(&self) -> Vec<Value> {
        let entry = |message: String| json!({ "code": self.code(), "message": message });
        let message = self.error.public_message();
        let Some(detail) = self.error.detail() else { return vec![entry(message.to_owned())] };
        let with = |mut entry: Value, detail: Value| {
            entry["detail"] = detail;
            entry
        };
        match detail["missing"].as_array() {
            Some(missing) if missing.len() > 1 => missing
                .iter()
                .map(|digest| {
                    let text = format!("blob {} does not exist", digest.as_str().unwrap_or("?"));
                    with(entry(text), json!({ "digest": digest }))
                })
                .collect(),
            _ => vec![with(entry(message.to_owned()), detail.clone())],
        }
    }

    /// The code of the specification.
    fn code(&self) -> &'static str {
        match self.error.code() {
            "blob_unknown" => "BLOB_UNKNOWN",
            "blob_upload_unknown" => "BLOB_UPLOAD_UNKNOWN",
            "blob_upload_invalid" | "blob_upload_busy" => "BLOB_UPLOAD_INVALID",
            "digest_invalid" => "DIGEST_INVALID",
            "manifest_blob_unknown" => "MANIFEST_BLOB_UNKNOWN",
            "manifest_invalid" => "MANIFEST_INVALID",
            "manifest_unknown" => "MANIFEST_UNKNOWN",
            "name_invalid" => "NAME_INVALID",
            "name_unknown" => "NAME_UNKNOWN",
            "size_invalid" => "SIZE_INVALID",
            "pagination_number_invalid" => "PAGINATION_NUMBER_INVALID",
            "unsupported" | "blob_in_use" => "UNSUPPORTED",
            "tag_invalid" if self.error.kind() == ErrorKind::NotFound => "MANIFEST_UNKNOWN",
            "tag_invalid" => "MANIFEST_INVALID",
            _ => match self.error.kind() {
                ErrorKind::Unauthenticated => "UNAUTHORIZED",
                ErrorKind::Denied => "DENIED",
                ErrorKind::NotFound => "NAME_UNKNOWN",
                ErrorKind::RateLimited => "TOOMANYREQUESTS",
                ErrorKind::TooLarge => "SIZE_INVALID",
                ErrorKind::Unavailable => "UNAVAILABLE",
                ErrorKind::Internal => "UNKNOWN",
                _ => "UNSUPPORTED",
            },
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.status();
        match status.as_u16() {
            503 => tracing::warn!(error = %self.error.chain(), "a registry request must wait"),
            500.. => tracing::error!(error = %self.error.chain(), "a registry request failed"),
            _ => tracing::debug!(error = %self.error.chain(), "a registry request was refused"),
        }
        let body = Json(json!({ "errors": self.entries() }));
        let mut response = (status, [API_VERSION], body).into_response();
        let headers = response.headers_mut();
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        if let Some(seconds) = self.error.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

//! The gateway's own answers: short, plain, and silent about what is behind it.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::body::AnswerBody;

/// A one-line answer. Refusals of a request's form end the connection, since where the next
/// request begins is in doubt.
pub fn plain(status: StatusCode, line: &'static str) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::text(Bytes::from_static(line.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status.is_client_error() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Nobody to send the request to.
pub fn no_replicas() -> Response<AnswerBody> {
    plain(StatusCode::SERVICE_UNAVAILABLE, "no ready replicas\n")
}

/// The replica broke off, or none could be reached.
pub fn no_answer() -> Response<AnswerBody> {
    plain(StatusCode::BAD_GATEWAY, "the replica gave no answer\n")
}

/// The replica took too long.
pub fn late() -> Response<AnswerBody> {
    plain(StatusCode::GATEWAY_TIMEOUT, "the replica did not answer in time\n")
}

//! What surrounds every route of every face: request ids, the log line, metrics, panics, requests
//! that no honest client sends, security headers, slow bodies.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Version};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use super::limits::{HEAD_BYTES, Limits};
use crate::base::{Clock, id::EventId};
use crate::wire::Framing;

/// The request's number, made here; what a client sends under this name is overwritten.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                   connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Wraps the faces' routes. `secure` says that browsers reach the portal over HTTPS.
pub fn wrap(
    routes: Router,
    clock: std::sync::Arc<dyn Clock>,
    limits: &Limits,
    secure: bool,
) -> Router {
    routes
        .layer(RequestBodyTimeoutLayer::new(limits.body_gap))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(move |request, next| headers(request, next, secure)))
        .layer(from_fn(honest))
        .layer(from_fn(move |request, next| observe(request, next, clock.clone())))
}

/// A panic is a bug of one request, never of its neighbours.
fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let what = cause
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| cause.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    metrics::counter!("portolan_panics_total").increment(1);
    tracing::error!(panic = %what, "a request handler panicked");
    (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
}

/// Numbers the request, logs its end in one line and counts it.
async fn observe(mut request: Request, next: Next, clock: std::sync::Arc<dyn Clock>) -> Response {
    let id = EventId::new(clock.now()).uuid().simple().to_string();
    let value = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("-"));
    request.headers_mut().insert(REQUEST_ID, value.clone());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let peer = request.extensions().get::<ConnectInfo<std::net::SocketAddr>>().map(|c| c.0.ip());
    // Routes, not paths, are counted: paths are made up by clients.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let begun = Instant::now();
    let mut response = next.run(request).await;
    let took = begun.elapsed();
    response.headers_mut().insert(REQUEST_ID, value);
    let status = response.status();
    count(&method, &route, status, took);
    tracing::info!(
        request.id = %id,
        http.method = %method,
        http.path = %path.escape_debug(),
        http.status = status.as_u16(),
        client.address = peer.map(tracing::field::display),
        took.ms = took.as_millis(),
        "request answered"
    );
    response
}

fn count(method: &Method, route: &str, status: StatusCode, took: Duration) {
    let method = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => {
            known.to_owned()
        }
        _ => "other".to_owned(),
    };
    let class = format!("{}xx", status.as_u16() / 100);
    let labels = [("method", method), ("route", route.to_owned()), ("status", class)];
    metrics::counter!("portolan_http_requests_total", &labels).increment(1);
    metrics::histogram!("portolan_http_request_seconds", "route" => route.to_owned())
        .record(took.as_secs_f64());
}

/// Refuses requests that two readers could understand differently (RFC 9112, sections 3.2 and
/// 6.1), and heads over the limit that the parser lets through.
async fn honest(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let hosts = headers.get_all(header::HOST).iter().count();
    let old = request.version() == Version::HTTP_10;
    let one_host = match request.version() {
        Version::HTTP_2 => hosts <= 1,
        _ => hosts == 1 || (old && hosts == 0),
    };
    let bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let head = bytes + request.uri().path_and_query().map_or(0, |p| p.as_str().len());
    if head > HEAD_BYTES {
        return refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "request head too large\n");
    }
    let ambiguous = request.extensions().get::<Framing>() == Some(&Framing::Ambiguous);
    if !one_host || ambiguous {
        return refuse(StatusCode::BAD_REQUEST, "malformed request\n");
    }
    if request.method() == Method::TRACE || request.method() == Method::CONNECT {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    }
    next.run(request).await
}

fn refuse(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONNECTION, "close")], text).into_response()
}

async fn headers(request: Request, next: Next, secure: bool) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if secure {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000; includeSubDomains"),
        );
    }
    response
}

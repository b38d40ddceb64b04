//! How handlers answer.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::base::{Cursor, Page};
use crate::http::problem::Problem;

/// What every handler returns.
pub(super) type Result<T, E = Problem> = std::result::Result<T, E>;

/// 201 with the address of what was made.
pub(super) fn created<T: Serialize>(location: &str, body: T) -> Response {
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// 202 with the address of what will change.
pub(super) fn accepted<T: Serialize>(location: &str, body: T) -> Response {
    let mut response = created(location, body);
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// 201 or 200, by whether it is new.
pub(super) fn applied<T: Serialize>(is_new: bool, location: &str, body: T) -> Response {
    if is_new { created(location, body) } else { Json(body).into_response() }
}

/// A list that has no second page.
pub(super) fn whole<T, U>(rows: Vec<T>, show: impl Fn(T) -> U) -> Json<Page<U>> {
    Json(Page { items: rows.into_iter().map(show).collect(), next: None::<Cursor> })
}

/// A page of a list.
pub(super) fn page<T, U>(page: Page<T>, show: impl FnMut(T) -> U) -> Json<Page<U>> {
    Json(page.map(show))
}

//! `Idempotency-Key` on creates: the same key with the same request gets the stored answer, for
//! a day; with another request it is a conflict.
//!
//! Only successes are stored: whatever was refused changed nothing and may be tried again. The
//! request is kept as a keyed hash, because its body may hold a password.

mod store;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Services;
use super::caller::ApiCaller;
use super::json::{BODY_LIMIT, read_body};
use super::problem::Problem;
use crate::base::id::UserId;
use crate::base::{Error, Result, Timestamp};

/// Names the create for repetitions.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is a stored one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Keys of one user that are kept.
const MAX_KEYS: i64 = 10_000;
const MAX_KEY: usize = 255;

fn kept() -> chrono::Duration {
    chrono::Duration::hours(24)
}

/// A create that takes longer than this has died with its server.
fn longest() -> chrono::Duration {
    chrono::Duration::minutes(2)
}

/// Runs a create, or answers what it answered before.
pub async fn once<F: Future<Output = Response>>(
    services: Services,
    caller: &ApiCaller,
    request: Request,
    run: impl FnOnce(Request) -> F,
) -> std::result::Result<Response, Problem> {
    let Some(value) = request.headers().get(HEADER) else { return Ok(run(request).await) };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_KEY).contains(&key.len()))
        .ok_or_else(|| Error::invalid("idempotency-key", "must be 1 to 255 ASCII characters"))?
        .to_owned();
    let Some(user) = caller.actor.user_id else { return Ok(run(request).await) };
    let (parts, body) = request.into_parts();
    let body = read_body(body, BODY_LIMIT).await?;
    let slot = Slot { services, user, key };
    let place = format!("{} {}", parts.method, parts.uri.path());
    if let Some(stored) = slot.claim(&place, &body).await? {
        return Ok(stored);
    }
    let response = run(Request::from_parts(parts, Body::from(body))).await;
    slot.settle(response).await
}

/// For routes that cannot keep their answer.
pub async fn refuse(request: Request, next: Next) -> std::result::Result<Response, Problem> {
    if request.method() == axum::http::Method::POST && request.headers().contains_key(HEADER) {
        let rule = "is not supported here; send the request without it";
        return Err(Error::invalid("idempotency-key", rule).into());
    }
    Ok(next.run(request).await)
}

struct Slot {
    services: Services,
    user: UserId,
    key: String,
}

impl Slot {
    fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    /// Claims the key, or gives the answer that is stored under it.
    async fn claim(&self, place: &str, body: &[u8]) -> Result<Option<Response>> {
        let secret = self.services.accounts.installation_secret("idempotency").await?;
        let hmac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.expose());
        let mut context = aws_lc_rs::hmac::Context::with_key(&hmac);
        context.update(place.as_bytes());
        context.update(b"\0");
        context.update(body);
        let request = context.sign();
        let now = self.now();
        let mut conn = self.services.db.read().await?;
        store::delete_before(&mut conn, now - kept()).await?;
        let (user, key) = (self.user, self.key.as_str());
        let dead = now - longest();
        if store::claim(&mut conn, user, key, request.as_ref(), now, dead, MAX_KEYS).await? {
            return Ok(None);
        }
        match store::find(&mut conn, user, key).await? {
            None => Err(Error::rate_limited("too many idempotency keys within 24 hours", 3600)),
            Some(known) if known.request != request.as_ref() => Err(Error::conflict(
                "idempotency_key_reused",
                "this Idempotency-Key was used with another request; use a new one",
            )),
            Some(store::Known { status: None, created_at, .. }) => Err(Error::conflict(
                "idempotency_in_progress",
                format!(
                    "the first request with this Idempotency-Key, from {created_at}, is not answered yet"
                ),
            )),
            Some(known) => Ok(Some(replay(known))),
        }
    }

    async fn settle(self, response: Response) -> std::result::Result<Response, Problem> {
        let mut conn = self.services.db.read().await?;
        if !response.status().is_success() {
            store::release(&mut conn, self.user, &self.key).await.map_err(Error::from)?;
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = read_body(body, BODY_LIMIT).await?;
        let status = i16::try_from(parts.status.as_u16()).unwrap_or(500);
        let location = parts.headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
        store::answer(&mut conn, self.user, &self.key, status, location, &body)
            .await
            .map_err(Error::from)?;
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

fn replay(known: store::Known) -> Response {
    let status = known
        .status
        .and_then(|s| u16::try_from(s).ok())
        .and_then(|s| StatusCode::from_u16(s).ok())
        .unwrap_or(StatusCode::OK);
    let mut response = (status, known.body.unwrap_or_default()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(location) = known.location.and_then(|l| HeaderValue::try_from(l).ok()) {
        headers.insert(header::LOCATION, location);
    }
    response
}

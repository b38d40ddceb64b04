//! Blobs: looked at, downloaded whole or in part, removed.

use std::ops::Range;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::error::Failure;
use super::{Call, manifests};
use crate::base::{Digest, RepositoryName};

/// The digest of what a response holds or names.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// A digest names its bytes for ever; only whoever may read them keeps them.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

pub(super) async fn show(
    call: Call,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, Failure> {
    let text = digest.to_string();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_DIGEST, manifests::header_value(&text)?);
    headers.insert(header::ETAG, manifests::header_value(&format!("\"{text}\""))?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, IMMUTABLE);
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, octets);
    if call.is_head() {
        let blob = call.registry().blob(call.actor(), name, digest).await?;
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(blob.size));
        return Ok((headers, Body::empty()).into_response());
    }
    if manifests::is_known(&call, &text) {
        call.registry().blob(call.actor(), name, digest).await?;
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let reader = call.registry().open_blob(call.actor(), name, digest).await?;
    let size = reader.blob.size;
    let asked = call.header(header::RANGE).and_then(|text| parse_range(text, size));
    let (status, range) = match asked {
        None => (StatusCode::OK, 0..size),
        Some(Ok(range)) => {
            let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            headers.insert(header::CONTENT_RANGE, manifests::header_value(&shown)?);
            (StatusCode::PARTIAL_CONTENT, range)
        }
        Some(Err(Unsatisfiable)) => {
            let shown = manifests::header_value(&format!("bytes */{size}"))?;
            let whole = [(header::CONTENT_RANGE, shown)];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, whole).into_response());
        }
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    let body = if range.is_empty() { Body::empty() } else { Body::from_stream(reader.read(range)) };
    Ok((status, headers, body).into_response())
}

pub(super) async fn delete(
    call: Call,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, Failure> {
    call.registry().delete_blob(call.actor(), name, digest).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// The range lies outside the blob.
#[derive(Debug, PartialEq)]
struct Unsatisfiable;

/// Reads a `Range` of one part; `None`: none, several, or not bytes, so the whole blob is sent.
fn parse_range(text: &str, size: u64) -> Option<Result<Range<u64>, Unsatisfiable>> {
    let part = text.strip_prefix("bytes=")?.trim();
    let (first, last) = part.split_once('-')?;
    let range = match (first, last) {
        ("", last) => {
            let count: u64 = last.parse().ok()?;
            size.saturating_sub(count)..size
        }
        (first, "") => first.parse().ok()?..size,
        (first, last) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            if last < first {
                return Some(Err(Unsatisfiable));
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some(if range.is_empty() { Err(Unsatisfiable) } else { Ok(range) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clamped_and_nonsense_is_told_apart() {
        let table = [
            ("bytes=500-1499", Some(Ok(500..1500))),
            ("bytes=500-", Some(Ok(500..2048))),
            ("bytes=-500", Some(Ok(1548..2048))),
            ("bytes=-5000", Some(Ok(0..2048))),
            ("bytes=2000-5000", Some(Ok(2000..2048))),
            ("bytes=0-0", Some(Ok(0..1))),
            ("bytes=500-0", Some(Err(Unsatisfiable))),
            ("bytes=5000-10000", Some(Err(Unsatisfiable))),
            ("bytes=2048-", Some(Err(Unsatisfiable))),
            ("bytes=-0", Some(Err(Unsatisfiable))),
            ("bytes=0-18446744073709551615", Some(Ok(0..2048))),
            ("bytes=1-2,4-5", None),
            ("bytes=a-b", None),
            ("items=0-1", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_range(text, 2048), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Some(Err(Unsatisfiable)));
    }
}

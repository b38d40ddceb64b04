//! Entity tags: the generation of an object, in quotes.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::base::{Error, ErrorKind, Result};
use crate::engine::Precondition;

/// The header value for a generation.
pub fn of(generation: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{generation}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// What `If-Match` asks for. Only one strong tag is understood; a tag that Portolan never made
/// matches nothing.
pub fn precondition(headers: &HeaderMap) -> Result<Precondition> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(Precondition::default()) };
    let text = value.to_str().unwrap_or_default().trim();
    if values.next().is_some() || text.contains(',') || text == "*" {
        return Err(Error::invalid("if-match", "must be one ETag, e.g. \"7\" with its quotes"));
    }
    let generation = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .and_then(|t| t.parse().ok())
        .ok_or_else(|| {
            Error::new(ErrorKind::Stale, "stale", "If-Match names a version that does not exist")
        })?;
    Ok(Precondition { generation: Some(generation) })
}

//! Keyset paging: a cursor is the sort key of the last row, opaque to clients.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, de::DeserializeOwned};

use super::{Error, Result};

/// Rows per page when the client does not say.
pub const DEFAULT_LIMIT: u32 = 50;
/// Most rows a client may ask for.
pub const MAX_LIMIT: u32 = 1000;

/// The sort key after which a page starts, as URL-safe text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// Encodes the sort key of the last row of a page.
    pub fn encode<K: Serialize>(key: &K) -> Self {
        let json = serde_json::to_vec(key).unwrap_or_default();
        Self(URL_SAFE_NO_PAD.encode(json))
    }

    /// Reads the sort key back; a cursor that Portolan did not make is `Invalid`.
    pub fn decode<K: DeserializeOwned>(&self) -> Result<K> {
        URL_SAFE_NO_PAD
            .decode(&self.0)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| {
                Error::invalid("after", "not a cursor; use the value of \"next\" unchanged")
            })
    }

    /// A cursor as the client sent it.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The opaque text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a client asks of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// Start after this cursor.
    pub after: Option<Cursor>,
    /// Rows wanted; `None` means [`DEFAULT_LIMIT`].
    pub limit: Option<u32>,
}

impl PageRequest {
    /// The first page with `limit` rows.
    pub fn first(limit: u32) -> Self {
        Self { after: None, limit: Some(limit) }
    }

    /// Rows wanted, 1 to [`MAX_LIMIT`].
    pub fn limit(&self) -> Result<u32> {
        match self.limit {
            None => Ok(DEFAULT_LIMIT),
            Some(n @ 1..=MAX_LIMIT) => Ok(n),
            Some(_) => Err(Error::invalid("limit", format!("must be between 1 and {MAX_LIMIT}"))),
        }
    }

    /// The decoded sort key to start after.
    pub fn after_key<K: DeserializeOwned>(&self) -> Result<Option<K>> {
        self.after.as_ref().map(Cursor::decode).transpose()
    }
}

/// One page of a list.
#[derive(Debug, Clone, Serialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of `limit` rows from a query that fetched up to `limit + 1`.
    pub fn from_rows<K: Serialize>(mut rows: Vec<T>, limit: u32, key: impl Fn(&T) -> K) -> Self {
        let limit = limit as usize;
        let next = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(|row| Cursor::encode(&key(row)))
        } else {
            None
        };
        Self { items: rows, next }
    }

    /// Converts every row.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}

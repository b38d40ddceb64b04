//! Query strings and path parameters, read strictly: unknown keys are refused.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::json::field_error;
use super::problem::Problem;
use crate::base::{Cursor, Error, PageRequest, Result};

/// A query string as `T`, which refuses unknown keys.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Problem> {
        let text = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(text.as_bytes());
        if let Some((key, _)) = pairs.clone().find(|(k, v)| k.contains('\0') || v.contains('\0')) {
            let key = key.replace('\0', "");
            return Err(Error::invalid(key, "must not contain the character U+0000").into());
        }
        let reader = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(reader).map(Self).map_err(|error| {
            let path = error.path().to_string();
            let path = if path == "." { String::new() } else { path };
            field_error(&path, &error.into_inner().to_string()).into()
        })
    }
}

/// What every list takes.
#[derive(Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Part of the name or the description.
    pub q: Option<String>,
    /// The `next` of the page before.
    pub after: Option<String>,
    /// Rows wanted, 1 to 1000; 50 when absent.
    pub limit: Option<u32>,
}

impl ListQuery {
    /// The page asked for.
    pub fn page(&self) -> PageRequest {
        page(self.after.as_deref(), self.limit)
    }

    /// The text to search for, if there is one.
    pub fn text(&self) -> Result<Option<&str>> {
        text(self.q.as_deref())
    }
}

/// What lists take that have nothing to search for.
#[derive(Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// The `next` of the page before.
    pub after: Option<String>,
    /// Rows wanted, 1 to 1000; 50 when absent.
    pub limit: Option<u32>,
}

impl PageQuery {
    /// The page asked for.
    pub fn page(&self) -> PageRequest {
        page(self.after.as_deref(), self.limit)
    }
}

/// What `q` asks for: nothing when it is empty; at most 200 characters.
pub fn text(q: Option<&str>) -> Result<Option<&str>> {
    match q.map(str::trim).filter(|q| !q.is_empty()) {
        Some(q) if q.chars().count() > 200 => {
            Err(Error::invalid("q", "must be at most 200 characters"))
        }
        q => Ok(q),
    }
}

/// The page that `after` and `limit` ask for.
pub fn page(after: Option<&str>, limit: Option<u32>) -> PageRequest {
    PageRequest { after: after.map(Cursor::from_text), limit }
}

/// For routes without a query: any key is refused.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

/// The path's parameters, decoded, in order.
#[derive(Debug)]
pub struct PathNames(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for PathNames {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> std::result::Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::malformed("the path is not valid UTF-8"))?;
        Ok(Self(params.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()))
    }
}

impl PathNames {
    /// The text of a parameter of the route.
    pub fn text(&self, key: &str) -> &str {
        self.0.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str())
    }

    /// The name of something that should exist; a name that breaks the rules is not found.
    pub fn find<T: std::str::FromStr>(&self, key: &'static str) -> Result<T> {
        let text = self.text(key);
        text.parse().map_err(|_| not_found(key, text))
    }

    /// The name of something to make; a name that breaks the rules is invalid.
    pub fn make<T: std::str::FromStr<Err = Error>>(&self, key: &'static str) -> Result<T> {
        self.text(key).parse()
    }
}

/// `what` named `name` does not exist; `name` is cut.
pub fn not_found(what: &str, name: &str) -> Error {
    Error::not_found(what, name.chars().filter(|c| !c.is_control()).take(300).collect::<String>())
}

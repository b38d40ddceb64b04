//! JSON bodies, read strictly: nothing is guessed, dropped or read twice.
//!
//! What is not JSON (a byte order mark, trailing data, a key twice, over 128 levels) is
//! `Malformed`; JSON that is not what the route takes (an unknown field, a wrong type) is
//! `Invalid`. Both name the place.

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::problem::Problem;
use crate::base::{Error, Result};

/// Most bytes of an ordinary body.
pub const BODY_LIMIT: usize = 256 << 10;
/// Most bytes of a deployment's spec.
pub const SPEC_LIMIT: usize = 1 << 20;
/// Most bytes of a body with a password.
pub const SECRET_LIMIT: usize = 4 << 10;
/// A body must have arrived by then.
const READ_TIME: Duration = Duration::from_secs(10);

/// A body the route needs, at most `LIMIT` bytes.
#[derive(Debug)]
pub struct Input<T, const LIMIT: usize = BODY_LIMIT>(pub T);

/// A body the route can do without: no bytes count as `{}`.
#[derive(Debug)]
pub struct OptionalInput<T, const LIMIT: usize = BODY_LIMIT>(pub T);

impl<T: DeserializeOwned, S: Sync, const LIMIT: usize> FromRequest<S> for Input<T, LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> std::result::Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body, LIMIT).await?;
        if bytes.is_empty() {
            return Err(Error::malformed("a JSON body is needed").into());
        }
        check_content_type(&parts.headers)?;
        Ok(Self(parse(&bytes)?))
    }
}

impl<T: DeserializeOwned, S: Sync, const LIMIT: usize> FromRequest<S> for OptionalInput<T, LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> std::result::Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body, LIMIT).await?;
        if bytes.is_empty() {
            return Ok(Self(parse(b"{}")?));
        }
        check_content_type(&parts.headers)?;
        Ok(Self(parse(&bytes)?))
    }
}

/// Reads a whole body of at most `limit` bytes within ten seconds.
pub async fn read_body(body: Body, limit: usize) -> std::result::Result<Bytes, Problem> {
    read_within(body, limit, READ_TIME).await
}

/// Reads a whole body of at most `limit` bytes within `time`.
pub async fn read_within(
    body: Body,
    limit: usize,
    time: Duration,
) -> std::result::Result<Bytes, Problem> {
    match tokio::time::timeout(time, Limited::new(body, limit).collect()).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Error::too_large("the body", limit as u64).into())
        }
        Ok(Err(_)) => Err(Error::malformed("the body broke off").into()),
        Err(_) => {
            let error = Error::malformed("the body did not arrive in time");
            Err(Problem::with_status(error.with_code("timeout"), StatusCode::REQUEST_TIMEOUT))
        }
    }
}

fn check_content_type(headers: &HeaderMap) -> std::result::Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    let fits = ["application/json", "application/merge-patch+json"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known));
    if fits {
        return Ok(());
    }
    let error = Error::malformed("the body must be sent with Content-Type: application/json");
    let error = error.with_code("unsupported_media_type");
    Err(Problem::with_status(error, StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

/// Parses a body strictly.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Error::malformed("the body starts with a byte order mark; send plain UTF-8"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let strict: Strict = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        if path == "." {
            Error::malformed(format!("the body is not valid JSON: {message}"))
        } else {
            Error::malformed(format!("the body is not valid JSON at {path}: {message}"))
        }
    })?;
    reader.end().map_err(|_| Error::malformed("the body goes on after the end of its JSON"))?;
    if strict.has_nul {
        return Err(Error::malformed("the body holds the character U+0000, which is not text"));
    }
    typed(strict.value)
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T> {
    if !value.is_object() {
        return Err(Error::invalid("", "the body must be a JSON object"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        field_error(if path == "." { "" } else { &path }, &error.into_inner().to_string())
    })
}

/// The error for what serde says about the field at `path`.
pub(super) fn field_error(path: &str, said: &str) -> Error {
    let below = |name: &str| {
        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
    };
    if let Some(rest) = said.strip_prefix("unknown field `")
        && let Some((name, expected)) = split_expected(rest)
    {
        let named = path == name || path.ends_with(&format!(".{name}"));
        let field = if named { path.to_owned() } else { below(name) };
        return Error::invalid(field, format!("is not a known field; {expected}"));
    }
    if let Some(name) = said.strip_prefix("missing field `").and_then(|r| r.strip_suffix('`')) {
        return Error::invalid(below(name), "is required");
    }
    if let Some(name) = said.strip_prefix("duplicate field `").and_then(|r| r.strip_suffix('`')) {
        return Error::invalid(below(name), "appears twice");
    }
    if let Some((found, expected)) =
        said.strip_prefix("unknown variant `").and_then(|rest| rest.split_once("`, expected "))
    {
        let expected = expected.strip_prefix("one of ").unwrap_or(expected);
        return Error::invalid(path, format!("must be {expected}, not `{found}`"));
    }
    // Names say which kind they are; the path does already.
    let said = ["name: ", "repository: ", "tag: "]
        .iter()
        .find_map(|prefix| said.strip_prefix(prefix))
        .unwrap_or(said);
    Error::invalid(path, in_plain_words(said))
}

/// Says `expected a whole number` where serde names a type of this program.
fn in_plain_words(said: &str) -> String {
    let Some((found, wanted)) = said.rsplit_once("expected ") else { return said.to_owned() };
    let wanted = match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        wanted => match wanted.strip_prefix("struct ") {
            Some(_) => "an object",
            None => return said.to_owned(),
        },
    };
    format!("{found}expected {wanted}")
}

/// Splits `x`, expected …` where the list of known fields begins.
fn split_expected(rest: &str) -> Option<(&str, &str)> {
    rest.find("`, expected ")
        .or_else(|| rest.find("`, there are no fields"))
        .map(|at| (&rest[..at], &rest[at + 3..]))
}

/// A JSON value in which no object has a key twice.
struct Strict {
    value: Value,
    has_nul: bool,
}

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        d.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl StrictVisitor {
    fn plain<E>(value: impl Into<Value>) -> std::result::Result<Strict, E> {
        Ok(Strict { value: value.into(), has_nul: false })
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, v: bool) -> std::result::Result<Strict, E> {
        Self::plain(v)
    }
    fn visit_i64<E>(self, v: i64) -> std::result::Result<Strict, E> {
        Self::plain(v)
    }
    fn visit_u64<E>(self, v: u64) -> std::result::Result<Strict, E> {
        Self::plain(v)
    }
    fn visit_f64<E>(self, v: f64) -> std::result::Result<Strict, E> {
        Self::plain(v)
    }
    fn visit_unit<E>(self) -> std::result::Result<Strict, E> {
        Self::plain(Value::Null)
    }
    fn visit_str<E>(self, v: &str) -> std::result::Result<Strict, E> {
        Ok(Strict { value: v.into(), has_nul: v.contains('\0') })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Strict, A::Error> {
        let (mut values, mut has_nul) = (Vec::new(), false);
        while let Some(entry) = seq.next_element::<Strict>()? {
            has_nul |= entry.has_nul;
            values.push(entry.value);
        }
        Ok(Strict { value: values.into(), has_nul })
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Strict, A::Error> {
        let (mut fields, mut has_nul) = (Map::new(), false);
        while let Some(key) = map.next_key::<String>()? {
            if fields.contains_key(&key) {
                let key: String = key.chars().take(100).collect();
                return Err(A::Error::custom(format!("the key \"{key}\" appears twice")));
            }
            let entry = map.next_value::<Strict>()?;
            has_nul |= entry.has_nul || key.contains('\0');
            fields.insert(key, entry.value);
        }
        Ok(Strict { value: fields.into(), has_nul })
    }
}

/// For fields of a change: absent leaves it, `null` is refused unless `T` is an `Option`.
pub fn given<'de, D, T>(deserializer: D) -> std::result::Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_this_program_are_not_named() {
        for (said, told) in [
            (
                "invalid type: string \"many\", expected u32",
                "invalid type: string \"many\", expected a whole number, not negative",
            ),
            (
                "invalid value: integer `-1`, expected u32",
                "invalid value: integer `-1`, expected a whole number, not negative",
            ),
            ("invalid type: null, expected struct Probe", "invalid type: null, expected an object"),
            ("invalid type: map, expected a string", "invalid type: map, expected a string"),
            ("must not be empty", "must not be empty"),
        ] {
            let error = field_error("replicas", said);
            assert_eq!(error.fields()[0].message, told);
        }
    }
}

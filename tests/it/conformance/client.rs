//! A client that knows the specification and nothing about the registry: it answers challenges,
//! follows locations, and says what it expected.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};

/// What a check found wrong, in words.
pub(super) type Fault = String;

/// Somebody who may push to and delete from the repositories of the run.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    user: &'static str,
    password: &'static str,
    /// Authorizations by repository and kind of access, kept until they are refused.
    kept: Mutex<HashMap<String, String>>,
}

/// A request; it is sent again after a challenge.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
    streamed: bool,
}

impl Ask {
    /// `target` is a path, or a location as a registry gave it.
    pub(super) fn new(method: Method, target: impl Into<String>) -> Self {
        let (target, headers) = (target.into(), HeaderMap::new());
        Self { method, target, headers, body: Bytes::new(), streamed: false }
    }

    /// Adds a parameter; the target may have some already.
    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        let pair = serde_urlencoded::to_string([(name, value)]).expect("a parameter");
        let joint = if self.target.contains('?') { '&' } else { '?' };
        self.target = format!("{}{joint}{pair}", self.target);
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header");
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    /// A body whose length is told.
    pub(super) fn body(mut self, body: &Bytes) -> Self {
        self.body = body.clone();
        self.header("content-type", "application/octet-stream")
    }

    /// A body whose length is not told.
    pub(super) fn stream(mut self, body: &Bytes) -> Self {
        self = self.body(body);
        self.streamed = true;
        self
    }

    /// A manifest.
    pub(super) fn manifest(mut self, media_type: &str, body: &Bytes) -> Self {
        self.body = body.clone();
        self.header("content-type", media_type)
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    asked: String,
}

impl Client {
    pub(super) fn new(base: String, user: &'static str, password: &'static str) -> Self {
        // Redirects are the registry's right, but this one makes none.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let http = http.build().expect("a client");
        Self { http, base, user, password, kept: Mutex::default() }
    }

    /// Sends, and once more with the authorization that a challenge asks for.
    pub(super) async fn send(&self, ask: Ask) -> Result<Answer, Fault> {
        let key = access_key(&ask);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let mut response = self.once(&ask, kept.as_deref()).await?;
        if response.status() == 401 {
            let authorization = self.authorize(&response).await?;
            response = self.once(&ask, Some(&authorization)).await?;
            let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(key, authorization);
        }
        let asked = format!("{} {}", ask.method, ask.target);
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.map_err(|e| format!("{asked}: {e}"))?;
        Ok(Answer { status, headers, body, asked })
    }

    async fn once(&self, ask: &Ask, authorization: Option<&str>) -> Result<Response, Fault> {
        let url = if ask.target.starts_with('/') {
            format!("{}{}", self.base, ask.target)
        } else {
            ask.target.clone()
        };
        let mut request = self.http.request(ask.method.clone(), url).headers(ask.headers.clone());
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let request = if ask.streamed {
            let pieces: Vec<_> = ask.body.chunks(700).map(Bytes::copy_from_slice).collect();
            let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
            request.body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)))
        } else {
            request.body(ask.body.clone())
        };
        request.send().await.map_err(|e| format!("{} {}: {e}", ask.method, ask.target))
    }

    /// The token that the challenge of `response` leads to.
    async fn authorize(&self, response: &Response) -> Result<String, Fault> {
        let challenge = response.headers().get("www-authenticate").and_then(|v| v.to_str().ok());
        let challenge = challenge.ok_or("a 401 without WWW-Authenticate")?;
        let rest = challenge.strip_prefix("Bearer ").ok_or("a challenge that is not Bearer")?;
        let field = |name: &str| {
            let (_, value) = rest.split_once(&format!("{name}=\""))?;
            value.split_once('"').map(|(value, _)| value.to_owned())
        };
        let realm = field("realm").ok_or("a challenge without a realm")?;
        let mut query = vec![("service", field("service").unwrap_or_default())];
        query.extend(field("scope").map(|scope| ("scope", scope)));
        let request = self.http.get(realm).query(&query).basic_auth(self.user, Some(self.password));
        let answer = request.send().await.map_err(|e| format!("token: {e}"))?;
        let answer = answer.error_for_status().map_err(|e| format!("token: {e}"))?;
        let body: serde_json::Value = answer.json().await.map_err(|e| format!("token: {e}"))?;
        let token = body["token"].as_str().ok_or("a token answer without a token")?;
        Ok(format!("Bearer {token}"))
    }
}

/// Requests that one token is enough for.
fn access_key(ask: &Ask) -> String {
    let path = ask.target.split('?').next().unwrap_or_default();
    let ends = ["/blobs/", "/manifests/", "/tags/", "/referrers/"];
    let end = ends.iter().filter_map(|part| path.find(part)).min().unwrap_or(path.len());
    let access = match ask.method.as_str() {
        "GET" | "HEAD" => "read",
        "DELETE" => "delete",
        _ => "write",
    };
    format!("{access} {}", &path[..end])
}

impl Answer {
    /// Whether the status is one of `wanted`.
    pub(super) fn status(self, wanted: &[u16]) -> Result<Self, Fault> {
        if wanted.contains(&self.status) {
            return Ok(self);
        }
        let body: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        Err(format!("{}: {} instead of {wanted:?}: {body}", self.asked, self.status))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether a header has this value.
    pub(super) fn header(self, name: &str, wanted: &str) -> Result<Self, Fault> {
        match self.get(name) {
            Some(value) if value == wanted => Ok(self),
            value => Err(format!("{}: {name} is {value:?}, not {wanted:?}", self.asked)),
        }
    }

    /// Whether the body is exactly this.
    pub(super) fn holds(self, wanted: &Bytes) -> Result<Self, Fault> {
        if self.body == *wanted {
            return Ok(self);
        }
        Err(format!("{}: {} other bytes instead of {}", self.asked, self.body.len(), wanted.len()))
    }

    pub(super) fn location(&self) -> Result<String, Fault> {
        let location = self.get("location").map(str::to_owned);
        location.ok_or_else(|| format!("{}: no Location", self.asked))
    }

    pub(super) fn json(&self) -> Result<serde_json::Value, Fault> {
        serde_json::from_slice(&self.body).map_err(|e| format!("{}: {e}", self.asked))
    }

    /// Whether an error answer has the form of the specification and one of its codes.
    pub(super) fn error(self) -> Result<Self, Fault> {
        const CODES: [&str; 14] = [
            "BLOB_UNKNOWN",
            "BLOB_UPLOAD_INVALID",
            "BLOB_UPLOAD_UNKNOWN",
            "DIGEST_INVALID",
            "MANIFEST_BLOB_UNKNOWN",
            "MANIFEST_INVALID",
            "MANIFEST_UNKNOWN",
            "NAME_INVALID",
            "NAME_UNKNOWN",
            "SIZE_INVALID",
            "UNAUTHORIZED",
            "DENIED",
            "UNSUPPORTED",
            "TOOMANYREQUESTS",
        ];
        let body = self.json()?;
        let errors = body["errors"].as_array().filter(|errors| !errors.is_empty());
        let errors = errors.ok_or_else(|| format!("{}: no errors in {body}", self.asked))?;
        match errors.iter().find(|e| !CODES.iter().any(|code| e["code"] == *code)) {
            None => Ok(self),
            Some(error) => Err(format!("{}: {error} has no code of the list", self.asked)),
        }
    }
}

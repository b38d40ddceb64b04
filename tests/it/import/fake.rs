//! A registry that misbehaves as it is told, and remembers who asked for what.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use portolan::base::Digest;

use crate::support::images::{OCI_MANIFEST, TestImage};

/// What a path answers; the request's headers and how often it was asked for before.
type Answer = Arc<dyn Fn(&HeaderMap, usize) -> Response + Send + Sync>;

/// One request that was made.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) query: String,
    pub(super) authorization: String,
    pub(super) range: String,
}

#[derive(Clone, Default)]
pub(super) struct Fake {
    pub(super) host: String,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    /// Serves on a free port of 127.0.0.1 until the process ends. What nobody told it is 404.
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let host = listener.local_addr().expect("bound").to_string();
        let fake = Self { host, ..Self::default() };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    pub(super) fn at(&self, rest: &str) -> String {
        format!("http://{}/{rest}", self.host)
    }

    pub(super) fn on(
        &self,
        path: &str,
        answer: impl Fn(&HeaderMap, usize) -> Response + Send + Sync + 'static,
    ) {
        self.answers.lock().expect("answers").insert(path.to_owned(), Arc::new(answer));
    }

    /// Holds `app:1`, this image, and lets anybody read it.
    pub(super) fn hold(&self, image: &TestImage) {
        let manifest = image.manifest.clone();
        self.on("/v2/app/manifests/1", move |_, _| manifest_of(&manifest));
        for blob in image.blobs() {
            let (path, blob) = (blob_path(blob), blob.clone());
            self.on(&path, move |headers, _| ranged(headers, &blob));
        }
    }

    /// Everything that was asked for, in order.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("requests").clone()
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let text = |name| {
        let value: Option<&header::HeaderValue> = request.headers().get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let before = {
        let mut asked = fake.asked.lock().expect("requests");
        let before = asked.iter().filter(|a| a.path == path).count();
        asked.push(Asked {
            path: path.clone(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            authorization: text(header::AUTHORIZATION),
            range: text(header::RANGE),
        });
        before
    };
    let known = fake.answers.lock().expect("answers").get(&path).cloned();
    known.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        |known| known(request.headers(), before),
    )
}

pub(super) fn blob_path(blob: &Bytes) -> String {
    format!("/v2/app/blobs/{}", Digest::sha256(blob))
}

pub(super) fn manifest_of(content: &Bytes) -> Response {
    ([(header::CONTENT_TYPE, OCI_MANIFEST)], content.clone()).into_response()
}

/// Where a range starts.
pub(super) fn start_of(headers: &HeaderMap) -> usize {
    let range = headers.get(header::RANGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0)
}

/// The blob, or its end.
pub(super) fn ranged(headers: &HeaderMap, blob: &Bytes) -> Response {
    let from = start_of(headers);
    if from == 0 {
        return blob.clone().into_response();
    }
    let range = format!("bytes {from}-{}/{}", blob.len() - 1, blob.len());
    (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, range)], blob.slice(from..))
        .into_response()
}

/// The blob from where the range starts, broken off after `most` bytes.
pub(super) fn torn(headers: &HeaderMap, blob: &Bytes, most: usize) -> Response {
    let from = start_of(headers);
    let part = blob.slice(from..(from + most).min(blob.len()));
    let pieces = vec![Ok(part), Err(std::io::Error::other("the line breaks"))];
    let mut response = Body::from_stream(futures_util::stream::iter(pieces)).into_response();
    if from > 0 {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {from}-{}/{}", blob.len() - 1, blob.len());
        response.headers_mut().insert(header::CONTENT_RANGE, range.parse().expect("a header"));
    }
    response
}

//! Style, script and icons, embedded; addressed by content so that browsers may keep them for
//! ever.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/static/"]
struct Files;

static HASHES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    Files::iter()
        .filter_map(|path| {
            let hash = hex::encode(&Files::get(&path)?.metadata.sha256_hash()[..6]);
            Some((path.into_owned(), hash))
        })
        .collect()
});

/// The address of a static file, with the hash of its content.
pub fn url(path: &str) -> String {
    let hash = HASHES.get(path).map_or("", String::as_str);
    format!("/static/{path}?v={hash}")
}

/// `GET /static/{*path}`.
pub(super) async fn serve(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let Some(file) = Files::get(&path) else { return StatusCode::NOT_FOUND.into_response() };
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let caching = [
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (header::ETAG, etag.clone()),
    ];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let mime = file.metadata.mimetype().to_owned();
    (caching, [(header::CONTENT_TYPE, mime)], file.data.into_owned()).into_response()
}

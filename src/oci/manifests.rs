//! Manifests: served as stored, pushed under a digest and any number of tags, removed.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::Call;
use super::blobs::CONTENT_DIGEST;
use super::error::Failure;
use crate::base::{Error, ErrorKind, Reference, RepositoryName, TagName};
use crate::registry::{MAX_MANIFEST, MAX_TAGS, NewPush};

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Read past the limit before the refusal, so that a client still sending gets to read it.
const DRAIN: usize = 8 * 1024 * 1024;

pub(super) async fn show(
    call: Call,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Response, Failure> {
    let head = call.is_head();
    let manifest = call.registry().manifest(call.actor(), name, reference, !head).await?;
    let digest = manifest.digest.to_string();
    let mut response = Response::new(Body::empty());
    if is_known(&call, &digest) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if !head {
        *response.body_mut() = Body::from(manifest.content.clone());
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header_value(&manifest.media_type)?);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(manifest.content.len()));
    headers.insert(header::ETAG, header_value(&format!("\"{digest}\""))?);
    headers.insert(CONTENT_DIGEST, header_value(&digest)?);
    Ok(response)
}

pub(super) async fn push(
    call: Call,
    body: Body,
    name: &RepositoryName,
    reference: Reference,
) -> Result<Response, Failure> {
    let tags = call.query.all("tag").map(|text| text.parse::<TagName>());
    let tags: Vec<TagName> = tags.collect::<Result<_, _>>().map_err(|e| {
        Error::new(ErrorKind::Malformed, "tag_invalid", e.public_message().to_owned())
    })?;
    if tags.len() > MAX_TAGS {
        return Err(Failure::with_status(
            Error::malformed(format!("one push sets at most {MAX_TAGS} tags")),
            StatusCode::URI_TOO_LONG,
        ));
    }
    let content_type =
        call.header(header::CONTENT_TYPE).map(|text| text.split(';').next().unwrap_or(text));
    let content_type = content_type.map(|text| text.trim().to_owned());
    let content = read_limited(body).await?;
    let push = NewPush {
        reference,
        tags,
        content_type: content_type.as_deref().filter(|t| !t.is_empty()),
        content,
        client: &call.caller.client,
    };
    let wants_tags = !push.tags.is_empty();
    let pushed = call.registry().push_manifest(call.actor(), name, push).await?;
    let digest = pushed.digest.to_string();
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, header_value(&format!("/v2/{name}/manifests/{digest}"))?);
    headers.insert(CONTENT_DIGEST, header_value(&digest)?);
    if let Some(subject) = pushed.subject {
        headers.insert(SUBJECT, header_value(&subject.to_string())?);
    }
    if wants_tags {
        for tag in &pushed.tags {
            headers.append(TAG, header_value(tag.as_str())?);
        }
    }
    Ok(response)
}

pub(super) async fn delete(
    call: Call,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Response, Failure> {
    let (registry, actor, client) = (call.registry(), call.actor(), &call.caller.client);
    match reference {
        Reference::Tag(tag) => registry.delete_tag_with(actor, name, tag, client).await?,
        Reference::Digest(digest) => {
            registry.delete_image_with(actor, name, digest, client).await?;
        }
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Whether the client has these bytes already (`If-None-Match`).
pub(super) fn is_known(call: &Call, digest: &str) -> bool {
    call.header(header::IF_NONE_MATCH).is_some_and(|text| {
        text.split(',').any(|tag| tag.trim().trim_start_matches("W/").trim_matches('"') == digest)
    })
}

/// A value for a header; what cannot be one is a bug, because names and types were parsed.
pub(super) fn header_value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::try_from(text).map_err(|e| Error::internal("making a header", e).into())
}

async fn read_limited(body: Body) -> Result<Bytes, Failure> {
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    let mut over = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| {
            Error::new(ErrorKind::Malformed, "manifest_invalid", "the body ended early")
                .with_source(e)
        })?;
        if over > 0 || bytes.len() + chunk.len() > MAX_MANIFEST {
            over += chunk.len();
            if over > DRAIN {
                break;
            }
        } else {
            bytes.extend_from_slice(&chunk);
        }
    }
    if over > 0 {
        return Err(Error::too_large("manifest", MAX_MANIFEST as u64).into());
    }
    Ok(bytes.freeze())
}

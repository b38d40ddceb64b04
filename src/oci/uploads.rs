//! Uploads: streamed, in chunks, in one request; mounts; status and cancel.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::blobs::CONTENT_DIGEST;
use super::error::Failure;
use super::{Call, manifests, path};
use crate::base::id::UploadId;
use crate::base::{Algorithm, Digest, Error, ErrorKind, RepositoryName, Result};
use crate::registry::{self, Blob, ChunkStart, MAX_BLOB, Upload};

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// `Range` of an upload: what the registry has.
fn range(received: u64) -> String {
    format!("0-{}", received.saturating_sub(1))
}

pub(super) async fn start(
    call: Call,
    body: Body,
    name: &RepositoryName,
) -> Result<Response, Failure> {
    if let Some(algorithm) = call.query.get("digest-algorithm")
        && !Algorithm::ALL.iter().any(|known| known.as_str() == algorithm)
    {
        // Told now, or the client would upload everything first.
        let text = "digest-algorithm must be sha256 or sha512";
        return Err(Error::new(ErrorKind::Malformed, "digest_invalid", text).into());
    }
    if let Some(mount) = call.query.get("mount") {
        // A digest that cannot be read is one that nobody has: the client uploads instead.
        if let Ok(digest) = path::digest(mount)
            && mount_blob(&call, name, &digest).await?
        {
            return created(name, &Blob { digest, size: 0 });
        }
        let upload = call.registry().start_upload(call.actor(), name).await?;
        return accepted(name, upload);
    }
    let Some(digest) = call.query.get("digest").map(path::digest).transpose()? else {
        let upload = call.registry().start_upload(call.actor(), name).await?;
        return accepted(name, upload);
    };
    let length = body_length(&call)?;
    let (registry, actor) = (call.registry(), call.actor());
    let upload = registry.start_upload(actor, name).await?;
    let chunk = length.map(|length| ChunkStart { start: 0, length });
    let body = stream(body);
    let done = registry.finish_upload(actor, name, upload.id, &digest, chunk, body).await;
    match done {
        Ok(blob) => created(name, &blob),
        Err(error) => {
            // The client does not know the upload, so it cannot go on with it.
            if let Err(left) = registry.cancel_upload(actor, name, upload.id).await {
                tracing::debug!(error = %left.chain(), "an upload was left to the reaper");
            }
            Err(error.into())
        }
    }
}

/// Mounts from the repository that `from` names, or from any the caller may read. A token that
/// does not cover the source is sent for another one, if its bearer could get it; for all others
/// the source looks as if it held nothing.
async fn mount_blob(call: &Call, name: &RepositoryName, digest: &Digest) -> Result<bool, Failure> {
    let from = match call.query.get("from").map(str::parse::<RepositoryName>) {
        None => None,
        Some(Ok(from)) => {
            if !call.caller.claims("repository", from.as_str(), "pull")
                && call.registry().rights(call.actor(), &from).await?.pull
            {
                return Err(call.insufficient());
            }
            Some(from)
        }
        Some(Err(_)) => return Ok(false),
    };
    Ok(call.registry().mount_blob(call.actor(), name, digest, from.as_ref()).await?)
}

pub(super) async fn show(
    call: Call,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Response, Failure> {
    let upload = call.registry().upload(call.actor(), name, id).await?;
    state(name, upload, StatusCode::NO_CONTENT)
}

pub(super) async fn append(
    call: Call,
    body: Body,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Response, Failure> {
    let chunk = chunk(&call)?;
    let body = stream(body);
    let upload = call
        .registry()
        .append_upload(call.actor(), name, id, chunk, body)
        .await
        .map_err(|error| where_to_go_on(name, id, error))?;
    accepted(name, upload)
}

pub(super) async fn finish(
    call: Call,
    body: Body,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Response, Failure> {
    let text = call.query.get("digest").ok_or_else(|| {
        Error::new(ErrorKind::Malformed, "digest_invalid", "the digest parameter is missing")
    })?;
    let digest = path::digest(text)?;
    let chunk = chunk(&call)?;
    let body = stream(body);
    let (registry, actor) = (call.registry(), call.actor());
    let blob = registry
        .finish_upload(actor, name, id, &digest, chunk, body)
        .await
        .map_err(|error| where_to_go_on(name, id, error))?;
    created(name, &blob)
}

pub(super) async fn cancel(
    call: Call,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Response, Failure> {
    call.registry().cancel_upload(call.actor(), name, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `Content-Length`, refused when no blob can be that long.
fn body_length(call: &Call) -> Result<Option<u64>> {
    let length = call.header(header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    match length {
        Some(length) if length > MAX_BLOB => {
            Err(Error::too_large("blob", MAX_BLOB).with_code("size_invalid"))
        }
        length => Ok(length),
    }
}

/// The chunk that `Content-Range: <start>-<end>` announces; `None`: the body is streamed.
fn chunk(call: &Call) -> Result<Option<ChunkStart>> {
    let length = body_length(call)?;
    let Some(text) = call.header(header::CONTENT_RANGE) else { return Ok(None) };
    let chunk = parse_chunk(text).ok_or_else(|| {
        Error::new(
            ErrorKind::Malformed,
            "blob_upload_invalid",
            "Content-Range must be <first byte>-<last byte>",
        )
    })?;
    if length.is_some_and(|length| length != chunk.length) {
        return Err(Error::new(
            ErrorKind::Malformed,
            "size_invalid",
            "Content-Length and Content-Range differ",
        ));
    }
    Ok(Some(chunk))
}

/// Some clients write the range as RFC 9110 does, with a unit and a total.
fn parse_chunk(text: &str) -> Option<ChunkStart> {
    let text = text.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let (range, _total) = text.split_once('/').unwrap_or((text, ""));
    let (first, last) = range.split_once('-')?;
    let (start, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    Some(ChunkStart { start, length: last.checked_sub(start)?.checked_add(1)? })
}

/// The body as a stream; a connection that broke off is the client's fault.
fn stream(body: Body) -> impl registry::Body {
    body.into_data_stream().map_err(|e| {
        Error::new(ErrorKind::Malformed, "blob_upload_invalid", "the body ended early")
            .with_source(e)
    })
}

/// A chunk out of order does not end the upload: the answer says where it goes on.
fn where_to_go_on(name: &RepositoryName, id: UploadId, error: Error) -> Failure {
    let received = match error.kind() {
        ErrorKind::RangeInvalid => error.detail().and_then(|d| d["received"].as_u64()),
        _ => None,
    };
    let failure = Failure::from(error);
    match received {
        None => failure,
        Some(received) => failure
            .with_header(header::LOCATION, location(name, id))
            .with_header(header::RANGE, range(received)),
    }
}

fn location(name: &RepositoryName, id: UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

fn accepted(name: &RepositoryName, upload: Upload) -> Result<Response, Failure> {
    let mut response = state(name, upload, StatusCode::ACCEPTED)?;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    Ok(response)
}

fn state(name: &RepositoryName, upload: Upload, status: StatusCode) -> Result<Response, Failure> {
    let headers = [
        (header::LOCATION, manifests::header_value(&location(name, upload.id))?),
        (header::RANGE, manifests::header_value(&range(upload.received))?),
        (UPLOAD_UUID, manifests::header_value(&upload.id.to_string())?),
    ];
    Ok((status, headers).into_response())
}

fn created(name: &RepositoryName, blob: &Blob) -> Result<Response, Failure> {
    let digest = blob.digest.to_string();
    let headers = [
        (header::LOCATION, manifests::header_value(&format!("/v2/{name}/blobs/{digest}"))?),
        (CONTENT_DIGEST, manifests::header_value(&digest)?),
        (header::CONTENT_LENGTH, HeaderValue::from(0)),
    ];
    Ok((StatusCode::CREATED, headers).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_read_in_both_spellings() {
        let chunk = |start, length| Some(ChunkStart { start, length });
        for (text, expected) in [
            ("0-9", chunk(0, 10)),
            ("bytes 10-19/20", chunk(10, 10)),
            ("5-5", chunk(5, 1)),
            ("5-4", None),
            ("0-18446744073709551615", None),
            ("-5", None),
            ("x", None),
        ] {
            assert_eq!(parse_chunk(text), expected, "{text}");
        }
        assert_eq!(range(0), "0-0");
        assert_eq!(range(10), "0-9");
    }
}

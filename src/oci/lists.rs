//! Lists: repositories, tags and referrers, paged by `Link`.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use serde_json::json;

use super::error::Failure;
use super::{Call, manifests, path};
use crate::base::{Digest, RepositoryName};
use crate::registry::media_type::OCI_INDEX;

/// Names of one page, also when the client asks for more.
const MAX_NAMES: usize = 1000;
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

pub(super) async fn catalog(call: Call) -> Result<Response, Failure> {
    let n = call.query.page_size(MAX_NAMES)?;
    let last = call.query.get("last");
    let (names, more) = match n {
        0 => (Vec::new(), false),
        n => call.registry().repository_names(call.actor(), last, n).await?,
    };
    let link = next_link("/v2/_catalog", n, names.last().filter(|_| more));
    linked(Json(json!({ "repositories": names })).into_response(), link)
}

pub(super) async fn tags(call: Call, name: &RepositoryName) -> Result<Response, Failure> {
    let n = call.query.page_size(MAX_NAMES)?;
    let last = call.query.get("last");
    // Asked even for an empty page: an absent repository is 404 in any case.
    let (mut names, mut more) =
        call.registry().tag_names(call.actor(), name, last, n.max(1)).await?;
    if n == 0 {
        (names, more) = (Vec::new(), false);
    }
    let link = next_link(&format!("/v2/{name}/tags/list"), n, names.last().filter(|_| more));
    linked(Json(json!({ "name": name, "tags": names })).into_response(), link)
}

pub(super) async fn referrers(
    call: Call,
    name: &RepositoryName,
    subject: &Digest,
) -> Result<Response, Failure> {
    let wanted = call.query.get("artifactType").filter(|t| !t.is_empty());
    let last = call.query.get("last").map(path::digest).transpose()?;
    let found =
        call.registry().referrers(call.actor(), name, subject, wanted, last.as_ref()).await?;
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found.items });
    let mut response = Response::new(Body::from(index.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCI_INDEX));
    if wanted.is_some() {
        headers.insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    let link = found.next.map(|next| {
        let mut query = vec![("last", next.to_string())];
        query.extend(wanted.map(|wanted| ("artifactType", wanted.to_owned())));
        let query = serde_urlencoded::to_string(query).unwrap_or_default();
        format!("</v2/{name}/referrers/{subject}?{query}>; rel=\"next\"")
    });
    linked(response, link)
}

fn next_link(path: &str, n: usize, last: Option<&String>) -> Option<String> {
    last.map(|last| format!("<{path}?n={n}&last={last}>; rel=\"next\""))
}

fn linked(mut response: Response, link: Option<String>) -> Result<Response, Failure> {
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, manifests::header_value(&link)?);
    }
    Ok(response)
}

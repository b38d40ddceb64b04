//! What is read from a source: manifests, tags, referrers, blobs.

use bytes::Bytes;
use oci_client::client::TagResponse;
use oci_client::manifest::OciImageIndex;
use reqwest::{StatusCode, Url};

use super::{Remote, broken};
use crate::base::{Digest, Reference, Result, TagName};
use crate::egress::Answer;
use crate::registry::MAX_MANIFEST;
use crate::registry::media_type::{DOCKER_IMAGE, DOCKER_LIST, OCI_IMAGE, OCI_INDEX};

/// Most tags of a repository that are looked at.
pub(in crate::import) const MAX_TAGS: usize = 10_000;
/// Most referrers of one manifest.
const MAX_REFERRERS: usize = 1000;
/// Pages of one list.
const MAX_PAGES: usize = 100;

/// A manifest as the source sent it, its digest verified.
#[derive(Debug)]
pub(in crate::import) struct Fetched {
    pub digest: Digest,
    pub media_type: Option<String>,
    pub content: Bytes,
}

impl Remote {
    /// A manifest. `None` when the source has none of that name.
    pub(in crate::import) async fn find_manifest(
        &self,
        reference: &Reference,
    ) -> Result<Option<Fetched>> {
        let accept = [OCI_INDEX, OCI_IMAGE, DOCKER_LIST, DOCKER_IMAGE].join(", ");
        let url = self.url(&format!("manifests/{reference}"))?;
        let answer = self.get(&url, &accept, None).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let media_type = answer
            .header("content-type")
            .and_then(|v| v.split(';').next())
            .map(|v| v.trim().to_owned());
        let said: Option<Digest> =
            answer.header("docker-content-digest").and_then(|v| v.parse().ok());
        let content = answer.bytes(MAX_MANIFEST).await?;
        let wanted = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(_) => said,
        };
        let digest = match wanted {
            None => Digest::sha256(&content),
            Some(wanted) => {
                let found = Digest::of(wanted.algorithm(), &content);
                if found != wanted {
                    return Err(broken(format!(
                        "{} sends a manifest with the digest {found} as {wanted}",
                        self.host()
                    )));
                }
                found
            }
        };
        Ok(Some(Fetched { digest, media_type, content }))
    }

    /// A manifest that must be there.
    pub(in crate::import) async fn manifest(&self, reference: &Reference) -> Result<Fetched> {
        self.find_manifest(reference)
            .await?
            .ok_or_else(|| self.absent(&format!("manifest {reference}")))
    }

    /// All tags that `wanted` accepts.
    pub(in crate::import) async fn tags(
        &self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<TagName>> {
        let mut url = self.url("tags/list?n=1000")?;
        let mut tags: Vec<TagName> = Vec::new();
        for _ in 0..MAX_PAGES {
            let answer = self.get(&url, "application/json", None).await?;
            if answer.status() == StatusCode::NOT_FOUND {
                return Err(self.absent("tags"));
            }
            let next = self.next_page(&answer);
            let body = answer.bytes(MAX_MANIFEST).await?;
            let page: TagResponse = serde_json::from_slice(&body)
                .map_err(|_| broken(format!("{} sends no list of tags", self.host())))?;
            for tag in page.tags.iter().filter(|tag| wanted(tag)) {
                let tag = tag
                    .parse()
                    .map_err(|_| broken(format!("{} lists what is not a tag", self.host())))?;
                tags.push(tag);
            }
            if tags.len() > MAX_TAGS {
                break;
            }
            let Some(next) = next else { return Ok(tags) };
            url = next;
        }
        Err(broken(format!(
            "{} has more than {MAX_TAGS} tags; name fewer with a pattern",
            self.repository
        )))
    }

    /// Digests of the manifests that refer to `subject`; from the fallback tag where the source
    /// has no referrers API.
    pub(in crate::import) async fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>> {
        let mut url = self.url(&format!("referrers/{subject}"))?;
        let mut found = Vec::new();
        for page in 0..MAX_PAGES {
            let answer = self.get(&url, OCI_INDEX, None).await?;
            if answer.status() == StatusCode::NOT_FOUND && page == 0 {
                // The name of a SHA-512 digest is too long for a tag.
                let tag = subject.to_string().replacen(':', "-", 1).parse().ok();
                if let Some(tag) = tag
                    && let Some(index) = self.find_manifest(&Reference::Tag(tag)).await?
                {
                    self.collect(&index.content, &mut found)?;
                }
                return Ok(found);
            }
            let next = self.next_page(&answer);
            let body = answer.bytes(MAX_MANIFEST).await?;
            self.collect(&body, &mut found)?;
            let Some(next) = next else { return Ok(found) };
            url = next;
        }
        Err(self.too_many_referrers())
    }

    fn collect(&self, body: &[u8], found: &mut Vec<Digest>) -> Result<()> {
        let wrong = || broken(format!("{} sends no list of referrers", self.host()));
        let index: OciImageIndex = serde_json::from_slice(body).map_err(|_| wrong())?;
        for entry in index.manifests {
            found.push(entry.digest.parse().map_err(|_| wrong())?);
        }
        if found.len() > MAX_REFERRERS {
            return Err(self.too_many_referrers());
        }
        Ok(())
    }

    fn too_many_referrers(&self) -> crate::base::Error {
        broken(format!("a manifest of {} has more than {MAX_REFERRERS} referrers", self.repository))
    }

    /// A blob's bytes from `from` on; the answer may start earlier (status 200), if the source
    /// knows no ranges.
    pub(in crate::import) async fn blob(&self, digest: &Digest, from: u64) -> Result<Answer> {
        let url = self.url(&format!("blobs/{digest}"))?;
        let range = (from > 0).then_some(from);
        let answer = self.get(&url, "*/*", range).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Err(self.absent(&format!("blob {digest}"))),
            StatusCode::PARTIAL_CONTENT if range.is_some() => {
                let starts = answer.header("content-range").unwrap_or_default();
                if starts.starts_with(&format!("bytes {from}-")) {
                    return Ok(answer);
                }
                Err(broken(format!("{} sends another range than was asked for", self.host())))
            }
            StatusCode::OK => Ok(answer),
            status => Err(broken(format!("{} answers {status} for a blob", self.host()))),
        }
    }

    /// Where a list goes on (`Link: <…>; rel="next"`). Only path and query are taken, because the
    /// list is the source's, whatever host it thinks it has.
    fn next_page(&self, answer: &Answer) -> Option<Url> {
        let is_next = |v: &&str| v.contains("rel=\"next\"") || v.contains("rel=next");
        let link = answer.headers("link").find(is_next)?;
        let target = link.trim_start().strip_prefix('<')?.split_once('>')?.0;
        let target = answer.url().join(target).ok()?;
        let mut next = self.base.clone();
        next.set_path(target.path());
        next.set_query(target.query());
        Some(next)
    }
}

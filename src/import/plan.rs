//! What an import copies: found by walking from its tags over children and referrers, before the
//! first byte of a blob is fetched.
//!
//! Bounds: 10,000 manifests of together 128 MiB, 50,000 blobs of together 4 TiB, 8 levels.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::pattern;
use super::remote::{Fetched, Remote, broken};
use super::store::imports::Request;
use crate::base::{Digest, Reference, Result, TagName};
use crate::registry::{Document, parse_manifest};

const MAX_MANIFESTS: usize = 10_000;
const MAX_CONTENT: usize = 128 << 20;
const MAX_BLOBS: usize = 50_000;
const MAX_BYTES: i64 = 4 << 40;
const MAX_DEPTH: usize = 8;

/// A manifest to push.
pub(super) struct PlannedManifest {
    pub digest: Digest,
    pub media_type: String,
    pub content: Bytes,
    /// Tags to set when all is here.
    pub tags: Vec<TagName>,
}

/// A blob to copy.
pub(super) struct PlannedBlob {
    pub digest: Digest,
    pub media_type: String,
    pub size: i64,
}

/// Manifests in the order of their push, and the blobs they need.
#[derive(Default)]
pub(super) struct Plan {
    pub manifests: Vec<PlannedManifest>,
    pub blobs: Vec<PlannedBlob>,
}

struct Planner<'a> {
    remote: &'a Remote,
    with_referrers: bool,
    plan: Plan,
    /// Where each manifest is in the plan.
    at: HashMap<Digest, usize>,
    known_blobs: HashSet<Digest>,
    content: usize,
    bytes: i64,
}

/// Reads a manifest as a push of it will.
pub(super) fn document(content: &[u8], media_type: Option<&str>) -> Result<Document> {
    // Some registries send manifests as plain JSON; the type inside decides.
    match (parse_manifest(content, None), media_type) {
        (Ok(document), _) => Ok(document),
        (Err(_), Some(sent)) => parse_manifest(content, Some(sent)),
        (Err(fault), None) => Err(fault),
    }
}

/// Plans an import.
pub(super) async fn make(remote: &Remote, request: &Request) -> Result<Plan> {
    let mut planner = Planner {
        remote,
        with_referrers: request.with_referrers,
        plan: Plan::default(),
        at: HashMap::new(),
        known_blobs: HashSet::new(),
        content: 0,
        bytes: 0,
    };
    match &request.source_reference {
        Some(reference) => {
            let reference: Reference = reference.parse()?;
            let fetched = remote.manifest(&reference).await?;
            let at = planner.add(fetched, 0).await?;
            let tag = request.target_tag.as_deref().map(str::parse).transpose()?;
            planner.plan.manifests[at].tags.extend(tag);
        }
        None => {
            let pattern = request.tag_pattern.as_deref().unwrap_or("*");
            // The referrers themselves are imported; the tags that list them are made here.
            let wanted = |tag: &str| {
                pattern::matches(pattern, tag) && !(request.with_referrers && is_fallback_tag(tag))
            };
            let tags = remote.tags(wanted).await?;
            if tags.is_empty() {
                return Err(broken(format!("no tag of {} matches", request.source_repository))
                    .with_code("source_not_found"));
            }
            for tag in tags {
                let fetched = remote.manifest(&Reference::Tag(tag.clone())).await?;
                let at = planner.add(fetched, 0).await.map_err(|e| {
                    if e.code() == "manifest_invalid" { named(&tag, &e) } else { e }
                })?;
                planner.plan.manifests[at].tags.push(tag);
            }
        }
    }
    Ok(planner.plan)
}

fn named(tag: &TagName, fault: &crate::base::Error) -> crate::base::Error {
    broken(format!("tag {tag}: {}", fault.public_message()))
}

/// Whether a tag is the referrers index of registries without the referrers API.
fn is_fallback_tag(tag: &str) -> bool {
    tag.strip_prefix("sha256-").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

impl Planner<'_> {
    /// Adds a manifest after its children and before its referrers; where it is in the plan.
    fn add(&mut self, fetched: Fetched, depth: usize) -> BoxFuture<'_, Result<usize>> {
        Box::pin(async move {
            let Fetched { digest, media_type, content } = fetched;
            if let Some(at) = self.at.get(&digest) {
                return Ok(*at);
            }
            if depth > MAX_DEPTH {
                return Err(broken(format!("manifests lie deeper than {MAX_DEPTH} levels")));
            }
            self.content += content.len();
            if self.at.len() >= MAX_MANIFESTS || self.content > MAX_CONTENT {
                return Err(broken(format!(
                    "there are more than {MAX_MANIFESTS} manifests or {} MiB of them; import fewer tags at once",
                    MAX_CONTENT >> 20
                )));
            }
            let document = document(&content, media_type.as_deref())?;
            for child in &document.children {
                if self.at.contains_key(&child.digest) {
                    continue;
                }
                let child = self.remote.manifest(&Reference::Digest(child.digest.clone())).await?;
                self.add(child, depth + 1).await?;
            }
            self.add_blobs(&document)?;
            let at = self.plan.manifests.len();
            self.at.insert(digest.clone(), at);
            self.plan.manifests.push(PlannedManifest {
                digest: digest.clone(),
                media_type: document.media_type,
                content,
                tags: Vec::new(),
            });
            if self.with_referrers {
                for referrer in self.remote.referrers(&digest).await? {
                    if self.at.contains_key(&referrer) {
                        continue;
                    }
                    // A list may name what was deleted since; then there is nothing to copy.
                    if let Some(found) =
                        self.remote.find_manifest(&Reference::Digest(referrer)).await?
                    {
                        self.add(found, depth + 1).await?;
                    }
                }
            }
            Ok(at)
        })
    }

    fn add_blobs(&mut self, document: &Document) -> Result<()> {
        for part in document.required_blobs() {
            if !self.known_blobs.insert(part.digest.clone()) {
                continue;
            }
            self.bytes = self.bytes.saturating_add(part.size);
            if self.known_blobs.len() > MAX_BLOBS || self.bytes > MAX_BYTES {
                return Err(broken(format!(
                    "there are more than {MAX_BLOBS} blobs or {} TiB of them; import fewer tags at once",
                    MAX_BYTES >> 40
                )));
            }
            self.plan.blobs.push(PlannedBlob {
                digest: part.digest.clone(),
                media_type: part.media_type.clone(),
                size: part.size,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::is_fallback_tag;

    #[test]
    fn fallback_tags_are_told_from_other_tags() {
        let hex = "0a".repeat(32);
        assert!(is_fallback_tag(&format!("sha256-{hex}")));
        for other in [format!("sha256-{hex}.sig"), "sha256-1".to_owned(), "v1".to_owned()] {
            assert!(!is_fallback_tag(&other), "{other}");
        }
    }
}

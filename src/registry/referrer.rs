//! Referrers: manifests whose `subject` is another manifest (signatures, SBOMs, attestations).
//!
//! Clients of registries without this API kept a list in an index tagged `sha256-<hex>`; what it
//! names is folded in.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::PULL;
use super::{Registry, store};
use crate::base::id::RepositoryId;
use crate::base::{Actor, Algorithm, Digest, Reference, RepositoryName, Result, TagName};

/// Referrers on one page.
const PAGE: usize = 500;
/// Bytes of annotations on one page; a page holds at least one referrer.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A descriptor as the referrers API answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    pub media_type: String,
    pub digest: Digest,
    pub size: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// One page of referrers.
#[derive(Debug)]
pub struct Referrers {
    pub items: Vec<Referrer>,
    /// Continue after this digest.
    pub next: Option<Digest>,
}

impl Registry {
    /// Referrers of `subject` by digest, after `last`. An unknown subject has none.
    pub async fn referrers(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        last: Option<&Digest>,
    ) -> Result<Referrers> {
        self.authorize(actor, name, PULL).await?;
        let none = Referrers { items: Vec::new(), next: None };
        let Some(repository) = self.find_repository_id(name).await? else { return Ok(none) };
        let mut conn = self.db.read().await?;
        let limit = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
        let rows =
            store::manifests::referrers(&mut conn, repository, subject, artifact_type, last, limit)
                .await?;
        drop(conn);
        let mut items = Vec::new();
        let (mut bytes, mut more) = (0, false);
        for row in rows {
            let annotations = annotations(&row.annotations);
            bytes += annotations.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
            if items.len() == PAGE || (bytes > PAGE_BYTES && !items.is_empty()) {
                more = true;
                break;
            }
            items.push(Referrer {
                media_type: row.media_type,
                digest: row.digest,
                size: row.size,
                artifact_type: row.artifact_type,
                annotations,
            });
        }
        let next = if more { items.last().map(|r| r.digest.clone()) } else { None };
        if next.is_none() {
            items.extend(self.fallback(name, repository, subject, artifact_type).await?);
        }
        Ok(Referrers { items, next })
    }

    /// What only the list under the fallback tag names. An entry that cannot be read is left out.
    async fn fallback(
        &self,
        name: &RepositoryName,
        repository: RepositoryId,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>> {
        let Some(tag) = fallback_tag(subject) else { return Ok(Vec::new()) };
        let mut conn = self.db.read().await?;
        let row = store::manifests::find_served(&mut conn, name, &Reference::Tag(tag)).await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        let mut listed = listed(&row.content);
        listed.retain(|r| {
            artifact_type.is_none_or(|wanted| r.artifact_type.as_deref() == Some(wanted))
        });
        let digests: Vec<String> = listed.iter().map(|r| r.digest.to_string()).collect();
        let known =
            store::manifests::referrers_among(&mut conn, repository, subject, &digests).await?;
        let mut known: HashSet<Digest> = known.into_iter().collect();
        listed.retain(|r| known.insert(r.digest.clone()));
        Ok(listed)
    }
}

/// The descriptors of an index that an older client wrote.
fn listed(index: &[u8]) -> Vec<Referrer> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(default)]
        manifests: Vec<Value>,
    }
    let Ok(index) = serde_json::from_slice::<Index>(index) else { return Vec::new() };
    index.manifests.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect()
}

/// The tag of the fallback scheme: algorithm and at most 64 characters of the hash.
pub(super) fn fallback_tag(subject: &Digest) -> Option<TagName> {
    let algorithm = match subject.algorithm() {
        Algorithm::Sha256 => "sha256",
        Algorithm::Sha512 => "sha512",
    };
    format!("{algorithm}-{}", &subject.hex()[..64]).parse().ok()
}

pub(super) fn annotations(stored: &Value) -> BTreeMap<String, String> {
    let Some(map) = stored.as_object() else { return BTreeMap::new() };
    map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

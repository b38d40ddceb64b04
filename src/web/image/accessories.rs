//! What refers to an image, as a tree for people.

use super::image_href;
use crate::base::{Reference, RepositoryName, Timestamp};
use crate::registry::{Accessory, Kind};
use crate::web::text::Text;

/// Something that refers to the image, as a node of a tree written in order.
pub(super) struct Node {
    pub kind: &'static str,
    pub label: String,
    pub type_name: String,
    /// Found by this tag, not by its subject.
    pub tag: String,
    pub digest: String,
    pub href: String,
    pub size: i64,
    pub pushed_by: String,
    pub pushed_at: Timestamp,
    /// It begins a list inside the node before it.
    pub opens: bool,
    /// Lists that end after it.
    pub closes: usize,
}

/// What it is, in the page's language.
pub(super) fn kind_label(t: &Text, kind: Kind) -> String {
    t.get(match kind {
        Kind::Image => "kind-image",
        Kind::Index => "kind-index",
        Kind::Chart => "kind-chart",
        Kind::Wasm => "kind-wasm",
        Kind::Signature => "kind-signature",
        Kind::Sbom => "kind-sbom",
        Kind::Attestation => "kind-attestation",
        Kind::Artifact => "kind-artifact",
    })
}

/// The tree of what refers to an image, in the order of a nested list.
pub(super) fn nodes(t: &Text, name: &RepositoryName, accessories: &[Accessory]) -> Vec<Node> {
    let depths: Vec<usize> = accessories.iter().map(|a| a.depth).chain([1]).collect();
    accessories
        .iter()
        .enumerate()
        .map(|(i, found)| Node {
            kind: found.kind.as_str(),
            label: kind_label(t, found.kind),
            type_name: found.type_name.clone(),
            tag: found.tag.as_ref().map(ToString::to_string).unwrap_or_default(),
            digest: found.digest.short().to_owned(),
            href: image_href(name, &Reference::Digest(found.digest.clone())),
            size: found.size,
            pushed_by: found.pushed_by.clone(),
            pushed_at: found.pushed_at,
            opens: i > 0 && found.depth > depths[i - 1],
            closes: found.depth.saturating_sub(depths[i + 1]),
        })
        .collect()
}

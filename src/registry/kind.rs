//! What a manifest is to people: an image, a chart, a signature, …
//!
//! The specifications say it in several places: `artifactType`, the config's media type (OCI
//! image specification 1.1, "Guidelines for Artifact Usage") or, for older tools that put
//! everything into an image, the media types of the layers.

use super::media_type::{self, Shape};

/// What a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A container image.
    Image,
    /// Images for several platforms.
    Index,
    /// A Helm chart.
    Chart,
    /// A WebAssembly module or component.
    Wasm,
    /// A signature of another manifest.
    Signature,
    /// A software bill of materials.
    Sbom,
    /// A signed statement about another manifest: provenance, test results, …
    Attestation,
    /// Anything else.
    Artifact,
}

impl Kind {
    /// The word used by the API and in message keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Index => "index",
            Self::Chart => "chart",
            Self::Wasm => "wasm",
            Self::Signature => "signature",
            Self::Sbom => "sbom",
            Self::Attestation => "attestation",
            Self::Artifact => "artifact",
        }
    }

    /// Whether a container engine can run it.
    pub fn is_runnable(self) -> bool {
        matches!(self, Self::Image | Self::Index)
    }

    /// What a manifest is, by its media type, its `artifactType`, its config's media type and
    /// its layers' media types.
    pub fn of<'a>(
        media_type: &str,
        artifact_type: Option<&str>,
        config: Option<&str>,
        layers: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        if let Some(kind) = artifact_type.and_then(Self::of_type) {
            return kind;
        }
        let is_index = media_type::shape(media_type) == Some(Shape::Index);
        if artifact_type.is_some() {
            return Self::Artifact;
        }
        if is_index {
            return Self::Index;
        }
        if let Some(kind) = config.and_then(Self::of_type) {
            return kind;
        }
        if let Some(kind) = layers.into_iter().find_map(Self::of_type) {
            return kind;
        }
        match config {
            Some(config) if media_type::is_image_config(config) => Self::Image,
            _ => Self::Artifact,
        }
    }

    /// What a single media type gives away; `None` for types that say nothing.
    fn of_type(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if text.starts_with("application/vnd.cncf.helm.") {
            Some(Self::Chart)
        } else if has(&[
            "notary.signature",
            "cosign.artifact.sig",
            "simplesigning",
            "sigstore.bundle",
        ]) {
            Some(Self::Signature)
        } else if has(&["spdx", "cyclonedx", "sbom", "syft"]) {
            Some(Self::Sbom)
        } else if has(&["in-toto", "dsse.envelope", "slsa", "cosign.artifact.att"]) {
            Some(Self::Attestation)
        } else if has(&["wasm"]) {
            Some(Self::Wasm)
        } else {
            None
        }
    }
}

/// The subject that a tag of older clients belongs to, and what its suffix says: cosign's
/// `sha256-<hex>.sig`, `.att` and `.sbom`. The fallback list of the referrers API
/// (`sha256-<hex>`) has no suffix.
pub(super) const TAG_SUFFIXES: [(&str, Kind); 3] =
    [(".sig", Kind::Signature), (".att", Kind::Attestation), (".sbom", Kind::Sbom)];

#[cfg(test)]
mod tests {
    use super::*;
    use media_type::{DOCKER_CONFIG, DOCKER_IMAGE, DOCKER_LIST, OCI_CONFIG, OCI_IMAGE, OCI_INDEX};

    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    const EMPTY: &str = "application/vnd.oci.empty.v1+json";

    #[test]
    fn manifests_are_recognised_as_what_their_tools_push() {
        for (media_type, artifact_type, config, layer, kind) in [
            (OCI_IMAGE, None, Some(OCI_CONFIG), LAYER, Kind::Image),
            (DOCKER_IMAGE, None, Some(DOCKER_CONFIG), LAYER, Kind::Image),
            (OCI_INDEX, None, None, "", Kind::Index),
            (DOCKER_LIST, None, None, "", Kind::Index),
            (OCI_INDEX, Some("application/vnd.example.set"), None, "", Kind::Artifact),
            (
                OCI_IMAGE,
                None,
                Some("application/vnd.cncf.helm.config.v1+json"),
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
                Kind::Chart,
            ),
            // cosign with tags: an image whose layer is the signature.
            (
                OCI_IMAGE,
                None,
                Some(OCI_CONFIG),
                "application/vnd.dev.cosign.simplesigning.v1+json",
                Kind::Signature,
            ),
            (
                OCI_IMAGE,
                None,
                Some("application/vnd.dev.cosign.artifact.sig.v1+json"),
                "application/vnd.dev.cosign.simplesigning.v1+json",
                Kind::Signature,
            ),
            (
                OCI_IMAGE,
                Some("application/vnd.dev.sigstore.bundle.v0.3+json"),
                Some(EMPTY),
                "application/vnd.dev.sigstore.bundle.v0.3+json",
                Kind::Signature,
            ),
            (
                OCI_IMAGE,
                None,
                Some("application/vnd.cncf.notary.signature"),
                "application/jose+json",
                Kind::Signature,
            ),
            // BuildKit keeps its provenance beside the images of an index.
            (OCI_IMAGE, None, Some(OCI_CONFIG), "application/vnd.in-toto+json", Kind::Attestation),
            (OCI_IMAGE, Some("application/spdx+json"), Some(EMPTY), "text/plain", Kind::Sbom),
            (
                OCI_IMAGE,
                None,
                Some("application/vnd.wasm.config.v0+json"),
                "application/wasm",
                Kind::Wasm,
            ),
            (OCI_IMAGE, Some("application/vnd.example"), Some(EMPTY), "text/plain", Kind::Artifact),
            (OCI_IMAGE, None, Some("application/vnd.example+json"), "text/plain", Kind::Artifact),
            (OCI_IMAGE, None, Some(EMPTY), EMPTY, Kind::Artifact),
        ] {
            let layers = Some(layer).filter(|layer| !layer.is_empty());
            let found = Kind::of(media_type, artifact_type, config, layers);
            assert_eq!(found, kind, "{media_type} {artifact_type:?} {config:?} {layer}");
        }
    }
}

//! Reads manifests as pushed. Lenient about what it does not know, strict about what decides
//! which blobs a manifest needs; the bytes are stored and served unchanged.
//!
//! Bounds: 4 MiB, 64 levels of nesting, 1,000 layers, 1,000 children.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::media_type::{self, Shape};
use crate::base::{Digest, Error, ErrorKind, Result};

/// Largest manifest accepted, bytes.
pub const MAX_MANIFEST: usize = 4 * 1024 * 1024;
const MAX_DEPTH: usize = 64;
const MAX_REFERENCES: usize = 1000;
const MAX_MEDIA_TYPE: usize = 255;

/// A manifest, read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    pub media_type: String,
    pub shape: Shape,
    pub artifact_type: Option<String>,
    pub config: Option<Part>,
    pub layers: Vec<Part>,
    pub children: Vec<Part>,
    pub subject: Option<Digest>,
    pub annotations: BTreeMap<String, String>,
}

/// A descriptor inside a manifest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    pub media_type: String,
    pub digest: Digest,
    pub size: i64,
    pub platform: Option<String>,
}

impl Document {
    /// The blobs that must be in the repository before the manifest is.
    pub(crate) fn required_blobs(&self) -> impl Iterator<Item = &Part> {
        self.config
            .iter()
            .chain(&self.layers)
            .filter(|part| !media_type::is_non_distributable(&part.media_type))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawPart>,
    layers: Option<Vec<RawPart>>,
    manifests: Option<Vec<RawPart>>,
    subject: Option<RawPart>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPart {
    media_type: Option<String>,
    digest: Digest,
    size: Option<i64>,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

fn invalid(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Malformed, "manifest_invalid", format!("manifest: {why}"))
}

/// Reads a manifest that was sent with `content_type` (its parameters already cut off).
pub(crate) fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Document> {
    if bytes.len() > MAX_MANIFEST {
        return Err(Error::too_large("manifest", MAX_MANIFEST as u64));
    }
    if nesting(bytes) > MAX_DEPTH {
        return Err(invalid(format!("nested deeper than {MAX_DEPTH} levels")));
    }
    let raw: RawManifest = serde_json::from_slice(bytes).map_err(|e| invalid(e.to_string()))?;
    if raw.schema_version != Some(2) {
        return Err(invalid("schemaVersion must be 2"));
    }
    let media_type = match (content_type, raw.media_type) {
        (Some(sent), Some(inside)) if sent != inside => {
            return Err(invalid("Content-Type and mediaType differ"));
        }
        (_, Some(inside)) => inside,
        (Some(sent), None) => sent.to_owned(),
        (None, None) => return Err(invalid("needs a Content-Type or a mediaType")),
    };
    let shape = media_type::shape(&media_type).ok_or_else(|| {
        invalid("this media type is not supported; push an OCI or Docker schema 2 manifest")
    })?;
    let parts = |list: Option<Vec<RawPart>>, what: &str| -> Result<Vec<Part>> {
        let list = list.unwrap_or_default();
        if list.len() > MAX_REFERENCES {
            return Err(invalid(format!("more than {MAX_REFERENCES} {what}")));
        }
        list.into_iter().map(part).collect()
    };
    let document = match (shape, raw.config, raw.layers, raw.manifests) {
        (Shape::Image, Some(config), layers, None) => Document {
            media_type,
            shape,
            artifact_type: checked_type(raw.artifact_type)?,
            config: Some(part(config)?),
            layers: parts(layers, "layers")?,
            children: Vec::new(),
            subject: raw.subject.map(|s| s.digest),
            annotations: raw.annotations.unwrap_or_default(),
        },
        (Shape::Index, None, None, Some(children)) => Document {
            media_type,
            shape,
            artifact_type: checked_type(raw.artifact_type)?,
            config: None,
            layers: Vec::new(),
            children: parts(Some(children), "manifests")?,
            subject: raw.subject.map(|s| s.digest),
            annotations: raw.annotations.unwrap_or_default(),
        },
        (Shape::Image, ..) => {
            return Err(invalid("an image needs config and layers, and has no manifests"));
        }
        (Shape::Index, ..) => {
            return Err(invalid("an index needs manifests, and has no config or layers"));
        }
    };
    Ok(document)
}

fn part(raw: RawPart) -> Result<Part> {
    let size = raw.size.unwrap_or(0);
    if size < 0 {
        return Err(invalid("a descriptor has a negative size"));
    }
    let platform = raw.platform.map(|p| {
        let mut text =
            format!("{}/{}", p.os.unwrap_or_default(), p.architecture.unwrap_or_default());
        if let Some(variant) = p.variant.filter(|v| !v.is_empty()) {
            text.push('/');
            text.push_str(&variant);
        }
        clean(&text, 128)
    });
    Ok(Part {
        media_type: checked_type(raw.media_type)?.unwrap_or_default(),
        digest: raw.digest,
        size,
        platform,
    })
}

/// Media types end up in headers and columns: printable ASCII only. Empty counts as absent.
fn checked_type(text: Option<String>) -> Result<Option<String>> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(None) };
    if text.len() > MAX_MEDIA_TYPE || !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err(invalid(format!(
            "media types are printable ASCII, at most {MAX_MEDIA_TYPE} characters"
        )));
    }
    Ok(Some(text))
}

/// Text for a column or a page: cut to `max` characters, without NUL, which PostgreSQL refuses.
pub(crate) fn clean(text: &str, max: usize) -> String {
    text.chars().take(max).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

/// Deepest nesting of arrays and objects, counted without recursion.
fn nesting(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use media_type::{DOCKER_IMAGE, OCI_IMAGE, OCI_INDEX};

    fn digest(n: u8) -> Digest {
        Digest::sha256(&[n])
    }

    fn image(extra: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_IMAGE}","config":{{"mediaType":"a/b","digest":"{}","size":2}},"layers":[]{extra}}}"#,
            digest(1)
        )
    }

    fn fault(body: &str, content_type: Option<&str>) -> (ErrorKind, String) {
        let error = parse(body.as_bytes(), content_type).expect_err("refused");
        (error.kind(), error.public_message().to_owned())
    }

    #[test]
    fn reads_an_image_and_ignores_unknown_fields() {
        let body = image(r#","custom":{"deep":[1]},"annotations":{"k":"v"}"#);
        let document = parse(body.as_bytes(), Some(OCI_IMAGE)).expect("valid");
        assert_eq!(document.shape, Shape::Image);
        assert_eq!(document.required_blobs().count(), 1);
        assert_eq!(document.annotations["k"], "v");
        assert_eq!(parse(body.as_bytes(), None).expect("the body says its type"), document);
    }

    #[test]
    fn one_body_cannot_be_read_as_two_kinds() {
        let manifests = r#","manifests":[]"#;
        assert_eq!(fault(&image(manifests), None).0, ErrorKind::Malformed);
        assert_eq!(fault(&image(""), Some(DOCKER_IMAGE)).0, ErrorKind::Malformed);
        let both = image("").replace(OCI_IMAGE, OCI_INDEX);
        assert_eq!(fault(&both, None).0, ErrorKind::Malformed);
        let twice = image(r#","layers":[]"#);
        assert!(fault(&twice, None).1.contains("duplicate field"));
    }

    #[test]
    fn hostile_bodies_are_refused_before_they_cost_anything() {
        assert!(fault(&"[".repeat(10_000), None).1.contains("nested"));
        let hidden = image(&format!(r#","x":{}1{}"#, "[".repeat(100), "]".repeat(100)));
        assert!(fault(&hidden, None).1.contains("nested"));
        let braces = image(r#","x":"[[[[[\"[[""#);
        assert!(parse(braces.as_bytes(), None).is_ok(), "brackets in text do not nest");
        let layer = format!(r#"{{"digest":"{}","size":1}}"#, digest(2));
        let many = image("").replace("[]", &format!("[{}]", vec![layer; 1001].join(",")));
        assert!(fault(&many, None).1.contains("1000 layers"));
        let mut padded = image("");
        padded.push_str(&" ".repeat(MAX_MANIFEST - padded.len()));
        assert!(parse(padded.as_bytes(), None).is_ok(), "exactly 4 MiB");
        assert_eq!(fault(&format!("{padded} "), None).0, ErrorKind::TooLarge);
        assert!(fault(&image("").replace("sha256:", "md5:"), None).1.contains("digest"));
        assert!(fault("{}", None).1.contains("schemaVersion"));
        assert!(fault(&image("").replace("a/b", "a\\u0000b"), None).1.contains("printable"));
    }

    #[test]
    fn platforms_are_written_as_people_do() {
        let body = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{OCI_IMAGE}","digest":"{}","size":2,
            "platform":{{"os":"linux","architecture":"arm","variant":"v7"}}}}]}}"#,
            digest(1)
        );
        let document = parse(body.as_bytes(), Some(OCI_INDEX)).expect("valid");
        assert_eq!(document.children[0].platform.as_deref(), Some("linux/arm/v7"));
        assert_eq!(document.required_blobs().count(), 0);
    }
}

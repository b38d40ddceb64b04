//! Data sets: blobs and the manifests over them, made anew for every run so that nothing of an
//! earlier one helps.

use std::io::Write as _;

use bytes::Bytes;
use portolan::base::{Algorithm, Digest};
use serde_json::{Value, json};

pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Bytes and the digest they are asked for by.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
}

impl Content {
    pub(super) fn new(algorithm: Algorithm, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(algorithm, &bytes), bytes }
    }

    /// Bytes that were never seen before.
    pub(super) fn random(algorithm: Algorithm, len: usize) -> Self {
        let mut bytes = vec![0; len];
        aws_lc_rs::rand::fill(&mut bytes).expect("random");
        Self::new(algorithm, bytes)
    }

    /// Other bytes under the same digest.
    pub(super) fn corrupted(&self) -> Self {
        let bytes = [&self.bytes[..], b"and more"].concat();
        Self { digest: self.digest.clone(), bytes: bytes.into() }
    }
}

/// How a manifest is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// By its digest, then by each tag.
    Plain,
    /// By its digest with all tags as parameters.
    TagParams,
    /// By a digest that is not its own; it has to be refused.
    WrongDigest,
}

/// A manifest and what a registry has to say of it.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) content: Content,
    pub(super) media_type: &'static str,
    pub(super) tags: Vec<String>,
    pub(super) subject: Option<Digest>,
    /// As the list of referrers of its subject shows it.
    pub(super) descriptor: Value,
    pub(super) put: Put,
}

/// What is pushed, read and removed together.
#[derive(Debug)]
pub(super) struct DataSet {
    pub(super) name: &'static str,
    pub(super) blobs: Vec<Content>,
    /// Children before those that name them.
    pub(super) manifests: Vec<Manifest>,
}

/// Makes one data set.
pub(super) struct Maker {
    set: DataSet,
    algorithm: Algorithm,
    put: Put,
    /// Descriptors carry what they describe.
    pub(super) inlines: bool,
    /// Everything carries fields that no specification knows.
    pub(super) adds_fields: bool,
}

pub(super) fn random_text() -> String {
    let mut bytes = [0u8; 12];
    aws_lc_rs::rand::fill(&mut bytes).expect("random");
    hex::encode(bytes)
}

fn merge(mut value: Value, more: &Value) -> Value {
    let object = value.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    value
}

impl Maker {
    pub(super) fn new(name: &'static str) -> Self {
        let set = DataSet { name, blobs: Vec::new(), manifests: Vec::new() };
        Self {
            set,
            algorithm: Algorithm::Sha256,
            put: Put::Plain,
            inlines: false,
            adds_fields: false,
        }
    }

    pub(super) fn with(mut self, algorithm: Algorithm, put: Put) -> Self {
        (self.algorithm, self.put) = (algorithm, put);
        self
    }

    pub(super) fn done(self) -> DataSet {
        self.set
    }

    fn describe(&self, media_type: &str, content: &Content) -> Value {
        let mut descriptor = json!({
            "mediaType": media_type, "digest": content.digest, "size": content.bytes.len(),
        });
        if self.inlines {
            use base64::Engine as _;
            let data = base64::engine::general_purpose::STANDARD.encode(&content.bytes);
            descriptor["data"] = json!(data);
        }
        descriptor
    }

    /// A blob to push, and its descriptor.
    pub(super) fn blob(&mut self, media_type: &str, bytes: impl Into<Bytes>) -> Value {
        let content = Content::new(self.algorithm, bytes);
        let descriptor = self.describe(media_type, &content);
        if !self.set.blobs.iter().any(|known| known.digest == content.digest) {
            self.set.blobs.push(content);
        }
        descriptor
    }

    /// A blob that is described and never pushed.
    pub(super) fn absent(&self, media_type: &str, size: usize) -> Value {
        self.describe(media_type, &Content::random(self.algorithm, size))
    }

    pub(super) fn layer(&mut self, compressed: bool) -> Value {
        let text = format!("contents of a file, {}\n", random_text());
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_data(&mut header, "a-file", text.as_bytes()).expect("a file");
        let plain = tar.into_inner().expect("a layer");
        if !compressed {
            return self.blob(LAYER, plain);
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).expect("compressed");
        let bytes = gzip.finish().expect("compressed");
        self.blob(LAYER_GZIP, bytes)
    }

    pub(super) fn config(&mut self, architecture: &str) -> Value {
        let mut config = json!({
            "architecture": architecture, "os": "linux", "author": random_text(),
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        if self.adds_fields {
            config = merge(config, &unknown_fields());
        }
        self.blob(CONFIG, config.to_string())
    }

    pub(super) fn empty(&mut self) -> Value {
        self.blob(EMPTY, &b"{}"[..])
    }

    /// An image of two fresh layers.
    pub(super) fn image(&mut self, tags: &[&str], more: Value) -> Value {
        let layers = [self.layer(true), self.layer(true)];
        let config = self.config("amd64");
        self.image_of(tags, &config, &layers, more)
    }

    /// An artifact of one layer, with an empty config.
    pub(super) fn artifact(&mut self, tags: &[&str], artifact_type: &str, more: Value) -> Value {
        let config = self.empty();
        let layer = self.blob(artifact_type, random_text());
        let more = merge(json!({ "artifactType": artifact_type }), &more);
        self.image_of(tags, &config, &[layer], more)
    }

    /// A manifest over these descriptors; `more` is added to it.
    pub(super) fn image_of(
        &mut self,
        tags: &[&str],
        config: &Value,
        layers: &[Value],
        more: Value,
    ) -> Value {
        let body = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config,
            "layers": layers });
        self.manifest(IMAGE, tags, merge(body, &more))
    }

    pub(super) fn index(&mut self, tags: &[&str], children: &[Value], more: Value) -> Value {
        let body = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children });
        self.manifest(INDEX, tags, merge(body, &more))
    }

    /// An index of one fresh image for each of two platforms.
    pub(super) fn platforms(&mut self, tags: &[&str], more: Value) -> Value {
        let children: Vec<Value> = ["amd64", "arm64"]
            .into_iter()
            .map(|architecture| {
                let layers = [self.layer(true)];
                let config = self.config(architecture);
                let child = self.image_of(&[], &config, &layers, json!({}));
                let platform = json!({ "os": "linux", "architecture": architecture });
                merge(child, &json!({ "platform": platform }))
            })
            .collect();
        self.index(tags, &children, more)
    }

    fn manifest(&mut self, media_type: &'static str, tags: &[&str], mut body: Value) -> Value {
        if self.adds_fields {
            body = merge(body, &unknown_fields());
        }
        let text = body.to_string();
        let content = match self.put {
            Put::WrongDigest => Content::new(self.algorithm, text).corrupted(),
            _ => Content::new(self.algorithm, text),
        };
        let descriptor = self.describe(media_type, &content);
        let mut listed = descriptor.clone();
        let from_config = || match media_type {
            IMAGE => body["config"]["mediaType"].clone(),
            _ => Value::Null,
        };
        listed["artifactType"] = body.get("artifactType").cloned().unwrap_or_else(from_config);
        listed["annotations"] = body["annotations"].clone();
        let subject = body["subject"]["digest"].as_str().map(|d| d.parse().expect("a digest"));
        self.set.manifests.push(Manifest {
            content,
            media_type,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            subject,
            descriptor: listed,
            put: self.put,
        });
        descriptor
    }
}

fn unknown_fields() -> Value {
    json!({ format!("field-{}", random_text()): { "deep": [1, random_text(), null] } })
}

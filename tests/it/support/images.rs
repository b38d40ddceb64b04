//! Container images made in memory from the machine's static busybox: no image can be pulled
//! from anywhere.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use portolan::base::Digest;
use serde_json::{Value, json};

/// An image: its blobs and its manifest.
#[derive(Debug, Clone)]
pub struct TestImage {
    pub config: Bytes,
    pub layers: Vec<Bytes>,
    pub manifest: Bytes,
}

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

impl TestImage {
    /// An image of these layers; `runtime` is the `config` object of its config.
    pub fn new(layers: Vec<Bytes>, runtime: Value) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|l| Digest::sha256(l)).collect();
        let history: Vec<_> = layers.iter().map(|_| json!({ "created_by": "a test" })).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": runtime,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        });
        let config = Bytes::from(config.to_string());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(OCI_CONFIG, &config),
            "layers": layers.iter().map(|l| descriptor(OCI_LAYER, l)).collect::<Vec<_>>(),
        });
        Self { config, layers, manifest: Bytes::from(manifest.to_string()) }
    }

    /// Digest of the manifest.
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }

    /// Config and layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.config).chain(&self.layers)
    }

    /// Writes an OCI layout that `skopeo copy oci:DIR:TAG` reads.
    pub fn write_oci_layout(&self, dir: &Path, tag: &str) {
        let blobs = dir.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("make the layout");
        for blob in self.blobs().chain([&self.manifest]) {
            std::fs::write(blobs.join(Digest::sha256(blob).hex()), blob).expect("write a blob");
        }
        let mut entry = descriptor(OCI_MANIFEST, &self.manifest);
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });
        std::fs::write(dir.join("index.json"), index.to_string()).expect("write the index");
        std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
            .expect("write the marker");
    }

    /// Loads the image into the local Docker Engine under `name` (`host/project/repo:tag`).
    pub fn load_into_docker(&self, name: &str) {
        let dir = tempfile::tempdir().expect("tempdir");
        let archive = dir.path().join("image.tar");
        let config_file = format!("{}.json", Digest::sha256(&self.config).hex());
        let layer_file = |l: &Bytes| format!("{}.tar", Digest::sha256(l).hex());
        let layers: Vec<_> = self.layers.iter().map(layer_file).collect();
        let manifest = json!([{ "Config": config_file, "RepoTags": [name], "Layers": layers }]);
        let file = std::fs::File::create(&archive).expect("make the archive");
        let mut tar = tar::Builder::new(file);
        add(&mut tar, &config_file, 0o644, &self.config);
        for layer in &self.layers {
            add(&mut tar, &layer_file(layer), 0o644, layer);
        }
        add(&mut tar, "manifest.json", 0o644, manifest.to_string().as_bytes());
        tar.finish().expect("finish the archive");
        let loaded = Command::new("docker")
            .args(["load", "-q", "-i"])
            .arg(&archive)
            .output()
            .expect("docker runs");
        assert!(
            loaded.status.success(),
            "docker load: {}",
            String::from_utf8_lossy(&loaded.stderr)
        );
    }
}

fn descriptor(media_type: &str, bytes: &Bytes) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::sha256(bytes), "size": bytes.len() })
}

fn add(tar: &mut tar::Builder<impl std::io::Write>, path: &str, mode: u32, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(1_767_225_600);
    tar.append_data(&mut header, path, bytes).expect("add to the archive");
}

/// A layer of one small file; different for every `text`.
pub fn layer(text: &str) -> Bytes {
    let mut tar = tar::Builder::new(Vec::new());
    add(&mut tar, "file", 0o644, text.as_bytes());
    Bytes::from(tar.into_inner().expect("a layer"))
}

/// A small image that cannot run, for tests of the registry alone.
pub fn tiny(text: &str) -> TestImage {
    TestImage::new(vec![layer(text)], json!({ "Cmd": ["/none"], "Env": [format!("TEXT={text}")] }))
}

/// A web server on port 8080 that answers `<hostname> <version>`.
pub fn hello(version: &str) -> TestImage {
    let start = format!(
        "#!/bin/sh\necho \"$(/bin/busybox hostname) {version}\" > /www/index.html\nexec /bin/busybox httpd -f -p 8080 -h /www\n"
    );
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed");
    let mut base = tar::Builder::new(Vec::new());
    add(&mut base, "bin/busybox", 0o755, &busybox);
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    link.set_mode(0o777);
    for name in ["sh", "sleep", "cat", "wget", "hostname", "kill", "true", "false", "echo"] {
        base.append_link(&mut link, format!("bin/{name}"), "busybox").expect("add a link");
    }
    let base = Bytes::from(base.into_inner().expect("a layer"));
    let mut top = tar::Builder::new(Vec::new());
    add(&mut top, "start", 0o755, start.as_bytes());
    let mut www = tar::Header::new_gnu();
    www.set_entry_type(tar::EntryType::Directory);
    www.set_size(0);
    www.set_mode(0o777);
    top.append_data(&mut www, "www/", std::io::empty()).expect("add a directory");
    let top = Bytes::from(top.into_inner().expect("a layer"));
    TestImage::new(
        vec![base, top],
        json!({ "Entrypoint": ["/start"], "Env": ["PATH=/bin"], "ExposedPorts": { "8080/tcp": {} } }),
    )
}

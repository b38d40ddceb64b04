//! From Debian's docker-registry, which has neither tokens nor the referrers API.

use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use portolan::base::{Digest, Reference};
use portolan::import::{NewImport, Scope};
use portolan::jobs::Status;
use serde_json::json;

use super::rig::{Here, image};
use crate::support::images::{OCI_MANIFEST, TestImage, tiny};
use crate::support::registry::name;
use crate::support::server::{eventually, free_address};

struct DockerRegistry {
    child: Child,
    host: String,
    http: reqwest::Client,
    _dir: tempfile::TempDir,
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl DockerRegistry {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let host = free_address().to_string();
        let root = dir.path().join("data");
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
            root.display()
        );
        std::fs::write(&config, text).expect("a configuration");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed");
        let this = Self { child, host, http: reqwest::Client::new(), _dir: dir };
        eventually(20, "docker-registry answers", || async {
            let answer = this.http.get(format!("http://{}/v2/", this.host)).send().await;
            answer.ok().filter(|answer| answer.status().is_success())
        })
        .await;
        this
    }

    async fn push_blob(&self, repository: &str, blob: &Bytes) {
        let url = format!("http://{}/v2/{repository}/blobs/uploads/", self.host);
        let started = self.http.post(url).send().await.expect("an upload");
        let to = started.headers()["location"].to_str().expect("text").to_owned();
        let digest = Digest::sha256(blob);
        let done = self.http.put(format!("{to}&digest={digest}")).body(blob.clone()).send().await;
        assert!(done.expect("an answer").status().is_success());
    }

    async fn push_manifest(&self, repository: &str, reference: &str, kind: &str, bytes: &Bytes) {
        let url = format!("http://{}/v2/{repository}/manifests/{reference}", self.host);
        let put = self.http.put(url).header("content-type", kind).body(bytes.clone());
        let done = put.send().await.expect("an answer");
        assert!(done.status().is_success(), "{}", done.text().await.expect("a body"));
    }

    async fn push(&self, repository: &str, reference: &str, image: &TestImage) {
        for blob in image.blobs() {
            self.push_blob(repository, blob).await;
        }
        self.push_manifest(repository, reference, OCI_MANIFEST, &image.manifest).await;
    }
}

#[tokio::test]
async fn images_and_what_their_fallback_tags_list_come_from_docker_registry() {
    let (there, here) = (DockerRegistry::start().await, Here::start().await);
    let app = tiny("one");
    there.push("team/app", "1.0", &app).await;
    let mut signature = tiny("signature");
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&signature.manifest).expect("JSON");
    manifest["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": app.digest(),
                                  "size": app.manifest.len() });
    signature.manifest = Bytes::from(manifest.to_string());
    there.push("team/app", &signature.digest().to_string(), &signature).await;
    let index = "application/vnd.oci.image.index.v1+json";
    let list = json!({ "schemaVersion": 2, "mediaType": index, "manifests": [{
        "mediaType": OCI_MANIFEST, "digest": signature.digest(), "size": signature.manifest.len() }]});
    let fallback = app.digest().to_string().replace(':', "-");
    there.push_manifest("team/app", &fallback, index, &Bytes::from(list.to_string())).await;

    for scope in [Scope::Image, Scope::Repository] {
        let what = if scope == Scope::Image { "team/app:1.0" } else { "team/app" };
        let from = format!("http://{}/{what}", there.host);
        let to = scope.as_str();
        let done = here.carry(NewImport { scope, ..image(from, to) }).await;
        assert_eq!((done.status, done.error), (Status::Succeeded, None), "{to}");
        assert_eq!((done.progress.manifests, done.progress.tags), (2, 1), "{to}");
        let repository = name(&format!("ta/{to}"));
        let registry = &here.face.registry.registry;
        let referrers = registry
            .referrers(&here.max, &repository, &app.digest(), None, None)
            .await
            .expect("referrers");
        assert_eq!(referrers.items.len(), 1, "{to}");
        assert_eq!(referrers.items[0].digest, signature.digest());
        let tag: Reference = "1.0".parse().expect("a tag");
        let stored = registry.manifest(&here.max, &repository, &tag, false).await.expect("the tag");
        assert_eq!(stored.content, app.manifest);
    }
}

#[tokio::test]
async fn many_tags_of_one_image_are_one_manifest() {
    let (there, here) = (DockerRegistry::start().await, Here::start().await);
    let app = tiny("one");
    there.push("app", "t0", &app).await;
    for n in 1..30 {
        there.push_manifest("app", &format!("t{n}"), OCI_MANIFEST, &app.manifest).await;
    }
    let from = format!("http://{}/app", there.host);
    let new = NewImport { scope: Scope::Repository, ..image(from, "app") };
    let done = here.carry(new).await;
    assert_eq!((done.status, done.progress.tags), (Status::Succeeded, 30), "{:?}", done.error);
    assert_eq!(done.progress.manifests, 1);
}

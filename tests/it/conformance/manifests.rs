//! Manifests: pushed by digest, by tag and by tag parameters, read and looked at, removed.

use portolan::base::{Algorithm, Digest};
use reqwest::Method;
use serde_json::json;

use super::client::{Answer, Ask, Client, Fault};
use super::data::{Content, Maker, Manifest, Put, random_text};
use super::report::Category::{self, *};
use super::uploads::{self, Way};
use super::{Run, blobs};

pub(super) fn path(repository: &str, reference: &str) -> String {
    format!("/v2/{repository}/manifests/{reference}")
}

fn read(method: Method, repository: &str, reference: &str) -> Ask {
    Ask::new(method, path(repository, reference))
        .header("accept", super::data::INDEX)
        .header("accept", super::data::IMAGE)
}

/// Whether an answer is the manifest.
fn is(answer: Answer, manifest: &Manifest) -> Result<Answer, Fault> {
    answer
        .status(&[200])?
        .header("content-type", manifest.media_type)?
        .header("content-length", &manifest.content.bytes.len().to_string())?
        .header("docker-content-digest", &manifest.content.digest.to_string())
}

async fn put(
    client: &Client,
    repository: &str,
    reference: &str,
    manifest: &Manifest,
) -> Result<(), Fault> {
    let mut ask = Ask::new(Method::PUT, path(repository, reference));
    let with_tags = manifest.put == Put::TagParams;
    if with_tags {
        ask = manifest.tags.iter().fold(ask, |ask, tag| ask.query("tag", tag));
    }
    let ask = ask.manifest(manifest.media_type, &manifest.content.bytes);
    let answer = client.send(ask).await?;
    if manifest.put == Put::WrongDigest {
        answer.status(&[400])?.error()?;
        let read = client.send(read(Method::GET, repository, reference)).await?;
        return read.status(&[404]).map(drop);
    }
    let answer = answer.status(&[201])?;
    let answer = answer.header("docker-content-digest", &manifest.content.digest.to_string())?;
    let answer = match &manifest.subject {
        None => answer,
        Some(subject) => answer.header("oci-subject", &subject.to_string())?,
    };
    if with_tags {
        let set: Vec<&str> = answer
            .headers
            .get_all("oci-tag")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        if let Some(missing) = manifest.tags.iter().find(|tag| !set.contains(&tag.as_str())) {
            return Err(format!("OCI-Tag does not name {missing}: {set:?}"));
        }
    }
    let stored = client.send(Ask::new(Method::GET, answer.location()?)).await?;
    is(stored, manifest)?.holds(&manifest.content.bytes).map(drop)
}

async fn get(
    client: &Client,
    repository: &str,
    reference: &str,
    manifest: &Manifest,
) -> Result<(), Fault> {
    let answer = client.send(read(Method::GET, repository, reference)).await?;
    is(answer, manifest)?.holds(&manifest.content.bytes).map(drop)
}

async fn head(
    client: &Client,
    repository: &str,
    reference: &str,
    manifest: &Manifest,
) -> Result<(), Fault> {
    let answer = client.send(read(Method::HEAD, repository, reference)).await?;
    is(answer, manifest)?.holds(&bytes::Bytes::new()).map(drop)
}

async fn delete(client: &Client, repository: &str, reference: &str) -> Result<(), Fault> {
    let ask = Ask::new(Method::DELETE, path(repository, reference));
    client.send(ask).await?.status(&[202]).map(drop)
}

/// Whether nothing has this name, however it is asked.
async fn gone(client: &Client, repository: &str, reference: &str) -> Result<(), Fault> {
    client.send(read(Method::HEAD, repository, reference)).await?.status(&[404])?;
    client.send(read(Method::GET, repository, reference)).await?.status(&[404])?.error()?;
    let ask = Ask::new(Method::DELETE, path(repository, reference));
    client.send(ask).await?.status(&[404])?.error().map(drop)
}

impl Run {
    /// Pushes manifests in their order, each by digest and then by its tags.
    pub(super) async fn put_manifests(&mut self, set: &'static str, manifests: &[Manifest]) {
        for manifest in manifests {
            let mut notes = vec![ManifestPutByDigest];
            notes.extend(manifest.subject.as_ref().map(|_| ManifestPutSubject));
            notes.extend((manifest.put == Put::TagParams).then_some(ManifestPutTagParams));
            let digest = manifest.content.digest.to_string();
            let done = put(&self.client, self.repository, &digest, manifest).await;
            self.report.note(set, &notes, done);
            if manifest.put != Put::Plain {
                continue;
            }
            notes[0] = ManifestPutByTag;
            for tag in &manifest.tags {
                let done = put(&self.client, self.repository, tag, manifest).await;
                self.report.note(set, &notes, done);
            }
        }
    }

    /// Looks at and reads manifests, by digest and by tag.
    pub(super) async fn read_manifests(&mut self, set: &'static str, manifests: &[Manifest]) {
        let repository = self.repository;
        for manifest in manifests.iter().filter(|m| m.put != Put::WrongDigest) {
            let digest = [manifest.content.digest.to_string()];
            let by_digest = (&digest[..], ManifestHeadByDigest, ManifestGetByDigest);
            let by_tag = (&manifest.tags[..], ManifestHeadByTag, ManifestGetByTag);
            for (references, head_note, get_note) in [by_digest, by_tag] {
                for reference in references {
                    let looked = head(&self.client, repository, reference, manifest).await;
                    self.report.note(set, &[head_note], looked);
                    let read = get(&self.client, repository, reference, manifest).await;
                    self.report.note(set, &[get_note], read);
                }
            }
        }
    }

    /// Removes tags, then manifests, those that name others first.
    pub(super) async fn delete_manifests(&mut self, set: &'static str, manifests: &[Manifest]) {
        let repository = self.repository;
        for manifest in manifests.iter().filter(|m| m.put != Put::WrongDigest).rev() {
            let digest = manifest.content.digest.to_string();
            for tag in &manifest.tags {
                let removed = delete(&self.client, repository, tag).await;
                self.report.note(set, &[TagDelete], removed);
                let gone = gone(&self.client, repository, tag).await;
                self.report.note(set, &[TagDeleteAtomic], gone);
            }
            // A tag is a name: the manifest outlives it.
            let kept = head(&self.client, repository, &digest, manifest).await;
            self.report.note(set, &[ManifestHeadByDigest], kept);
            let removed = delete(&self.client, repository, &digest).await;
            self.report.note(set, &[ManifestDelete], removed);
            let gone = gone(&self.client, repository, &digest).await;
            self.report.note(set, &[ManifestDeleteAtomic], gone);
        }
    }

    /// Names of manifests that no manifest has or can have, and too many tags at once.
    pub(super) async fn manifest_faults(&mut self) {
        let set = "Invalid manifest digest";
        let mut maker = Maker::new(set);
        maker.image(&[], json!({}));
        let data = maker.done();
        for content in &data.blobs {
            let pushed = uploads::push(&self.client, self.repository, content, Way::PostPut).await;
            self.report.note(set, &[BlobPush, BlobPostPut], pushed);
        }
        let manifest = &data.manifests[0];
        let checks = [
            (ManifestPutByDigest, bad_put(&self.client, self.repository, manifest).await),
            (ManifestGetByDigest, bad_get(&self.client, self.repository).await),
            (ManifestPutTagParams, too_many_tags(&self.client, self.repository, manifest).await),
        ];
        for (category, result) in checks {
            self.report.note(set, &[category], result);
        }
        let absent = Digest::sha256(random_text().as_bytes()).to_string();
        let by_digest = gone(&self.client, self.repository, &absent).await;
        self.report.note(set, &[ManifestGetByDigest, ManifestHeadByDigest], by_digest);
        let by_tag = gone(&self.client, self.repository, &format!("no-{}", random_text())).await;
        self.report.note(set, &[ManifestGetByTag, ManifestHeadByTag], by_tag);
        for content in &data.blobs {
            self.read_and_remove(set, content).await;
        }
    }

    /// What the limit of manifests is, and that it says so.
    pub(super) async fn manifest_limit(&mut self) {
        let set = "Large manifest";
        let refused = over_the_limit(&self.client, self.repository).await;
        self.report.note(set, &[ManifestPutByTag], refused);
    }

    /// A manifest whose blobs are missing, on a registry that does not take such: all are named.
    pub(super) async fn manifest_without_blobs(&mut self) {
        let set = "Missing blobs";
        let refused = missing_blobs(&self.client, self.repository).await;
        self.report.note(set, &[Category::ManifestPutByTag], refused);
    }
}

async fn bad_put(client: &Client, repository: &str, manifest: &Manifest) -> Result<(), Fault> {
    for bad in ["sha256:baddigeststring", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        let ask = Ask::new(Method::PUT, path(repository, bad));
        let ask = ask.manifest(manifest.media_type, &manifest.content.bytes);
        client.send(ask).await?.status(&[400])?.error()?;
    }
    Ok(())
}

async fn bad_get(client: &Client, repository: &str) -> Result<(), Fault> {
    for method in [Method::GET, Method::HEAD] {
        let ask = read(method, repository, "sha256:baddigeststring");
        client.send(ask).await?.status(&[400, 404])?;
    }
    Ok(())
}

async fn too_many_tags(
    client: &Client,
    repository: &str,
    manifest: &Manifest,
) -> Result<(), Fault> {
    let ask = Ask::new(Method::PUT, path(repository, &manifest.content.digest.to_string()));
    let ask = (0..100).fold(ask, |ask, n| ask.query("tag", &format!("too-many-{n}")));
    let ask = ask.manifest(manifest.media_type, &manifest.content.bytes);
    client.send(ask).await?.status(&[414])?.error()?;
    client.send(read(Method::HEAD, repository, "too-many-0")).await?.status(&[404]).map(drop)
}

async fn over_the_limit(client: &Client, repository: &str) -> Result<(), Fault> {
    let text = format!("{{\"schemaVersion\":2,\"x\":\"{}\"}}", "x".repeat(4 * 1024 * 1024));
    let ask = Ask::new(Method::PUT, path(repository, "over"));
    let ask = ask.manifest(super::data::IMAGE, &text.into());
    client.send(ask).await?.status(&[413])?.error().map(drop)
}

async fn missing_blobs(client: &Client, repository: &str) -> Result<(), Fault> {
    let mut maker = Maker::new("Missing blobs");
    maker.image(&["incomplete"], json!({}));
    let data = maker.done();
    let manifest = &data.manifests[0];
    let ask = Ask::new(Method::PUT, path(repository, "incomplete"));
    let ask = ask.manifest(manifest.media_type, &manifest.content.bytes);
    let refused = client.send(ask).await?.status(&[404, 400])?.error()?;
    let body = refused.json()?;
    for content in &data.blobs {
        let named = |entry: &serde_json::Value| {
            entry["code"] == "MANIFEST_BLOB_UNKNOWN"
                && entry["detail"]["digest"] == content.digest.to_string().as_str()
        };
        if !body["errors"].as_array().is_some_and(|errors| errors.iter().any(named)) {
            return Err(format!("{} is missing and not named: {body}", content.digest));
        }
    }
    let sneaked = Content::random(Algorithm::Sha256, 4);
    client
        .send(Ask::new(Method::HEAD, blobs::path(repository, &sneaked)))
        .await?
        .status(&[404])
        .map(drop)
}

//! Referrers: what is about a manifest, filtered, with the lists of older clients folded in.

use std::collections::BTreeMap;

use portolan::base::Digest;
use reqwest::Method;
use serde_json::{Value, json};

use super::Run;
use super::client::{Ask, Client, Fault};
use super::data::{DataSet, INDEX, Maker, random_text};
use super::report::Category::Referrers;

/// The list of a subject, complete.
async fn list(
    client: &Client,
    repository: &str,
    subject: &Digest,
    artifact_type: Option<&str>,
) -> Result<Vec<Value>, Fault> {
    let mut ask = Ask::new(Method::GET, format!("/v2/{repository}/referrers/{subject}"));
    if let Some(wanted) = artifact_type {
        ask = ask.query("artifactType", wanted);
    }
    let answer = client.send(ask).await?.status(&[200])?.header("content-type", INDEX)?;
    let applied = answer.get("oci-filters-applied").unwrap_or_default();
    if applied.split(',').any(|filter| filter.trim() == "artifactType") != artifact_type.is_some() {
        return Err(format!("OCI-Filters-Applied is {applied:?} for {artifact_type:?}"));
    }
    let body = answer.json()?;
    if body["schemaVersion"] != 2 || body["mediaType"] != INDEX {
        return Err(format!("not an index: {body}"));
    }
    body["manifests"].as_array().cloned().ok_or_else(|| format!("no manifests in {body}"))
}

/// Whether `found` says all that `wanted` does; absent and null are the same.
fn fits(found: &Value, wanted: &Value) -> bool {
    ["mediaType", "digest", "size", "artifactType", "annotations"]
        .iter()
        .all(|field| found[field] == wanted[field])
}

async fn complete(
    client: &Client,
    repository: &str,
    subject: &Digest,
    wanted: &[&Value],
) -> Result<(), Fault> {
    let compare = |found: &[Value], wanted: &[&Value], what: &str| {
        if let Some(missing) = wanted.iter().find(|w| !found.iter().any(|f| fits(f, w))) {
            return Err(format!("{what}: {missing} is missing in {found:?}"));
        }
        if found.len() != wanted.len() {
            return Err(format!("{what}: {} referrers, not {}", found.len(), wanted.len()));
        }
        Ok(())
    };
    compare(&list(client, repository, subject, None).await?, wanted, "all")?;
    let mut by_type: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for entry in wanted {
        by_type.entry(entry["artifactType"].as_str().unwrap_or_default()).or_default().push(entry);
    }
    for (artifact_type, wanted) in by_type.iter().filter(|(t, _)| !t.is_empty()) {
        let found = list(client, repository, subject, Some(artifact_type)).await?;
        compare(&found, wanted, artifact_type)?;
    }
    let none = list(client, repository, subject, Some("application/vnd.example.none")).await?;
    compare(&none, &[], "a type that nothing has")
}

/// An older client keeps the list itself, in an index under a tag made of the subject's digest.
async fn folded_in(client: &Client, repository: &str, data: &DataSet) -> Result<(), Fault> {
    let subject = &data.manifests[0].content.digest;
    let known = &data.manifests[1].descriptor;
    let old = json!({ "mediaType": super::data::IMAGE, "size": 7,
        "digest": Digest::sha256(random_text().as_bytes()),
        "artifactType": "application/vnd.example.old", "annotations": { "kept": "by a client" } });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [known, old] });
    let tag = format!("sha256-{}", subject.hex());
    let path = super::manifests::path(repository, &tag);
    let ask = Ask::new(Method::PUT, path.clone()).manifest(INDEX, &index.to_string().into());
    let pushed = client.send(ask).await?.status(&[201])?;
    let digest = pushed.get("docker-content-digest").unwrap_or_default().to_owned();
    complete(client, repository, subject, &[known, &old]).await?;
    for reference in [tag, digest] {
        let ask = Ask::new(Method::DELETE, super::manifests::path(repository, &reference));
        client.send(ask).await?.status(&[202])?;
    }
    complete(client, repository, subject, &[known]).await
}

impl Run {
    /// Subjects that nobody knows, and one that cannot be.
    pub(super) async fn referrers_of_nothing(&mut self) {
        let unknown = Digest::sha256(random_text().as_bytes());
        let none = complete(&self.client, self.repository, &unknown, &[]).await;
        self.report.note("Empty repository", &[Referrers], none);
        let path = format!("/v2/{}/referrers/sha256:bad", self.repository);
        let bad = self.client.send(Ask::new(Method::GET, path)).await;
        let bad = bad.and_then(|answer| answer.status(&[400])?.error());
        self.report.note("Empty repository", &[Referrers], bad);
    }

    /// The lists of all subjects of a data set.
    pub(super) async fn list_referrers(&mut self, data: &DataSet) {
        let mut about: BTreeMap<&Digest, Vec<&Value>> = BTreeMap::new();
        for manifest in &data.manifests {
            if let Some(subject) = &manifest.subject {
                about.entry(subject).or_default().push(&manifest.descriptor);
            }
        }
        for (subject, wanted) in about {
            let listed = complete(&self.client, self.repository, subject, &wanted).await;
            self.report.note(data.name, &[Referrers], listed);
        }
    }

    /// After everything about a subject was removed, nothing is listed.
    pub(super) async fn referrers_gone(&mut self, data: &DataSet) {
        for subject in data.manifests.iter().filter_map(|m| m.subject.as_ref()) {
            let none = complete(&self.client, self.repository, subject, &[]).await;
            self.report.note(data.name, &[Referrers], none);
        }
    }

    /// The fallback tag of older clients.
    pub(super) async fn fallback_tags(&mut self) {
        let set = "Fallback tag";
        let mut maker = Maker::new(set);
        let image = maker.image(&[], json!({}));
        maker.artifact(&[], "application/vnd.example.new", json!({ "subject": image }));
        let data = maker.done();
        self.push(&data).await;
        let folded = folded_in(&self.client, self.repository, &data).await;
        self.report.note(set, &[Referrers], folded);
        self.remove(&data).await;
    }
}

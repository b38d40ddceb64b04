//! What is copied, and that it is the same afterwards.

use bytes::Bytes;
use portolan::base::{Digest, Reference};
use portolan::import::{NewImport, Scope};
use portolan::jobs::Status;
use serde_json::{Value, json};

use super::rig::{Here, There, image};
use crate::support::images::{OCI_MANIFEST, TestImage, tiny};
use crate::support::registry::name;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn entry(image: &TestImage, architecture: &str) -> Value {
    json!({ "mediaType": OCI_MANIFEST, "digest": image.digest(), "size": image.manifest.len(),
            "platform": { "os": "linux", "architecture": architecture } })
}

fn index_of(images: &[(&TestImage, &str)]) -> Bytes {
    let entries: Vec<_> = images.iter().map(|(image, arch)| entry(image, arch)).collect();
    // The spaces must survive: a manifest is its bytes.
    let text = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    Bytes::from(format!(" {text}\n"))
}

/// A signature of `subject`, as its own small image.
fn referrer(subject: &Digest, size: usize, text: &str) -> TestImage {
    let mut image = tiny(text);
    let mut manifest: Value = serde_json::from_slice(&image.manifest).expect("JSON");
    manifest["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": subject, "size": size });
    manifest["artifactType"] = json!("application/vnd.example.signature");
    image.manifest = Bytes::from(manifest.to_string());
    image
}

async fn push_untagged(there: &There, repository: &str, image: &TestImage) {
    let digest = image.digest().to_string();
    there.face.registry.push(&there.pusher, repository, &digest, image).await;
}

async fn content(here: &Here, repository: &str, reference: &str) -> Option<Bytes> {
    let reference: Reference = reference.parse().expect("a reference");
    let registry = &here.face.registry.registry;
    let found = registry.manifest(&here.max, &name(repository), &reference, false).await;
    found.ok().map(|manifest| manifest.content.clone())
}

async fn assert_whole(here: &Here, repository: &str, image: &TestImage) {
    let digest = image.digest().to_string();
    let stored = content(here, repository, &digest).await;
    assert_eq!(stored.as_ref(), Some(&image.manifest), "{repository}@{digest}");
    for blob in image.blobs() {
        let digest = Digest::sha256(blob);
        let registry = &here.face.registry.registry;
        let found = registry.blob(&here.max, &name(repository), &digest).await.expect("a blob");
        assert_eq!(found.size, blob.len() as u64);
    }
}

#[tokio::test]
async fn an_image_arrives_byte_for_byte_and_is_counted() {
    let (there, here) = (There::start().await, Here::start().await);
    let app = tiny("one");
    there.face.registry.push(&there.pusher, "open/app", "1.0", &app).await;
    let asked = here.ask(image(there.at("open/app:1.0"), "mirror/app")).await;
    assert_eq!(asked.status, Status::Queued);
    assert_eq!(asked.from, format!("{}/open/app:1.0", there.host));
    assert_eq!(content(&here, "ta/mirror/app", "1.0").await, None, "nothing before the run");
    assert!(here.imports.run_one().await.expect("a run"));
    let done = here.look(&asked).await;
    assert_eq!((done.status, done.error), (Status::Succeeded, None));
    assert_whole(&here, "ta/mirror/app", &app).await;
    assert_eq!(content(&here, "ta/mirror/app", "1.0").await, Some(app.manifest.clone()));
    let progress = done.progress;
    let bytes: usize = app.blobs().map(Bytes::len).sum();
    assert_eq!((progress.manifests, progress.manifests_done, progress.tags), (1, 1, 1));
    assert_eq!((progress.blobs, progress.blobs_done, progress.blobs_present), (2, 2, 0));
    assert_eq!((progress.bytes, progress.bytes_done), (bytes as i64, bytes as i64));
    let told: Vec<_> = here.events("import.").await.into_iter().map(|e| e.action).collect();
    assert_eq!(told, ["import.create", "import.finish"]);
    let pushed = here.events("tag.push").await;
    assert_eq!(pushed.len(), 1);
    assert_eq!((pushed[0].actor_name.as_str(), pushed[0].channel.as_str()), ("max", "engine"));
    assert!(!here.imports.run_one().await.expect("a look"), "nothing is left to run");
}

#[tokio::test]
async fn what_is_here_is_not_copied_again() {
    let (there, here) = (There::start().await, Here::start().await);
    let app = tiny("one");
    there.face.registry.push(&there.pusher, "open/app", "1", &app).await;
    here.carry(image(there.at("open/app:1"), "a")).await;
    // The same repository, and another of the same project, which the user may read.
    for repository in ["a", "b"] {
        let again = here.carry(image(there.at("open/app:1"), repository)).await;
        assert_eq!(again.status, Status::Succeeded);
        let progress = again.progress;
        assert_eq!((progress.blobs, progress.blobs_present), (2, 2), "{repository}");
        assert_eq!(progress.bytes_present, progress.bytes, "{repository}");
        assert_whole(&here, &format!("ta/{repository}"), &app).await;
    }
}

#[tokio::test]
async fn an_index_brings_all_platforms_and_everything_that_refers_to_them() {
    let (there, here) = (There::start().await, Here::start().await);
    let (amd, arm) = (tiny("amd64"), tiny("arm64"));
    let index = index_of(&[(&amd, "amd64"), (&arm, "arm64")]);
    let signature = referrer(&Digest::sha256(&index), index.len(), "signature of the index");
    let sbom = referrer(&arm.digest(), arm.manifest.len(), "sbom of arm64");
    let countersigned =
        referrer(&signature.digest(), signature.manifest.len(), "signature of the signature");
    let repository = "open/multi";
    for image in [&amd, &arm, &signature, &sbom, &countersigned] {
        push_untagged(&there, repository, image).await;
    }
    let source = &there.face.registry;
    source.push_manifest(&there.pusher, repository, "2", &index).await.expect("an index");

    let done = here.carry(image(there.at("open/multi:2"), "multi")).await;
    assert_eq!((done.status, done.error), (Status::Succeeded, None));
    assert_eq!(content(&here, "ta/multi", "2").await, Some(index.clone()));
    for image in [&amd, &arm, &signature, &sbom, &countersigned] {
        assert_whole(&here, "ta/multi", image).await;
    }
    let listed = here
        .face
        .registry
        .registry
        .referrers(&here.max, &name("ta/multi"), &Digest::sha256(&index), None, None)
        .await;
    let listed = listed.expect("referrers").items;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].digest, signature.digest());

    // Without referrers only the platforms come.
    let bare = NewImport { referrers: false, ..image(there.at("open/multi:2"), "bare") };
    let done = here.carry(bare).await;
    assert_eq!((done.status, done.progress.manifests), (Status::Succeeded, 3));
    assert_eq!(content(&here, "ta/bare", &signature.digest().to_string()).await, None);
}

#[tokio::test]
async fn an_image_by_digest_gets_the_tag_that_was_written() {
    let (there, here) = (There::start().await, Here::start().await);
    let (old, new) = (tiny("old"), tiny("new"));
    there.face.registry.push(&there.pusher, "open/app", "1", &old).await;
    there.face.registry.push(&there.pusher, "open/app", "1", &new).await;
    let digest = old.digest();
    here.carry(image(there.at(&format!("open/app:1@{digest}")), "named")).await;
    assert_eq!(content(&here, "ta/named", "1").await, Some(old.manifest.clone()));
    here.carry(image(there.at(&format!("open/app@{digest}")), "unnamed")).await;
    assert_whole(&here, "ta/unnamed", &old).await;
    assert_eq!(content(&here, "ta/unnamed", "latest").await, None);
}

#[tokio::test]
async fn a_repository_brings_the_tags_that_match() {
    let (there, here) = (There::start().await, Here::start().await);
    let images: Vec<_> = ["v1.0", "v1.1", "v2.0", "edge"].map(|tag| (tag, tiny(tag))).into();
    for (tag, image) in &images {
        there.face.registry.push(&there.pusher, "open/app", tag, image).await;
    }
    let whole = |tags: Option<&str>, to: &str| NewImport {
        scope: Scope::Repository,
        tags: tags.map(str::to_owned),
        ..image(there.at("open/app"), to)
    };
    let some = here.carry(whole(Some("v1.*"), "some")).await;
    assert_eq!((some.status, some.progress.tags), (Status::Succeeded, 2));
    let all = here.carry(whole(None, "all")).await;
    assert_eq!((all.status, all.progress.tags), (Status::Succeeded, 4));
    for (tag, image) in &images {
        assert_eq!(content(&here, "ta/all", tag).await, Some(image.manifest.clone()));
        let matches = tag.starts_with("v1.");
        assert_eq!(content(&here, "ta/some", tag).await.is_some(), matches, "{tag}");
    }
    let none = here.carry(whole(Some("x*"), "none")).await;
    assert_eq!(none.status, Status::Failed);
    assert_eq!(none.error_code.as_deref(), Some("source_not_found"));
}

#[tokio::test]
async fn what_the_source_lacks_is_said() {
    let (there, here) = (There::start().await, Here::start().await);
    there.face.registry.push(&there.pusher, "open/app", "1", &tiny("one")).await;
    let failed = here.carry(image(there.at("open/app:2"), "app")).await;
    assert_eq!(failed.status, Status::Failed);
    assert_eq!(failed.error_code.as_deref(), Some("source_not_found"));
    assert!(failed.error.expect("a reason").contains("manifest 2"));
    let told = here.events("import.fail").await;
    assert_eq!((told.len(), told[0].outcome.as_str()), (1, "failure"));
    // A retry runs the same job again, and finds it once it is there.
    there.face.registry.push(&there.pusher, "open/app", "2", &tiny("two")).await;
    let import = here.imports.retry_import(&here.max, &super::rig::ta(), failed.id).await;
    assert_eq!(import.expect("a retry").status, Status::Queued);
    assert!(here.imports.run_one().await.expect("a run"));
    let import = here.imports.import(&here.max, &super::rig::ta(), failed.id).await;
    assert_eq!(import.expect("the import").status, Status::Succeeded);
}

//! The OCI distribution specification, 1.1 and the development version, checked from outside: the
//! real binary over HTTP, every category of the specification with every data set.
//!
//! The modules follow the groups of categories; `sets` is the table of data sets, `report` the
//! matrix. The checks are written from the specification and know nothing of this registry.

mod blobs;
mod client;
mod data;
mod manifests;
mod mounts;
mod referrers;
mod report;
mod sets;
mod tags;
mod uploads;

use portolan::base::Algorithm;
use reqwest::Method;
use serde_json::json;
use sqlx::ConnectOptions as _;

use crate::support::db::test_database;
use crate::support::server::{Server, ServerSettings};
use client::{Ask, Client};
use data::{DataSet, Put};
use report::{Category, Report};
use uploads::Way;

const USER: &str = "conformance";
const PASSWORD: &str = "a password of the conformance run";

/// What the specification leaves to the registry.
#[derive(Debug, Clone, Copy)]
struct Toggles {
    sha512: bool,
    /// Images whose layers are not here are taken.
    sparse_images: bool,
}

/// One run against one server.
struct Run {
    client: Client,
    report: Report,
    repository: &'static str,
    /// Another repository of the same project.
    second: &'static str,
}

impl Run {
    async fn start(server: &Server, repository: &'static str, second: &'static str) -> Self {
        let admin = server.admin();
        let project = json!({ "name": "conformance", "visibility": "private" });
        admin.post("/api/v1/projects", project).await.expect(201);
        let user = json!({ "name": USER, "email": "oci@example.org", "password": PASSWORD });
        admin.post("/api/v1/users", user).await.expect(201);
        let role = json!({ "role": "maintainer" });
        admin.put(&format!("/api/v1/projects/conformance/members/{USER}"), role).await.expect(200);
        let client = Client::new(server.url(), USER, PASSWORD);
        Self { client, report: Report::default(), repository, second }
    }

    /// All checks; the data sets that were pushed whole.
    async fn everything(&mut self, toggles: Toggles) -> Vec<DataSet> {
        let ping = self.client.send(Ask::new(Method::GET, "/v2/")).await;
        let ping = ping.and_then(|a| {
            a.status(&[200])?.header("docker-distribution-api-version", "registry/2.0")
        });
        self.report.note("Empty repository", &[Category::Ping], ping);
        self.tags_of_nothing().await;
        self.referrers_of_nothing().await;
        let algorithms = [("Blobs sha256", Algorithm::Sha256), ("Blobs sha512", Algorithm::Sha512)];
        for (set, algorithm) in algorithms {
            if algorithm == Algorithm::Sha256 || toggles.sha512 {
                self.uploads(set, algorithm).await;
                self.mounts(set, algorithm).await;
                self.downloads(set, algorithm).await;
            }
        }
        let sets = sets::all(toggles);
        for data in &sets {
            self.push(data).await;
            self.list_tags(data).await;
            self.read(data).await;
            self.list_referrers(data).await;
            self.remove(data).await;
            self.referrers_gone(data).await;
        }
        self.tags_in_pages().await;
        self.fallback_tags().await;
        self.manifest_faults().await;
        self.manifest_limit().await;
        if !toggles.sparse_images {
            self.manifest_without_blobs().await;
        }
        sets
    }

    /// Pushes a data set, its blobs by one way of uploading after the other.
    async fn push(&mut self, data: &DataSet) {
        for (content, way) in data.blobs.iter().zip(Way::COMMON.into_iter().cycle()) {
            let pushed = uploads::push(&self.client, self.repository, content, way).await;
            self.report.note(data.name, &[way.category(), Category::BlobPush], pushed);
        }
        self.put_manifests(data.name, &data.manifests).await;
    }

    async fn read(&mut self, data: &DataSet) {
        self.read_manifests(data.name, &data.manifests).await;
        for content in &data.blobs {
            let looked = blobs::head(&self.client, self.repository, content).await;
            self.report.note(data.name, &[Category::BlobHead], looked);
            let read = blobs::get(&self.client, self.repository, content).await;
            self.report.note(data.name, &[Category::BlobGet], read);
        }
    }

    /// Removes tags, manifests and blobs, in this order.
    async fn remove(&mut self, data: &DataSet) {
        self.delete_manifests(data.name, &data.manifests).await;
        for content in &data.blobs {
            self.read_and_remove(data.name, content).await;
        }
    }
}

/// What has to have been tried with a data set.
fn needed(data: &DataSet) -> Vec<Category> {
    use Category::*;
    let mut all = Vec::new();
    if !data.blobs.is_empty() {
        all.extend([BlobPush, BlobHead, BlobGet, BlobDelete, BlobDeleteAtomic]);
    }
    all.push(ManifestPutByDigest);
    let stored: Vec<_> = data.manifests.iter().filter(|m| m.put != Put::WrongDigest).collect();
    if !stored.is_empty() {
        all.extend([ManifestHeadByDigest, ManifestGetByDigest]);
        all.extend([ManifestDelete, ManifestDeleteAtomic]);
    }
    if stored.iter().any(|m| !m.tags.is_empty()) {
        all.extend([ManifestHeadByTag, ManifestGetByTag, TagList, TagDelete, TagDeleteAtomic]);
        let params = stored.iter().any(|m| m.put == Put::TagParams);
        all.push(if params { ManifestPutTagParams } else { ManifestPutByTag });
    }
    if stored.iter().any(|m| m.subject.is_some()) {
        all.extend([ManifestPutSubject, Referrers]);
    }
    all
}

async fn run(toggles: Toggles) -> (Report, Vec<DataSet>) {
    let mut env = vec![("PORTOLAN_NO_GATEWAY".to_owned(), "true".to_owned())];
    if toggles.sparse_images {
        env.push(("PORTOLAN_ACCEPT_SPARSE_IMAGES".to_owned(), "true".to_owned()));
    }
    let database_url = Some(test_database().await.to_url_lossy().to_string());
    let server = Server::start(ServerSettings { database_url, env }).await;
    let mut run = Run::start(&server, "conformance/one", "conformance/two/deep").await;
    let sets = run.everything(toggles).await;
    (run.report, sets)
}

fn judge(report: &Report, sets: &[DataSet]) {
    eprintln!("{report}");
    assert_eq!(report.faults(), "");
    for category in Category::ALL {
        assert!(report.passes(category), "{category:?} was not passed");
    }
    for data in sets {
        for category in needed(data) {
            let tried = report.was_tried(category, data.name);
            assert!(tried, "{category:?} was not tried with {}", data.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_28_categories_pass_with_every_data_set_and_everything_optional() {
    let (report, sets) = run(Toggles { sha512: true, sparse_images: true }).await;
    judge(&report, &sets);
    assert_eq!(sets.len(), 21, "every data set of the table");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_what_is_optional_images_are_complete_or_refused() {
    let (report, sets) = run(Toggles { sha512: false, sparse_images: false }).await;
    judge(&report, &sets);
    assert!(report.was_tried(Category::ManifestPutByTag, "Missing blobs"));
}

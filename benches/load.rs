//! Pushes and pulls small images as fast as a registry takes them, for `benches/registry.py`.
//!
//! `load push|pull URL REPOSITORY COUNT WORKERS [TOKEN]` prints images per second. A push is what
//! clients do: ask for each blob, upload config and layer in one request each, put the manifest.
//! A pull is the manifest by tag, then both blobs.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a load generator reports on stdout and ends at the first fault"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use portolan::base::Digest;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Client, Response, Url};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

struct Target {
    http: Client,
    base: Url,
    repository: String,
}

impl Target {
    fn url(&self, path: &str) -> Url {
        self.base.join(&format!("/v2/{}/{path}", self.repository)).expect("a URL")
    }

    async fn push_blob(&self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::sha256(&bytes);
        let head = self.http.head(self.url(&format!("blobs/{digest}"))).send().await;
        assert_eq!(head.expect("HEAD blob").status(), 404, "blobs must be new");
        let started = self.http.post(self.url("blobs/uploads/")).send().await;
        let started = require(started.expect("POST upload"), 202).await;
        let location = started.headers()[LOCATION].to_str().expect("text");
        let mut url = self.base.join(location).expect("an upload URL");
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let put = self.http.put(url).header(CONTENT_TYPE, "application/octet-stream");
        require(put.body(bytes).send().await.expect("PUT blob"), 201).await;
        digest
    }

    /// An image of a config and one layer of 150 bytes, different for every `salt`.
    async fn push(&self, tag: &str, salt: &str) {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Labels":{{"n":"{salt}"}}}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        );
        let layer = format!("{salt:-<150}");
        let (config_size, layer_size) = (config.len(), layer.len());
        let config = self.push_blob(config.into_bytes()).await;
        let layer = self.push_blob(layer.into_bytes()).await;
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{config_size}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{layer_size}}}]}}"#
        );
        let put = self.http.put(self.url(&format!("manifests/{tag}")));
        let put = put.header(CONTENT_TYPE, MANIFEST).body(manifest).send().await;
        require(put.expect("PUT manifest"), 201).await;
    }

    async fn pull(&self, tag: &str) {
        let get = self.http.get(self.url(&format!("manifests/{tag}"))).header(ACCEPT, MANIFEST);
        let manifest = require(get.send().await.expect("GET manifest"), 200).await;
        let manifest: serde_json::Value = manifest.json().await.expect("JSON");
        for blob in [&manifest["config"]["digest"], &manifest["layers"][0]["digest"]] {
            let url = self.url(&format!("blobs/{}", blob.as_str().expect("a digest")));
            let blob = require(self.http.get(url).send().await.expect("GET blob"), 200).await;
            blob.bytes().await.expect("the blob");
        }
    }
}

async fn require(response: Response, status: u16) -> Response {
    if response.status() == status {
        return response;
    }
    let (got, url) = (response.status(), response.url().clone());
    panic!("{url}: {got} instead of {status}: {}", response.text().await.unwrap_or_default());
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [verb, url, repository, count, workers, token @ ..] = args.as_slice() else {
        panic!("load push|pull URL REPOSITORY COUNT WORKERS [TOKEN]");
    };
    let (count, workers): (usize, usize) =
        (count.parse().expect("a count"), workers.parse().expect("a number of workers"));
    let mut headers = HeaderMap::new();
    if let Some(token) = token.first() {
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().expect("a token"));
    }
    let http = Client::builder().default_headers(headers).build().expect("a client");
    let base = url.parse().expect("a URL");
    let target = Arc::new(Target { http, base, repository: repository.clone() });
    let run = format!("{:x}", std::process::id());
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (target, next, run, push) =
            (Arc::clone(&target), Arc::clone(&next), run.clone(), verb == "push");
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return;
                }
                let tag = format!("t{n}");
                if push {
                    target.push(&tag, &format!("{run} {n}")).await;
                } else {
                    target.pull(&tag).await;
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no worker failed");
    }
    println!(
        "{:.1}",
        f64::from(u32::try_from(count).expect("small")) / start.elapsed().as_secs_f64()
    );
}

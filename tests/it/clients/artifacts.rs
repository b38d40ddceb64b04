//! Clients of other things than images: oras for anything, helm for charts.

use serde_json::Value;

use super::{Desk, text};
use crate::support::oci::{PASSWORD, TestFace};

async fn json(desk: &Desk, program: &str, args: &[&str]) -> Value {
    serde_json::from_str(&desk.must(program, args).await).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oras_pushes_attaches_discovers_copies_and_deletes() {
    let (_face, host) = TestFace::serve().await;
    let desk = Desk::new(&host).logged_in("mia").await;
    std::fs::write(desk.path("report.txt"), "all is well").expect("written");
    std::fs::write(desk.path("sbom.json"), "{}").expect("written");
    let first = format!("{host}/ta/report:1");
    let wire = "--plain-http";
    let kind = "application/vnd.example.report";
    let push = ["push", wire, &first, "--artifact-type", kind, "report.txt:text/plain"];
    desk.must("oras", &push).await;
    let bill = "application/spdx+json";
    let attach = ["attach", wire, &first, "--artifact-type", bill, "sbom.json:application/json"];
    desk.must("oras", &attach).await;
    let discover = ["discover", wire, "--format", "json", &first];
    let found = json(&desk, "oras", &discover).await;
    let referrers = found["referrers"].as_array().or(found["manifests"].as_array());
    assert_eq!(referrers.expect("a list")[0]["artifactType"], bill);
    let copy = ["cp", "-r", "--from-plain-http", "--to-plain-http", &first];
    let second = format!("{host}/ta/copy:1");
    desk.must("oras", &[&copy[..], &[&second]].concat()).await;
    let found = json(&desk, "oras", &["discover", wire, "--format", "json", &second]).await;
    assert!(found.to_string().contains(bill), "the SBOM came along: {found}");
    let tags = desk.must("oras", &["repo", "tags", wire, &format!("{host}/ta/copy")]).await;
    assert_eq!(tags, "1", "no fallback tags are needed");
    desk.must("oras", &["pull", wire, &second, "-o", text(&desk.path("pulled"))]).await;
    let pulled = std::fs::read_to_string(desk.path("pulled/report.txt")).expect("read");
    assert_eq!(pulled, "all is well");
    desk.must("oras", &["manifest", "delete", "--force", wire, &second]).await;
    assert!(!desk.run("oras", &["manifest", "fetch", wire, &second]).await.ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_pushes_and_pulls_charts_with_build_metadata() {
    let (face, host) = TestFace::serve().await;
    let desk = Desk::new(&host);
    desk.must("helm", &["registry", "login", &host, "--plain-http", "-u", "ada", "-p", PASSWORD])
        .await;
    desk.must("helm", &["create", "shop"]).await;
    let package = ["package", "shop", "--version", "1.2.0+build.5"];
    desk.must("helm", &package).await;
    let charts = format!("oci://{host}/ta/charts");
    desk.must("helm", &["push", "--plain-http", "shop-1.2.0+build.5.tgz", &charts]).await;
    let chart = format!("{charts}/shop");
    let show = ["show", "chart", "--plain-http", &chart, "--version", "1.2.0+build.5"];
    assert!(desk.must("helm", &show).await.contains("version: 1.2.0+build.5"));
    std::fs::create_dir(desk.path("pulled")).expect("made");
    let pull = ["pull", "--plain-http", &chart, "--version", "1.2.0+build.5", "-d", "pulled"];
    desk.must("helm", &pull).await;
    let files = |dir: &str| std::fs::read(desk.path(dir).join("shop-1.2.0+build.5.tgz"));
    assert_eq!(files("pulled").expect("pulled"), files(".").expect("packaged"));
    let ada = face.client_of("ada", "ta/charts/shop").await;
    let tags = ada.get("/v2/ta/charts/shop/tags/list").await.expect(200).json();
    assert_eq!(tags["tags"], serde_json::json!(["1.2.0_build.5"]));
}

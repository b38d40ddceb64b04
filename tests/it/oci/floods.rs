//! Too much of everything: long lists, bodies that say they are huge, sessions without end, bytes
//! that grow when they are opened.

use std::io::Write as _;
use std::time::Instant;

use bytes::Bytes;
use http::Method;
use portolan::base::{Actor, Digest, Reference};
use serde_json::json;

use crate::support::images::{OCI_MANIFEST, TestImage, tiny};
use crate::support::oci::{Client, TestFace};

const MANY: usize = 100_000;

async fn run(face: &TestFace, sql: String) {
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(face.registry.db.pool()).await;
    done.expect("the flood");
}

/// Follows a list to its end: the sizes of its pages.
async fn pages(client: &Client<'_>, path: &str, field: &str) -> Vec<usize> {
    let (mut sizes, mut path) = (Vec::new(), path.to_owned());
    loop {
        let answer = client.get(&path).await.expect(200);
        sizes.push(answer.json()[field].as_array().expect("a list").len());
        let link = answer.header("link");
        match link.split(['<', '>']).nth(1) {
            Some(next) => path = next.to_owned(),
            None => return sizes,
        }
    }
}

#[tokio::test]
async fn lists_of_a_hundred_thousand_come_in_pages_at_once() {
    let face = TestFace::start().await;
    let image = tiny("flood");
    face.client_of("ada", "ta/app").await.push("ta/app", "1", &image).await;
    let (subject, ta) = (image.digest(), "(select id from repositories where name = 'ta/app')");
    run(
        &face,
        format!(
            "insert into tags (repository_id, name, manifest_id, created_at, updated_at)
             select repository_id, 't' || n, id, now(), now()
             from manifests, generate_series(1, {MANY}) as n where digest = '{subject}'"
        ),
    )
    .await;
    run(
        &face,
        format!(
            "insert into manifests (id, repository_id, digest, media_type, content, size,
                 artifact_type, subject_digest, annotations, pushed_by, created_at)
             select gen_random_uuid(), {ta}, 'sha256:' || lpad(to_hex(n), 64, '0'),
                 '{OCI_MANIFEST}', '{{}}', 2, 'application/x-' || n % 2, '{subject}',
                 '{{\"k\": \"v\"}}', 'flood', now()
             from generate_series(1, {MANY}) as n"
        ),
    )
    .await;
    run(
        &face,
        "insert into repositories (id, project_id, name, created_at, updated_at)
             select gen_random_uuid(), project_id, 'ta/r' || n, now(), now()
             from repositories, generate_series(1, 10000) as n where name = 'ta/app'"
            .to_owned(),
    )
    .await;
    run(&face, "analyze".to_owned()).await;
    let scopes = ["repository:ta/app:pull", "registry:catalog:*"];
    let ada = face.client(Some("ada"), &scopes).await;
    let referrers = format!("/v2/ta/app/referrers/{subject}");
    let filtered = format!("{referrers}?artifactType=application/x-1");
    let lists = [
        ("/v2/ta/app/tags/list", "tags", 1000, MANY + 1),
        ("/v2/ta/app/tags/list?n=999999999", "tags", 1000, MANY + 1),
        ("/v2/_catalog?n=999999999", "repositories", 1000, 10_001),
        (&referrers, "manifests", 500, MANY),
        (&filtered, "manifests", 500, MANY / 2),
    ];
    for (path, field, most, all) in lists {
        let begun = Instant::now();
        let sizes = pages(&ada, path, field).await;
        let each = begun.elapsed() / u32::try_from(sizes.len()).expect("a number");
        assert!(sizes.iter().all(|size| *size <= most), "{path}: {sizes:?}");
        assert_eq!(sizes.iter().sum::<usize>(), all, "{path}");
        // Far above what it takes, far below what reading everything for each page would.
        assert!(each.as_millis() < 200, "{path}: {each:?} for each page");
    }
}

#[tokio::test]
async fn a_body_that_says_it_is_huge_is_refused_before_it_is_read() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let location = ada.upload("ta/app").await;
    let digest = Digest::sha256(b"x");
    let huge = [("content-length", "1099511627776")];
    for (method, path) in [
        (Method::POST, format!("/v2/ta/app/blobs/uploads/?digest={digest}")),
        (Method::PATCH, location.clone()),
        (Method::PUT, format!("{location}?digest={digest}")),
    ] {
        let refused = ada.send(method.clone(), &path, &huge, "x").await.expect(413);
        assert_eq!(refused.code(), "SIZE_INVALID", "{method}");
    }
    assert_eq!(ada.get(&location).await.expect(204).header("range"), "0-0");
    let liar = [("content-range", "0-1099511627775"), ("content-length", "1099511627776")];
    ada.send(Method::PATCH, &location, &liar, "x").await.expect(413);
}

#[tokio::test]
async fn sessions_and_crumbs_are_bounded_and_what_was_acknowledged_counts() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let location = ada.upload("ta/app").await;
    let text = "one byte at a time, many times over";
    for (at, byte) in text.bytes().enumerate() {
        let range = format!("{at}-{at}");
        let sent = [("content-range", range.as_str())];
        let answer = ada.send(Method::PATCH, &location, &sent, vec![byte]).await.expect(202);
        assert_eq!(answer.header("range"), format!("0-{at}"));
    }
    for _ in 1..32 {
        ada.upload("ta/app").await;
    }
    let refused = ada.post("/v2/ta/app/blobs/uploads/", "").await.expect(429);
    assert_eq!(refused.code(), "TOOMANYREQUESTS");
    assert!(refused.header("retry-after").parse::<u32>().is_ok());
    // Another's pushes go on, and so does what was begun.
    face.client_of("bob", "tb/x").await.upload("tb/x").await;
    let path = format!("{location}?digest={}", Digest::sha256(text.as_bytes()));
    ada.send(Method::PUT, &path, &[], "").await.expect(201);
    ada.upload("ta/app").await;
}

#[tokio::test]
async fn manifests_with_too_many_parts_or_too_deep_are_refused() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let image = tiny("big");
    for blob in image.blobs() {
        ada.push_blob("ta/app", blob).await;
    }
    let manifest: serde_json::Value = serde_json::from_slice(&image.manifest).expect("JSON");
    let layer = json!({ "digest": manifest["layers"][0]["digest"], "size": 1 });
    let mut many = manifest.clone();
    many["layers"] = json!(vec![layer.clone(); 30_000]);
    let index = json!({ "schemaVersion": 2, "manifests": vec![layer; 30_000] });
    let deep = format!("{}{}", "{\"a\":".repeat(10_000), "1".to_owned() + &"}".repeat(10_000));
    let nested = manifest.to_string().replacen('{', &format!("{{\"x\":{deep},"), 1);
    for (what, body, media_type) in [
        ("layers", many.to_string(), OCI_MANIFEST),
        ("children", index.to_string(), "application/vnd.oci.image.index.v1+json"),
        ("depth", deep, OCI_MANIFEST),
        ("depth within", nested, OCI_MANIFEST),
        ("duplicate keys", r#"{"schemaVersion":2,"schemaVersion":2}"#.to_owned(), OCI_MANIFEST),
        ("not an object", "[]".to_owned(), OCI_MANIFEST),
        ("nothing", String::new(), OCI_MANIFEST),
        ("a byte order mark", format!("\u{feff}{manifest}"), OCI_MANIFEST),
        ("more after the end", format!("{manifest}{manifest}"), OCI_MANIFEST),
        ("a number too large", r#"{"schemaVersion":1e999}"#.to_owned(), OCI_MANIFEST),
    ] {
        let refused = ada.push_manifest("ta/app", "bad", media_type, &body.into()).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (400, "MANIFEST_INVALID"),
            "{what}"
        );
    }
    ada.get("/v2/ta/app/manifests/bad").await.expect(404);
}

/// Bytes that unpack to a hundred times as many.
fn bomb() -> Bytes {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![0; 32 * 1024 * 1024]).expect("compressed");
    Bytes::from(gzip.finish().expect("compressed"))
}

#[tokio::test]
async fn what_is_packed_stays_packed_and_a_config_is_only_read_when_it_is_small() {
    let face = TestFace::start().await;
    let ada = face.client_of("ada", "ta/app").await;
    let deep = Bytes::from(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    let huge = Bytes::from(format!("{{\"os\":\"{}\"}}", "x".repeat(5 * 1024 * 1024)));
    let bomb = bomb();
    let configs = [
        ("deep", deep),
        ("huge", huge),
        ("packed", bomb.clone()),
        ("torn", Bytes::from_static(b"{\"os\":")),
    ];
    for (tag, config) in configs {
        let mut image = TestImage::new(vec![bomb.clone()], json!({}));
        let mut manifest: serde_json::Value =
            serde_json::from_slice(&image.manifest).expect("JSON");
        manifest["config"]["digest"] = json!(Digest::sha256(&config));
        manifest["config"]["size"] = json!(config.len());
        (image.manifest, image.config) = (manifest.to_string().into(), config);
        ada.push("ta/app", tag, &image).await;
        let reference: Reference = tag.parse().expect("a tag");
        let app = "ta/app".parse().expect("a name");
        let shown = face.registry.registry.image(&Actor::system(), &app, &reference).await;
        let shown = shown.expect("an image");
        assert!(shown.config.is_none(), "{tag}: {:?}", shown.config);
        let path = format!("/v2/ta/app/blobs/{}", Digest::sha256(&bomb));
        assert_eq!(ada.get(&path).await.expect(200).body, bomb);
    }
}

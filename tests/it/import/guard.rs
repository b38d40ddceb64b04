//! Where an import may connect to, and who gets to see a secret.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use portolan::base::{ErrorKind, Secret, SourceName};
use portolan::import::{Import, NewImport, NewSource};
use portolan::jobs::Status;
use serde_json::json;

use super::fake::Fake;
use super::rig::{Here, There, image, ta};
use crate::support::images::tiny;
use crate::support::oci::PASSWORD;

const SECRET: &str = "canary-3f9a";

async fn source(here: &Here, url: &str, username: &str, secret: &str) -> SourceName {
    let name: SourceName = "there".parse().expect("a name");
    let new = NewSource {
        url: url.to_owned(),
        username: username.to_owned(),
        secret: Some(Secret::new(secret.to_owned())),
        token_host: None,
    };
    here.imports.create_source(&here.max, &ta(), &name, new).await.expect("a source");
    name
}

async fn with_source(here: &Here, from: &str, source: SourceName) -> Import {
    here.carry(NewImport { source: Some(source), ..image(from, "app") }).await
}

fn code(import: &Import) -> &str {
    import.error_code.as_deref().unwrap_or_default()
}

fn redirect(status: StatusCode, to: &str) -> Response {
    (status, [(header::LOCATION, to)]).into_response()
}

#[tokio::test]
async fn addresses_inside_are_refused_before_a_packet_is_sent() {
    let fake = Fake::start().await;
    fake.hold(&tiny("one"));
    let here = Here::allowing("").await;
    let port = fake.host.rsplit(':').next().expect("a port").to_owned();
    for host in [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "100.64.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
    ] {
        for scheme in ["http", "https"] {
            let new = image(format!("{scheme}://{host}:{port}/app:1"), "app");
            let refused = here.imports.create_import(&here.max, &ta(), new).await;
            let refused = refused.expect_err("refused");
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{scheme} {host}");
            assert_eq!(refused.fields()[0].field, "from", "{scheme} {host}");
        }
    }
    // A name is looked up when connecting; what it leads to is refused then.
    let failed = here.carry(image(format!("https://localhost:{port}/app:1"), "app")).await;
    assert_eq!((failed.status, code(&failed)), (Status::Failed, "address_refused"));
    let url = format!("http://localhost:{port}/app:1");
    let refused = here.imports.create_import(&here.max, &ta(), image(url, "app")).await;
    assert!(refused.is_err(), "plain HTTP needs a network that is allowed");
    for url in
        ["https://[::1]", "https://[::ffff:127.0.0.1]", "https://[fd00::1]", "http://ghcr.io"]
    {
        let name = "there".parse().expect("a name");
        let new = NewSource { url: url.to_owned(), ..NewSource::default() };
        let refused = here.imports.create_source(&here.max, &ta(), &name, new).await;
        assert_eq!(refused.expect_err("refused").fields()[0].field, "url", "{url}");
    }
    assert!(fake.asked().is_empty(), "{:?}", fake.asked());
}

#[tokio::test]
async fn plain_http_is_only_for_allowed_networks() {
    // A name that leads to a network that is not among them.
    let fake = Fake::start().await;
    fake.hold(&tiny("one"));
    let here = Here::allowing("10.0.0.0/8").await;
    let port = fake.host.rsplit(':').next().expect("a port");
    let failed = here.carry(image(format!("http://localhost:{port}/app:1"), "app")).await;
    assert_eq!((failed.status, code(&failed)), (Status::Failed, "address_refused"));
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn redirects_are_checked_like_first_addresses() {
    let sink = Fake::start().await;
    let port = sink.host.rsplit(':').next().expect("a port").to_owned();
    let (fake, here) = (Fake::start().await, Here::allowing("127.0.0.1/32").await);
    let app = tiny("one");
    fake.hold(&app);
    for (to, wanted) in [
        (format!("http://127.0.0.2:{port}/x"), "address_refused"),
        ("http://169.254.169.254/latest/meta-data".to_owned(), "address_refused"),
        ("https://10.0.0.1/x".to_owned(), "address_refused"),
        (format!("https://[::1]:{port}/x"), "address_refused"),
        ("file:///etc/passwd".to_owned(), "url_invalid"),
        (format!("http://user:pw@127.0.0.1:{port}/x"), "url_invalid"),
    ] {
        let target = to.clone();
        fake.on("/v2/app/manifests/1", move |_, _| {
            redirect(StatusCode::TEMPORARY_REDIRECT, &target)
        });
        let failed = here.carry(image(fake.at("app:1"), "app")).await;
        assert_eq!((failed.status, code(&failed)), (Status::Failed, wanted), "{to}");
    }
    assert!(sink.asked().is_empty(), "{:?}", sink.asked());
    fake.on("/v2/app/manifests/1", |_, _| redirect(StatusCode::FOUND, "/v2/app/manifests/1"));
    let failed = here.carry(image(fake.at("app:1"), "app")).await;
    assert_eq!(code(&failed), "redirect_refused");
}

#[tokio::test]
async fn a_secret_stays_with_its_source_when_blobs_are_elsewhere() {
    let (fake, store, here) = (Fake::start().await, Fake::start().await, Here::start().await);
    let app = tiny("one");
    fake.hold(&app);
    let manifest = app.manifest.clone();
    fake.on("/v2/app/manifests/1", move |headers, _| {
        if headers.contains_key(header::AUTHORIZATION) {
            return super::fake::manifest_of(&manifest);
        }
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"x\"")])
            .into_response()
    });
    for blob in app.blobs() {
        let (path, blob) = (super::fake::blob_path(blob), blob.clone());
        let to = format!("http://{}{path}", store.host);
        fake.on(&path, move |_, _| redirect(StatusCode::TEMPORARY_REDIRECT, &to));
        store.on(&path, move |headers, _| super::fake::ranged(headers, &blob));
    }
    let name = source(&here, &format!("http://{}", fake.host), "max", SECRET).await;
    let done = with_source(&here, "app:1", name).await;
    assert_eq!((done.status, done.error), (Status::Succeeded, None));
    assert!(fake.asked().iter().any(|a| a.authorization.starts_with("Basic ")));
    assert_eq!(store.asked().len(), 2);
    assert!(store.asked().iter().all(|a| a.authorization.is_empty()), "{:?}", store.asked());
}

#[tokio::test]
async fn a_store_that_asks_for_credentials_gets_none() {
    let (fake, store, here) = (Fake::start().await, Fake::start().await, Here::start().await);
    fake.hold(&tiny("one"));
    let to = format!("http://{}/x", store.host);
    fake.on("/v2/app/manifests/1", move |_, _| redirect(StatusCode::TEMPORARY_REDIRECT, &to));
    store.on("/x", |_, _| {
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"x\"")])
            .into_response()
    });
    let name = source(&here, &format!("http://{}", fake.host), "max", SECRET).await;
    let failed = with_source(&here, "app:1", name).await;
    assert_eq!((failed.status, code(&failed)), (Status::Failed, "source_unauthorized"));
    assert_eq!(store.asked().len(), 1);
    assert!(store.asked()[0].authorization.is_empty());
}

#[tokio::test]
async fn a_foreign_realm_gets_no_secret_unless_the_source_names_it() {
    let (fake, realm, here) = (Fake::start().await, Fake::start().await, Here::start().await);
    let app = tiny("one");
    fake.hold(&app);
    let manifest = app.manifest.clone();
    let challenge = format!(
        "Bearer realm=\"http://{}/token\",service=\"s\",scope=\"repository:*:*\"",
        realm.host
    );
    fake.on("/v2/app/manifests/1", move |headers, _| {
        let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        if given == Some("Bearer good") {
            return super::fake::manifest_of(&manifest);
        }
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge.clone())]).into_response()
    });
    realm.on("/token", |_, _| axum::Json(json!({ "token": "good" })).into_response());
    let name = source(&here, &format!("http://{}", fake.host), "max", SECRET).await;
    let failed = with_source(&here, "app:1", name.clone()).await;
    assert_eq!((failed.status, code(&failed)), (Status::Failed, "foreign_realm"));
    assert!(realm.asked().is_empty(), "{:?}", realm.asked());

    let change = portolan::import::SourceChange {
        token_host: Some(Some(realm.host.clone())),
        secret: Some(Secret::new(SECRET.to_owned())),
        ..Default::default()
    };
    here.imports.update_source(&here.max, &ta(), &name, change).await.expect("changed");
    let done = with_source(&here, "app:1", name).await;
    assert_eq!((done.status, done.error), (Status::Succeeded, None));
    let asked = realm.asked();
    assert!(asked[0].authorization.starts_with("Basic "));
    assert_eq!(asked[0].query, "service=s&scope=repository%3Aapp%3Apull", "no more than pull");

    // Somebody without a secret has none to lose.
    let done = here.carry(image(fake.at("app:1"), "anonymous")).await;
    assert_eq!(done.status, Status::Succeeded);
    assert!(realm.asked().last().expect("a request").authorization.is_empty());
}

#[tokio::test]
async fn credentials_open_a_private_repository_and_wrong_ones_do_not() {
    let (there, here) = (There::start().await, Here::start().await);
    there.face.registry.push(&there.pusher, "ta/app", "1", &tiny("one")).await;
    let failed = here.carry(image(there.at("ta/app:1"), "app")).await;
    assert_eq!((failed.status, code(&failed)), (Status::Failed, "source_unauthorized"));
    let url = format!("http://{}", there.host);
    let name = source(&here, &url, "pusher", "not the password").await;
    let failed = with_source(&here, "ta/app:1", name.clone()).await;
    assert_eq!((failed.status, code(&failed)), (Status::Failed, "source_unauthorized"));
    let change = portolan::import::SourceChange {
        secret: Some(Secret::new(PASSWORD.to_owned())),
        ..Default::default()
    };
    here.imports.update_source(&here.max, &ta(), &name, change).await.expect("changed");
    // The secret is read when a run begins: the failed import works with the new one.
    here.imports.retry_import(&here.max, &ta(), failed.id).await.expect("a retry");
    assert!(here.imports.run_one().await.expect("a run"));
    let done = here.look(&failed).await;
    assert_eq!((done.status, done.error), (Status::Succeeded, None));
    here.imports.delete_source(&here.max, &ta(), &name).await.expect("removed");
    let asked = here.imports.import(&here.max, &ta(), done.id).await.expect("the import");
    assert_eq!(asked.source.as_deref(), Some("there"), "its name is remembered");
}

#[tokio::test]
async fn a_source_that_was_removed_fails_its_imports() {
    let here = Here::start().await;
    let name = source(&here, "http://127.0.0.1:1", "max", SECRET).await;
    let new = NewImport { source: Some(name.clone()), ..image("app:1", "app") };
    let asked = here.ask(new).await;
    here.imports.delete_source(&here.max, &ta(), &name).await.expect("removed");
    assert!(here.imports.run_one().await.expect("a run"));
    let failed = here.look(&asked).await;
    assert_eq!((failed.status, code(&failed)), (Status::Failed, "source_gone"));
}

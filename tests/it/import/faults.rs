//! Lines that break, sources that lie, rights that go, ends that are asked for.

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use portolan::accounts::UserChange;
use portolan::accounts::rbac::Role;
use portolan::base::{Actor, Digest, Reference};
use portolan::catalog::MemberName;
use portolan::jobs::Status;
use serde_json::json;

use super::fake::{Fake, blob_path, manifest_of, ranged, start_of, torn};
use super::rig::{Here, image, ta};
use crate::support::images::{TestImage, tiny};
use crate::support::registry::name;
use crate::support::server::eventually;

/// An image with one layer of `size` bytes that do not repeat.
fn large(size: usize) -> TestImage {
    let mut bytes = vec![0; size];
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::try_from((n * 31 + n / 251) % 256).expect("a byte");
    }
    TestImage::new(vec![Bytes::from(bytes)], json!({}))
}

async fn tag(here: &Here, repository: &str) -> Option<Bytes> {
    let reference: Reference = "1".parse().expect("a tag");
    let registry = &here.face.registry.registry;
    let found = registry.manifest(&here.max, &name(repository), &reference, false).await;
    found.ok().map(|manifest| manifest.content.clone())
}

#[tokio::test]
async fn a_line_that_breaks_is_taken_up_where_it_broke() {
    let (fake, here) = (Fake::start().await, Here::start().await);
    let app = large(3_000_000);
    fake.hold(&app);
    let blob = app.layers[0].clone();
    let path = blob_path(&blob);
    fake.on(&path, move |headers, n| match n {
        0 | 1 => torn(headers, &blob, 1_000_000),
        _ => ranged(headers, &blob),
    });
    let done = here.carry(image(fake.at("app:1"), "app")).await;
    assert_eq!((done.status, done.error), (Status::Succeeded, None));
    assert_eq!(tag(&here, "ta/app").await, Some(app.manifest.clone()));
    let ranges: Vec<_> =
        fake.asked().into_iter().filter(|a| a.path == path).map(|a| a.range).collect();
    assert_eq!(ranges[0], "");
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    let starts: Vec<usize> = ranges[1..]
        .iter()
        .map(|r| r.trim_start_matches("bytes=").trim_end_matches('-').parse().expect("a start"))
        .collect();
    assert!(starts[0] > 0 && starts[1] > starts[0], "{ranges:?}");
}

#[tokio::test]
async fn a_source_without_ranges_is_read_from_the_start_again() {
    let (fake, here) = (Fake::start().await, Here::start().await);
    let app = large(2_000_000);
    fake.hold(&app);
    let blob = app.layers[0].clone();
    fake.on(&blob_path(&blob.clone()), move |_, n| {
        let whole = axum::http::HeaderMap::new();
        if n == 0 { torn(&whole, &blob, 1_000_000) } else { blob.clone().into_response() }
    });
    let done = here.carry(image(fake.at("app:1"), "app")).await;
    assert_eq!((done.status, done.error), (Status::Succeeded, None));
    assert_eq!(tag(&here, "ta/app").await, Some(app.manifest.clone()));
}

#[tokio::test]
async fn a_killed_run_goes_on_with_the_bytes_it_had() {
    let (fake, here) = (Fake::start().await, Here::start().await);
    let app = large(4_000_000);
    fake.hold(&app);
    let blob = app.layers[0].clone();
    let path = blob_path(&blob);
    // The first run never gets further than two million bytes: its line stands still.
    fake.on(&path, move |headers, n| {
        if n > 0 {
            return ranged(headers, &blob);
        }
        use futures_util::StreamExt as _;
        let part = futures_util::stream::iter([Ok::<_, std::io::Error>(blob.slice(..2_000_000))]);
        axum::body::Body::from_stream(part.chain(futures_util::stream::pending())).into_response()
    });
    let asked = here.ask(image(fake.at("app:1"), "app")).await;
    let run = tokio::spawn({
        let imports = here.imports.clone();
        async move { imports.run_one().await }
    });
    eventually(20, "bytes arrive", || async {
        Some(()).filter(|()| fake.asked().iter().any(|a| a.path == path))
    })
    .await;
    // The read times out after 5 s and what arrived is noted; then the process is killed.
    eventually(20, "progress shows them", || async {
        let import = here.look(&asked).await;
        Some(()).filter(|()| import.progress.bytes_done > 1_000_000)
    })
    .await;
    run.abort();
    let _ = run.await;
    assert_eq!(here.look(&asked).await.status, Status::Running, "nobody settled it");
    assert_eq!(tag(&here, "ta/app").await, None, "no tag leads to half an image");
    // Its lease holds first.
    let next = here.restarted().await;
    assert!(!next.run_one().await.expect("a look"), "the lease still holds");
    here.wait();
    assert!(next.run_one().await.expect("a run"));
    let done = here.look(&asked).await;
    assert_eq!((done.status, done.error), (Status::Succeeded, None));
    let last = fake.asked().into_iter().rfind(|a| a.path == path).expect("a request");
    let headers = [(header::RANGE, last.range.parse().expect("a range"))].into_iter().collect();
    assert!(start_of(&headers) > 1_000_000, "{}", last.range);
    let manifests = fake.asked().iter().filter(|a| a.path.ends_with("/manifests/1")).count();
    assert_eq!(manifests, 1, "the plan was kept");
    let found = here.face.registry.restarted().await;
    let stored = found
        .blob(&here.max, &name("ta/app"), &Digest::sha256(&app.layers[0]))
        .await
        .expect("the blob");
    assert_eq!(stored.size, 4_000_000);
}

#[tokio::test]
async fn tags_are_read_page_by_page_whatever_host_the_link_names() {
    let (fake, here) = (Fake::start().await, Here::start().await);
    let app = tiny("one");
    fake.hold(&app);
    let manifest = app.manifest.clone();
    fake.on("/v2/app/manifests/2", move |_, _| manifest_of(&manifest));
    fake.on("/v2/app/tags/list", |_, n| {
        let link = "<https://elsewhere.invalid/v2/app/tags/list?last=1>; rel=\"next\"";
        let page = |tag: &str| axum::Json(json!({ "name": "app", "tags": [tag] }));
        match n {
            0 => ([(header::LINK, link)], page("1")).into_response(),
            _ => page("2").into_response(),
        }
    });
    let new = portolan::import::NewImport {
        scope: portolan::import::Scope::Repository,
        ..image(fake.at("app"), "app")
    };
    let done = here.carry(new).await;
    assert_eq!((done.status, done.error, done.progress.tags), (Status::Succeeded, None, 2));
    let lists: Vec<_> =
        fake.asked().into_iter().filter(|a| a.path.ends_with("/tags/list")).collect();
    assert_eq!(lists.len(), 2);
    assert_eq!(lists[1].query, "last=1");
}

#[tokio::test]
async fn a_source_that_asks_for_patience_is_asked_again() {
    let (fake, here) = (Fake::start().await, Here::start().await);
    let app = tiny("one");
    fake.hold(&app);
    let manifest = app.manifest.clone();
    fake.on("/v2/app/manifests/1", move |_, n| match n {
        0 => StatusCode::TOO_MANY_REQUESTS.into_response(),
        1 => StatusCode::BAD_GATEWAY.into_response(),
        _ => manifest_of(&manifest),
    });
    let done = here.carry(image(fake.at("app:1"), "app")).await;
    assert_eq!(done.status, Status::Succeeded, "{:?}", done.error);
    // A long wait is the queue's: the run ends and another begins when it is over.
    let manifest = app.manifest.clone();
    fake.on("/v2/app/manifests/2", move |_, n| {
        if n == 0 {
            let wait = [(header::RETRY_AFTER, "600")];
            return (StatusCode::TOO_MANY_REQUESTS, wait).into_response();
        }
        manifest_of(&manifest)
    });
    let waits = here.carry(image(fake.at("app:2"), "app")).await;
    assert_eq!(waits.status, Status::Queued);
    assert_eq!(waits.error_code.as_deref(), Some("source_rate_limited"));
    assert_eq!((waits.run_at - here.now()).num_seconds(), 600);
    assert!(!here.imports.run_one().await.expect("a look"), "not before");
    here.wait();
    assert!(here.imports.run_one().await.expect("a run"));
    assert_eq!(here.look(&waits).await.status, Status::Succeeded);
}

#[tokio::test]
async fn a_source_that_stays_away_fails_in_the_end() {
    let (fake, here) = (Fake::start().await, Here::start().await);
    fake.on("/v2/app/manifests/1", |_, _| StatusCode::SERVICE_UNAVAILABLE.into_response());
    let asked = here.ask(image(fake.at("app:1"), "app")).await;
    for run in 1..=asked.max_attempts {
        assert_eq!(here.look(&asked).await.status, Status::Queued, "before run {run}");
        assert!(here.imports.run_one().await.expect("a run"), "run {run}");
        here.wait();
    }
    let failed = here.look(&asked).await;
    assert_eq!(failed.status, Status::Failed);
    assert_eq!(failed.error_code.as_deref(), Some("source_unavailable"));
}

#[tokio::test]
async fn other_bytes_than_the_digest_says_are_refused() {
    let (fake, here) = (Fake::start().await, Here::start().await);
    let app = tiny("one");
    fake.hold(&app);
    let blob = app.layers[0].clone();
    let lies: [(&str, Bytes); 3] = [
        ("other", Bytes::from(vec![7; blob.len()])),
        ("longer", [blob.as_ref(), b"x"].concat().into()),
        ("shorter", blob.slice(1..)),
    ];
    for (case, lie) in lies {
        fake.on(&blob_path(&blob), move |_, _| lie.clone().into_response());
        let mut failed = here.carry(image(fake.at("app:1"), case)).await;
        // A line that breaks first is tried again; in the end the lie is found out.
        for _ in 0..3 {
            if case == "shorter" || failed.status != Status::Queued {
                break;
            }
            here.wait();
            here.imports.run_one().await.expect("a run");
            failed = here.look(&failed).await;
        }
        if case == "shorter" {
            assert_eq!(failed.status, Status::Queued, "it may be the line");
            let asked = here.imports.cancel_import(&here.max, &ta(), failed.id).await;
            assert_eq!(asked.expect("cancelled").status, Status::Cancelled);
        } else {
            assert_eq!(failed.status, Status::Failed, "{case}");
            assert_eq!(failed.error_code.as_deref(), Some("source_invalid"), "{case}");
        }
        assert_eq!(tag(&here, &format!("ta/{case}")).await, None, "{case}");
    }
    let lie = tiny("two").manifest;
    let path = format!("/v2/app/manifests/{}", app.digest());
    fake.on(&path, move |_, _| manifest_of(&lie));
    let failed = here.carry(image(fake.at(&format!("app@{}", app.digest())), "m")).await;
    assert_eq!(failed.error_code.as_deref(), Some("source_invalid"));
    let huge = Bytes::from(vec![b' '; (4 << 20) + 1]);
    fake.on("/v2/app/manifests/huge", move |_, _| manifest_of(&huge));
    let failed = here.carry(image(fake.at("app:huge"), "m")).await;
    assert_eq!((failed.status, failed.error_code.as_deref()), (Status::Failed, Some("too_large")));
}

/// Holds an image whose layer never ends, and waits until a run reads it.
async fn running(fake: &Fake, here: &Here) -> portolan::import::Import {
    let app = large(2_000_000);
    fake.hold(&app);
    let blob = app.layers[0].clone();
    let path = blob_path(&blob);
    fake.on(&path.clone(), move |_, _| {
        use futures_util::StreamExt as _;
        let part = blob.clone();
        let slow = futures_util::stream::unfold(0, move |at| {
            let part = part.clone();
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                Some((Ok::<_, std::io::Error>(part.slice(at..at + 10)), at + 10))
            }
        });
        axum::body::Body::from_stream(slow.take(150_000)).into_response()
    });
    let asked = here.ask(image(fake.at("app:1"), "app")).await;
    eventually(20, "the blob is read", || async {
        Some(()).filter(|()| fake.asked().iter().any(|a| a.path == path))
    })
    .await;
    asked
}

async fn settled(here: &Here, import: &portolan::import::Import) -> portolan::import::Import {
    eventually(20, "the import ends", || async {
        Some(here.look(import).await).filter(|import| !import.status.is_open())
    })
    .await
}

#[tokio::test]
async fn a_running_import_ends_when_that_is_asked_for() {
    let (fake, here) = (Fake::start().await, Here::start().await);
    let (stop, work) = here.work();
    let asked = running(&fake, &here).await;
    let told = here.imports.cancel_import(&here.max, &ta(), asked.id).await.expect("asked");
    assert!(told.cancel_requested && told.status == Status::Running, "{:?}", told.status);
    assert_eq!(settled(&here, &asked).await.status, Status::Cancelled);
    eventually(10, "its uploads are given back", || async {
        let open = here.face.registry.registry.uploads(&here.max, &ta()).await.expect("uploads");
        Some(()).filter(|()| open.is_empty())
    })
    .await;
    assert_eq!(tag(&here, "ta/app").await, None);
    let actions: Vec<_> = here.events("import.").await.into_iter().map(|e| e.action).collect();
    assert_eq!(actions, ["import.create", "import.cancel", "import.stop"]);
    let late = here.imports.cancel_import(&here.max, &ta(), asked.id).await.expect_err("too late");
    assert_eq!(late.code(), "import_finished");
    stop.cancel();
    work.await.expect("the worker ends");
}

#[tokio::test]
async fn rights_that_are_lost_meanwhile_end_the_import() {
    type Loss = fn(&Here) -> futures_util::future::BoxFuture<'_, ()>;
    let demoted: Loss = |here| {
        Box::pin(async move {
            let max = here.max.clone();
            here.face.registry.member("ta", &max, Role::Developer).await;
        })
    };
    let removed: Loss = |here| {
        Box::pin(async move {
            let member = MemberName::User("max".parse().expect("a name"));
            let catalog = &here.face.registry.catalog;
            catalog.remove_member(&Actor::system(), &ta(), &member).await.expect("removed");
        })
    };
    let disabled: Loss = |here| {
        Box::pin(async move {
            let change = UserChange { disabled: Some(true), ..UserChange::default() };
            let max = "max".parse().expect("a name");
            here.face.accounts.update_user(&Actor::system(), &max, change).await.expect("disabled");
        })
    };
    for lose in [demoted, removed, disabled] {
        let (fake, mut here) = (Fake::start().await, Here::start().await);
        let (stop, work) = here.work();
        let asked = running(&fake, &here).await;
        lose(&here).await;
        here.max = Actor::system();
        let ended = settled(&here, &asked).await;
        assert_eq!(ended.status, Status::Failed);
        assert_eq!(ended.error_code.as_deref(), Some("rights_lost"));
        assert_eq!(tag(&here, "ta/app").await, None);
        stop.cancel();
        work.await.expect("the worker ends");
    }
}

#[tokio::test]
async fn a_server_that_stops_gives_its_jobs_back() {
    let (fake, here) = (Fake::start().await, Here::start().await);
    let (stop, work) = here.work();
    let asked = running(&fake, &here).await;
    stop.cancel();
    work.await.expect("the worker ends");
    let waits = here.look(&asked).await;
    assert_eq!((waits.status, waits.attempt, waits.error), (Status::Queued, 0, None));
}

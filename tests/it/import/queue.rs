//! Who may ask for imports, how many, and what is left of them.

use portolan::accounts::rbac::Role;
use portolan::base::{ErrorKind, PageRequest};
use portolan::jobs::Status;

use super::fake::Fake;
use super::rig::{Here, There, image, ta};
use crate::support::images::tiny;

#[tokio::test]
async fn only_maintainers_ask_and_only_members_look() {
    let (there, here) = (There::start().await, Here::start().await);
    there.face.registry.push(&there.pusher, "open/app", "1", &tiny("one")).await;
    let asked = here.carry(image(there.at("open/app:1"), "app")).await;
    let dev = here.face.user("dev").await;
    here.face.registry.member("ta", &dev, Role::Developer).await;
    let guest = here.face.user("guest").await;
    here.face.registry.member("ta", &guest, Role::Guest).await;
    let stranger = here.face.user("stranger").await;
    let imports = &here.imports;
    for (who, look, change) in [
        (&dev, None, ErrorKind::Denied),
        (&guest, Some(ErrorKind::Denied), ErrorKind::Denied),
        (&stranger, Some(ErrorKind::NotFound), ErrorKind::NotFound),
    ] {
        let page = PageRequest::default();
        let seen = imports.list_imports(who, &ta(), &page).await.err().map(|e| e.kind());
        assert_eq!(seen, look, "{}", who.name);
        let seen = imports.import(who, &ta(), asked.id).await.err().map(|e| e.kind());
        assert_eq!(seen, look, "{}", who.name);
        let new = image(there.at("open/app:1"), "app");
        let refusals = [
            imports.create_import(who, &ta(), new).await.err(),
            imports.cancel_import(who, &ta(), asked.id).await.err(),
            imports.retry_import(who, &ta(), asked.id).await.err(),
        ];
        for refused in refusals {
            assert_eq!(refused.map(|e| e.kind()), Some(change), "{}", who.name);
        }
    }
    // An import is not found through another project.
    here.face.registry.member("tb", &here.max, Role::Maintainer).await;
    let tb = "tb".parse().expect("a name");
    let elsewhere = imports.import(&here.max, &tb, asked.id).await.expect_err("not there");
    assert_eq!(elsewhere.kind(), ErrorKind::NotFound);
    assert!(imports.cancel_import(&here.max, &tb, asked.id).await.is_err());
}

#[tokio::test]
async fn bad_requests_name_the_field() {
    let here = Here::start().await;
    let from = |from: &str| image(from, "app");
    let whole = |from: &str| portolan::import::NewImport {
        scope: portolan::import::Scope::Repository,
        ..image(from, "app")
    };
    let tags = |new: portolan::import::NewImport, tags: &str| portolan::import::NewImport {
        tags: Some(tags.to_owned()),
        ..new
    };
    for (new, field) in [
        (from(""), "from"),
        (from("http://127.0.0.1:1/UP"), "from"),
        (from("ftp://127.0.0.1/app"), "from"),
        (whole("http://127.0.0.1:1/app:1"), "from"),
        (tags(whole("http://127.0.0.1:1/app"), "v[1]"), "tags"),
        (tags(from("http://127.0.0.1:1/app:1"), "v*"), "tags"),
        (image("http://127.0.0.1:1/app:1", "../x"), "repository"),
        (
            portolan::import::NewImport {
                source: Some("none".parse().expect("a name")),
                ..from("app:1")
            },
            "source",
        ),
    ] {
        let said = format!("{new:?}");
        let refused = here.imports.create_import(&here.max, &ta(), new).await.expect_err("refused");
        assert_eq!(refused.fields().first().map(|f| f.field.as_str()), Some(field), "{said}");
    }
}

#[tokio::test]
async fn a_project_has_a_bounded_number_of_imports_waiting() {
    let here = Here::start().await;
    let new = || image("http://127.0.0.1:1/app:1", "app");
    for _ in 0..20 {
        here.ask(new()).await;
    }
    let one_more = here.imports.create_import(&here.max, &ta(), new()).await.expect_err("too many");
    assert_eq!(one_more.kind(), ErrorKind::RateLimited);
    let page = here.imports.list_imports(&here.max, &ta(), &PageRequest::first(15)).await;
    let page = page.expect("a page");
    let rest = PageRequest { after: page.next.clone(), limit: Some(15) };
    let rest = here.imports.list_imports(&here.max, &ta(), &rest).await.expect("the rest");
    assert_eq!((page.items.len(), rest.items.len(), rest.next.is_none()), (15, 5, true));
    let waiting = &rest.items[0];
    let ended = here.imports.cancel_import(&here.max, &ta(), waiting.id).await.expect("cancelled");
    assert_eq!(ended.status, Status::Cancelled);
    here.ask(new()).await;
}

#[tokio::test]
async fn projects_take_turns() {
    let (fake, here) = (Fake::start().await, Here::start().await);
    here.face.registry.member("tb", &here.max, Role::Maintainer).await;
    let tb = "tb".parse().expect("a name");
    let first = here.ask(image(fake.at("app:1"), "a")).await;
    let second = here.ask(image(fake.at("app:2"), "b")).await;
    let new = image(fake.at("app:3"), "c");
    let other = here.imports.create_import(&here.max, &tb, new).await.expect("an import");
    // As if a run of the first were under way elsewhere.
    sqlx::query("update jobs set status = 'running', lease = id, lease_until = $2 where id = $1")
        .bind(first.id.uuid())
        .bind(here.now() + chrono::Duration::minutes(1))
        .execute(here.face.registry.db.pool())
        .await
        .expect("taken");
    assert!(here.imports.run_one().await.expect("a run"));
    let other = here.imports.import(&here.max, &tb, other.id).await.expect("the import");
    assert_eq!(other.status, Status::Failed, "the other project's came first");
    assert_eq!(here.look(&second).await.status, Status::Queued);
}

#[tokio::test]
async fn history_is_bounded_by_age() {
    let (fake, here) = (Fake::start().await, Here::start().await);
    let failed = here.carry(image(fake.at("app:1"), "a")).await;
    assert_eq!(failed.status, Status::Failed);
    let jobs =
        portolan::jobs::Jobs::new(here.face.registry.db.clone(), here.face.registry.clock.clone());
    assert_eq!(jobs.prune().await.expect("pruned"), 0);
    here.face.registry.clock.advance(chrono::Duration::days(31));
    let waits = here.ask(image(fake.at("app:1"), "a")).await;
    assert_eq!(jobs.prune().await.expect("pruned"), 1);
    let gone = here.imports.import(&here.max, &ta(), failed.id).await.expect_err("gone");
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert_eq!(here.look(&waits).await.status, Status::Queued, "what waits is not history");
}

//! The pages of retention: from the empty state to a report, without script.

use axum::http::StatusCode;
use futures_util::stream;
use portolan::base::{Actor, Digest};
use portolan::registry::NewPush;

use super::pages::furnish;
use crate::support::images::tiny;
use crate::support::portal::Portal;

const BASE: &str = "/p/demo/retention";

async fn push(portal: &Portal, tag: &str) {
    let (registry, system) = (&portal.services.registry, Actor::system());
    let name = "demo/hello".parse().expect("a name");
    let image = tiny(tag);
    for blob in image.blobs() {
        let upload = registry.start_upload(&system, &name).await.expect("an upload");
        let body = stream::iter([Ok(blob.clone())]);
        let digest = Digest::sha256(blob);
        registry
            .finish_upload(&system, &name, upload.id, &digest, None, body)
            .await
            .expect("a blob");
    }
    let push = NewPush {
        reference: tag.parse().expect("a tag"),
        tags: Vec::new(),
        content_type: None,
        content: image.manifest.clone(),
        client: "test/1.0",
    };
    registry.push_manifest(&system, &name, push).await.expect("pushed");
}

async fn portal() -> Portal {
    let portal = Portal::with_admin().await;
    furnish(&portal).await;
    portal
}

#[tokio::test]
async fn from_the_empty_state_to_a_report() {
    let mut portal = portal().await;
    for tag in ["v1", "v2", "keep-1"] {
        push(&portal, tag).await;
    }
    let page = portal.get(BASE).await;
    assert_eq!(page.all(".empty li").len(), 5, "the rules that are offered");
    let rule = [
        ("action", "add"),
        ("generation", "0"),
        ("kind", "keepTags"),
        ("tags", "keep-*"),
        ("number", "10"),
    ];
    assert_eq!(portal.post(BASE, &rule).await.status, StatusCode::SEE_OTHER);
    let page = portal.get(BASE).await;
    assert_eq!(page.all(".log .what"), ["In every repository, keep tags matching \"keep-*\""]);
    assert!(page.text.contains("nothing is removed"), "rules that only keep say so");
    let rule = [("action", "add"), ("generation", "1"), ("kind", "removeTags")];
    assert_eq!(portal.post(BASE, &rule).await.status, StatusCode::SEE_OTHER);

    let made = portal.post(&format!("{BASE}/previews"), &[]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER);
    let preview = made.location().to_owned();
    let page = portal.get(&preview).await;
    let whys = page.all("tbody tr td:nth-child(3)");
    assert_eq!(whys.iter().filter(|why| *why == "Removed by rule 2").count(), 2, "{whys:?}");
    assert!(page.all(".cost li").contains(&"2 tags are removed".to_owned()));
    let page = portal.get(&format!("{preview}?show=keep")).await;
    assert_eq!(page.all("tbody tr td:nth-child(3)"), ["Kept by rule 1"]);
    portal.speak("zh");
    let page = portal.get(&preview).await;
    assert!(page.text.contains("由规则 2 删除"));
    portal.speak("en");

    let applied = portal.post(&preview, &[]).await;
    assert_eq!(applied.status, StatusCode::SEE_OTHER);
    let run = applied.location().to_owned();
    let page = portal.get(&run).await;
    assert!(page.text.contains("Running"));
    assert!(page.attribute("body", "data-topics").expect("live").starts_with("retention:demo/"));
    portal.services.registry.run_retention().await.expect("worked");
    let page = portal.get(&run).await;
    assert_eq!(page.all("tbody tr").len(), 4, "two tags and two images");
    assert!(page.text.contains("Done") && page.attribute("body", "data-topics").is_none());
    let page = portal.get(&preview).await;
    assert!(page.all(".dialog button").is_empty(), "a preview is applied once");
    let page = portal.get(BASE).await;
    assert_eq!(page.attribute("tbody a", "href"), Some(run));
}

#[tokio::test]
async fn a_refused_rule_keeps_what_was_typed_and_says_what_is_wrong() {
    let mut portal = portal().await;
    let rule = [
        ("action", "add"),
        ("generation", "0"),
        ("kind", "keepLatest"),
        ("tags", "[v]"),
        ("number", "0"),
    ];
    let page = portal.post(BASE, &rule).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(page.attribute("#tags-0", "value").as_deref(), Some("[v]"));
    assert_eq!(page.attribute("#number-0", "aria-invalid").as_deref(), Some("true"));
    assert_eq!(page.all(".err").len(), 2, "{:?}", page.all(".err"));
    // Rules that keep nothing are saved only when that is confirmed.
    let mut rule = vec![("action", "add"), ("generation", "0"), ("kind", "removeTags")];
    let page = portal.post(BASE, &rule).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.attribute("form input[name=confirm]", "type").is_some());
    rule.push(("confirm", "1"));
    assert_eq!(portal.post(BASE, &rule).await.status, StatusCode::SEE_OTHER);
    // Somebody who looks at older rules changes nothing.
    let stale =
        portal.post(BASE, &[("action", "remove"), ("generation", "0"), ("index", "0")]).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    for (every, status) in
        [("daily", StatusCode::SEE_OTHER), ("hourly", StatusCode::UNPROCESSABLE_ENTITY)]
    {
        let schedule = [
            ("action", "schedule"),
            ("generation", "1"),
            ("every", every),
            ("hour", "4"),
            ("weekday", "0"),
            ("confirm", "1"),
        ];
        assert_eq!(portal.post(BASE, &schedule).await.status, status, "{every}");
    }
}

#[tokio::test]
async fn a_preview_that_empties_a_repository_asks_for_the_projects_name() {
    let mut portal = portal().await;
    push(&portal, "v1").await;
    let rule = [("action", "add"), ("generation", "0"), ("kind", "removeTags"), ("confirm", "1")];
    assert_eq!(portal.post(BASE, &rule).await.status, StatusCode::SEE_OTHER);
    let preview = portal.post(&format!("{BASE}/previews"), &[]).await.location().to_owned();
    let page = portal.post(&preview, &[("confirm", "hello")]).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert_eq!(page.attribute("#f-confirm", "value").as_deref(), Some("hello"));
    assert_eq!(page.all("#e-confirm").len(), 1);
    let applied = portal.post(&preview, &[("confirm", "demo")]).await;
    assert_eq!(applied.status, StatusCode::SEE_OTHER);
}

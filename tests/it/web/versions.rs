//! Pages about versions: history, recently deleted, comparison, labels and rules.

use axum::http::StatusCode;
use portolan::registry::Registry;
use portolan::registry::rules::{RuleInput, RuleKind};

use super::assets::gzipped;
use super::images::{admin, push};
use super::pages::furnish;
use crate::support::images::{TestImage, tiny};
use crate::support::portal::{Answer, Portal};
use crate::support::registry::name;
use crate::support::statements::Statements;

const APP: &str = "/p/demo/r/app";

/// `demo/app` with the tags 1.9, 1.10 and latest; 1.9 was at another image before.
async fn stocked() -> (Portal, TestImage, TestImage) {
    let portal = Portal::with_admin().await;
    furnish(&portal).await;
    let (registry, admin) = (registry(&portal), admin(&portal).await);
    let (one, two) = (tiny("one"), tiny("two"));
    push(&registry, &admin, "demo/app", "1.10", &two).await;
    push(&registry, &admin, "demo/app", "1.9", &two).await;
    push(&registry, &admin, "demo/app", "1.9", &one).await;
    push(&registry, &admin, "demo/app", "latest", &two).await;
    (portal, one, two)
}

fn registry(portal: &Portal) -> Registry {
    portal.services.registry.clone()
}

#[track_caller]
fn sound(page: &Answer, path: &str) {
    assert_eq!(page.all("h1").len(), 1, "{path} has one heading: {}", page.text);
    assert_eq!(page.all("main").len(), 1, "{path}");
    assert_eq!(page.attribute("[style]", "style"), None, "{path} has an inline style");
    let size = gzipped(page.text.as_bytes());
    assert!(size <= 25_000, "{path}: {size} bytes gzipped");
}

#[tokio::test(flavor = "current_thread")]
async fn the_pages_render_in_both_languages_within_their_budget() {
    let (mut portal, one, two) = stocked().await;
    let me = admin(&portal).await;
    let app = name("demo/app");
    let input = RuleInput {
        kind: RuleKind::Immutable,
        repository: "**".to_owned(),
        tag: "1.10".to_owned(),
        exempt: None,
    };
    let demo = "demo".parse().expect("a name");
    registry(&portal).create_tag_rule(&me, &demo, input).await.expect("a rule");
    registry(&portal).delete_image(&me, &app, &one.digest()).await.expect("deleted");
    registry(&portal)
        .delete_tag(&me, &app, &"latest".parse().expect("a tag"))
        .await
        .expect("removed");
    let mut statements = Statements::count();
    let here = [
        APP.to_owned(),
        format!("{APP}?sort=-pushed&q=1"),
        format!("{APP}/-/tags/1.10"),
        format!("{APP}/-/history"),
        format!("{APP}/-/tags/1.9/history"),
        format!("{APP}/-/deleted"),
        format!("{APP}/-/deleted/{}/purge", one.digest()),
        format!("{APP}/-/compare/1.10...{}", two.digest()),
        format!("{APP}/-/tags/1.10/delete"),
    ];
    let gone = [
        format!("{APP}/-/tags/1.9"),
        format!("{APP}/-/tags/latest"),
        format!("{APP}/-/digest/{}", one.digest()),
    ];
    for (language, tag) in [("en", "en"), ("zh", "zh-CN")] {
        portal.speak(language);
        for (paths, status) in [(&here[..], StatusCode::OK), (&gone[..], StatusCode::NOT_FOUND)] {
            for path in paths {
                portal.get(path).await;
                statements.spent();
                let page = portal.get(path).await;
                let spent = statements.spent();
                assert_eq!(page.status, status, "{path}: {}", page.text);
                assert_eq!(page.attribute("html", "lang").as_deref(), Some(tag), "{path}");
                sound(&page, path);
                assert!((1..=12).contains(&spent), "{path} took {spent} statements");
            }
        }
    }
}

#[tokio::test]
async fn the_rail_is_in_the_order_of_versions_or_of_pushes() {
    let (mut portal, ..) = stocked().await;
    assert_eq!(portal.get(APP).await.all(".rail b"), ["latest", "1.10", "1.9"]);
    let by_push = portal.get(&format!("{APP}?sort=-pushed")).await;
    assert_eq!(by_push.all(".rail b"), ["latest", "1.9", "1.10"]);
    assert_eq!(by_push.all("nav.seg [aria-current]"), ["By push"]);
}

#[tokio::test]
async fn a_tag_is_moved_back_from_its_history() {
    let (mut portal, _, two) = stocked().await;
    let history = format!("{APP}/-/tags/1.9/history");
    let page = portal.get(&history).await;
    assert_eq!(page.all("tbody tr").len(), 2);
    let to = page.attribute("tbody button[name=digest]", "value").expect("one way back");
    assert_eq!(to, two.digest().to_string());
    let action = page.attribute("tbody form", "action").expect("an action");
    let done = portal.post(&action, &[("digest", &to)]).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/p/demo/r/app/-/tags/1.9"));
    let page = portal.get(&history).await;
    assert_eq!(page.all("tbody tr").len(), 3);
    assert!(page.text.contains("portal"), "the move says by which client");
    // What it never had is refused, and the page stays.
    let never = format!("sha256:{}", "0".repeat(64));
    let refused = portal.post(&action, &[("digest", &never)]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.all(".note[role=alert]").len(), 1);
    assert_eq!(refused.all("tbody tr").len(), 3);
}

#[tokio::test]
async fn what_is_deleted_is_explained_listed_and_restored() {
    let (mut portal, one, _) = stocked().await;
    let delete = format!("{APP}/-/digest/{}/delete", one.digest());
    let ask = portal.get(&delete).await;
    assert!(ask.text.contains("can be restored for 7 days"), "{}", ask.text);
    let gone = portal.post(&delete, &[("confirm", one.digest().short())]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.text);
    for path in [format!("{APP}/-/tags/1.9"), format!("{APP}/-/digest/{}", one.digest())] {
        let page = portal.get(&path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        assert!(page.text.contains("Deleted by admin"), "{}", page.text);
        assert!(page.text.contains("It can be restored until"), "{}", page.text);
        assert!(page.attribute("main form", "action").is_some_and(|a| a.ends_with("/restore")));
    }
    let list = portal.get(&format!("{APP}/-/deleted")).await;
    assert_eq!(list.all("tbody tr").len(), 1);
    let restore = list.attribute("tbody form", "action").expect("a way back");
    let back = portal.post(&restore, &[]).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text);
    assert_eq!(portal.get(&format!("{APP}/-/tags/1.9")).await.status, StatusCode::OK);
    let list = portal.get(&format!("{APP}/-/deleted")).await;
    assert_eq!(list.all(".empty").len(), 1, "an empty list says what it is for");
    // Deleting for good asks for the digest.
    portal.post(&delete, &[("confirm", one.digest().short())]).await;
    let purge = format!("{APP}/-/deleted/{}/purge", one.digest());
    let wrong = portal.post(&purge, &[("confirm", "yes")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let done = portal.post(&purge, &[("confirm", one.digest().short())]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    let page = portal.get(&format!("{APP}/-/digest/{}", one.digest())).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.all("main form").is_empty(), "nothing to restore");
    // A tag that was removed alone comes back, too.
    portal.post(&format!("{APP}/-/tags/latest/delete"), &[("confirm", "latest")]).await;
    let page = portal.get(&format!("{APP}/-/tags/latest")).await;
    let digest = page.attribute("main button[name=digest]", "value").expect("a way back");
    let action = page.attribute("main form", "action").expect("an action");
    portal.post(&action, &[("digest", &digest)]).await;
    assert_eq!(portal.get(&format!("{APP}/-/tags/latest")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn two_versions_are_compared_and_swapped() {
    let (mut portal, ..) = stocked().await;
    let chosen = portal.get(&format!("{APP}/-/compare?a=1.9&b=1.10")).await;
    assert_eq!(chosen.location(), "/p/demo/r/app/-/compare/1.9...1.10");
    let page = portal.get(chosen.location()).await;
    assert!(!page.all("ins").is_empty() && !page.all("del").is_empty(), "{}", page.text);
    let swap = page.attribute("main .acts a", "href").expect("a swap");
    assert_eq!(swap, "/p/demo/r/app/-/compare/1.10...1.9");
    let all = portal.get("/p/demo/r/app/-/compare/1.9...1.10?all=1").await;
    assert!(all.all("tbody tr").len() > page.all("tbody tr").len());
    let same = portal.get("/p/demo/r/app/-/compare/1.10...latest").await;
    assert!(same.text.contains("Both are the same image."));
    for bad in ["compare/1.9", "compare/1.9...none", "compare?a=1.9&b=.."] {
        let page = portal.get(&format!("{APP}/-/{bad}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{bad}");
    }
}

#[tokio::test]
async fn labels_are_made_put_on_filtered_by_and_deleted() {
    let (mut portal, one, _) = stocked().await;
    let labels = "/p/demo/labels";
    let wrong = portal.post(labels, &[("name", "a b"), ("color", "teal"), ("description", "kept")]);
    let wrong = wrong.await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.all("#e-name").len(), 1);
    assert_eq!(wrong.attribute("#f-description", "value").as_deref(), Some("kept"));
    let made = portal.post(labels, &[("name", "已审核"), ("color", "plum")]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let action = format!("{APP}/-/digest/{}/labels", one.digest());
    let on = portal.post(&action, &[("add", "已审核")]).await;
    assert_eq!(on.status, StatusCode::SEE_OTHER, "{}", on.text);
    let page = portal.get(&format!("{APP}?label=%E5%B7%B2%E5%AE%A1%E6%A0%B8")).await;
    assert_eq!(page.all(".rail b"), ["1.9"]);
    assert_eq!(page.attribute(".rail .label", "data-l").as_deref(), Some("plum"));
    let change = "/p/demo/labels/%E5%B7%B2%E5%AE%A1%E6%A0%B8";
    let saved = portal.post(change, &[("name", "reviewed"), ("color", "green")]).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let ask = portal.get("/p/demo/labels/reviewed/delete").await;
    assert!(ask.text.contains("it vanishes from 1 image"), "{}", ask.text);
    let gone = portal.post("/p/demo/labels/reviewed/delete", &[("confirm", "reviewed")]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    assert!(portal.get(&format!("{APP}/-/tags/1.9")).await.all("main .label").is_empty());
}

#[tokio::test]
async fn a_rule_is_a_sentence_and_pages_say_which_one_locks_a_tag() {
    let (mut portal, one, two) = stocked().await;
    let rules = "/p/demo/tag-rules";
    let wrong = [("kind", "protected"), ("tag", "1.*"), ("repository", "**"), ("exempt", "")];
    let wrong = portal.post(rules, &wrong).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.all("#e-exempt").len(), 1);
    assert_eq!(wrong.attribute("#f-tag", "value").as_deref(), Some("1.*"));
    let good = [("kind", "immutable"), ("tag", "1.*"), ("repository", "**"), ("exempt", "")];
    assert_eq!(portal.post(rules, &good).await.status, StatusCode::SEE_OTHER);
    let page = portal.get(rules).await;
    assert!(page.text.contains("nobody moves or removes them"), "{}", page.text);
    let tag = portal.get(&format!("{APP}/-/tags/1.9")).await;
    assert!(tag.text.contains("Locked by the rule “immutable 1.* in **”"), "{}", tag.text);
    for path in
        [format!("{APP}/-/tags/1.9/delete"), format!("{APP}/-/digest/{}/delete", one.digest())]
    {
        let ask = portal.get(&path).await;
        assert!(ask.text.contains("The rule “immutable 1.* in **” locks it"), "{}", ask.text);
        assert!(ask.all("button.dan").is_empty(), "there is nothing to press");
    }
    let digest = two.digest().to_string();
    let path = format!("{APP}/-/tags/1.9/restore");
    let back = portal.post(&path, &[("digest", digest.as_str())]).await;
    assert_eq!(back.status, StatusCode::CONFLICT);
    assert!(back.all(".note[role=alert]")[0].contains("immutable 1.* in **"));
    let remove = page.attribute("main form[action$=delete]", "action").expect("a way to remove it");
    assert_eq!(portal.post(&remove, &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(portal.get(rules).await.all(".empty").len(), 1);
}

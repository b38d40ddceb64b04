//! Every page over real services: both languages, one heading, small, hostile text harmless.

use axum::http::{StatusCode, header};
use portolan::accounts::Origin;
use portolan::accounts::rbac::Visibility;
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, Channel, Secret};
use portolan::catalog::{Lifecycle, Link, NewApplication, NewProject};

use super::assets::gzipped;
use crate::support::portal::{PASSWORD, Portal};
use crate::support::statements::Statements;

const CANARY: &str = "\"><svg onload=alert(1)>";

/// A project, a team and an application whose texts are hostile.
pub(super) async fn furnish(portal: &Portal) {
    let admin = Actor::user(
        portolan::base::id::UserId::from(uuid::Uuid::nil()),
        "admin",
        PlatformRole::Admin,
        Channel::Api,
    );
    let me = portal.services.accounts.list_users(&admin, None, &Default::default()).await;
    let me = me.expect("users are listed").items.remove(0);
    let admin = Actor::user(me.id, "admin", PlatformRole::Admin, Channel::Api);
    let catalog = &portal.services.catalog;
    let name = "demo".parse().expect("a name");
    let new = NewProject { name, description: CANARY.to_owned(), visibility: Visibility::Private };
    let project = catalog.create_project(&admin, new).await.expect("a project");
    let team = "core".parse().expect("a name");
    catalog.create_team(&admin, &team, CANARY).await.expect("a team");
    let new = NewApplication {
        name: "hello".parse().expect("a name"),
        team: Some(team),
        description: CANARY.to_owned(),
        lifecycle: Lifecycle::Production,
        repository: None,
        links: vec![Link { title: CANARY.to_owned(), url: "https://example.org".to_owned() }],
    };
    catalog.create_application(&admin, &project.name, new).await.expect("an application");
}

const PAGES: [&str; 30] = [
    "/",
    "/catalog",
    "/catalog/demo/hello",
    "/teams",
    "/teams/core",
    "/teams/-/new",
    "/p",
    "/p/-/new",
    "/p/demo",
    "/p/demo/r",
    "/p/demo/members",
    "/p/demo/labels",
    "/p/demo/tag-rules",
    "/p/demo/quota",
    "/p/demo/imports",
    "/p/demo/imports/-/sources",
    "/p/demo/retention",
    "/switch?to=r",
    "/search?q=hello",
    "/setup",
    "/docs/start",
    "/docs/shortcuts",
    "/me",
    "/me/tokens",
    "/me/sessions",
    "/admin/users",
    "/admin/users/-/new",
    "/admin/quotas",
    "/admin/cleanup",
    "/admin/cleanup/blobs",
];

#[tokio::test]
async fn every_page_renders_in_both_languages_within_its_budget() {
    let mut portal = Portal::with_admin().await;
    furnish(&portal).await;
    for (language, tag) in [("en", "en"), ("zh", "zh-CN")] {
        portal.speak(language);
        for path in PAGES {
            let page = portal.get(path).await;
            assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
            assert_eq!(page.attribute("html", "lang").as_deref(), Some(tag), "{path}");
            assert_eq!(page.all("h1").len(), 1, "{path} has one heading");
            assert_eq!(page.all("main").len(), 1, "{path} has one main part");
            assert!(!page.all("nav[aria-label] a").is_empty(), "{path} names its navigation");
            assert!(page.all("svg[onload]").is_empty(), "{path} lets hostile text through");
            assert_eq!(page.attribute("[style]", "style"), None, "{path} has an inline style");
            let size = gzipped(page.text.as_bytes());
            assert!(size <= 25_000, "{path}: {size} bytes gzipped");
            assert_eq!(page.headers[header::CACHE_CONTROL], "no-store", "{path}");
        }
    }
}

/// Statements a page may cost, its session and frame among them.
const MOST_STATEMENTS: usize = 12;

#[tokio::test(flavor = "current_thread")]
async fn every_page_costs_a_bounded_number_of_statements() {
    let mut portal = Portal::with_admin().await;
    furnish(&portal).await;
    let others = ["/p/demo/a", "/p/demo/a/hello", "/p/demo/a/hello/settings", "/p/demo/a/new"];
    let platform = ["/rollouts", "/nodes", "/audit"];
    let mut statements = Statements::count();
    for path in PAGES.into_iter().chain(others).chain(platform) {
        portal.get(path).await;
        statements.spent();
        let page = portal.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let spent = statements.spent();
        assert!((1..=MOST_STATEMENTS).contains(&spent), "{path} took {spent} statements");
    }
}

#[tokio::test]
async fn hostile_descriptions_are_shown_as_text() {
    let mut portal = Portal::with_admin().await;
    furnish(&portal).await;
    let page = portal.get("/catalog/demo/hello").await;
    assert!(page.all(".sub").contains(&CANARY.to_owned()), "{:?}", page.all(".sub"));
}

#[tokio::test]
async fn a_stranger_is_led_to_the_login_page_and_back() {
    let mut portal = Portal::start().await;
    let page = portal.get("/p/demo/r?q=a").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.location(), "/login?next=%2Fp%2Fdemo%2Fr%3Fq%3Da");
    let page = portal
        .post("/login", &[("name", "admin"), ("password", PASSWORD), ("next", "//evil.example")])
        .await;
    assert_eq!(page.location(), "/", "another site is not a way back");
}

#[tokio::test]
async fn a_wrong_password_is_refused_without_saying_which_part_was_wrong() {
    let mut portal = Portal::start().await;
    let wrong = portal.log_in("admin", "wrong password here").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.attribute("#f-name", "value").as_deref(), Some("admin"), "the name is kept");
    let unknown = portal.log_in("nobody", "wrong password here").await;
    assert_eq!(wrong.all("#login-error"), unknown.all("#login-error"));
}

#[tokio::test]
async fn logging_out_ends_the_session_on_the_server() {
    let mut portal = Portal::with_admin().await;
    let stolen = portal.cookie("__Host-portolan").expect("a session").to_owned();
    assert_eq!(portal.post("/logout", &[]).await.status, StatusCode::SEE_OTHER);
    assert!(portal.cookie("__Host-portolan").is_none(), "the cookie is taken back");
    portal.take_cookie("__Host-portolan", &stolen);
    let page = portal.get("/me").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "the old cookie opens nothing");
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let mut portal = Portal::with_admin().await;
    for site in [Some("evil.example"), Some("null"), None] {
        let body = "name=stolen&visibility=private".to_owned();
        let answer = portal.send("POST", "/p/-/new", body, site).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{site:?}");
    }
    let own = "name=stolen&visibility=private".to_owned();
    let answer = portal.send("POST", "/p/-/new", own, Some("127.0.0.1:8080")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "without the session's proof");
    assert_eq!(portal.get("/p/stolen").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_form_with_a_fault_keeps_its_input_and_a_good_one_leads_on_with_a_message() {
    let mut portal = Portal::with_admin().await;
    let fields = [("name", "Bad Name"), ("description", "kept"), ("visibility", "private")];
    let page = portal.post("/p/-/new", &fields).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(page.all("#e-name").len(), 1, "{}", page.text);
    assert_eq!(page.attribute("#f-description", "value").as_deref(), Some("kept"));
    let fields = [("name", "good"), ("description", ""), ("visibility", "private")];
    let done = portal.post("/p/-/new", &fields).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/p/good"));
    let page = portal.get("/p/good").await;
    assert_eq!(page.all(".note[role=status]").len(), 1);
    let again = portal.get("/p/good").await;
    assert!(again.all(".note[role=status]").is_empty(), "a message is shown once");
}

#[tokio::test]
async fn a_token_is_shown_once() {
    let mut portal = Portal::with_admin().await;
    let page = portal.post("/me/tokens", &[("name", "laptop"), ("lifetime", "90")]).await;
    let secret = page.all("#new-token pre").remove(0);
    assert!(secret.starts_with("ptl_"), "{secret}");
    assert!(!portal.get("/me/tokens").await.text.contains(&secret));
}

#[tokio::test]
async fn another_browser_is_signed_out_from_the_page() {
    let mut portal = Portal::with_admin().await;
    let accounts = portal.services.accounts.clone();
    let elsewhere = Origin {
        channel: Channel::Web,
        address: None,
        request_id: None,
        user_agent: Some("another browser".to_owned()),
    };
    let password = Secret::new(PASSWORD.to_owned());
    let other = accounts.login("admin", &password, &elsewhere).await.expect("a session");
    let page = portal.get("/me/sessions").await;
    let end = page.attribute("main form[action$='/end']", "action").expect("one to end");
    assert_eq!(page.all("main form[action$='/end']").len(), 1, "not the one in use");
    assert_eq!(portal.post(&end, &[]).await.location(), "/me/sessions");
    assert!(accounts.session(&other.cookie, &elsewhere).await.expect("ok").is_none());
    assert_eq!(portal.post(&end, &[]).await.status, StatusCode::NOT_FOUND, "it is gone");
    let page = portal.get("/me/sessions").await;
    assert_eq!(page.status, StatusCode::OK, "this browser is still signed in");
    assert!(page.all("main form[action$='/end']").is_empty());
}

#[tokio::test]
async fn what_is_absent_has_a_page_with_a_way_out() {
    let mut portal = Portal::with_admin().await;
    for path in ["/nowhere", "/p/absent", "/p/NOT-A-NAME/r", "/p/absent/r/x/-/tags/1"] {
        let page = portal.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(page.attribute("main .acts a", "href").as_deref(), Some("/"), "{path}");
    }
}

#[tokio::test]
async fn an_address_at_which_a_login_would_not_last_says_so() {
    let portal = Portal::start().await;
    for (host, warns) in [
        ("127.0.0.1:8080", false),
        ("localhost:8080", false),
        ("[::1]:8080", false),
        ("portal.example.org", true),
        ("192.0.2.7:80", true),
    ] {
        let page = portal.visit("/login", host).await;
        assert_eq!(!page.all("#login-unencrypted").is_empty(), warns, "{host}");
        // The HTTPS listener of this portal is on the loopback, so there is nothing to open.
        assert!(page.all("#login-unencrypted a").is_empty(), "{host}");
    }
}

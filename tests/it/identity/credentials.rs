//! Users, sessions and personal tokens.

use chrono::Duration;
use portolan::accounts::UserChange;
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, ErrorKind, PageRequest, UserName};
use portolan::events::{self, Filter};

use super::{PASSWORD, create, origin, secret, with_ada};

fn ada() -> UserName {
    "ada".parse().expect("a name")
}

/// Outcomes of the events with this action, newest first.
async fn actions(db: &portolan::db::Db, action: &str) -> Vec<String> {
    let filter = Filter { action: Some(action.to_owned()), ..Filter::default() };
    let page = events::list(db, &filter, &PageRequest::first(100)).await.expect("events");
    page.items.into_iter().map(|event| event.outcome).collect()
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_look_the_same() {
    let (_db, _clock, accounts) = with_ada().await;
    let here = origin("192.0.2.1");
    let mut answers = Vec::new();
    for (name, password) in [("ada", "wrong"), ("nobody", "wrong"), ("Ada", PASSWORD)] {
        let error = accounts.login(name, &secret(password), &here).await.expect_err("refused");
        answers.push((error.kind(), error.code(), error.public_message().to_owned()));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

#[tokio::test]
async fn a_session_lives_until_logout_idleness_or_twelve_hours() {
    let (_db, clock, accounts) = with_ada().await;
    let here = origin("192.0.2.1");
    let first = accounts.login("ada", &secret(PASSWORD), &here).await.expect("a session");
    let second = accounts.login("ada", &secret(PASSWORD), &here).await.expect("a session");
    assert_ne!(first.cookie.expose(), second.cookie.expose());
    assert_ne!(first.session.csrf_token, second.session.csrf_token);

    let (actor, _) = accounts.session(&first.cookie, &here).await.expect("ok").expect("alive");
    accounts.logout(&actor).await.expect("logged out");
    assert!(accounts.session(&first.cookie, &here).await.expect("ok").is_none());

    for _ in 0..24 {
        clock.advance(Duration::minutes(29));
        assert!(accounts.session(&second.cookie, &here).await.expect("ok").is_some());
    }
    clock.advance(Duration::minutes(29));
    assert!(accounts.session(&second.cookie, &here).await.expect("ok").is_none(), "12 hours");

    let third = accounts.login("ada", &secret(PASSWORD), &here).await.expect("a session");
    clock.advance(Duration::minutes(31));
    assert!(accounts.session(&third.cookie, &here).await.expect("ok").is_none(), "idle");
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once() {
    let (_db, _clock, accounts) = with_ada().await;
    let here = origin("192.0.2.1");
    let session = accounts.login("ada", &secret(PASSWORD), &here).await.expect("a session");
    let actor = accounts.authenticate_basic("ada", &secret(PASSWORD), &here).await.expect("in");
    let (_, token) = accounts.create_token(&actor, "ci", None).await.expect("a token");
    let jwt = accounts.issue_registry_token(&actor, vec![]).await.expect("a token");
    accounts.verify_registry_token(&jwt.token, &here).await.expect("valid");

    let change = UserChange { disabled: Some(true), ..UserChange::default() };
    accounts.update_user(&Actor::system(), &ada(), change).await.expect("disabled");

    assert!(accounts.session(&session.cookie, &here).await.expect("ok").is_none());
    for error in [
        accounts.authenticate_basic("ada", &secret(PASSWORD), &here).await.err(),
        accounts.authenticate_token(&token, &here).await.err(),
        accounts.verify_registry_token(&jwt.token, &here).await.err(),
    ] {
        assert_eq!(error.expect("refused").kind(), ErrorKind::Unauthenticated);
    }
}

#[tokio::test]
async fn a_password_change_needs_the_old_one_and_ends_other_sessions() {
    let (db, _clock, accounts) = with_ada().await;
    let here = origin("192.0.2.1");
    let mine = accounts.login("ada", &secret(PASSWORD), &here).await.expect("a session");
    let other = accounts.login("ada", &secret(PASSWORD), &here).await.expect("a session");
    let (actor, _) = accounts.session(&mine.cookie, &here).await.expect("ok").expect("alive");
    let new = secret("another long password");
    let logins = actions(&db, "login.").await.len();
    let wrong = accounts
        .set_password(&actor, &ada(), Some(&secret("nope")), &new)
        .await
        .expect_err("refused");
    assert_eq!(wrong.fields()[0].field, "currentPassword");
    accounts.set_password(&actor, &ada(), Some(&secret(PASSWORD)), &new).await.expect("changed");
    // Neither the wrong nor the right password was a login; both are in the log as what they were.
    assert_eq!(actions(&db, "login.").await.len(), logins);
    let changes = actions(&db, "user.password").await;
    assert_eq!(changes, ["success", "denied"], "newest first");
    assert!(accounts.session(&mine.cookie, &here).await.expect("ok").is_some());
    assert!(accounts.session(&other.cookie, &here).await.expect("ok").is_none());
    assert!(accounts.authenticate_basic("ada", &secret(PASSWORD), &here).await.is_err());
    accounts.authenticate_basic("ada", &new, &here).await.expect("the new one");
}

#[tokio::test]
async fn a_token_works_for_its_user_until_it_is_revoked_or_expires() {
    let (_db, clock, accounts) = with_ada().await;
    create(&accounts, "bob", PlatformRole::User).await;
    let here = origin("192.0.2.1");
    let actor = accounts.authenticate_basic("ada", &secret(PASSWORD), &here).await.expect("in");
    let (token, text) = accounts.create_token(&actor, "ci", None).await.expect("a token");
    assert!(text.expose().starts_with("ptl_"));
    accounts.authenticate_basic("ada", &text, &here).await.expect("as a password");
    assert!(
        accounts.authenticate_basic("bob", &text, &here).await.is_err(),
        "somebody else's name"
    );
    let taken = accounts.create_token(&actor, "ci", None).await.expect_err("taken");
    assert_eq!(taken.kind(), ErrorKind::Conflict);
    accounts.revoke_token(&actor, token.id).await.expect("revoked");
    assert!(accounts.authenticate_token(&text, &here).await.is_err());

    let day = std::time::Duration::from_secs(86_400);
    let (_, short) = accounts.create_token(&actor, "short", Some(day)).await.expect("a token");
    accounts.authenticate_token(&short, &here).await.expect("valid");
    clock.advance(Duration::days(1));
    assert!(accounts.authenticate_token(&short, &here).await.is_err(), "expired");
}

#[tokio::test]
async fn the_last_admin_cannot_be_lost() {
    let (_db, _clock, accounts) = with_ada().await;
    create(&accounts, "root", PlatformRole::Admin).await;
    let root: UserName = "root".parse().expect("a name");
    let system = Actor::system();
    for change in [
        UserChange { disabled: Some(true), ..UserChange::default() },
        UserChange { platform_role: Some(PlatformRole::User), ..UserChange::default() },
    ] {
        let error = accounts.update_user(&system, &root, change).await.expect_err("refused");
        assert_eq!(error.code(), "last_admin");
    }
    assert_eq!(
        accounts.delete_user(&system, &root).await.expect_err("refused").code(),
        "last_admin"
    );
    create(&accounts, "second", PlatformRole::Admin).await;
    accounts.delete_user(&system, &root).await.expect("another is there");
}

#[tokio::test]
async fn only_admins_see_addresses_and_change_others() {
    let (_db, _clock, accounts) = with_ada().await;
    create(&accounts, "bob", PlatformRole::User).await;
    let here = origin("192.0.2.1");
    let bob = accounts.authenticate_basic("bob", &secret(PASSWORD), &here).await.expect("in");
    let list = accounts.list_users(&bob, None, &PageRequest::default()).await.expect("a list");
    let emails: Vec<_> = list.items.iter().map(|user| user.email.as_str()).collect();
    assert_eq!(emails, ["", "bob@example.org"]);
    let change = UserChange { email: Some("x@example.org".to_owned()), ..UserChange::default() };
    let denied = accounts.update_user(&bob, &ada(), change).await.expect_err("denied");
    assert_eq!(denied.kind(), ErrorKind::Denied);
    let promote = UserChange { platform_role: Some(PlatformRole::Admin), ..UserChange::default() };
    let own: UserName = "bob".parse().expect("a name");
    assert_eq!(
        accounts.update_user(&bob, &own, promote).await.expect_err("denied").kind(),
        ErrorKind::Denied
    );
}

#[tokio::test]
async fn the_first_admin_is_made_once() {
    let db = crate::support::test_db().await;
    let clock = std::sync::Arc::new(portolan::base::MockClock::new(portolan::base::Clock::now(
        &portolan::base::SystemClock,
    )));
    let accounts = super::open(&db, &clock).await;
    let password = accounts.ensure_admin(None).await.expect("ok").expect("generated");
    accounts.authenticate_basic("admin", &password, &origin("192.0.2.1")).await.expect("in");
    assert!(accounts.ensure_admin(None).await.expect("ok").is_none());
    let first = accounts.installation_secret("seal").await.expect("a secret");
    let again = super::open(&db, &clock).await.installation_secret("seal").await.expect("a secret");
    assert_eq!(first.expose(), again.expose());
}

#[tokio::test]
async fn tokens_made_at_the_same_time_do_not_pass_the_limit() {
    let (_db, _clock, accounts) = with_ada().await;
    let actor = accounts.authenticate_basic("ada", &secret(PASSWORD), &origin("192.0.2.1")).await;
    let actor = actor.expect("in");
    for n in 0..97 {
        accounts.create_token(&actor, &format!("t{n}"), None).await.expect("below the limit");
    }
    let names: Vec<_> = (0..8).map(|n| format!("late{n}")).collect();
    let made = names.iter().map(|name| accounts.create_token(&actor, name, None));
    let made = futures_util::future::join_all(made).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 3, "100 and no more");
    assert!(made.iter().filter_map(|m| m.as_ref().err()).all(|e| e.code() == "too_many_tokens"));
    assert_eq!(accounts.list_tokens(&actor).await.expect("a list").len(), 100);
}

//! Guessing is slow, also over a restart, and locks nobody else out.

use chrono::Duration;
use portolan::base::ErrorKind;

use super::{PASSWORD, open, origin, secret, with_ada};

#[tokio::test]
async fn the_eleventh_wrong_password_waits_and_a_restart_does_not_help() {
    let (db, clock, accounts) = with_ada().await;
    let here = origin("192.0.2.1");
    for _ in 0..10 {
        let error =
            accounts.authenticate_basic("ada", &secret("wrong"), &here).await.expect_err("wrong");
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
    let reopened = open(&db, &clock).await;
    let error =
        reopened.authenticate_basic("ada", &secret(PASSWORD), &here).await.expect_err("limited");
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.retry_after().is_some_and(|s| (1..=60).contains(&s)));

    let elsewhere = origin("192.0.2.2");
    reopened
        .authenticate_basic("ada", &secret(PASSWORD), &elsewhere)
        .await
        .expect("its owner gets in");

    clock.advance(Duration::seconds(7));
    reopened.authenticate_basic("ada", &secret(PASSWORD), &here).await.expect("one more try");
}

#[tokio::test]
async fn an_address_that_tries_many_accounts_is_slowed_down() {
    let (_db, _clock, accounts) = with_ada().await;
    let here = origin("2001:db8::1");
    let neighbour = origin("2001:db8::2");
    let mut limited = 0;
    for n in 0..103 {
        let name = format!("user{n}");
        let from = if n % 2 == 0 { &here } else { &neighbour };
        let error =
            accounts.authenticate_basic(&name, &secret("wrong"), from).await.expect_err("wrong");
        limited += usize::from(error.kind() == ErrorKind::RateLimited);
    }
    assert_eq!(limited, 3, "one /64 is one caller");
}

//! Accounts: passwords, sessions, tokens, limits, and the permission matrix.

mod credentials;
mod limits;
mod rbac_matrix;
mod registry_tokens;

use std::sync::Arc;

use portolan::accounts::{Accounts, NewUser, Origin, Settings};
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, Channel, Clock, MockClock, Secret, SystemClock};
use portolan::db::Db;

use crate::support::test_db;

const PASSWORD: &str = "correct horse battery staple";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn origin(address: &str) -> Origin {
    Origin {
        channel: Channel::Api,
        address: Some(address.parse().expect("an address")),
        request_id: None,
        user_agent: None,
    }
}

async fn open(db: &Db, clock: &Arc<MockClock>) -> Accounts {
    let settings = Settings {
        master_key: Secret::new([7; 32]),
        issuer: "portolan".to_owned(),
        audience: "portolan-registry".to_owned(),
    };
    Accounts::open(db.clone(), clock.clone(), settings).await.expect("accounts")
}

/// Accounts on a fresh database with a clock that stands still, and the user `ada`.
async fn with_ada() -> (Db, Arc<MockClock>, Accounts) {
    let db = test_db().await;
    let clock = Arc::new(MockClock::new(SystemClock.now()));
    let accounts = open(&db, &clock).await;
    create(&accounts, "ada", PlatformRole::User).await;
    (db, clock, accounts)
}

async fn create(accounts: &Accounts, name: &str, platform_role: PlatformRole) {
    let new = NewUser {
        name: name.parse().expect("a name"),
        email: format!("{name}@example.org"),
        password: secret(PASSWORD),
        platform_role,
    };
    accounts.create_user(&Actor::system(), new).await.expect("a user");
}

//! Imports over the services of a test, allowed to reach loopback.

use std::time::Duration;

use portolan::accounts::Accounts;
use portolan::base::SharedClock;
use portolan::catalog::Catalog;
use portolan::db::Db;
use portolan::egress::Pace;
use portolan::import::{Imports, Settings};
use portolan::registry::Registry;

/// Imports that may connect to `allowed` and do not wait long for anybody.
pub fn imports_from(
    allowed: &str,
    db: &Db,
    clock: SharedClock,
    accounts: &Accounts,
    catalog: &Catalog,
    registry: &Registry,
) -> Imports {
    let settings = Settings {
        allowed: allowed.parse().expect("networks"),
        pace: Pace { connect: Duration::from_secs(5), read: Duration::from_secs(5) },
        pause: Duration::from_millis(20),
    };
    Imports::open(db.clone(), clock, accounts.clone(), catalog.clone(), registry.clone(), settings)
        .expect("imports")
}

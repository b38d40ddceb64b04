//! What handlers may ask for: the services, each by its own `State<…>`.

use std::sync::Arc;

use axum::extract::FromRef;

use crate::accounts::Accounts;
use crate::base::SharedClock;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::db::Db;
use crate::engine::Engine;
use crate::import::Imports;
use crate::registry::Registry;

/// All services; cheap to clone.
#[derive(Clone, FromRef)]
pub struct Services {
    pub db: Db,
    pub clock: SharedClock,
    pub config: Arc<Config>,
    pub accounts: Accounts,
    pub catalog: Catalog,
    pub registry: Registry,
    pub imports: Imports,
    pub engine: Engine,
}

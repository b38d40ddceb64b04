//! Values that belong to one installation, sealed by [`Vault`] under their names.

use std::sync::Arc;

use super::store;
use crate::base::{Clock, Error, Result, Secret, Vault};
use crate::db::Db;

/// `N` bytes from the operating system's generator.
pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0u8; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|e| Error::internal("reading random bytes", e.to_string()))?;
    Ok(bytes)
}

/// The installation's secrets by name.
pub(super) struct Secrets(pub(super) Arc<Vault>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// The secret `name`; made by `make` if there is none. Of two that make it at once, one wins
    /// and both return the same.
    pub(super) async fn ensure(
        &self,
        db: &Db,
        clock: &dyn Clock,
        name: &'static str,
        make: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Secret<Vec<u8>>> {
        let mut conn = db.read().await?;
        if store::find_secret(&mut conn, name).await?.is_none() {
            let sealed = self.0.seal(name, make()?)?;
            store::insert_secret(&mut conn, name, &sealed, clock.now()).await?;
        }
        let sealed = store::find_secret(&mut conn, name)
            .await?
            .ok_or_else(|| Error::internal("reading a secret", "it vanished"))?;
        self.0.open(name, &sealed).map(Secret::new)
    }
}

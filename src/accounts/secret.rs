//! Values that belong to one installation, encrypted at rest with AES-256-GCM under the master
//! key; the name is authenticated with them, so that rows cannot be swapped.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::store;
use crate::base::{Clock, Error, ErrorKind, Result, Secret};
use crate::db::Db;

/// `N` bytes from the operating system's generator.
pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0u8; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|e| Error::internal("reading random bytes", e.to_string()))?;
    Ok(bytes)
}

/// Seals and opens secrets under the master key.
pub(super) struct Vault(LessSafeKey);

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    pub(super) fn new(master_key: &Secret<[u8; 32]>) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, master_key.expose())
            .map_err(|e| Error::internal("reading the master key", e.to_string()))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    fn seal(&self, name: &str, mut value: Vec<u8>) -> Result<Vec<u8>> {
        let nonce = random_bytes::<NONCE_LEN>()?;
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name),
                &mut value,
            )
            .map_err(|e| Error::internal("encrypting a secret", e.to_string()))?;
        Ok([nonce.as_slice(), &value].concat())
    }

    fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let wrong = || {
            Error::new(
                ErrorKind::Unavailable,
                "master_key_wrong",
                format!(
                    "the secret \"{name}\" cannot be decrypted: the master key does not belong to this database"
                ),
            )
        };
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut value = sealed.to_vec();
        let length =
            self.0.open_in_place(nonce, Aad::from(name), &mut value).map_err(|_| wrong())?.len();
        value.truncate(length);
        Ok(value)
    }

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
            let sealed = self.seal(name, make()?)?;
            store::insert_secret(&mut conn, name, &sealed, clock.now()).await?;
        }
        let sealed = store::find_secret(&mut conn, name)
            .await?
            .ok_or_else(|| Error::internal("reading a secret", "it vanished"))?;
        self.open(name, &sealed).map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_under_its_name_and_key() {
        let vault = Vault::new(&Secret::new([7; 32])).expect("a vault");
        let sealed = vault.seal("a", b"value".to_vec()).expect("sealed");
        assert_eq!(vault.open("a", &sealed).expect("opened"), b"value");
        assert!(vault.open("b", &sealed).is_err());
        assert!(vault.open("a", &sealed[..20]).is_err());
        let other = Vault::new(&Secret::new([8; 32])).expect("a vault");
        assert!(other.open("a", &sealed).is_err());
    }
}

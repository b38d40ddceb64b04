//! Secrets at rest: AES-256-GCM under a key that is not in the database.
//!
//! A sealed value is `PV1`, the id of its key, a random nonce, the ciphertext and its tag. The
//! *place* (table, column and row) is authenticated with it, so that a value copied into another
//! row or column does not open there. The key's id tells a wrong key from a damaged value.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::Digest as _;

use super::{Error, ErrorKind, Result, Secret};

const MAGIC: &[u8; 3] = b"PV1";
const KEY_ID: usize = 8;

/// Seals and opens secrets under the installation's key.
pub struct Vault {
    id: [u8; KEY_ID],
    key: LessSafeKey,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    /// A vault under `key`.
    pub fn new(key: &Secret<[u8; 32]>) -> Result<Self> {
        let mut hash = sha2::Sha256::new();
        hash.update(b"portolan key id\0");
        hash.update(key.expose());
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&hash.finalize()[..KEY_ID]);
        let key = UnboundKey::new(&AES_256_GCM, key.expose())
            .map_err(|e| Error::internal("reading the secret key", e.to_string()))?;
        Ok(Self { id, key: LessSafeKey::new(key) })
    }

    /// Encrypts `value` for `place`, e.g. `import_sources.secret/ID`.
    pub fn seal(&self, place: &str, mut value: Vec<u8>) -> Result<Vec<u8>> {
        let mut nonce = [0u8; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce)
            .map_err(|e| Error::internal("reading random bytes", e.to_string()))?;
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place),
                &mut value,
            )
            .map_err(|e| Error::internal("encrypting a secret", e.to_string()))?;
        Ok([MAGIC.as_slice(), &self.id, &nonce, &value].concat())
    }

    /// Decrypts what was sealed for `place`. `Unavailable` (`master_key_wrong`) when it was
    /// sealed under another key or for another place, or is damaged.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let headed = sealed
            .strip_prefix(MAGIC.as_slice())
            .and_then(|rest| rest.strip_prefix(self.id.as_slice()))
            .and_then(|rest| self.decrypt(place, rest));
        // Values of the first format are a nonce and a ciphertext.
        headed.or_else(|| self.decrypt(place, sealed)).ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "master_key_wrong",
                format!(
                    "the secret \"{place}\" cannot be decrypted: the secret key does not belong to this database"
                ),
            )
        })
    }

    fn decrypt(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut value = sealed.to_vec();
        let length = self.key.open_in_place(nonce, Aad::from(place), &mut value).ok()?.len();
        value.truncate(length);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(key: u8) -> Vault {
        Vault::new(&Secret::new([key; 32])).expect("a vault")
    }

    #[test]
    fn a_sealed_secret_opens_only_in_its_place_and_under_its_key() {
        let sealed = vault(7).seal("a", b"value".to_vec()).expect("sealed");
        assert_eq!(vault(7).open("a", &sealed).expect("opened"), b"value");
        assert!(vault(7).open("b", &sealed).is_err());
        assert!(vault(8).open("a", &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(vault(7).open("a", &sealed[..cut]).is_err());
            let mut bent = sealed.clone();
            bent[cut] ^= 1;
            assert!(vault(7).open("a", &bent).is_err(), "byte {cut}");
        }
        assert!(!sealed.windows(5).any(|w| w == b"value"));
        assert_ne!(sealed, vault(7).seal("a", b"value".to_vec()).expect("sealed"));
    }

    #[test]
    fn values_of_the_first_format_still_open() {
        let sealed = vault(7).seal("a", b"value".to_vec()).expect("sealed");
        let bare = &sealed[MAGIC.len() + KEY_ID..];
        assert_eq!(vault(7).open("a", bare).expect("opened"), b"value");
    }
}

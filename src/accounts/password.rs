//! Passwords: which are accepted, and how they are hashed.
//!
//! Argon2id with 19 MiB, 2 passes, 1 lane (OWASP's baseline, also argon2's default); parameters
//! are read from the stored hash, so raising them later needs no migration. At most two hashes run
//! at once: a flood of logins must not take both cores from everybody else.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::base::{Error, Result, Secret};

/// Fewest characters (NIST SP 800-63B, ASVS 6.2.1).
const MIN_CHARS: usize = 8;
/// Most bytes; longer input would only cost time.
const MAX_BYTES: usize = 256;
const AT_ONCE: usize = 2;

/// Often-used passwords of an accepted length, lower case.
const COMMON: &[&str] = &[
    "password",
    "password1",
    "password12",
    "password123",
    "password1234",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "12345678",
    "123456789",
    "1234567890",
    "123456789012",
    "87654321",
    "987654321",
    "qwertyui",
    "qwertyuiop",
    "qwerty123",
    "qwerty1234",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "q1w2e3r4",
    "1qaz2wsx",
    "qazwsxedc",
    "zaq12wsx",
    "asdfghjk",
    "asdfghjkl",
    "zxcvbnm1",
    "abcd1234",
    "abcdefgh",
    "abc12345",
    "a1b2c3d4",
    "11111111",
    "00000000",
    "88888888",
    "12341234",
    "11223344",
    "iloveyou",
    "iloveyou1",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "starwars",
    "trustno1",
    "welcome1",
    "welcome123",
    "letmein1",
    "letmein123",
    "admin123",
    "admin1234",
    "administrator",
    "changeme",
    "changeme1",
    "changeme123",
    "whatever",
    "computer",
    "internet",
    "michelle",
    "jennifer",
    "jonathan",
    "charlie1",
    "corvette",
    "maverick",
    "mustang1",
    "liverpool",
    "chelsea1",
    "arsenal1",
    "blink182",
    "dragon123",
    "monkey123",
    "shadow123",
    "master123",
    "secret123",
    "secretsecret",
    "testtest",
    "test1234",
    "test12345",
    "default1",
    "guest123",
    "harbor12345",
    "docker123",
    "registry",
    "kubernetes",
    "portolan",
    "portolan1",
    "portainer",
];

/// Whether `password` is accepted for the user `name`.
pub(super) fn check(name: &str, password: &Secret) -> Result<()> {
    let text = password.expose().as_str();
    let refuse =
        |message: &str| Err(Error::invalid("password", message).with_code("password_weak"));
    if text.chars().count() < MIN_CHARS {
        return refuse("must have at least 8 characters; a few random words are easy to remember");
    }
    if text.len() > MAX_BYTES {
        return refuse("must have at most 256 bytes");
    }
    let lower = text.to_lowercase();
    let one_character = lower.chars().all(|c| lower.starts_with(c));
    let only_the_name = lower.replace(|c: char| !c.is_alphabetic(), "") == name.to_lowercase();
    if COMMON.contains(&lower.as_str()) || one_character || only_the_name {
        return refuse("is among the first that an attacker tries; choose another");
    }
    Ok(())
}

/// Hashes and verifies passwords off the async threads.
#[derive(Debug, Clone)]
pub(super) struct Hasher {
    slots: Arc<Semaphore>,
    /// What a user that does not exist is compared with, so that both take the same time.
    nobody: Arc<str>,
}

impl Hasher {
    pub(super) fn new() -> Result<Self> {
        let nobody = hash_now(&hex::encode(super::secret::random_bytes::<16>()?))?;
        Ok(Self { slots: Arc::new(Semaphore::new(AT_ONCE)), nobody: nobody.into() })
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|e| Error::internal("waiting to hash", e))?;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(slot);
            result
        })
        .await
        .map_err(|e| Error::internal("hashing", e))
    }

    /// The PHC string of a password.
    pub(super) async fn hash(&self, password: &Secret) -> Result<String> {
        let text = password.expose().clone();
        self.run(move || hash_now(&text)).await?
    }

    /// Whether `password` fits `stored`; without a stored hash it never does, after the same time.
    pub(super) async fn verify(&self, password: &Secret, stored: Option<&str>) -> Result<bool> {
        let exists = stored.is_some();
        let stored = stored.unwrap_or(&self.nobody).to_owned();
        let text =
            password.expose().get(..MAX_BYTES.min(password.expose().len())).map(str::to_owned);
        // Cut inside a character: no accepted password is that long.
        let text = text.unwrap_or_default();
        let fits = self
            .run(move || {
                PasswordHash::new(&stored).is_ok_and(|hash| {
                    Argon2::default().verify_password(text.as_bytes(), &hash).is_ok()
                })
            })
            .await?;
        Ok(fits && exists && password.expose().len() <= MAX_BYTES)
    }
}

fn hash_now(text: &str) -> Result<String> {
    Argon2::default()
        .hash_password(text.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|e| Error::internal("hashing a password", e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passwords_are_refused_and_long_ones_are_not() {
        let check = |text: &str| check("ada", &Secret::new(text.to_owned()));
        for weak in ["", "1234567", "Password123", "aaaaaaaaaaaa", "ada12345678", &"x1".repeat(129)]
        {
            assert!(check(weak).is_err(), "{weak}");
        }
        for good in
            ["correct horse battery staple", "a long enough password", "密码很长而且很好记住"]
        {
            assert!(check(good).is_ok(), "{good}");
        }
    }
}

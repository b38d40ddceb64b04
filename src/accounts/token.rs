//! Personal access tokens: shown once, kept as a hash.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest as _;

use super::secret::random_bytes;
use super::{Accounts, PersonalToken, store};
use crate::base::id::{TokenId, UserId};
use crate::base::{Actor, Error, Result, Secret};
use crate::db::OnConstraint;
use crate::events::{self, NewEvent, Target};

/// What every personal token starts with, so that scanners of leaked secrets can find them.
pub(super) const PREFIX: &str = "ptl_";
/// Characters kept in the clear, so that a person can tell tokens apart.
const SHOWN: usize = 10;
/// Longest life.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
const MAX_TOKENS: i64 = 100;

/// The token is random (256 bit), so a plain hash is enough.
pub(super) fn hash(token: &Secret) -> Vec<u8> {
    sha2::Sha256::digest(token.expose().as_bytes()).to_vec()
}

fn owner(actor: &Actor) -> Result<UserId> {
    actor.user_id.ok_or_else(|| Error::unauthenticated("log in first"))
}

impl Accounts {
    /// Makes a personal token for the caller; the secret starts with `ptl_` and is shown once.
    pub async fn create_token(
        &self,
        actor: &Actor,
        name: &str,
        expires_in: Option<Duration>,
    ) -> Result<(PersonalToken, Secret)> {
        let user = owner(actor)?;
        let name = name.trim();
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
            return Err(Error::invalid("name", "must be 1 to 64 printable characters"));
        }
        let now = self.now();
        let expires_at = match expires_in {
            None => None,
            Some(life) if life.is_zero() || life > LONGEST => {
                return Err(Error::invalid("expiresInDays", "must be between 1 and 366 days"));
            }
            Some(life) => chrono::Duration::from_std(life).ok().map(|life| now + life),
        };
        let secret =
            Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random_bytes::<32>()?)));
        let token = PersonalToken {
            id: TokenId::new(now),
            name: name.to_owned(),
            prefix: secret.expose().chars().take(SHOWN).collect(),
            created_at: now,
            expires_at,
            last_used_at: None,
        };
        let mut tx = self.db.begin().await?;
        store::lock_tokens_of(tx.conn(), user).await?;
        if store::count_tokens(tx.conn(), user).await? >= MAX_TOKENS {
            return Err(Error::conflict(
                "too_many_tokens",
                "you have 100 tokens; revoke some first",
            ));
        }
        store::insert_token(tx.conn(), user, &token, &hash(&secret)).await.on_constraint(
            "personal_tokens_user_name_key",
            || {
                Error::conflict(
                    "token_name_taken",
                    format!("you have a token named \"{name}\" already"),
                )
            },
        )?;
        let target = Target::new("token", token.id, name);
        let event = NewEvent::new("token.create", target, format!("made the token \"{name}\""));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        Ok((token, secret))
    }

    /// The caller's tokens that are not revoked, newest first.
    pub async fn list_tokens(&self, actor: &Actor) -> Result<Vec<PersonalToken>> {
        Ok(store::list_tokens(&mut *self.db.read().await?, owner(actor)?).await?)
    }

    /// Revokes a token of the caller; it fails from the next request on. Registry
    /// tokens that were got with it end within seconds.
    pub async fn revoke_token(&self, actor: &Actor, id: TokenId) -> Result<()> {
        let user = owner(actor)?;
        let now = self.now();
        let mut tx = self.db.begin().await?;
        let name = store::revoke_token(tx.conn(), user, id, now)
            .await?
            .ok_or_else(|| Error::not_found("token", id))?;
        let target = Target::new("token", id, &name);
        let event = NewEvent::new("token.revoke", target, format!("revoked the token \"{name}\""));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        self.keys.forget(user).await;
        Ok(())
    }
}

//! Proving who one is with a name and a secret: for a session, or on each request (HTTP Basic).

use std::time::Duration;

use aws_lc_rs::hmac;
use moka::future::Cache;

use super::limit::Attempt;
use super::{Accounts, Origin, store, token};
use crate::base::id::UserId;
use crate::base::{Actor, Error, ErrorKind, Result, Secret};
use crate::events::{self, NewEvent, Outcome, Target};

/// Basic credentials come with every request; a password that was right is not hashed again for
/// this long, unless the user changes.
const RECENT: Duration = Duration::from_secs(60);
/// Longest name and secret that are looked at.
const MAX_INPUT: usize = 1024;

/// Credentials that were right a moment ago, by a keyed hash that means nothing outside this
/// process.
#[derive(Clone)]
pub(super) struct Recent {
    key: std::sync::Arc<hmac::Key>,
    seen: Cache<[u8; 32], (UserId, i64)>,
}

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recent")
    }
}

impl Recent {
    pub(super) fn new() -> Result<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &super::secret::random_bytes::<32>()?);
        let seen = Cache::builder().max_capacity(10_000).time_to_live(RECENT).build();
        Ok(Self { key: std::sync::Arc::new(key), seen })
    }

    fn tag(&self, name: &str, secret: &Secret) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(name.len() as u64).to_be_bytes());
        context.update(name.as_bytes());
        context.update(secret.expose().as_bytes());
        let mut tag = [0u8; 32];
        tag.copy_from_slice(&context.sign().as_ref()[..32]);
        tag
    }
}

/// The same for a wrong name, a wrong password, a disabled user and a user without a password.
fn wrong() -> Error {
    Error::unauthenticated("wrong name or password")
}

fn actor_of(user: &store::UserRow, origin: &Origin) -> Actor {
    Actor::user(user.id, user.name.as_str(), user.platform_role, origin.channel)
        .with_request(origin.address, origin.request_id.clone())
}

impl Accounts {
    /// Name and password, or name and personal token (HTTP Basic). Rate-limited per account and
    /// address; the same error for every wrong part.
    pub async fn authenticate_basic(
        &self,
        name: &str,
        secret: &Secret,
        origin: &Origin,
    ) -> Result<Actor> {
        if secret.expose().starts_with(token::PREFIX) {
            let actor = self.authenticate_token(secret, origin).await?;
            return if actor.name == name { Ok(actor) } else { Err(wrong()) };
        }
        let tag = self.recent.tag(name, secret);
        if let Some((id, version)) = self.recent.seen.get(&tag).await {
            let user = store::find_user_by_id(&mut *self.db.read().await?, id).await?;
            if let Some(user) =
                user.filter(|u| u.disabled_at.is_none() && u.auth_version == version)
            {
                return Ok(actor_of(&user, origin));
            }
        }
        let user = self.check_password(name, secret, origin).await?;
        self.recent.seen.insert(tag, (user.id, user.auth_version)).await;
        Ok(actor_of(&user, origin))
    }

    /// The user who logs in with this password. Limits attempts and records how they end.
    pub(super) async fn check_password(
        &self,
        name: &str,
        password: &Secret,
        origin: &Origin,
    ) -> Result<store::UserRow> {
        let Some(user) = self.proven(name, password, origin).await? else {
            self.record_refusal(name, origin).await?;
            return Err(wrong());
        };
        let actor = actor_of(&user, origin);
        let target = Target::new("user", user.id, &user.name);
        self.record(&actor, NewEvent::new("login.success", target, "logged in")).await?;
        Ok(user)
    }

    /// The user whose password this is, if it is right and the user may log in. Limits attempts;
    /// what they are made for is the caller's to record.
    pub(super) async fn proven(
        &self,
        name: &str,
        password: &Secret,
        origin: &Origin,
    ) -> Result<Option<store::UserRow>> {
        if name.len() > MAX_INPUT || password.expose().len() > MAX_INPUT {
            return Ok(None);
        }
        let attempt = Attempt::login(name, origin);
        self.take(&attempt).await?;
        let user = store::find_user(&mut *self.db.read().await?, name).await?;
        let stored = user.as_ref().and_then(|user| user.password_hash.as_deref());
        let fits = self.hasher.verify(password, stored).await?;
        let user = user.filter(|user| fits && user.disabled_at.is_none());
        if user.is_some() {
            self.give_back(&attempt).await?;
        }
        Ok(user)
    }

    async fn record_refusal(&self, name: &str, origin: &Origin) -> Result<()> {
        let actor = Actor::anonymous(origin.channel)
            .with_request(origin.address, origin.request_id.clone());
        // The name may be a password typed into the wrong field: keep it only if it is a name.
        let shown = name
            .parse::<crate::base::UserName>()
            .map_or_else(|_| "?".to_owned(), |n| n.to_string());
        let event =
            NewEvent::new("login.failure", Target::named("user", shown), "wrong name or password")
                .outcome(Outcome::Denied);
        self.record(&actor, event).await
    }

    pub(super) async fn record(&self, actor: &Actor, event: NewEvent) -> Result<()> {
        events::append_alone(&self.db, &*self.clock.0, actor, event).await
    }

    /// A personal token alone (HTTP Bearer). Wrong ones count against the caller's address.
    pub async fn authenticate_token(&self, secret: &Secret, origin: &Origin) -> Result<Actor> {
        let wrong = || Error::unauthenticated("wrong, expired or revoked token");
        if !secret.expose().starts_with(token::PREFIX) || secret.expose().len() > MAX_INPUT {
            return Err(wrong());
        }
        let now = self.now();
        let hash = token::hash(secret);
        let found = store::find_token(&mut *self.db.read().await?, &hash, now).await?;
        let Some((id, last_used_at, user)) = found else {
            return match self.take(&Attempt::token(origin)).await {
                Err(error) if error.kind() == ErrorKind::RateLimited => Err(error),
                _ => Err(wrong()),
            };
        };
        if last_used_at.is_none_or(|at| now - at > chrono::Duration::minutes(1)) {
            store::touch_token(&mut *self.db.read().await?, id, now).await?;
        }
        let mut actor = actor_of(&user, origin);
        actor.token_id = Some(id);
        Ok(actor)
    }
}

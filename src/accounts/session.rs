//! Browser sessions: a 256-bit random cookie whose SHA-256 is kept; idle 30 minutes, at most 12
//! hours.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest as _;

use super::{Accounts, NewSession, Origin, Session, store};
use crate::accounts::secret::random_bytes;
use crate::base::id::SessionId;
use crate::base::{Actor, Error, Result, Secret};
use crate::events::{self, NewEvent, Target};

/// A session unused for this long is over.
pub(super) const IDLE: chrono::Duration = chrono::Duration::minutes(30);
/// A session is over after this, however much it is used.
const LONGEST: chrono::Duration = chrono::Duration::hours(12);

fn hash(cookie: &Secret) -> Vec<u8> {
    sha2::Sha256::digest(cookie.expose().as_bytes()).to_vec()
}

impl Accounts {
    /// Logs a browser in. Any session the browser had before is not reused.
    pub async fn login(
        &self,
        name: &str,
        password: &Secret,
        origin: &Origin,
    ) -> Result<NewSession> {
        let user = self.check_password(name, password, origin).await?;
        let now = self.now();
        let cookie = Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>()?));
        let csrf_token = hex::encode(random_bytes::<16>()?);
        let id = SessionId::new(now);
        let row = store::NewSessionRow {
            id,
            user_id: user.id,
            token_hash: hash(&cookie),
            csrf_token: csrf_token.clone(),
            now,
            expires_at: now + LONGEST,
            address: origin.address,
            user_agent: origin.user_agent.clone(),
        };
        let actor = Actor::user(user.id, user.name.as_str(), user.platform_role, origin.channel)
            .with_request(origin.address, origin.request_id.clone());
        let mut tx = self.db.begin().await?;
        store::insert_session(tx.conn(), &row).await?;
        let target = Target::new("session", id, &user.name);
        let event = NewEvent::new("session.create", target, "a browser session began");
        events::append(&mut tx, &*self.clock.0, &actor, event).await?;
        tx.commit().await?;
        let expires_at = row.expires_at;
        let session = Session { id, user: user.into(), csrf_token, created_at: now, expires_at };
        Ok(NewSession { cookie, session })
    }

    /// The session of a cookie, if it is alive (idle 30 min, absolute 12 h), with its actor.
    pub async fn session(
        &self,
        cookie: &Secret,
        origin: &Origin,
    ) -> Result<Option<(Actor, Session)>> {
        // A cookie of ours has 43 characters; anything else is not looked up.
        if cookie.expose().len() != 43 {
            return Ok(None);
        }
        let now = self.now();
        let mut conn = self.db.read().await?;
        let Some((row, user)) =
            store::find_session(&mut conn, &hash(cookie), now, now - IDLE).await?
        else {
            return Ok(None);
        };
        if now - row.seen_at > chrono::Duration::minutes(1) {
            store::touch_session(&mut conn, row.id, now).await?;
        }
        let mut actor =
            Actor::user(user.id, user.name.as_str(), user.platform_role, origin.channel)
                .with_request(origin.address, origin.request_id.clone());
        actor.session_id = Some(row.id);
        let session = Session {
            id: row.id,
            user: user.into(),
            csrf_token: row.csrf_token,
            created_at: row.created_at,
            expires_at: row.expires_at,
        };
        Ok(Some((actor, session)))
    }

    /// Ends the caller's own session at once.
    pub async fn logout(&self, actor: &Actor) -> Result<()> {
        match actor.session_id {
            Some(id) => self.end_session(actor, id).await,
            None => Ok(()),
        }
    }

    /// Ends one of the caller's sessions at once.
    pub async fn end_session(&self, actor: &Actor, id: SessionId) -> Result<()> {
        let user = actor.user_id.ok_or_else(|| Error::unauthenticated("log in first"))?;
        let mut tx = self.db.begin().await?;
        if !store::delete_session(tx.conn(), user, id).await? {
            return Err(Error::not_found("session", id));
        }
        let target = Target::new("session", id, &actor.name);
        let event = NewEvent::new("session.delete", target, "a browser session was ended");
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await
    }

    /// The caller's sessions, newest first.
    pub async fn sessions(&self, actor: &Actor) -> Result<Vec<Session>> {
        let user = self.me(actor).await?;
        let now = self.now();
        let rows =
            store::list_sessions(&mut *self.db.read().await?, user.id, now, now - IDLE).await?;
        Ok(rows
            .into_iter()
            .map(|row| Session {
                id: row.id,
                user: user.clone(),
                csrf_token: String::new(),
                created_at: row.created_at,
                expires_at: row.expires_at,
            })
            .collect())
    }
}

//! People and how they prove who they are: passwords, sessions, personal tokens, registry
//! tokens, and what their roles allow.

mod limit;
mod login;
mod password;
pub mod rbac;
mod registry_token;
mod secret;
mod session;
mod store;
mod token;
mod user;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::actor::PlatformRole;
use crate::base::id::{SessionId, TokenId, UserId};
use crate::base::{Actor, Channel, Error, Result, Secret, SharedClock, Timestamp, UserName, Vault};
use crate::db::Db;

/// Where a request came from, for rate limits and the event log.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The door.
    pub channel: Channel,
    /// Address of the peer.
    pub address: Option<IpAddr>,
    /// Request id.
    pub request_id: Option<String>,
    /// The client's name for itself, cut to 200 characters.
    pub user_agent: Option<String>,
}

/// A user as services see it.
#[derive(Debug, Clone)]
pub struct User {
    pub id: UserId,
    pub name: UserName,
    pub email: String,
    pub platform_role: PlatformRole,
    pub disabled_at: Option<Timestamp>,
    pub locale: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A user to create.
#[derive(Debug)]
pub struct NewUser {
    pub name: UserName,
    pub email: String,
    pub password: Secret,
    pub platform_role: PlatformRole,
}

/// What to change of a user; `None` leaves it.
#[derive(Debug, Default)]
pub struct UserChange {
    pub email: Option<String>,
    pub platform_role: Option<PlatformRole>,
    pub disabled: Option<bool>,
    pub locale: Option<String>,
}

/// A live session.
#[derive(Debug, Clone)]
pub struct Session {
    pub id: SessionId,
    pub user: User,
    pub csrf_token: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A session just made; the cookie value is shown to the browser only.
#[derive(Debug)]
pub struct NewSession {
    pub cookie: Secret,
    pub session: Session,
}

/// A personal access token; the secret is shown once, by `create_token`.
#[derive(Debug, Clone)]
pub struct PersonalToken {
    pub id: TokenId,
    pub name: String,
    pub prefix: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

/// One entry of a registry token's `access` claim.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AccessEntry {
    /// `repository` or `registry`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Repository name, or `catalog`.
    pub name: String,
    /// `pull`, `push`, `delete`, `*`.
    pub actions: Vec<String>,
}

/// A signed registry token.
#[derive(Debug, Clone)]
pub struct RegistryToken {
    pub token: Secret,
    pub expires_in: Duration,
    pub issued_at: Timestamp,
}

/// What a verified registry token says.
#[derive(Debug, Clone)]
pub struct RegistryClaims {
    /// The caller, re-read (cached at most 60 s) so that disabled users stop.
    pub actor: Actor,
    pub access: Vec<AccessEntry>,
}

/// What accounts are opened with.
#[derive(Debug)]
pub struct Settings {
    /// Encrypts the installation's secrets; from the data directory or the environment.
    pub master_key: Secret<[u8; 32]>,
    /// `iss` of registry tokens.
    pub issuer: String,
    /// `aud` of registry tokens: the registry's service name.
    pub audience: String,
}

/// The handle on accounts; cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts {
    db: Db,
    clock: SharedClockDebug,
    keys: Arc<registry_token::Keys>,
    secrets: Arc<secret::Secrets>,
    hasher: password::Hasher,
    recent: login::Recent,
}

/// A shared clock that can be printed.
#[derive(Clone)]
pub struct SharedClockDebug(pub SharedClock);
impl std::fmt::Debug for SharedClockDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Accounts {
    /// Opens accounts; the first call on a database makes the key that signs registry tokens.
    pub async fn open(db: Db, clock: SharedClock, settings: Settings) -> Result<Self> {
        let vault = Arc::new(Vault::new(&settings.master_key)?);
        let secrets = secret::Secrets(vault);
        let pkcs8 = secrets
            .ensure(&db, &*clock, registry_token::KEY_NAME, registry_token::generate)
            .await?;
        let keys = registry_token::Keys::new(&pkcs8, settings.issuer, settings.audience)?;
        Ok(Self {
            db,
            clock: SharedClockDebug(clock),
            keys: Arc::new(keys),
            secrets: Arc::new(secrets),
            hasher: password::Hasher::new()?,
            recent: login::Recent::new()?,
        })
    }

    /// 32 random bytes that belong to this installation, made once and encrypted at rest.
    pub async fn installation_secret(&self, name: &'static str) -> Result<Secret<Vec<u8>>> {
        self.secrets
            .ensure(&self.db, &*self.clock.0, name, || secret::random_bytes::<32>().map(Vec::from))
            .await
    }

    /// What seals this installation's secrets, for other features' columns.
    pub fn vault(&self) -> Arc<Vault> {
        Arc::clone(&self.secrets.0)
    }

    /// The caller that `user` is now, for work done in its name later. `Unauthenticated` when it
    /// is gone or disabled.
    pub async fn actor_now(&self, user: UserId, channel: Channel) -> Result<Actor> {
        let asked = Actor::user(user, "", PlatformRole::User, channel);
        let user = self.me(&asked).await?;
        if user.disabled_at.is_some() {
            return Err(Error::unauthenticated("this account is disabled"));
        }
        Ok(Actor::user(user.id, user.name.as_str(), user.platform_role, channel))
    }

    /// Removes sessions that ended and buckets that are full again.
    pub async fn maintain(&self) -> Result<()> {
        let now = self.now();
        let mut conn = self.db.read().await?;
        store::delete_dead_sessions(&mut conn, now, now - session::IDLE).await?;
        store::delete_stale_buckets(&mut conn, now - chrono::Duration::hours(1)).await?;
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.clock.0.now()
    }
}

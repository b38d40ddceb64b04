//! People and how they prove who they are: passwords, sessions, personal tokens, registry
//! tokens, and what their roles allow.

pub mod rbac;

use std::net::IpAddr;
use std::time::Duration;

use crate::base::actor::PlatformRole;
use crate::base::id::{ProjectId, SessionId, TokenId, UserId};
use crate::base::{
    Actor, Channel, Error, Page, PageRequest, RepositoryName, Result, Secret, SharedClock,
    Timestamp, UserName,
};
use crate::db::Db;

fn not_built<T>() -> Result<T> {
    Err(Error::unavailable("not built yet"))
}

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

/// The handle on accounts; cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts {
    pub(crate) db: Db,
    pub(crate) clock: SharedClockDebug,
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
    /// Name and password, or name and personal token (HTTP Basic). Rate-limited per account and
    /// address; the same error for every wrong part.
    pub async fn authenticate_basic(
        &self,
        name: &str,
        secret: &Secret,
        origin: &Origin,
    ) -> Result<Actor> {
        let _ = (name, secret, origin, &self.db, &self.clock);
        not_built()
    }
    /// A personal token alone (HTTP Bearer).
    pub async fn authenticate_token(&self, token: &Secret, origin: &Origin) -> Result<Actor> {
        let _ = (token, origin);
        not_built()
    }
    /// Logs a browser in. Any session the browser had before is not reused.
    pub async fn login(
        &self,
        name: &str,
        password: &Secret,
        origin: &Origin,
    ) -> Result<NewSession> {
        let _ = (name, password, origin);
        not_built()
    }
    /// The session of a cookie, if it is alive (idle 30 min, absolute 12 h), with its actor.
    pub async fn session(
        &self,
        cookie: &Secret,
        origin: &Origin,
    ) -> Result<Option<(Actor, Session)>> {
        let _ = (cookie, origin);
        not_built()
    }
    /// Ends a session at once.
    pub async fn logout(&self, actor: &Actor) -> Result<()> {
        let _ = actor;
        not_built()
    }
    /// The caller's sessions.
    pub async fn sessions(&self, actor: &Actor) -> Result<Vec<Session>> {
        let _ = actor;
        not_built()
    }
    /// Creates a user (platform permission `user:create`).
    pub async fn create_user(&self, actor: &Actor, new: NewUser) -> Result<User> {
        let _ = (actor, new);
        not_built()
    }
    /// Changes a user. Admins anybody; others their own e-mail and locale.
    pub async fn update_user(
        &self,
        actor: &Actor,
        name: &UserName,
        change: UserChange,
    ) -> Result<User> {
        let _ = (actor, name, change);
        not_built()
    }
    /// Sets a password. Others' by admins; one's own with the current one. Ends other sessions.
    pub async fn set_password(
        &self,
        actor: &Actor,
        name: &UserName,
        current: Option<&Secret>,
        new: &Secret,
    ) -> Result<()> {
        let _ = (actor, name, current, new);
        not_built()
    }
    /// Deletes a user; the last admin cannot go.
    pub async fn delete_user(&self, actor: &Actor, name: &UserName) -> Result<()> {
        let _ = (actor, name);
        not_built()
    }
    /// One user.
    pub async fn user(&self, actor: &Actor, name: &UserName) -> Result<User> {
        let _ = (actor, name);
        not_built()
    }
    /// Users by name.
    pub async fn list_users(
        &self,
        actor: &Actor,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<User>> {
        let _ = (actor, query, page);
        not_built()
    }
    /// The caller as a user.
    pub async fn me(&self, actor: &Actor) -> Result<User> {
        let _ = actor;
        not_built()
    }
    /// Makes a personal token for the caller; the secret starts with `ptl_` and is shown once.
    pub async fn create_token(
        &self,
        actor: &Actor,
        name: &str,
        expires_in: Option<Duration>,
    ) -> Result<(PersonalToken, Secret)> {
        let _ = (actor, name, expires_in);
        not_built()
    }
    /// The caller's tokens.
    pub async fn list_tokens(&self, actor: &Actor) -> Result<Vec<PersonalToken>> {
        let _ = actor;
        not_built()
    }
    /// Revokes a token of the caller.
    pub async fn revoke_token(&self, actor: &Actor, id: TokenId) -> Result<()> {
        let _ = (actor, id);
        not_built()
    }
    /// Signs a registry token (ES256, 300 s) for `actor` with `access`.
    pub async fn issue_registry_token(
        &self,
        actor: &Actor,
        access: Vec<AccessEntry>,
    ) -> Result<RegistryToken> {
        let _ = (actor, access);
        not_built()
    }
    /// Signs a pull token for a node, limited to one repository, alive for `ttl`.
    pub async fn issue_node_token(
        &self,
        repository: &RepositoryName,
        project: ProjectId,
        ttl: Duration,
    ) -> Result<RegistryToken> {
        let _ = (repository, project, ttl);
        not_built()
    }
    /// Verifies a registry token: signature, algorithm, issuer, audience, times, and that the
    /// user still exists and is enabled.
    pub async fn verify_registry_token(
        &self,
        token: &Secret,
        origin: &Origin,
    ) -> Result<RegistryClaims> {
        let _ = (token, origin);
        not_built()
    }
}

//! Who acts: the identity every service function takes.

use std::net::IpAddr;

use super::id::{SessionId, TokenId, UserId};

/// What kind of identity acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// Nobody logged in.
    Anonymous,
    /// A person.
    User,
    /// A node of the engine, pulling with a short-lived token.
    Node,
    /// Portolan itself: reconcilers, clean-up.
    System,
}

impl ActorKind {
    /// The word stored in the event log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User => "user",
            Self::Node => "node",
            Self::System => "system",
        }
    }
}

/// The door a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A page.
    Web,
    /// The JSON API.
    Api,
    /// The registry.
    Registry,
    /// The command line on the server's machine.
    Cli,
    /// Portolan's own loops.
    Engine,
}

impl Channel {
    /// The word stored in the event log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Api => "api",
            Self::Registry => "registry",
            Self::Cli => "cli",
            Self::Engine => "engine",
        }
    }
}

/// Platform-wide powers of a user.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum PlatformRole {
    /// No powers beyond project memberships.
    User,
    /// Reads everything, changes nothing.
    Auditor,
    /// May do everything.
    Admin,
}

impl PlatformRole {
    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for PlatformRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for PlatformRole {
    type Err = super::Error;
    fn from_str(s: &str) -> super::Result<Self> {
        match s {
            "user" => Ok(Self::User),
            "auditor" => Ok(Self::Auditor),
            "admin" => Ok(Self::Admin),
            _ => Err(super::Error::invalid("platformRole", "must be user, auditor or admin")),
        }
    }
}

/// An authenticated (or anonymous) caller and where the request came from.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Kind of identity.
    pub kind: ActorKind,
    /// The user, when the kind is [`ActorKind::User`].
    pub user_id: Option<UserId>,
    /// Name for the event log and the pages; empty for anonymous.
    pub name: String,
    /// Platform role; [`PlatformRole::User`] for everyone who is not a person.
    pub platform_role: PlatformRole,
    /// The door.
    pub channel: Channel,
    /// Address of the peer, when there is one.
    pub address: Option<IpAddr>,
    /// Request id, for the event log.
    pub request_id: Option<String>,
    /// The session that authenticated, if any.
    pub session_id: Option<SessionId>,
    /// The personal access token that authenticated, if any.
    pub token_id: Option<TokenId>,
}

impl Actor {
    /// Nobody, through `channel`.
    pub fn anonymous(channel: Channel) -> Self {
        Self {
            kind: ActorKind::Anonymous,
            user_id: None,
            name: String::new(),
            platform_role: PlatformRole::User,
            channel,
            address: None,
            request_id: None,
            session_id: None,
            token_id: None,
        }
    }

    /// Portolan itself.
    pub fn system() -> Self {
        Self {
            kind: ActorKind::System,
            name: "portolan".to_owned(),
            ..Self::anonymous(Channel::Engine)
        }
    }

    /// A user through `channel`.
    pub fn user(id: UserId, name: impl Into<String>, role: PlatformRole, channel: Channel) -> Self {
        Self {
            kind: ActorKind::User,
            user_id: Some(id),
            name: name.into(),
            platform_role: role,
            ..Self::anonymous(channel)
        }
    }

    /// Whether anybody is logged in.
    pub fn is_anonymous(&self) -> bool {
        self.kind == ActorKind::Anonymous
    }

    /// Whether the actor is a platform admin (or Portolan itself).
    pub fn is_admin(&self) -> bool {
        self.kind == ActorKind::System || self.platform_role == PlatformRole::Admin
    }

    /// Adds where the request came from.
    #[must_use]
    pub fn with_request(mut self, address: Option<IpAddr>, request_id: Option<String>) -> Self {
        self.address = address;
        self.request_id = request_id;
        self
    }
}

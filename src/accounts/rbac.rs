//! Who may do what: a pure function over closed enums.
//!
//! A permission is a [`Resource`] and an [`Action`]. The matrix below is the whole truth; the
//! snapshot `tests/it/snapshots/rbac_matrix.txt` prints it for review, and every route of every
//! face names the permission it needs.
//!
//! # Deliberate differences from Harbor
//!
//! Harbor's matrix (its `rbac_role.go`) has oddities that are decided here, not copied: a
//! developer may read the retention rules but not edit them (editing them deletes by proxy); a
//! guest cannot list robot accounts or read the project's event log; a limited guest cannot read
//! the quota; push implies pull, because containerd asks `HEAD` before it pushes.

use std::fmt;
use std::str::FromStr;

use crate::base::actor::{Actor, ActorKind, PlatformRole};
use crate::base::{Error, Result};

/// What a member may do in a project; each role includes the ones before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Pulls images; sees no members and no deployments.
    LimitedGuest,
    /// Reads everything in the project but secrets and the event log.
    Guest,
    /// Also pushes, deploys, scales, restarts and reads logs.
    Developer,
    /// Also deletes, rolls back others' work, and edits applications and services.
    Maintainer,
    /// Also manages members and the project itself.
    ProjectAdmin,
}

impl Role {
    /// All roles, weakest first.
    pub const ALL: [Self; 5] =
        [Self::LimitedGuest, Self::Guest, Self::Developer, Self::Maintainer, Self::ProjectAdmin];

    /// The word stored and used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LimitedGuest => "limited_guest",
            Self::Guest => "guest",
            Self::Developer => "developer",
            Self::Maintainer => "maintainer",
            Self::ProjectAdmin => "project_admin",
        }
    }
}

impl FromStr for Role {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == s).ok_or_else(|| {
            Error::invalid(
                "role",
                "must be limited_guest, guest, developer, maintainer or project_admin",
            )
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Kinds of things permissions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// The project itself.
    Project,
    /// Its members.
    Member,
    /// Repositories; pull and push are actions on them.
    Repository,
    /// Manifests and what they refer to.
    Artifact,
    /// Tags.
    Tag,
    /// Labels of the project, put on images.
    Label,
    /// Which labels an image carries.
    ArtifactLabel,
    /// Rules that make tags immutable or protect them.
    TagRule,
    /// Rules that say which images are kept, and their runs.
    Retention,
    /// How much a project may store, and how much it does.
    Quota,
    /// Robot accounts of the project.
    Robot,
    /// Custom roles of the project.
    Role,
    /// Imports from other registries.
    Import,
    /// Catalog applications.
    Application,
    /// Environments.
    Environment,
    /// Deployments, their revisions and rollouts.
    Deployment,
    /// Replicas and their logs.
    Replica,
    /// Services.
    Service,
    /// The project's events.
    Event,
    /// Users (platform).
    User,
    /// Teams (platform).
    Team,
    /// Nodes (platform).
    Node,
    /// The whole event log (platform).
    AuditLog,
    /// Metrics and other operations data (platform).
    System,
    /// Garbage collection, scrubs and checks of the blob store (platform).
    Collection,
    /// One's own profile, sessions and tokens.
    Own,
}

impl Resource {
    /// All resources.
    pub const ALL: [Self; 26] = [
        Self::Project,
        Self::Member,
        Self::Repository,
        Self::Artifact,
        Self::Tag,
        Self::Label,
        Self::ArtifactLabel,
        Self::TagRule,
        Self::Retention,
        Self::Quota,
        Self::Robot,
        Self::Role,
        Self::Import,
        Self::Application,
        Self::Environment,
        Self::Deployment,
        Self::Replica,
        Self::Service,
        Self::Event,
        Self::User,
        Self::Team,
        Self::Node,
        Self::AuditLog,
        Self::System,
        Self::Collection,
        Self::Own,
    ];

    /// Whether it lives in a project; the others are the platform's.
    pub fn is_in_project(self) -> bool {
        !matches!(
            self,
            Self::User
                | Self::Team
                | Self::Node
                | Self::AuditLog
                | Self::System
                | Self::Collection
                | Self::Own
        )
    }

    /// The word used by the API and the matrix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Member => "member",
            Self::Repository => "repository",
            Self::Artifact => "artifact",
            Self::Tag => "tag",
            Self::Label => "label",
            Self::ArtifactLabel => "artifact_label",
            Self::TagRule => "tag_rule",
            Self::Retention => "retention",
            Self::Quota => "quota",
            Self::Robot => "robot",
            Self::Role => "role",
            Self::Import => "import",
            Self::Application => "application",
            Self::Environment => "environment",
            Self::Deployment => "deployment",
            Self::Replica => "replica",
            Self::Service => "service",
            Self::Event => "event",
            Self::User => "user",
            Self::Team => "team",
            Self::Node => "node",
            Self::AuditLog => "audit_log",
            Self::System => "system",
            Self::Collection => "collection",
            Self::Own => "own",
        }
    }
}

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Make a new one.
    Create,
    /// Read one.
    Read,
    /// List them.
    List,
    /// Change one.
    Update,
    /// Remove one.
    Delete,
    /// Download images (repository).
    Pull,
    /// Upload images (repository).
    Push,
    /// Restart, pause, roll back (deployment).
    Operate,
    /// Read log lines (replica).
    Logs,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::Read,
        Self::List,
        Self::Update,
        Self::Delete,
        Self::Pull,
        Self::Push,
        Self::Operate,
        Self::Logs,
    ];

    /// The word used by the API and the matrix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::List => "list",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Operate => "operate",
            Self::Logs => "logs",
        }
    }
}

/// A resource and an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Permission(pub Resource, pub Action);

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.as_str(), self.1.as_str())
    }
}

/// Whether everybody may read a project's images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Members only.
    Private,
    /// Anybody may pull and see repositories and tags.
    Public,
}

impl Visibility {
    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
        }
    }
}

impl FromStr for Visibility {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        match s {
            "private" => Ok(Self::Private),
            "public" => Ok(Self::Public),
            _ => Err(Error::invalid("visibility", "must be private or public")),
        }
    }
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Do it.
    Allow,
    /// The caller sees the object but lacks the permission: 403.
    Deny,
    /// The caller must not learn that the object exists: 404 (401 for anonymous).
    Hide,
}

/// What a role may do in its project.
pub fn role_allows(role: Role, Permission(resource, action): Permission) -> bool {
    use Action::{Create, Delete, List, Logs, Operate, Pull, Push, Read, Update};
    use Resource as R;
    let least = match (resource, action) {
        (R::Project, Read) => Role::LimitedGuest,
        (R::Project, Update | Delete) => Role::ProjectAdmin,
        (R::Member, Read | List) => Role::Guest,
        (R::Member, Create | Update | Delete) => Role::ProjectAdmin,
        (R::Repository, Read | List | Pull) => Role::LimitedGuest,
        (R::Repository, Create | Update | Push) => Role::Developer,
        (R::Repository, Delete) => Role::Maintainer,
        (R::Artifact, Read | List) => Role::LimitedGuest,
        (R::Artifact, Create) => Role::Developer,
        (R::Artifact, Delete) => Role::Maintainer,
        (R::Tag, Read | List) => Role::LimitedGuest,
        (R::Tag, Create) => Role::Developer,
        (R::Tag, Delete) => Role::Maintainer,
        (R::Label, Read | List) => Role::LimitedGuest,
        (R::Label, Create | Update | Delete) => Role::Maintainer,
        (R::ArtifactLabel, Create | Delete) => Role::Developer,
        (R::TagRule, Read | List) => Role::Guest,
        (R::TagRule, Create | Update | Delete) => Role::Maintainer,
        (R::Retention, Read | List) => Role::Developer,
        (R::Retention, Create | Update | Delete | Operate) => Role::Maintainer,
        (R::Quota, Read) => Role::Guest,
        (R::Robot, Read | List) => Role::Maintainer,
        (R::Robot, Create | Update | Delete) => Role::ProjectAdmin,
        (R::Role, Read | List) => Role::Guest,
        (R::Role, Create | Update | Delete) => Role::ProjectAdmin,
        (R::Import, Read | List) => Role::Developer,
        (R::Import, Create | Operate) => Role::Maintainer,
        (R::Application, Read | List) => Role::Guest,
        (R::Application, Create | Update) => Role::Developer,
        (R::Application, Delete) => Role::Maintainer,
        (R::Environment, Read | List) => Role::Guest,
        (R::Environment, Create | Update | Delete) => Role::ProjectAdmin,
        (R::Deployment, Read | List) => Role::Guest,
        (R::Deployment, Create | Update | Operate) => Role::Developer,
        (R::Deployment, Delete) => Role::Maintainer,
        (R::Replica, Read | List) => Role::Guest,
        (R::Replica, Logs | Operate) => Role::Developer,
        (R::Service, Read | List) => Role::Guest,
        (R::Service, Create | Update) => Role::Developer,
        (R::Service, Delete) => Role::Maintainer,
        (R::Event, Read | List) => Role::Developer,
        _ => return false,
    };
    role >= least
}

/// What anybody, logged in or not, may do in a public project.
fn public_allows(Permission(resource, action): Permission) -> bool {
    use Action::{List, Pull, Read};
    match resource {
        Resource::Project => action == Read,
        Resource::Repository => matches!(action, Read | List | Pull),
        Resource::Artifact | Resource::Tag | Resource::Label => matches!(action, Read | List),
        _ => false,
    }
}

/// Decides about something in a project. `role` is the caller's strongest role there, its own or
/// through a team.
pub fn decide_in_project(
    actor: &Actor,
    role: Option<Role>,
    visibility: Visibility,
    permission: Permission,
) -> Decision {
    debug_assert!(permission.0.is_in_project());
    if actor.is_admin() {
        return Decision::Allow;
    }
    let reads = matches!(permission.1, Action::Read | Action::List | Action::Logs | Action::Pull);
    if actor.platform_role == PlatformRole::Auditor && reads {
        return Decision::Allow;
    }
    let allowed = role.is_some_and(|role| role_allows(role, permission))
        || (visibility == Visibility::Public && public_allows(permission));
    if allowed {
        return Decision::Allow;
    }
    let sees_project = role.is_some()
        || actor.platform_role == PlatformRole::Auditor
        || visibility == Visibility::Public;
    if sees_project && !actor.is_anonymous() { Decision::Deny } else { Decision::Hide }
}

/// Decides about something of the platform.
pub fn decide_platform(actor: &Actor, Permission(resource, action): Permission) -> Decision {
    use Action::{Create, Delete, List, Read, Update};
    if actor.is_admin() {
        return Decision::Allow;
    }
    if actor.is_anonymous() {
        return Decision::Hide;
    }
    let auditor = actor.platform_role == PlatformRole::Auditor;
    let reads = matches!(action, Read | List);
    let allowed = match resource {
        Resource::Own => {
            actor.kind == ActorKind::User
                && matches!(action, Create | Read | List | Update | Delete)
        }
        // Names of teams and people are needed to invite and to show owners.
        Resource::Team | Resource::User => reads,
        Resource::Node | Resource::AuditLog | Resource::System | Resource::Collection => {
            auditor && reads
        }
        // Anybody who is logged in may list the projects visible to them.
        Resource::Project => action == List,
        _ => false,
    };
    if allowed { Decision::Allow } else { Decision::Deny }
}

/// Turns a platform decision into a result.
pub fn require_platform(actor: &Actor, permission: Permission) -> Result<()> {
    match decide_platform(actor, permission) {
        Decision::Allow => Ok(()),
        Decision::Hide => Err(Error::unauthenticated("log in first")),
        Decision::Deny => Err(Error::denied(format!("this needs the permission {permission}"))),
    }
}

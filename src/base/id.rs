//! Typed identifiers: one UUIDv7 newtype per kind of row, so that ids cannot be mixed up.

use uuid::Uuid;

use super::Timestamp;

/// Makes a UUIDv7 whose time part is `at`; ids of one kind sort by creation.
fn uuid_at(at: Timestamp) -> Uuid {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    let time = uuid::Timestamp::from_unix(
        uuid::NoContext,
        millis / 1000,
        u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000,
    );
    Uuid::new_v7(time)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord,
                 serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id created at `at`.
            pub fn new(at: Timestamp) -> Self {
                Self(uuid_at(at))
            }
            /// The plain UUID.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self { Self(id) }
        }
        impl From<$name> for Uuid {
            fn from(id: $name) -> Self { id.0 }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, uuid::Error> { s.parse().map(Self) }
        }
    )*};
}

ids! {
    /// A user.
    UserId,
    /// A browser session.
    SessionId,
    /// A personal access token.
    TokenId,
    /// A team.
    TeamId,
    /// A project.
    ProjectId,
    /// A catalog application.
    ApplicationId,
    /// An environment.
    EnvironmentId,
    /// A repository.
    RepositoryId,
    /// A manifest row (one repository's link to one manifest).
    ManifestId,
    /// An upload session.
    UploadId,
    /// A deployment.
    DeploymentId,
    /// A revision of a deployment.
    RevisionId,
    /// A replica.
    ReplicaId,
    /// A service.
    ServiceId,
    /// A node.
    NodeId,
    /// A plan of retention.
    PlanId,
    /// A run of the store's upkeep, or of retention.
    RunId,
    /// A row of the event log.
    EventId,
    /// A rule that locks tags.
    TagRuleId,
    /// A label of a project.
    LabelId,
    /// A job of the queue.
    JobId,
    /// A stored registry to import from.
    SourceId,
}

//! Words and values every layer shares. No I/O: nothing here reads the clock, the network, the
//! disk or the environment.

pub mod actor;
pub mod clock;
pub mod digest;
pub mod error;
pub mod id;
pub mod image;
pub mod name;
pub mod page;
pub mod quantity;
pub mod secret;
pub mod vault;

pub use actor::{Actor, ActorKind, Channel};
pub use clock::{Clock, MockClock, SharedClock, SystemClock};
pub use digest::{Algorithm, Digest};
pub use error::{Error, ErrorKind, FieldError, Result};
pub use image::{ImageRef, Reference};
pub use name::{
    ApplicationName, DeploymentName, EnvironmentName, ProjectName, RepositoryName, ServiceName,
    SourceName, TagName, TeamName, UserName,
};
pub use page::{Cursor, Page, PageRequest};
pub use quantity::{Cpu, Memory};
pub use secret::Secret;
pub use vault::Vault;

/// A point in time, always UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

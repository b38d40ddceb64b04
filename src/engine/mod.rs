//! The deployment engine: desired state in, running replicas out.
//!
//! `plan` decides purely from desired state, an observed snapshot and the time; the reconciler
//! applies what it says. See the modules for the words each one defines.

pub mod balance;
pub mod probe;
pub mod runtime;
pub mod spec;
pub mod view;

use crate::accounts::SharedClockDebug;
use crate::base::{
    Actor, DeploymentName, EnvironmentName, Error, Page, PageRequest, Result, ServiceName,
    Timestamp,
};
use crate::catalog::Catalog;
use crate::db::Db;
use crate::registry::Registry;
use spec::{DeploymentSpec, ServiceSpec};
use view::{DeploymentView, NodeView, ReplicaView, RevisionView, ServiceView};

fn not_built<T>() -> Result<T> {
    Err(Error::unavailable("not built yet"))
}

/// Conditions of a write.
#[derive(Debug, Clone, Copy, Default)]
pub struct Precondition {
    /// Only if the object is at this generation (`If-Match`).
    pub generation: Option<i64>,
}

/// Result of a declarative write.
#[derive(Debug, Clone)]
pub struct Applied<T> {
    pub view: T,
    /// It did not exist before.
    pub created: bool,
    /// Anything changed.
    pub changed: bool,
}

/// Which log lines.
#[derive(Debug, Clone, Default)]
pub struct LogRequest {
    /// The container before the present one.
    pub previous: bool,
    /// Keep following.
    pub follow: bool,
    /// Last n lines; default 200, at most 5000.
    pub tail: Option<u32>,
    pub since: Option<Timestamp>,
}

/// One log line.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct LogLine {
    pub at: chrono::DateTime<chrono::Utc>,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Without line end; control characters other than tab are replaced, so that no terminal or
    /// page can be steered by it.
    pub text: String,
}

/// Log lines as they come.
pub type LogStream = std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<LogLine>> + Send>>;

/// The handle on the engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) db: Db,
    pub(crate) clock: SharedClockDebug,
    pub(crate) catalog: Catalog,
    pub(crate) registry: Registry,
}

impl Engine {
    /// Declares a deployment. Repeating it with the same spec changes nothing.
    pub async fn apply_deployment(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        spec: DeploymentSpec,
        when: Precondition,
    ) -> Result<Applied<DeploymentView>> {
        let _ = (
            actor,
            environment,
            name,
            spec,
            when,
            &self.db,
            &self.clock,
            &self.catalog,
            &self.registry,
        );
        not_built()
    }
    /// Merges `patch` into the present spec: objects merge, `null` removes, `containers` and
    /// `env` merge by `name`, `ports` by `containerPort`; `{"image": …}` is shorthand for the
    /// only container's image.
    pub async fn patch_deployment(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        patch: serde_json::Value,
        when: Precondition,
    ) -> Result<Applied<DeploymentView>> {
        let _ = (actor, environment, name, patch, when);
        not_built()
    }
    pub async fn deployment(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
    ) -> Result<DeploymentView> {
        let _ = (actor, environment, name);
        not_built()
    }
    pub async fn list_deployments(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        page: &PageRequest,
    ) -> Result<Page<DeploymentView>> {
        let _ = (actor, environment, page);
        not_built()
    }
    /// Deployments of every project the caller may see, worst phase first; for the overview.
    pub async fn list_all_deployments(
        &self,
        actor: &Actor,
        limit: u32,
    ) -> Result<Vec<DeploymentView>> {
        let _ = (actor, limit);
        not_built()
    }
    /// Removes the replicas, then the deployment. A service that uses it is a conflict.
    pub async fn delete_deployment(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
    ) -> Result<()> {
        let _ = (actor, environment, name);
        not_built()
    }
    /// Makes a new revision that copies revision `to`.
    pub async fn rollback(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        to: i64,
        reason: &str,
    ) -> Result<DeploymentView> {
        let _ = (actor, environment, name, to, reason);
        not_built()
    }
    /// Rolls all replicas with the same template; with `resolve`, tags are resolved anew.
    pub async fn restart(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        resolve: bool,
    ) -> Result<DeploymentView> {
        let _ = (actor, environment, name, resolve);
        not_built()
    }
    pub async fn revisions(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
    ) -> Result<Vec<RevisionView>> {
        let _ = (actor, environment, name);
        not_built()
    }
    pub async fn replicas(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
    ) -> Result<Vec<ReplicaView>> {
        let _ = (actor, environment, name);
        not_built()
    }
    pub async fn logs(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        replica: &str,
        request: &LogRequest,
    ) -> Result<LogStream> {
        let _ = (actor, environment, name, replica, request);
        not_built()
    }
    pub async fn apply_service(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &ServiceName,
        spec: ServiceSpec,
    ) -> Result<Applied<ServiceView>> {
        let _ = (actor, environment, name, spec);
        not_built()
    }
    pub async fn service(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &ServiceName,
    ) -> Result<ServiceView> {
        let _ = (actor, environment, name);
        not_built()
    }
    pub async fn list_services(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
    ) -> Result<Vec<ServiceView>> {
        let _ = (actor, environment);
        not_built()
    }
    pub async fn delete_service(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &ServiceName,
    ) -> Result<()> {
        let _ = (actor, environment, name);
        not_built()
    }
    pub async fn nodes(&self, actor: &Actor) -> Result<Vec<NodeView>> {
        let _ = actor;
        not_built()
    }
    /// Deployments that run an image of `repository`, as `environment/name` with the digest, as
    /// far as the caller may see them.
    pub async fn running_images(
        &self,
        actor: &Actor,
        repository: &crate::base::RepositoryName,
    ) -> Result<Vec<(String, crate::base::Digest)>> {
        let _ = (actor, repository);
        not_built()
    }
}

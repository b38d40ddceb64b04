//! SQL of deployments.

use serde_json::Value;
use sqlx::PgConnection;

use super::{DeploymentRow, Settings, json};
use crate::base::id::{ApplicationId, DeploymentId, EnvironmentId, ProjectId};
use crate::base::{DeploymentName, Error, Result, Timestamp};
use crate::db::OnConstraint;

/// Which deployments; empty fields match everything.
#[derive(Debug, Default, Clone)]
pub(in crate::engine) struct Which<'a> {
    pub(in crate::engine) id: Option<DeploymentId>,
    pub(in crate::engine) environment: Option<EnvironmentId>,
    pub(in crate::engine) name: Option<&'a str>,
    pub(in crate::engine) projects: Option<&'a [ProjectId]>,
    /// Names after this one.
    pub(in crate::engine) after: Option<&'a str>,
}

/// Deployments by name.
pub(in crate::engine) async fn list(
    conn: &mut PgConnection,
    which: &Which<'_>,
    limit: i64,
) -> Result<Vec<DeploymentRow>> {
    let projects: Option<Vec<uuid::Uuid>> =
        which.projects.map(|ids| ids.iter().map(|id| id.uuid()).collect());
    Ok(sqlx::query_as!(
        DeploymentRow,
        r#"select d.id as "id: _", d.environment_id as "environment_id: _",
                  e.name as environment, e.project_id as "project_id: _", p.name as project,
                  d.application_id as "application_id: _", a.name as "application?",
                  d.name, d.replicas, d.settings, d.current_revision, d.stable_revision,
                  d.generation, d.observed_generation, d.status, d.created_at, d.updated_at,
                  d.deleting_at
           from deployments d
           join environments e on e.id = d.environment_id
           join projects p on p.id = e.project_id
           left join applications a on a.id = d.application_id
           where ($1::uuid is null or d.id = $1)
             and ($2::uuid is null or d.environment_id = $2)
             and ($3::text is null or d.name = $3)
             and ($4::uuid[] is null or e.project_id = any($4))
             and ($5::text is null or d.name > $5)
           order by d.name, e.name
           limit $6"#,
        which.id.map(|id| id.uuid()),
        which.environment.map(|id| id.uuid()),
        which.name,
        projects.as_deref(),
        which.after,
        limit,
    )
    .fetch_all(conn)
    .await?)
}

pub(in crate::engine) async fn find(
    conn: &mut PgConnection,
    which: &Which<'_>,
) -> Result<Option<DeploymentRow>> {
    Ok(list(conn, which, 1).await?.pop())
}

/// Locks a deployment until the transaction ends; its generation, unless it is gone.
pub(in crate::engine) async fn lock(
    conn: &mut PgConnection,
    id: DeploymentId,
) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar!(
        "select generation from deployments where id = $1 for no key update",
        id.uuid()
    )
    .fetch_optional(conn)
    .await?)
}

/// What a new deployment row holds.
pub(in crate::engine) struct NewDeployment<'a> {
    pub(in crate::engine) id: DeploymentId,
    pub(in crate::engine) environment: EnvironmentId,
    pub(in crate::engine) application: Option<ApplicationId>,
    pub(in crate::engine) name: &'a DeploymentName,
    pub(in crate::engine) replicas: u32,
    pub(in crate::engine) settings: &'a Settings,
}

pub(in crate::engine) async fn insert(
    conn: &mut PgConnection,
    new: &NewDeployment<'_>,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "insert into deployments
            (id, environment_id, application_id, name, replicas, settings, current_revision,
             generation, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, 1, 1, $7, $7)",
        new.id.uuid(),
        new.environment.uuid(),
        new.application.map(|id| id.uuid()),
        new.name.as_str(),
        i32::try_from(new.replicas).unwrap_or(i32::MAX),
        json(new.settings)?,
        now,
    )
    .execute(conn)
    .await
    .on_constraint("deployments_environment_id_name_key", || {
        Error::conflict(
            "deployment_exists",
            format!("deployment \"{}\" was created by somebody else just now", new.name),
        )
    })?;
    Ok(())
}

/// Changes desired state and raises the generation.
pub(in crate::engine) async fn update(
    conn: &mut PgConnection,
    id: DeploymentId,
    application: Option<ApplicationId>,
    replicas: u32,
    settings: &Settings,
    revision: i64,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "update deployments
         set application_id = $2, replicas = $3, settings = $4, current_revision = $5,
             generation = generation + 1, updated_at = $6
         where id = $1",
        id.uuid(),
        application.map(|id| id.uuid()),
        i32::try_from(replicas).unwrap_or(i32::MAX),
        json(settings)?,
        revision,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks it for deletion.
pub(in crate::engine) async fn mark_deleting(
    conn: &mut PgConnection,
    id: DeploymentId,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "update deployments set deleting_at = $2, generation = generation + 1, updated_at = $2
         where id = $1 and deleting_at is null",
        id.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What the engine writes back.
pub(in crate::engine) struct Observation<'a> {
    pub(in crate::engine) generation: i64,
    pub(in crate::engine) status: &'a Value,
    pub(in crate::engine) current_revision: i64,
    pub(in crate::engine) stable_revision: Option<i64>,
    /// The current revision was set back, which is a change of desired state.
    pub(in crate::engine) restored: bool,
}

/// Writes the status back, if the desired state is still the one it is about.
pub(in crate::engine) async fn observe(
    conn: &mut PgConnection,
    id: DeploymentId,
    seen: &Observation<'_>,
) -> Result<bool> {
    let done = sqlx::query!(
        "update deployments
         set observed_generation = $2, status = $3, current_revision = $4, stable_revision = $5,
             generation = generation + $6::int
         where id = $1 and generation = $2",
        id.uuid(),
        seen.generation,
        seen.status,
        seen.current_revision,
        seen.stable_revision,
        i32::from(seen.restored),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Says in the status why it cannot be reconciled.
pub(in crate::engine) async fn set_status(
    conn: &mut PgConnection,
    id: DeploymentId,
    status: &Value,
) -> Result<()> {
    sqlx::query!("update deployments set status = $2 where id = $1", id.uuid(), status)
        .execute(conn)
        .await?;
    Ok(())
}

pub(in crate::engine) async fn delete(conn: &mut PgConnection, id: DeploymentId) -> Result<()> {
    sqlx::query!("delete from deployments where id = $1", id.uuid()).execute(conn).await?;
    Ok(())
}

/// All ids, and those whose desired state the engine has not seen yet.
pub(in crate::engine) async fn ids(
    conn: &mut PgConnection,
    unseen_only: bool,
) -> Result<Vec<DeploymentId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: DeploymentId" from deployments
           where not $1 or generation <> observed_generation
           order by id"#,
        unseen_only,
    )
    .fetch_all(conn)
    .await?)
}

/// Names of services that lead to the deployment.
pub(in crate::engine) async fn services_of(
    conn: &mut PgConnection,
    id: DeploymentId,
) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar!(
        "select name from services where deployment_id = $1 order by name limit 10",
        id.uuid()
    )
    .fetch_all(conn)
    .await?)
}

/// Whether any deployment is left in an environment.
pub(in crate::engine) async fn any_in(
    conn: &mut PgConnection,
    environment: EnvironmentId,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select 1 from deployments where environment_id = $1) as "any!""#,
        environment.uuid()
    )
    .fetch_one(conn)
    .await?)
}

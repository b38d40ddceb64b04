//! SQL of applications and the catalog search.

use sqlx::PgConnection;
use sqlx::types::Json;

use crate::base::id::{ApplicationId, ProjectId, TeamId};
use crate::base::{
    ApplicationName, EnvironmentName, Error, ProjectName, Result, TeamName, Timestamp,
};
use crate::catalog::{Application, Lifecycle, Link};
use crate::db::OnConstraint;

struct Row {
    id: ApplicationId,
    project_id: ProjectId,
    project: ProjectName,
    name: ApplicationName,
    team: Option<TeamName>,
    description: String,
    lifecycle: Lifecycle,
    repository: Option<String>,
    links: Json<Vec<Link>>,
    environments: Vec<EnvironmentName>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Row> for Application {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            project_id: row.project_id,
            project: row.project,
            name: row.name,
            team: row.team,
            description: row.description,
            lifecycle: row.lifecycle,
            repository: row.repository,
            links: row.links.0,
            environments: row.environments,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

pub(in crate::catalog) async fn by_name(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &ApplicationName,
) -> Result<Option<Application>> {
    let row = sqlx::query_as!(
        Row,
        r#"select a.id as "id: _", a.project_id as "project_id: _", p.name as "project: _",
                  a.name as "name: _", t.name as "team?: _", a.description,
                  a.lifecycle as "lifecycle: _", a.repository, a.links as "links: _",
                  array(select distinct e.name from deployments d
                        join environments e on e.id = d.environment_id
                        where d.application_id = a.id
                        order by e.name) as "environments!: Vec<EnvironmentName>",
                  a.created_at, a.updated_at
           from applications a
           join projects p on p.id = a.project_id
           left join teams t on t.id = a.team_id
           where a.project_id = $1 and a.name = $2"#,
        project.uuid(),
        name.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Application::from))
}

pub(in crate::catalog) async fn list(
    conn: &mut PgConnection,
    projects: Option<&[ProjectId]>,
    text: Option<&str>,
    team: Option<&TeamName>,
    lifecycle: Option<Lifecycle>,
    after: Option<(String, String)>,
    limit: u32,
) -> Result<Vec<Application>> {
    let projects: Option<Vec<uuid::Uuid>> =
        projects.map(|ids| ids.iter().map(|id| id.uuid()).collect());
    let (after_name, after_project) = after.unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"select a.id as "id: _", a.project_id as "project_id: _", p.name as "project: _",
                  a.name as "name: _", t.name as "team?: _", a.description,
                  a.lifecycle as "lifecycle: _", a.repository, a.links as "links: _",
                  array(select distinct e.name from deployments d
                        join environments e on e.id = d.environment_id
                        where d.application_id = a.id
                        order by e.name) as "environments!: Vec<EnvironmentName>",
                  a.created_at, a.updated_at
           from applications a
           join projects p on p.id = a.project_id
           left join teams t on t.id = a.team_id
           where ($1::uuid[] is null or a.project_id = any($1))
             and ($2::text is null
                  or position(lower($2) in lower(a.name)) > 0
                  or position(lower($2) in lower(a.description)) > 0
                  or position(lower($2) in lower(p.name)) > 0
                  or position(lower($2) in lower(t.name)) > 0)
             and ($3::text is null or t.name = $3)
             and ($4::text is null or a.lifecycle = $4)
             and ($5::text is null or (a.name, p.name) > ($5, $6::text))
           order by a.name, p.name
           limit $7"#,
        projects.as_deref(),
        text,
        team.map(|t| t.as_str()),
        lifecycle.map(Lifecycle::as_str),
        after_name,
        after_project,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Application::from).collect())
}

pub(in crate::catalog) async fn insert(
    conn: &mut PgConnection,
    application: &Application,
    team: Option<TeamId>,
) -> Result<()> {
    sqlx::query!(
        "insert into applications
            (id, project_id, team_id, name, description, lifecycle, repository, links,
             created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        application.id.uuid(),
        application.project_id.uuid(),
        team.map(TeamId::uuid),
        application.name.as_str(),
        application.description,
        application.lifecycle.as_str(),
        application.repository,
        Json(&application.links) as _,
        application.created_at,
    )
    .execute(conn)
    .await
    .on_constraint("applications_project_id_name_key", || {
        Error::conflict(
            "application_exists",
            format!(
                "the project \"{}\" already has an application \"{}\"",
                application.project, application.name
            ),
        )
    })?;
    Ok(())
}

/// Keeps an application from changing until the transaction ends.
pub(in crate::catalog) async fn lock(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &ApplicationName,
) -> Result<Option<ApplicationId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: ApplicationId" from applications
           where project_id = $1 and name = $2 for no key update"#,
        project.uuid(),
        name.as_str(),
    )
    .fetch_optional(conn)
    .await?)
}

pub(in crate::catalog) async fn update(
    conn: &mut PgConnection,
    application: &Application,
    team: Option<TeamId>,
) -> Result<()> {
    sqlx::query!(
        "update applications
         set team_id = $2, description = $3, lifecycle = $4, repository = $5, links = $6,
             updated_at = $7
         where id = $1",
        application.id.uuid(),
        team.map(TeamId::uuid),
        application.description,
        application.lifecycle.as_str(),
        application.repository,
        Json(&application.links) as _,
        application.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::catalog) async fn delete(
    conn: &mut PgConnection,
    id: ApplicationId,
    in_use: impl FnOnce() -> Error,
) -> Result<()> {
    sqlx::query!("delete from applications where id = $1", id.uuid())
        .execute(conn)
        .await
        .on_constraint("deployments_application_id_fkey", in_use)?;
    Ok(())
}

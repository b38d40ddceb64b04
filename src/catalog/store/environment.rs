//! SQL of environments.

use sqlx::PgConnection;

use crate::accounts::rbac::{Role, Visibility};
use crate::base::id::{EnvironmentId, ProjectId, UserId};
use crate::base::{EnvironmentName, Error, ProjectName, Result, Timestamp};
use crate::catalog::{Environment, Project};
use crate::db::OnConstraint;

pub(in crate::catalog) async fn by_name(
    conn: &mut PgConnection,
    name: &EnvironmentName,
    user: Option<UserId>,
) -> Result<Option<Environment>> {
    let row = sqlx::query!(
        r#"select e.id as "id: EnvironmentId", e.name as "name: EnvironmentName", e.created_at,
                  p.id as "project_id: ProjectId", p.name as "project_name: ProjectName",
                  p.description, p.visibility as "visibility: Visibility",
                  p.created_at as project_created_at, p.updated_at,
                  array(select m.role from project_members m
                        where m.project_id = p.id and m.user_id = $2
                        union all
                        select m.role from team_members t
                        join project_members m on m.team_id = t.team_id
                        where t.user_id = $2 and m.project_id = p.id) as "roles!: Vec<Role>"
           from environments e join projects p on p.id = e.project_id
           where e.name = $1"#,
        name.as_str(),
        user.map(UserId::uuid),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Environment {
        id: row.id,
        name: row.name,
        project: Project {
            id: row.project_id,
            name: row.project_name,
            description: row.description,
            visibility: row.visibility,
            created_at: row.project_created_at,
            updated_at: row.updated_at,
            role: row.roles.into_iter().max(),
        },
        created_at: row.created_at,
    }))
}

pub(in crate::catalog) async fn of_project(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<Vec<(EnvironmentId, EnvironmentName, Timestamp)>> {
    let rows = sqlx::query!(
        r#"select id as "id: EnvironmentId", name as "name: EnvironmentName", created_at
           from environments where project_id = $1 order by name"#,
        project.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.id, r.name, r.created_at)).collect())
}

pub(in crate::catalog) async fn insert(
    conn: &mut PgConnection,
    id: EnvironmentId,
    project: ProjectId,
    name: &EnvironmentName,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "insert into environments (id, project_id, name, created_at) values ($1, $2, $3, $4)",
        id.uuid(),
        project.uuid(),
        name.as_str(),
        now,
    )
    .execute(conn)
    .await
    .on_constraint("environments_name_key", || {
        Error::conflict(
            "environment_exists",
            format!("there is already an environment \"{name}\"; names of environments are unique in the installation"),
        )
    })?;
    Ok(())
}

/// Counts of deployments and services.
pub(in crate::catalog) async fn contents(
    conn: &mut PgConnection,
    id: EnvironmentId,
) -> Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"select (select count(*) from deployments where environment_id = $1) as "deployments!",
                  (select count(*) from services where environment_id = $1) as "services!""#,
        id.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok((row.deployments, row.services))
}

/// Deletes an empty environment; the foreign keys keep what arrived after [`contents`].
pub(in crate::catalog) async fn delete(
    conn: &mut PgConnection,
    id: EnvironmentId,
    name: &EnvironmentName,
) -> Result<()> {
    sqlx::query!("delete from environments where id = $1", id.uuid())
        .execute(conn)
        .await
        .on_constraints(|constraint| {
            constraint.ends_with("environment_id_fkey").then(|| {
                Error::conflict(
                    "environment_not_empty",
                    format!("something was just added to the environment \"{name}\"; try again"),
                )
            })
        })?;
    Ok(())
}

//! SQL of projects.
//!
//! A caller's roles are read together with the project: its own membership and those of its
//! teams, each by an index on (project, user) or (project, team).

use sqlx::PgConnection;

use crate::accounts::rbac::{Role, Visibility};
use crate::base::id::{ProjectId, UserId};
use crate::base::{EnvironmentName, Error, ProjectName, Result, Timestamp};
use crate::catalog::{Outline, Project};
use crate::db::OnConstraint;

struct Row {
    id: ProjectId,
    name: ProjectName,
    description: String,
    visibility: Visibility,
    created_at: Timestamp,
    updated_at: Timestamp,
    roles: Vec<Role>,
}

impl From<Row> for Project {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            visibility: row.visibility,
            created_at: row.created_at,
            updated_at: row.updated_at,
            role: row.roles.into_iter().max(),
        }
    }
}

pub(in crate::catalog) async fn by_name(
    conn: &mut PgConnection,
    name: &ProjectName,
    user: Option<UserId>,
) -> Result<Option<Project>> {
    let row = sqlx::query_as!(
        Row,
        r#"select p.id as "id: _", p.name as "name: _", p.description,
                  p.visibility as "visibility: _", p.created_at, p.updated_at,
                  array(select m.role from project_members m
                        where m.project_id = p.id and m.user_id = $2
                        union all
                        select m.role from team_members t
                        join project_members m on m.team_id = t.team_id
                        where t.user_id = $2 and m.project_id = p.id) as "roles!: Vec<Role>"
           from projects p where p.name = $1"#,
        name.as_str(),
        user.map(UserId::uuid),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Project::from))
}

pub(in crate::catalog) async fn by_id(
    conn: &mut PgConnection,
    id: ProjectId,
    user: Option<UserId>,
) -> Result<Option<Project>> {
    let row = sqlx::query_as!(
        Row,
        r#"select p.id as "id: _", p.name as "name: _", p.description,
                  p.visibility as "visibility: _", p.created_at, p.updated_at,
                  array(select m.role from project_members m
                        where m.project_id = p.id and m.user_id = $2
                        union all
                        select m.role from team_members t
                        join project_members m on m.team_id = t.team_id
                        where t.user_id = $2 and m.project_id = p.id) as "roles!: Vec<Role>"
           from projects p where p.id = $1"#,
        id.uuid(),
        user.map(UserId::uuid),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Project::from))
}

/// Public projects and those in which the user has a role.
pub(in crate::catalog) async fn seen_by(
    conn: &mut PgConnection,
    user: Option<UserId>,
) -> Result<Vec<(ProjectId, Visibility, Option<Role>)>> {
    let rows = sqlx::query!(
        r#"with own as (
               select m.project_id, m.role from project_members m where m.user_id = $1
               union all
               select m.project_id, m.role from team_members t
               join project_members m on m.team_id = t.team_id
               where t.user_id = $1)
           select p.id as "id: ProjectId", p.visibility as "visibility: Visibility",
                  array(select own.role from own where own.project_id = p.id) as "roles!: Vec<Role>"
           from projects p
           where p.visibility = 'public' or p.id in (select own.project_id from own)"#,
        user.map(UserId::uuid),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.id, r.visibility, r.roles.into_iter().max())).collect())
}

pub(in crate::catalog) async fn list(
    conn: &mut PgConnection,
    user: Option<UserId>,
    sees_all: bool,
    query: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Project>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select p.id as "id: _", p.name as "name: _", p.description,
                  p.visibility as "visibility: _", p.created_at, p.updated_at,
                  own.roles as "roles!: Vec<Role>"
           from projects p
           cross join lateral (
               select array(select m.role from project_members m
                            where m.project_id = p.id and m.user_id = $1
                            union all
                            select m.role from team_members t
                            join project_members m on m.team_id = t.team_id
                            where t.user_id = $1 and m.project_id = p.id) as roles) own
           where ($2 or p.visibility = 'public' or cardinality(own.roles) > 0)
             and ($3::text is null or position(lower($3) in lower(p.name)) > 0
                  or position(lower($3) in lower(p.description)) > 0)
             and ($4::text is null or p.name > $4)
           order by p.name
           limit $5"#,
        user.map(UserId::uuid),
        sees_all,
        query,
        after,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Project::from).collect())
}

pub(in crate::catalog) async fn insert(conn: &mut PgConnection, project: &Project) -> Result<()> {
    sqlx::query!(
        "insert into projects (id, name, description, visibility, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $5)",
        project.id.uuid(),
        project.name.as_str(),
        project.description,
        project.visibility.as_str(),
        project.created_at,
    )
    .execute(conn)
    .await
    .on_constraint("projects_name_key", || {
        let message = format!("there is already a project \"{}\"", project.name);
        Error::conflict("project_exists", message)
    })?;
    Ok(())
}

/// Locks the row against other changes of the project and its members; pushes go on.
pub(in crate::catalog) async fn lock(
    conn: &mut PgConnection,
    id: ProjectId,
) -> Result<Option<(String, Visibility)>> {
    let row = sqlx::query!(
        r#"select description, visibility as "visibility: Visibility"
           from projects where id = $1 for no key update"#,
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| (r.description, r.visibility)))
}

pub(in crate::catalog) async fn update(conn: &mut PgConnection, project: &Project) -> Result<()> {
    sqlx::query!(
        "update projects set description = $2, visibility = $3, updated_at = $4 where id = $1",
        project.id.uuid(),
        project.description,
        project.visibility.as_str(),
        project.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What keeps a project from being deleted.
pub(in crate::catalog) struct Contents {
    pub(in crate::catalog) repositories: i64,
    pub(in crate::catalog) applications: i64,
    pub(in crate::catalog) deployments: i64,
    pub(in crate::catalog) services: i64,
}

pub(in crate::catalog) async fn contents(
    conn: &mut PgConnection,
    id: ProjectId,
) -> Result<Contents> {
    Ok(sqlx::query_as!(
        Contents,
        r#"select (select count(*) from repositories r where r.project_id = $1) as "repositories!",
                  (select count(*) from applications a where a.project_id = $1) as "applications!",
                  (select count(*) from environments e join deployments d on d.environment_id = e.id
                   where e.project_id = $1) as "deployments!",
                  (select count(*) from environments e join services s on s.environment_id = e.id
                   where e.project_id = $1) as "services!""#,
        id.uuid(),
    )
    .fetch_one(conn)
    .await?)
}

/// Deletes the project with its environments. What arrived after [`contents`] was read is kept
/// by the foreign keys.
pub(in crate::catalog) async fn delete(conn: &mut PgConnection, project: &Project) -> Result<()> {
    let in_use = || {
        let message =
            format!("something was just added to the project \"{}\"; try again", project.name);
        Error::conflict("project_not_empty", message)
    };
    sqlx::query!("delete from environments where project_id = $1", project.id.uuid())
        .execute(&mut *conn)
        .await
        .on_constraints(|name| name.ends_with("environment_id_fkey").then(in_use))?;
    sqlx::query!("delete from projects where id = $1", project.id.uuid())
        .execute(conn)
        .await
        .on_constraints(|name| name.ends_with("project_id_fkey").then(in_use))?;
    Ok(())
}

pub(in crate::catalog) async fn outline(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<Outline> {
    sqlx::query_as!(
        Outline,
        r#"select array(select name from environments where project_id = $1 order by name)
                      as "environments!: Vec<EnvironmentName>",
                  (select count(*) from project_members where project_id = $1) as "members!""#,
        project.uuid(),
    )
    .fetch_one(conn)
    .await
    .map_err(Error::from)
}

//! SQL of teams.

use sqlx::PgConnection;

use crate::base::id::{TeamId, UserId};
use crate::base::{Error, Result, TeamName, Timestamp, UserName};
use crate::catalog::Team;
use crate::db::OnConstraint;

pub(in crate::catalog) async fn insert(conn: &mut PgConnection, team: &Team) -> Result<()> {
    sqlx::query!(
        "insert into teams (id, name, description, created_at, updated_at)
         values ($1, $2, $3, $4, $4)",
        team.id.uuid(),
        team.name.as_str(),
        team.description,
        team.created_at,
    )
    .execute(conn)
    .await
    .on_constraint("teams_name_key", || {
        Error::conflict("team_exists", format!("there is already a team \"{}\"", team.name))
    })?;
    Ok(())
}

pub(in crate::catalog) async fn find_id(
    conn: &mut PgConnection,
    name: &TeamName,
) -> Result<Option<TeamId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: TeamId" from teams where name = $1"#,
        name.as_str()
    )
    .fetch_optional(conn)
    .await?)
}

/// Finds a team and keeps it from changing until the transaction ends.
pub(in crate::catalog) async fn lock(
    conn: &mut PgConnection,
    name: &TeamName,
) -> Result<Option<TeamId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: TeamId" from teams where name = $1 for no key update"#,
        name.as_str()
    )
    .fetch_optional(conn)
    .await?)
}

pub(in crate::catalog) async fn by_name(
    conn: &mut PgConnection,
    name: &TeamName,
) -> Result<Option<Team>> {
    Ok(sqlx::query_as!(
        Team,
        r#"select t.id as "id: _", t.name as "name: _", t.description, t.created_at,
                  array(select u.name from team_members m join users u on u.id = m.user_id
                        where m.team_id = t.id order by u.name) as "members!: Vec<UserName>"
           from teams t where t.name = $1"#,
        name.as_str(),
    )
    .fetch_optional(conn)
    .await?)
}

pub(in crate::catalog) async fn list(
    conn: &mut PgConnection,
    query: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Team>> {
    Ok(sqlx::query_as!(
        Team,
        r#"select t.id as "id: _", t.name as "name: _", t.description, t.created_at,
                  array(select u.name from team_members m join users u on u.id = m.user_id
                        where m.team_id = t.id order by u.name) as "members!: Vec<UserName>"
           from teams t
           where ($1::text is null or position(lower($1) in lower(t.name)) > 0
                  or position(lower($1) in lower(t.description)) > 0)
             and ($2::text is null or t.name > $2)
           order by t.name
           limit $3"#,
        query,
        after,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await?)
}

/// Names of the team's members, projects and applications (`project/name`).
pub(in crate::catalog) async fn holdings(
    conn: &mut PgConnection,
    id: TeamId,
) -> Result<(Vec<String>, Vec<String>, Vec<String>)> {
    let row = sqlx::query!(
        r#"select array(select u.name from team_members m join users u on u.id = m.user_id
                        where m.team_id = $1 order by 1) as "members!: Vec<String>",
                  array(select p.name from project_members m join projects p on p.id = m.project_id
                        where m.team_id = $1 order by 1) as "projects!: Vec<String>",
                  array(select p.name || '/' || a.name
                        from applications a join projects p on p.id = a.project_id
                        where a.team_id = $1 order by 1) as "applications!: Vec<String>""#,
        id.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok((row.members, row.projects, row.applications))
}

pub(in crate::catalog) async fn delete(conn: &mut PgConnection, id: TeamId) -> Result<()> {
    sqlx::query!("delete from teams where id = $1", id.uuid()).execute(conn).await?;
    Ok(())
}

/// Whether the user was not in the team before.
pub(in crate::catalog) async fn add_member(
    conn: &mut PgConnection,
    team: TeamId,
    user: UserId,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query!(
        "insert into team_members (team_id, user_id, created_at) values ($1, $2, $3)
         on conflict (team_id, user_id) do nothing",
        team.uuid(),
        user.uuid(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether the user was in the team.
pub(in crate::catalog) async fn remove_member(
    conn: &mut PgConnection,
    team: TeamId,
    user: &UserName,
) -> Result<bool> {
    let done = sqlx::query!(
        "delete from team_members m using users u
         where m.team_id = $1 and u.id = m.user_id and u.name = $2",
        team.uuid(),
        user.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

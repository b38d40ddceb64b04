//! SQL of project members.

use sqlx::PgConnection;

use crate::accounts::rbac::Role;
use crate::base::id::{ProjectId, TeamId, UserId};
use crate::base::{Result, TeamName, Timestamp, UserName};
use crate::catalog::{Member, MemberName};

/// A member by id.
#[derive(Debug, Clone, Copy)]
pub(in crate::catalog) enum MemberId {
    User(UserId),
    Team(TeamId),
}

impl MemberId {
    /// (user, team), one of them set.
    fn columns(self) -> (Option<uuid::Uuid>, Option<uuid::Uuid>) {
        match self {
            Self::User(id) => (Some(id.uuid()), None),
            Self::Team(id) => (None, Some(id.uuid())),
        }
    }
}

pub(in crate::catalog) async fn find_user(
    conn: &mut PgConnection,
    name: &UserName,
) -> Result<Option<UserId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: UserId" from users where name = $1"#,
        name.as_str()
    )
    .fetch_optional(conn)
    .await?)
}

pub(in crate::catalog) async fn find_id(
    conn: &mut PgConnection,
    name: &MemberName,
) -> Result<Option<MemberId>> {
    Ok(match name {
        MemberName::User(name) => find_user(conn, name).await?.map(MemberId::User),
        MemberName::Team(name) => super::team::find_id(conn, name).await?.map(MemberId::Team),
    })
}

pub(in crate::catalog) async fn list(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<Vec<Member>> {
    let rows = sqlx::query!(
        r#"select u.name as "user_name?: UserName", t.name as "team_name?: TeamName",
                  m.role as "role!: Role", m.created_at as "created_at!"
           from project_members m
           left join users u on u.id = m.user_id
           left join teams t on t.id = m.team_id
           where m.project_id = $1"#,
        project.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let user = row.user_name.map(MemberName::User);
            let name = user.or(row.team_name.map(MemberName::Team))?;
            Some(Member { name, role: row.role, created_at: row.created_at })
        })
        .collect())
}

pub(in crate::catalog) async fn role(
    conn: &mut PgConnection,
    project: ProjectId,
    member: MemberId,
) -> Result<Option<Role>> {
    let (user, team) = member.columns();
    Ok(sqlx::query_scalar!(
        r#"select role as "role: Role" from project_members
           where project_id = $1 and (user_id = $2 or team_id = $3)"#,
        project.uuid(),
        user,
        team,
    )
    .fetch_optional(conn)
    .await?)
}

pub(in crate::catalog) async fn insert_user(
    conn: &mut PgConnection,
    project: ProjectId,
    user: UserId,
    role: Role,
    now: Timestamp,
) -> Result<()> {
    upsert(conn, project, MemberId::User(user), role, now).await.map(|_| ())
}

/// Adds or changes a member; returns when it was added.
pub(in crate::catalog) async fn upsert(
    conn: &mut PgConnection,
    project: ProjectId,
    member: MemberId,
    role: Role,
    now: Timestamp,
) -> Result<Timestamp> {
    Ok(match member {
        MemberId::User(user) => {
            sqlx::query_scalar!(
                "insert into project_members (project_id, user_id, role, created_at)
                 values ($1, $2, $3, $4)
                 on conflict (project_id, user_id) where user_id is not null
                 do update set role = excluded.role
                 returning created_at",
                project.uuid(),
                user.uuid(),
                role.as_str(),
                now,
            )
            .fetch_one(conn)
            .await?
        }
        MemberId::Team(team) => {
            sqlx::query_scalar!(
                "insert into project_members (project_id, team_id, role, created_at)
                 values ($1, $2, $3, $4)
                 on conflict (project_id, team_id) where team_id is not null
                 do update set role = excluded.role
                 returning created_at",
                project.uuid(),
                team.uuid(),
                role.as_str(),
                now,
            )
            .fetch_one(conn)
            .await?
        }
    })
}

/// Removes a member; returns the role it had.
pub(in crate::catalog) async fn delete(
    conn: &mut PgConnection,
    project: ProjectId,
    member: MemberId,
) -> Result<Option<Role>> {
    let (user, team) = member.columns();
    Ok(sqlx::query_scalar!(
        r#"delete from project_members
           where project_id = $1 and (user_id = $2 or team_id = $3)
           returning role as "role: Role""#,
        project.uuid(),
        user,
        team,
    )
    .fetch_optional(conn)
    .await?)
}

pub(in crate::catalog) async fn has_admin(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select 1 from project_members
                          where project_id = $1 and role = 'project_admin') as "exists!""#,
        project.uuid(),
    )
    .fetch_one(conn)
    .await?)
}

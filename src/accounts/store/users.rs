//! SQL of users.

use sqlx::PgConnection;

use super::Result;
use crate::accounts::User;
use crate::base::actor::PlatformRole;
use crate::base::id::UserId;
use crate::base::{Timestamp, UserName};

/// A user with what only this module may see.
#[derive(Debug, Clone)]
pub(in crate::accounts) struct UserRow {
    pub id: UserId,
    pub name: UserName,
    pub email: String,
    pub password_hash: Option<String>,
    pub platform_role: PlatformRole,
    pub disabled_at: Option<Timestamp>,
    pub auth_version: i64,
    pub locale: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            email: row.email,
            platform_role: row.platform_role,
            disabled_at: row.disabled_at,
            locale: row.locale,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

pub(in crate::accounts) async fn count_users(conn: &mut PgConnection) -> Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "n!" from users"#).fetch_one(conn).await
}

pub(in crate::accounts) async fn find_user(
    conn: &mut PgConnection,
    name: &str,
) -> Result<Option<UserRow>> {
    sqlx::query_as!(
        UserRow,
        r#"select id as "id: _", name as "name: _", email, password_hash,
                  platform_role as "platform_role: _", disabled_at, auth_version, locale,
                  created_at, updated_at
           from users where name = $1"#,
        name,
    )
    .fetch_optional(conn)
    .await
}

pub(in crate::accounts) async fn find_user_by_id(
    conn: &mut PgConnection,
    id: UserId,
) -> Result<Option<UserRow>> {
    sqlx::query_as!(
        UserRow,
        r#"select id as "id: _", name as "name: _", email, password_hash,
                  platform_role as "platform_role: _", disabled_at, auth_version, locale,
                  created_at, updated_at
           from users where id = $1"#,
        id.uuid(),
    )
    .fetch_optional(conn)
    .await
}

pub(in crate::accounts) async fn lock_user(
    conn: &mut PgConnection,
    name: &UserName,
) -> Result<Option<UserRow>> {
    sqlx::query_as!(
        UserRow,
        r#"select id as "id: _", name as "name: _", email, password_hash,
                  platform_role as "platform_role: _", disabled_at, auth_version, locale,
                  created_at, updated_at
           from users where name = $1 for update"#,
        name.as_str(),
    )
    .fetch_optional(conn)
    .await
}

pub(in crate::accounts) async fn list_users(
    conn: &mut PgConnection,
    query: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<UserRow>> {
    sqlx::query_as!(
        UserRow,
        r#"select id as "id: _", name as "name: _", email, password_hash,
                  platform_role as "platform_role: _", disabled_at, auth_version, locale,
                  created_at, updated_at
           from users
           where ($1::text is null or position(lower($1) in name) > 0)
             and ($2::text is null or name > $2)
           order by name
           limit $3"#,
        query,
        after,
        i64::from(limit) + 1,
    )
    .fetch_all(conn)
    .await
}

pub(in crate::accounts) async fn insert_user(
    conn: &mut PgConnection,
    user: &User,
    password_hash: &str,
) -> Result<()> {
    sqlx::query!(
        "insert into users (id, name, email, password_hash, platform_role, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        user.id.uuid(),
        user.name.as_str(),
        user.email,
        password_hash,
        user.platform_role.as_str(),
        user.created_at,
        user.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes a user back; with `cut`, everything it holds to authenticate with is outdated.
pub(in crate::accounts) async fn update_user(
    conn: &mut PgConnection,
    user: &User,
    cut: bool,
) -> Result<()> {
    sqlx::query!(
        "update users
         set email = $2, platform_role = $3, disabled_at = $4, locale = $5, updated_at = $6,
             auth_version = auth_version + $7
         where id = $1",
        user.id.uuid(),
        user.email,
        user.platform_role.as_str(),
        user.disabled_at,
        user.locale,
        user.updated_at,
        i64::from(cut),
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::accounts) async fn set_password(
    conn: &mut PgConnection,
    id: UserId,
    password_hash: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "update users
         set password_hash = $2, updated_at = $3, auth_version = auth_version + 1
         where id = $1",
        id.uuid(),
        password_hash,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::accounts) async fn delete_user(conn: &mut PgConnection, id: UserId) -> Result<()> {
    sqlx::query!("delete from users where id = $1", id.uuid()).execute(conn).await?;
    Ok(())
}

/// The enabled admins, locked against each other's removal.
pub(in crate::accounts) async fn lock_admins(conn: &mut PgConnection) -> Result<Vec<UserId>> {
    sqlx::query_scalar!(
        r#"select id as "id: UserId" from users
           where platform_role = 'admin' and disabled_at is null
           order by id for update"#
    )
    .fetch_all(conn)
    .await
}

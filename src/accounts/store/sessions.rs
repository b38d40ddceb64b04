//! SQL of browser sessions.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use sqlx::PgConnection;

use super::{Result, UserRow};
use crate::base::actor::PlatformRole;
use crate::base::id::{SessionId, UserId};
use crate::base::{Timestamp, UserName};

/// A session to keep.
pub(in crate::accounts) struct NewSessionRow {
    pub id: SessionId,
    pub user_id: UserId,
    pub token_hash: Vec<u8>,
    pub csrf_token: String,
    pub now: Timestamp,
    pub expires_at: Timestamp,
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
}

/// A session as kept.
pub(in crate::accounts) struct SessionRow {
    pub id: SessionId,
    pub csrf_token: String,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub expires_at: Timestamp,
}

pub(in crate::accounts) async fn insert_session(
    conn: &mut PgConnection,
    row: &NewSessionRow,
) -> Result<()> {
    sqlx::query!(
        "insert into sessions
            (id, user_id, token_hash, csrf_token, created_at, seen_at, expires_at, address, user_agent)
         values ($1, $2, $3, $4, $5, $5, $6, $7, $8)",
        row.id.uuid(),
        row.user_id.uuid(),
        row.token_hash,
        row.csrf_token,
        row.now,
        row.expires_at,
        row.address.map(IpNetwork::from),
        row.user_agent,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A live session and its user, who may log in.
pub(in crate::accounts) async fn find_session(
    conn: &mut PgConnection,
    token_hash: &[u8],
    now: Timestamp,
    idle_since: Timestamp,
) -> Result<Option<(SessionRow, UserRow)>> {
    let row = sqlx::query!(
        r#"select s.id as "session_id: SessionId", s.csrf_token, s.created_at as session_created_at,
                  s.seen_at, s.expires_at,
                  u.id as "id: UserId", u.name as "name: UserName", u.email,
                  u.platform_role as "platform_role: PlatformRole", u.disabled_at, u.auth_version,
                  u.locale, u.created_at, u.updated_at
           from sessions s join users u on u.id = s.user_id
           where s.token_hash = $1 and s.expires_at > $2 and s.seen_at > $3
             and u.disabled_at is null"#,
        token_hash,
        now,
        idle_since,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
        let session = SessionRow {
            id: row.session_id,
            csrf_token: row.csrf_token,
            created_at: row.session_created_at,
            seen_at: row.seen_at,
            expires_at: row.expires_at,
        };
        let user = UserRow {
            id: row.id,
            name: row.name,
            email: row.email,
            password_hash: None,
            platform_role: row.platform_role,
            disabled_at: row.disabled_at,
            auth_version: row.auth_version,
            locale: row.locale,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        (session, user)
    }))
}

pub(in crate::accounts) async fn touch_session(
    conn: &mut PgConnection,
    id: SessionId,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!("update sessions set seen_at = $2 where id = $1", id.uuid(), now)
        .execute(conn)
        .await?;
    Ok(())
}

pub(in crate::accounts) async fn list_sessions(
    conn: &mut PgConnection,
    user: UserId,
    now: Timestamp,
    idle_since: Timestamp,
) -> Result<Vec<SessionRow>> {
    sqlx::query_as!(
        SessionRow,
        r#"select id as "id: _", csrf_token, created_at, seen_at, expires_at from sessions
           where user_id = $1 and expires_at > $2 and seen_at > $3
           order by created_at desc, id desc limit 200"#,
        user.uuid(),
        now,
        idle_since,
    )
    .fetch_all(conn)
    .await
}

pub(in crate::accounts) async fn delete_session(
    conn: &mut PgConnection,
    user: UserId,
    id: SessionId,
) -> Result<bool> {
    let done =
        sqlx::query!("delete from sessions where id = $1 and user_id = $2", id.uuid(), user.uuid())
            .execute(conn)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends all sessions of a user but `keep`.
pub(in crate::accounts) async fn delete_sessions_of(
    conn: &mut PgConnection,
    user: UserId,
    keep: Option<SessionId>,
) -> Result<()> {
    sqlx::query!(
        "delete from sessions where user_id = $1 and ($2::uuid is null or id <> $2)",
        user.uuid(),
        keep.map(|id| id.uuid()),
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::accounts) async fn delete_dead_sessions(
    conn: &mut PgConnection,
    now: Timestamp,
    idle_since: Timestamp,
) -> Result<()> {
    sqlx::query!("delete from sessions where expires_at <= $1 or seen_at <= $2", now, idle_since)
        .execute(conn)
        .await?;
    Ok(())
}

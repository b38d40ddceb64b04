//! SQL of users, sessions, tokens, rate buckets and installation secrets.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use sqlx::PgConnection;

use super::{PersonalToken, User};
use crate::base::actor::PlatformRole;
use crate::base::id::{SessionId, TokenId, UserId};
use crate::base::{Timestamp, UserName};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// A user with what only this module may see.
#[derive(Debug, Clone)]
pub(super) struct UserRow {
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

pub(super) async fn count_users(conn: &mut PgConnection) -> Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "n!" from users"#).fetch_one(conn).await
}

pub(super) async fn find_user(conn: &mut PgConnection, name: &str) -> Result<Option<UserRow>> {
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

pub(super) async fn find_user_by_id(
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

pub(super) async fn lock_user(conn: &mut PgConnection, name: &UserName) -> Result<Option<UserRow>> {
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

pub(super) async fn list_users(
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

pub(super) async fn insert_user(
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
pub(super) async fn update_user(conn: &mut PgConnection, user: &User, cut: bool) -> Result<()> {
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

pub(super) async fn set_password(
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

pub(super) async fn delete_user(conn: &mut PgConnection, id: UserId) -> Result<()> {
    sqlx::query!("delete from users where id = $1", id.uuid()).execute(conn).await?;
    Ok(())
}

/// The enabled admins, locked against each other's removal.
pub(super) async fn lock_admins(conn: &mut PgConnection) -> Result<Vec<UserId>> {
    sqlx::query_scalar!(
        r#"select id as "id: UserId" from users
           where platform_role = 'admin' and disabled_at is null
           order by id for update"#
    )
    .fetch_all(conn)
    .await
}

/// A session to keep.
pub(super) struct NewSessionRow {
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
pub(super) struct SessionRow {
    pub id: SessionId,
    pub csrf_token: String,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub expires_at: Timestamp,
}

pub(super) async fn insert_session(conn: &mut PgConnection, row: &NewSessionRow) -> Result<()> {
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
pub(super) async fn find_session(
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

pub(super) async fn touch_session(
    conn: &mut PgConnection,
    id: SessionId,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!("update sessions set seen_at = $2 where id = $1", id.uuid(), now)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn list_sessions(
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

pub(super) async fn delete_session(
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
pub(super) async fn delete_sessions_of(
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

pub(super) async fn delete_dead_sessions(
    conn: &mut PgConnection,
    now: Timestamp,
    idle_since: Timestamp,
) -> Result<()> {
    sqlx::query!("delete from sessions where expires_at <= $1 or seen_at <= $2", now, idle_since)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn insert_token(
    conn: &mut PgConnection,
    user: UserId,
    token: &PersonalToken,
    token_hash: &[u8],
) -> Result<()> {
    sqlx::query!(
        "insert into personal_tokens
            (id, user_id, name, token_hash, prefix, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        token.id.uuid(),
        user.uuid(),
        token.name,
        token_hash,
        token.prefix,
        token.created_at,
        token.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn count_tokens(conn: &mut PgConnection, user: UserId) -> Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from personal_tokens where user_id = $1 and revoked_at is null"#,
        user.uuid(),
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn list_tokens(
    conn: &mut PgConnection,
    user: UserId,
) -> Result<Vec<PersonalToken>> {
    sqlx::query_as!(
        PersonalToken,
        r#"select id as "id: _", name, prefix, created_at, expires_at, last_used_at
           from personal_tokens where user_id = $1 and revoked_at is null
           order by created_at desc, id desc"#,
        user.uuid(),
    )
    .fetch_all(conn)
    .await
}

/// A token that works, when it was last used, and its user, who may log in.
pub(super) async fn find_token(
    conn: &mut PgConnection,
    token_hash: &[u8],
    now: Timestamp,
) -> Result<Option<(TokenId, Option<Timestamp>, UserRow)>> {
    let row = sqlx::query!(
        r#"select t.id as "token_id: TokenId", t.last_used_at,
                  u.id as "id: UserId", u.name as "name: UserName", u.email,
                  u.platform_role as "platform_role: PlatformRole", u.disabled_at, u.auth_version,
                  u.locale, u.created_at, u.updated_at
           from personal_tokens t join users u on u.id = t.user_id
           where t.token_hash = $1 and t.revoked_at is null
             and (t.expires_at is null or t.expires_at > $2) and u.disabled_at is null"#,
        token_hash,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
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
        (row.token_id, row.last_used_at, user)
    }))
}

pub(super) async fn touch_token(
    conn: &mut PgConnection,
    id: TokenId,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!("update personal_tokens set last_used_at = $2 where id = $1", id.uuid(), now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Revokes a token of `user` and returns its name.
pub(super) async fn revoke_token(
    conn: &mut PgConnection,
    user: UserId,
    id: TokenId,
    now: Timestamp,
) -> Result<Option<String>> {
    sqlx::query_scalar!(
        "update personal_tokens set revoked_at = $3
         where id = $1 and user_id = $2 and revoked_at is null
         returning name",
        id.uuid(),
        user.uuid(),
        now,
    )
    .fetch_optional(conn)
    .await
}

/// A bucket as kept.
pub(super) struct BucketRow {
    pub tokens: f64,
    pub updated_at: Timestamp,
}

/// The bucket `key`, full if it is new, locked until the transaction ends.
pub(super) async fn lock_bucket(
    conn: &mut PgConnection,
    key: &str,
    size: f64,
    now: Timestamp,
) -> Result<BucketRow> {
    sqlx::query!(
        "insert into rate_buckets (key, tokens, updated_at) values ($1, $2, $3)
         on conflict (key) do nothing",
        key,
        size,
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_as!(
        BucketRow,
        "select tokens, updated_at from rate_buckets where key = $1 for update",
        key,
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn set_bucket(
    conn: &mut PgConnection,
    key: &str,
    tokens: f64,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "update rate_buckets set tokens = $2, updated_at = $3 where key = $1",
        key,
        tokens,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn refill_bucket(conn: &mut PgConnection, key: &str, size: f64) -> Result<()> {
    sqlx::query!(
        "update rate_buckets set tokens = least($2::double precision, tokens + 1) where key = $1",
        key,
        size,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn delete_stale_buckets(conn: &mut PgConnection, before: Timestamp) -> Result<()> {
    sqlx::query!("delete from rate_buckets where updated_at < $1", before).execute(conn).await?;
    Ok(())
}

pub(super) async fn find_secret(conn: &mut PgConnection, name: &str) -> Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("select ciphertext from installation_secrets where name = $1", name)
        .fetch_optional(conn)
        .await
}

/// Keeps a secret unless there is one of that name already.
pub(super) async fn insert_secret(
    conn: &mut PgConnection,
    name: &str,
    ciphertext: &[u8],
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "insert into installation_secrets (name, ciphertext, created_at) values ($1, $2, $3)
         on conflict (name) do nothing",
        name,
        ciphertext,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

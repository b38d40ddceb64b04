//! SQL of personal tokens.

use sqlx::PgConnection;

use super::{Result, UserRow};
use crate::accounts::PersonalToken;
use crate::base::actor::PlatformRole;
use crate::base::id::{TokenId, UserId};
use crate::base::{Timestamp, UserName};

pub(in crate::accounts) async fn insert_token(
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

/// Makes whoever else changes the tokens of `user` wait until the transaction ends, so that a
/// count holds until then.
pub(in crate::accounts) async fn lock_tokens_of(
    conn: &mut PgConnection,
    user: UserId,
) -> Result<()> {
    sqlx::query!("select from users where id = $1 for no key update", user.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

pub(in crate::accounts) async fn count_tokens(
    conn: &mut PgConnection,
    user: UserId,
) -> Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from personal_tokens where user_id = $1 and revoked_at is null"#,
        user.uuid(),
    )
    .fetch_one(conn)
    .await
}

pub(in crate::accounts) async fn list_tokens(
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
pub(in crate::accounts) async fn find_token(
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

pub(in crate::accounts) async fn touch_token(
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
/// Revokes a token and ends the registry tokens of its owner: one of them may have been got with
/// it, and whoever still may gets another at once.
pub(in crate::accounts) async fn revoke_token(
    conn: &mut PgConnection,
    user: UserId,
    id: TokenId,
    now: Timestamp,
) -> Result<Option<String>> {
    sqlx::query_scalar!(
        r#"with revoked as (
               update personal_tokens set revoked_at = $3
               where id = $1 and user_id = $2 and revoked_at is null
               returning user_id, name
           ), ended as (
               update users set auth_version = auth_version + 1
               where id in (select user_id from revoked)
           )
           select name as "name!" from revoked"#,
        id.uuid(),
        user.uuid(),
        now,
    )
    .fetch_optional(conn)
    .await
}

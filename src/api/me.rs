//! The caller's own profile, password, tokens and sessions.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Result, created, whole};
use super::route::{Route, delete, get, own, patch, post, put};
use super::users::UserView;
use crate::accounts::rbac::Action;
use crate::accounts::{Accounts, PersonalToken, UserChange};
use crate::base::id::{SessionId, TokenId};
use crate::base::{Page, Secret};
use crate::http::caller::ApiCaller;
use crate::http::json::{Input, SECRET_LIMIT, given};
use crate::http::query::{NoQuery, PathNames, Query};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/me", read, "getMe", "The caller", own(Action::Read)).answers::<UserView>(200),
        patch("/api/v1/me", change, "changeMe", "Change e-mail or language", own(Action::Update))
            .body::<MeChange>()
            .answers::<UserView>(200),
        put(
            "/api/v1/me/password",
            set_password,
            "setMyPassword",
            "Set a new password; ends the other sessions",
            own(Action::Update),
        )
        .body::<OwnPassword>(),
        get("/api/v1/me/tokens", tokens, "listMyTokens", "Personal tokens", own(Action::List))
            .lists::<TokenView>(),
        post(
            "/api/v1/me/tokens",
            create_token,
            "createMyToken",
            "Make a personal token",
            own(Action::Create),
        )
        .body::<NewToken>()
        .answers::<CreatedToken>(201)
        .notes("The secret is in this answer only."),
        delete(
            "/api/v1/me/tokens/{token}",
            revoke_token,
            "revokeMyToken",
            "Revoke a personal token",
            own(Action::Delete),
        ),
        get("/api/v1/me/sessions", sessions, "listMySessions", "Sessions", own(Action::List))
            .lists::<SessionView>(),
        delete(
            "/api/v1/me/sessions/{session}",
            end_session,
            "endMySession",
            "End a session",
            own(Action::Delete),
        ),
    ]
}

/// What to change of oneself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MeChange {
    #[serde(default, deserialize_with = "given")]
    email: Option<String>,
    /// `en` or `zh`.
    #[serde(default, deserialize_with = "given")]
    locale: Option<String>,
}

/// A new password, and the present one as proof.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OwnPassword {
    #[schema(value_type = String)]
    current: Secret,
    #[schema(value_type = String)]
    password: Secret,
}

/// A personal token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewToken {
    name: String,
    /// 1 to 366; absent: it does not expire.
    expires_in_days: Option<u32>,
}

/// A personal token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenView {
    id: Uuid,
    name: String,
    /// First characters of the secret.
    prefix: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

impl From<PersonalToken> for TokenView {
    fn from(token: PersonalToken) -> Self {
        Self {
            id: token.id.uuid(),
            name: token.name,
            prefix: token.prefix,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

/// A personal token just made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreatedToken {
    id: Uuid,
    name: String,
    prefix: String,
    /// The secret, shown this once.
    token: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
}

/// A session of a browser.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionView {
    id: Uuid,
    /// It is the one that asks.
    current: bool,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

async fn read(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    _: Query<NoQuery>,
) -> Result<Json<UserView>> {
    Ok(Json(accounts.me(&caller.actor).await?.into()))
}

async fn change(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    Input(input): Input<MeChange>,
) -> Result<Json<UserView>> {
    let me = accounts.me(&caller.actor).await?;
    let change = UserChange { email: input.email, locale: input.locale, ..UserChange::default() };
    Ok(Json(accounts.update_user(&caller.actor, &me.name, change).await?.into()))
}

async fn set_password(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    Input(input): Input<OwnPassword, SECRET_LIMIT>,
) -> Result<StatusCode> {
    let me = accounts.me(&caller.actor).await?;
    accounts.set_password(&caller.actor, &me.name, Some(&input.current), &input.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn tokens(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    _: Query<NoQuery>,
) -> Result<Json<Page<TokenView>>> {
    Ok(whole(accounts.list_tokens(&caller.actor).await?, TokenView::from))
}

async fn create_token(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    Input(input): Input<NewToken>,
) -> Result<Response> {
    let life = input.expires_in_days.map(|d| Duration::from_secs(u64::from(d) * 86_400));
    let (token, secret) = accounts.create_token(&caller.actor, &input.name, life).await?;
    let body = CreatedToken {
        id: token.id.uuid(),
        name: token.name,
        prefix: token.prefix,
        token: secret.expose().clone(),
        created_at: token.created_at,
        expires_at: token.expires_at,
    };
    Ok(created(&format!("/api/v1/me/tokens/{}", body.id), body))
}

async fn revoke_token(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    accounts.revoke_token(&caller.actor, names.find::<TokenId>("token")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sessions(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    _: Query<NoQuery>,
) -> Result<Json<Page<SessionView>>> {
    let sessions = accounts.sessions(&caller.actor).await?;
    Ok(whole(sessions, |session| SessionView {
        id: session.id.uuid(),
        current: caller.actor.session_id == Some(session.id),
        created_at: session.created_at,
        expires_at: session.expires_at,
    }))
}

async fn end_session(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    accounts.end_session(&caller.actor, names.find::<SessionId>("session")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

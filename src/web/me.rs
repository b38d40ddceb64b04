//! One's own profile, password, access tokens and sessions.

use std::time::Duration;

use askama::Template;
use axum::http::StatusCode;

use super::form::{Choice, Form};
use super::frame::{Frame, Section, role_key};
use super::login::Nothing;
use super::session::Posted;
use super::shell::{At, PageResult, Shell};
use crate::accounts::{PersonalToken, Session, User, UserChange};
use crate::base::id::{SessionId, TokenId};
use crate::base::{Result, Secret};

/// Lifetimes a token can be given, days; 0: none.
const LIFETIMES: [(&str, &str); 4] =
    [("30", "token-30"), ("90", "token-90"), ("365", "token-365"), ("0", "token-never")];

#[derive(Template)]
#[template(path = "me/profile.html")]
struct ProfilePage {
    frame: Frame,
    user: User,
    role: &'static str,
    form: Form,
    password: Form,
}

async fn profile_page(shell: &Shell, form: Option<Form>, password: Form) -> Result<ProfilePage> {
    let user = shell.services.accounts.me(&shell.actor).await?;
    let form = form.unwrap_or_else(|| Form::of([("email", &user.email)]));
    let frame = shell.frame(Section::Other, shell.t.get("me-title")).await?.json("/api/v1/me");
    let role = role_key(None, user.platform_role);
    Ok(ProfilePage { frame, role, user, form, password })
}

/// `GET /me`
pub(super) async fn profile(shell: Shell) -> PageResult {
    shell.render(&profile_page(&shell, None, Form::default()).await?)
}

#[derive(serde::Deserialize)]
pub(super) struct ProfileForm {
    #[serde(default)]
    email: String,
}

/// `POST /me`
pub(super) async fn save(Posted(shell, form): Posted<ProfileForm>) -> PageResult {
    let user = shell.services.accounts.me(&shell.actor).await?;
    let email = form.email.trim().to_owned();
    let change = UserChange { email: Some(email.clone()), ..UserChange::default() };
    match shell.services.accounts.update_user(&shell.actor, &user.name, change).await {
        Ok(_) => Ok(shell.done("/me", "flash-profile-saved", "")),
        Err(error) => {
            let form = Form::of([("email", email)]).refused(&shell.t, error)?;
            let page = profile_page(&shell, Some(form), Form::default()).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

#[derive(serde::Deserialize)]
pub(super) struct PasswordForm {
    current: Secret,
    new: Secret,
    again: Secret,
}

/// `POST /me/password`
pub(super) async fn password(Posted(shell, form): Posted<PasswordForm>) -> PageResult {
    let accounts = &shell.services.accounts;
    let names = [("current", ""), ("new", ""), ("again", "")];
    let refused = if form.new == form.again {
        let user = accounts.me(&shell.actor).await?;
        let set =
            accounts.set_password(&shell.actor, &user.name, Some(&form.current), &form.new).await;
        match set {
            Ok(()) => return Ok(shell.done("/me", "flash-password-changed", "")),
            Err(error) => Form::of(names).refused(&shell.t, error)?,
        }
    } else {
        Form::of(names).wrong("again", shell.t.get("password-differs"))
    };
    let page = profile_page(&shell, None, refused).await?;
    shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

#[derive(Template)]
#[template(path = "me/tokens.html")]
struct TokensPage {
    frame: Frame,
    rows: Vec<PersonalToken>,
    form: Form,
    lifetimes: Vec<Choice>,
    /// The secret of the token just made, shown this once.
    secret: Option<String>,
    login: String,
}

async fn tokens_page(shell: &Shell, form: Form, secret: Option<Secret>) -> Result<TokensPage> {
    let t = shell.t;
    let host = shell.services.config.registry_host();
    Ok(TokensPage {
        frame: shell.frame(Section::Other, t.get("tokens-title")).await?.json("/api/v1/me/tokens"),
        rows: shell.services.accounts.list_tokens(&shell.actor).await?,
        form,
        lifetimes: LIFETIMES
            .into_iter()
            .map(|(value, key)| Choice { value, label: t.get(key) })
            .collect(),
        secret: secret.map(|secret| secret.expose().clone()),
        login: format!("docker login {host} -u {} --password-stdin", shell.actor.name),
    })
}

/// `GET /me/tokens`
pub(super) async fn tokens(shell: Shell) -> PageResult {
    let form = Form::of([("name", ""), ("lifetime", "90")]);
    shell.render(&tokens_page(&shell, form, None).await?)
}

#[derive(serde::Deserialize)]
pub(super) struct TokenForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    lifetime: String,
}

/// `POST /me/tokens`: the answer shows the secret; it is not kept anywhere to show it again.
pub(super) async fn create_token(Posted(shell, form): Posted<TokenForm>) -> PageResult {
    let days = form.lifetime.parse::<u64>().unwrap_or(90).min(3650);
    let lifetime = (days > 0).then(|| Duration::from_secs(days * 86_400));
    let made = shell.services.accounts.create_token(&shell.actor, form.name.trim(), lifetime).await;
    match made {
        Ok((_, secret)) => {
            let form = Form::of([("name", ""), ("lifetime", "90")]);
            shell.render(&tokens_page(&shell, form, Some(secret)).await?)
        }
        Err(error) => {
            let form = Form::of([("name", &form.name), ("lifetime", &form.lifetime)])
                .refused(&shell.t, error)?;
            let page = tokens_page(&shell, form, None).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// `POST /me/tokens/{id}/revoke`
pub(super) async fn revoke_token(
    At(id): At<uuid::Uuid>,
    Posted(shell, Nothing {}): Posted<Nothing>,
) -> PageResult {
    shell.services.accounts.revoke_token(&shell.actor, TokenId::from(id)).await?;
    Ok(shell.done("/me/tokens", "flash-token-revoked", ""))
}

#[derive(Template)]
#[template(path = "me/sessions.html")]
struct SessionsPage {
    frame: Frame,
    /// Each with whether it is the reader's present one.
    rows: Vec<(Session, bool)>,
}

/// `GET /me/sessions`
pub(super) async fn sessions(shell: Shell) -> PageResult {
    let current = shell.session.as_ref().map(|session| session.id);
    let rows = shell.services.accounts.sessions(&shell.actor).await?;
    shell.render(&SessionsPage {
        frame: shell.frame(Section::Other, shell.t.get("sessions-title")).await?,
        rows: rows.into_iter().map(|row| (row.clone(), Some(row.id) == current)).collect(),
    })
}

/// `POST /me/sessions/{id}/end`
pub(super) async fn end_session(
    At(id): At<uuid::Uuid>,
    Posted(shell, Nothing {}): Posted<Nothing>,
) -> PageResult {
    shell.services.accounts.end_session(&shell.actor, SessionId::from(id)).await?;
    Ok(shell.done("/me/sessions", "flash-session-ended", ""))
}

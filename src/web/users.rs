//! Users of the platform, for its administrators.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;

use super::form::{Choice, Form};
use super::frame::{Frame, Section};
use super::projects::ListQuery;
use super::session::Posted;
use super::shell::{At, PageResult, Shell};
use super::text::Text;
use super::view::Pager;
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::accounts::{NewUser, User, UserChange};
use crate::base::actor::PlatformRole;
use crate::base::{Result, Secret, UserName};

#[derive(Template)]
#[template(path = "users/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<User>,
    pager: Pager,
    query: String,
    roles: Vec<Choice>,
    /// The reader's own name: nobody locks themselves out here.
    own: String,
}

fn roles(t: &Text) -> Vec<Choice> {
    [
        (PlatformRole::User, "role-user"),
        (PlatformRole::Auditor, "role-auditor"),
        (PlatformRole::Admin, "role-admin"),
    ]
    .into_iter()
    .map(|(role, key)| Choice { value: role.as_str(), label: t.get(key) })
    .collect()
}

/// `GET /admin/users`
pub(super) async fn list(shell: Shell, Query(query): Query<ListQuery>) -> PageResult {
    require_platform(&shell.actor, Permission(Resource::User, Action::Update))?;
    let accounts = &shell.services.accounts;
    let page = accounts.list_users(&shell.actor, query.text(), &query.request()).await?;
    let title = shell.t.get("nav-users");
    shell.render(&ListPage {
        frame: shell.frame(Section::Users, title).await?.json("/api/v1/users"),
        pager: query.pager("/admin/users", &page),
        rows: page.items,
        query: query.q,
        roles: roles(&shell.t),
        own: shell.actor.name.clone(),
    })
}

#[derive(Template)]
#[template(path = "users/new.html")]
struct NewPage {
    frame: Frame,
    form: Form,
    roles: Vec<Choice>,
}

async fn new_page(shell: &Shell, form: Form) -> Result<NewPage> {
    require_platform(&shell.actor, Permission(Resource::User, Action::Create))?;
    let frame = shell.frame(Section::Users, shell.t.get("user-new")).await?;
    let frame = frame.crumb("/admin/users", shell.t.get("nav-users"));
    Ok(NewPage { frame, form, roles: roles(&shell.t) })
}

/// `GET /admin/users/-/new`
pub(super) async fn new(shell: Shell) -> PageResult {
    shell.render(&new_page(&shell, Form::default()).await?)
}

#[derive(serde::Deserialize)]
pub(super) struct NewForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    password: Secret,
    #[serde(default)]
    role: String,
}

async fn create_from(shell: &Shell, form: &NewForm) -> Result<User> {
    let new = NewUser {
        name: form.name.trim().parse()?,
        email: form.email.trim().to_owned(),
        password: form.password.clone(),
        platform_role: form.role.parse()?,
    };
    shell.services.accounts.create_user(&shell.actor, new).await
}

/// `POST /admin/users/-/new`
pub(super) async fn create(Posted(shell, form): Posted<NewForm>) -> PageResult {
    match create_from(&shell, &form).await {
        Ok(user) => Ok(shell.done("/admin/users", "flash-user-created", user.name)),
        Err(error) => {
            let form = Form::of([
                ("name", form.name.as_str()),
                ("email", &form.email),
                ("role", &form.role),
                ("password", ""),
            ])
            .refused(&shell.t, error)?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &new_page(&shell, form).await?)
        }
    }
}

#[derive(serde::Deserialize)]
pub(super) struct ChangeForm {
    role: Option<String>,
    disabled: Option<bool>,
}

/// `POST /admin/users/{name}`: the role, or whether the user may log in.
pub(super) async fn change(
    At(name): At<UserName>,
    Posted(shell, form): Posted<ChangeForm>,
) -> PageResult {
    let change = UserChange {
        platform_role: form.role.as_deref().map(str::parse).transpose()?,
        disabled: form.disabled,
        ..UserChange::default()
    };
    shell.services.accounts.update_user(&shell.actor, &name, change).await?;
    Ok(shell.done("/admin/users", "flash-user-saved", name))
}

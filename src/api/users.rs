//! Users.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Result, created, page};
use super::route::{self, Route, delete, get, patch, platform, put};
use crate::accounts::rbac::{Action, Resource};
use crate::accounts::{Accounts, NewUser, User, UserChange};
use crate::base::actor::PlatformRole;
use crate::base::{Page, Secret, UserName};
use crate::http::caller::ApiCaller;
use crate::http::json::{Input, SECRET_LIMIT, given};
use crate::http::query::{ListQuery, NoQuery, PathNames, Query};

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| platform(Resource::User, action);
    vec![
        get("/api/v1/users", list, "listUsers", "Users, by name", needs(Action::List))
            .query::<ListQuery>()
            .lists::<UserView>(),
        route::create(
            "/api/v1/users",
            create,
            "createUser",
            "Create a user",
            needs(Action::Create),
        )
        .body::<UserInput>()
        .answers::<UserView>(201),
        get("/api/v1/users/{user}", read, "getUser", "One user", needs(Action::Read))
            .answers::<UserView>(200),
        patch("/api/v1/users/{user}", change, "changeUser", "Change a user", needs(Action::Update))
            .body::<UserPatch>()
            .answers::<UserView>(200)
            .notes("Users may change their own e-mail and locale."),
        delete(
            "/api/v1/users/{user}",
            remove,
            "deleteUser",
            "Delete a user",
            needs(Action::Delete),
        ),
        put(
            "/api/v1/users/{user}/password",
            set_password,
            "setUserPassword",
            "Set a user's password; ends the user's sessions",
            needs(Action::Update),
        )
        .body::<PasswordInput>(),
    ]
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserView {
    id: Uuid,
    name: String,
    /// Empty unless it is the caller's own or the caller is admin or auditor.
    email: String,
    /// `user`, `auditor` or `admin`.
    platform_role: &'static str,
    disabled_at: Option<DateTime<Utc>>,
    locale: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.uuid(),
            name: user.name.to_string(),
            email: user.email,
            platform_role: user.platform_role.as_str(),
            disabled_at: user.disabled_at,
            locale: user.locale,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// A user to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserInput {
    #[schema(value_type = String)]
    name: UserName,
    email: String,
    #[schema(value_type = String)]
    password: Secret,
    /// `user` (the default), `auditor` or `admin`.
    #[serde(default = "plain_user")]
    #[schema(value_type = String)]
    platform_role: PlatformRole,
}

fn plain_user() -> PlatformRole {
    PlatformRole::User
}

/// What to change of a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserPatch {
    #[serde(default, deserialize_with = "given")]
    email: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    platform_role: Option<PlatformRole>,
    #[serde(default, deserialize_with = "given")]
    disabled: Option<bool>,
    /// `en` or `zh`.
    #[serde(default, deserialize_with = "given")]
    locale: Option<String>,
}

/// A password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PasswordInput {
    #[schema(value_type = String)]
    password: Secret,
}

async fn list(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<UserView>>> {
    let users = accounts.list_users(&caller.actor, query.text()?, &query.page()).await?;
    Ok(page(users, UserView::from))
}

async fn create(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    Input(input): Input<UserInput, SECRET_LIMIT>,
) -> Result<Response> {
    let new = NewUser {
        name: input.name,
        email: input.email,
        password: input.password,
        platform_role: input.platform_role,
    };
    let user = accounts.create_user(&caller.actor, new).await?;
    Ok(created(&format!("/api/v1/users/{}", user.name), UserView::from(user)))
}

async fn read(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<UserView>> {
    Ok(Json(accounts.user(&caller.actor, &names.find("user")?).await?.into()))
}

async fn change(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<UserPatch>,
) -> Result<Json<UserView>> {
    let change = UserChange {
        email: input.email,
        platform_role: input.platform_role,
        disabled: input.disabled,
        locale: input.locale,
    };
    Ok(Json(accounts.update_user(&caller.actor, &names.find("user")?, change).await?.into()))
}

async fn remove(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    accounts.delete_user(&caller.actor, &names.find("user")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_password(
    State(accounts): State<Accounts>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<PasswordInput, SECRET_LIMIT>,
) -> Result<StatusCode> {
    accounts.set_password(&caller.actor, &names.find("user")?, None, &input.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Members of a project: users and teams, each with a role.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Result, whole};
use super::route::{Route, delete, get, in_project, put};
use crate::accounts::rbac::{Action, Resource, Role};
use crate::base::Page;
use crate::catalog::{Catalog, Member, MemberName};
use crate::http::caller::ApiCaller;
use crate::http::json::Input;
use crate::http::query::{NoQuery, PathNames, Query};

const USER: &str = "/api/v1/projects/{project}/members/{user}";
const TEAM: &str = "/api/v1/projects/{project}/team-members/{team}";

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| in_project(Resource::Member, action);
    vec![
        get(
            "/api/v1/projects/{project}/members",
            list,
            "listMembers",
            "Members, strongest role first",
            needs(Action::List),
        )
        .lists::<MemberView>(),
        put(USER, set_user, "setMember", "Add a user or change its role", needs(Action::Update))
            .body::<RoleInput>()
            .answers::<MemberView>(200),
        delete(USER, remove_user, "removeMember", "Remove a user", needs(Action::Delete)),
        put(
            TEAM,
            set_team,
            "setTeamMember",
            "Add a team or change its role",
            needs(Action::Update),
        )
        .body::<RoleInput>()
        .answers::<MemberView>(200),
        delete(TEAM, remove_team, "removeTeamFromProject", "Remove a team", needs(Action::Delete)),
    ]
}

/// A member of a project.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MemberView {
    /// `user` or `team`.
    kind: &'static str,
    name: String,
    /// `limited_guest`, `guest`, `developer`, `maintainer` or `project_admin`.
    role: &'static str,
    created_at: DateTime<Utc>,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        Self {
            kind: member.name.kind(),
            name: member.name.as_str().to_owned(),
            role: member.role.as_str(),
            created_at: member.created_at,
        }
    }
}

/// The role to give.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RoleInput {
    /// `limited_guest`, `guest`, `developer`, `maintainer` or `project_admin`.
    #[schema(value_type = String)]
    role: Role,
}

async fn list(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<Page<MemberView>>> {
    let members = catalog.list_members(&caller.actor, &names.find("project")?).await?;
    Ok(whole(members, MemberView::from))
}

async fn set_user(
    catalog: State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<RoleInput>,
) -> Result<Json<MemberView>> {
    let member = MemberName::User(names.find("user")?);
    set(&catalog, &caller, &names, &member, input.role).await
}

async fn set_team(
    catalog: State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<RoleInput>,
) -> Result<Json<MemberView>> {
    let member = MemberName::Team(names.find("team")?);
    set(&catalog, &caller, &names, &member, input.role).await
}

async fn set(
    catalog: &Catalog,
    caller: &ApiCaller,
    names: &PathNames,
    member: &MemberName,
    role: Role,
) -> Result<Json<MemberView>> {
    let project = names.find("project")?;
    let (member, _) = catalog.set_member(&caller.actor, &project, member, role).await?;
    Ok(Json(member.into()))
}

async fn remove_user(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    let member = MemberName::User(names.find("user")?);
    catalog.remove_member(&caller.actor, &names.find("project")?, &member).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_team(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    let member = MemberName::Team(names.find("team")?);
    catalog.remove_member(&caller.actor, &names.find("project")?, &member).await?;
    Ok(StatusCode::NO_CONTENT)
}

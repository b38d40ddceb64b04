//! Teams and who is in them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Result, created, page};
use super::route::{self, Route, delete, get, platform, put};
use crate::accounts::rbac::{Action, Resource};
use crate::base::{Page, TeamName};
use crate::catalog::{Catalog, Team};
use crate::http::caller::ApiCaller;
use crate::http::json::{Input, OptionalInput};
use crate::http::query::{ListQuery, NoQuery, PathNames, Query};

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| platform(Resource::Team, action);
    vec![
        get("/api/v1/teams", list, "listTeams", "Teams, by name", needs(Action::List))
            .query::<ListQuery>()
            .lists::<TeamView>(),
        route::create(
            "/api/v1/teams",
            create,
            "createTeam",
            "Create a team",
            needs(Action::Create),
        )
        .body::<TeamInput>()
        .answers::<TeamView>(201),
        get("/api/v1/teams/{team}", read, "getTeam", "One team", needs(Action::Read))
            .answers::<TeamView>(200),
        delete(
            "/api/v1/teams/{team}",
            remove,
            "deleteTeam",
            "Delete a team",
            needs(Action::Delete),
        ),
        put(
            "/api/v1/teams/{team}/members/{user}",
            add_member,
            "addTeamMember",
            "Add a user to a team",
            needs(Action::Update),
        )
        .optional_body::<Nothing>()
        .answers::<TeamView>(200),
        delete(
            "/api/v1/teams/{team}/members/{user}",
            remove_member,
            "removeTeamMember",
            "Remove a user from a team",
            needs(Action::Update),
        ),
    ]
}

/// A team.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TeamView {
    id: Uuid,
    name: String,
    description: String,
    /// Names of its users.
    members: Vec<String>,
    created_at: DateTime<Utc>,
}

impl From<Team> for TeamView {
    fn from(team: Team) -> Self {
        Self {
            id: team.id.uuid(),
            name: team.name.to_string(),
            description: team.description,
            members: team.members.iter().map(ToString::to_string).collect(),
            created_at: team.created_at,
        }
    }
}

/// A team to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TeamInput {
    #[schema(value_type = String)]
    name: TeamName,
    #[serde(default)]
    description: String,
}

/// An empty object.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn list(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<TeamView>>> {
    let teams = catalog.list_teams(&caller.actor, query.text()?, &query.page()).await?;
    Ok(page(teams, TeamView::from))
}

async fn create(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    Input(input): Input<TeamInput>,
) -> Result<Response> {
    let team = catalog.create_team(&caller.actor, &input.name, &input.description).await?;
    Ok(created(&format!("/api/v1/teams/{}", team.name), TeamView::from(team)))
}

async fn read(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<TeamView>> {
    Ok(Json(catalog.team(&caller.actor, &names.find("team")?).await?.into()))
}

async fn remove(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    catalog.delete_team(&caller.actor, &names.find("team")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add_member(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
    OptionalInput(Nothing {}): OptionalInput<Nothing>,
) -> Result<Json<TeamView>> {
    let team = names.find("team")?;
    catalog.add_team_member(&caller.actor, &team, &names.find("user")?).await?;
    Ok(Json(catalog.team(&caller.actor, &team).await?.into()))
}

async fn remove_member(
    State(catalog): State<Catalog>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    let (team, user) = (names.find("team")?, names.find("user")?);
    catalog.remove_team_member(&caller.actor, &team, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Teams: who is in them and what they own.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;

use super::catalog::lifecycle_key;
use super::form::Form;
use super::frame::{Frame, Section};
use super::login::Nothing;
use super::projects::ListQuery;
use super::session::Posted;
use super::shell::{At, PageResult, Shell};
use super::view::Pager;
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{PageRequest, Result, TeamName, UserName};
use crate::catalog::{ApplicationFilter, Team};

/// One team of the list.
struct Row {
    name: String,
    description: String,
    members: usize,
}

#[derive(Template)]
#[template(path = "teams/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
    pager: Pager,
    query: String,
    may_create: bool,
}

/// `GET /teams`
pub(super) async fn list(shell: Shell, Query(query): Query<ListQuery>) -> PageResult {
    let teams = &shell.services.catalog;
    let page = teams.list_teams(&shell.actor, query.text(), &query.request()).await?;
    shell.render(&ListPage {
        frame: shell.frame(Section::Teams, shell.t.get("nav-teams")).await?.json("/api/v1/teams"),
        pager: query.pager("/teams", &page),
        rows: page
            .items
            .into_iter()
            .map(|team| Row {
                name: team.name.to_string(),
                description: team.description,
                members: team.members.len(),
            })
            .collect(),
        query: query.q,
        may_create: shell.may_platform(Permission(Resource::Team, Action::Create)),
    })
}

#[derive(Template)]
#[template(path = "teams/new.html")]
struct NewPage {
    frame: Frame,
    form: Form,
}

async fn new_page(shell: &Shell, form: Form) -> Result<NewPage> {
    let frame = shell.frame(Section::Teams, shell.t.get("team-new")).await?;
    Ok(NewPage { frame: frame.crumb("/teams", shell.t.get("nav-teams")), form })
}

/// `GET /teams/-/new`
pub(super) async fn new(shell: Shell) -> PageResult {
    shell.render(&new_page(&shell, Form::default()).await?)
}

#[derive(serde::Deserialize)]
pub(super) struct NewForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
}

async fn create_from(shell: &Shell, form: &NewForm) -> Result<Team> {
    let name = form.name.trim().parse()?;
    shell.services.catalog.create_team(&shell.actor, &name, form.description.trim()).await
}

/// `POST /teams/-/new`
pub(super) async fn create(Posted(shell, form): Posted<NewForm>) -> PageResult {
    match create_from(&shell, &form).await {
        Ok(team) => {
            Ok(shell.done(&format!("/teams/{}", team.name), "flash-team-created", team.name))
        }
        Err(error) => {
            let form = Form::of([("name", &form.name), ("description", &form.description)])
                .refused(&shell.t, error)?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &new_page(&shell, form).await?)
        }
    }
}

/// An application the team owns.
struct Owned {
    name: String,
    project: String,
    lifecycle: String,
}

#[derive(Template)]
#[template(path = "teams/team.html")]
struct TeamPage {
    frame: Frame,
    name: String,
    description: String,
    members: Vec<String>,
    owned: Vec<Owned>,
    may_change: bool,
    form: Form,
}

async fn team_page(shell: &Shell, name: &TeamName, form: Form) -> Result<TeamPage> {
    let catalog = &shell.services.catalog;
    let team = catalog.team(&shell.actor, name).await?;
    let filter = ApplicationFilter { team: Some(name.clone()), ..ApplicationFilter::default() };
    let owned = catalog.list_applications(&shell.actor, &filter, &PageRequest::first(100)).await?;
    let frame = shell
        .frame(Section::Teams, name)
        .await?
        .crumb("/teams", shell.t.get("nav-teams"))
        .json(format!("/api/v1/teams/{name}"));
    Ok(TeamPage {
        frame,
        name: team.name.to_string(),
        description: team.description,
        members: team.members.iter().map(ToString::to_string).collect(),
        owned: owned
            .items
            .into_iter()
            .map(|a| Owned {
                name: a.name.to_string(),
                project: a.project.to_string(),
                lifecycle: shell.t.get(lifecycle_key(a.lifecycle)),
            })
            .collect(),
        may_change: shell.may_platform(Permission(Resource::Team, Action::Update)),
        form,
    })
}

/// `GET /teams/{team}`
pub(super) async fn team(shell: Shell, At(name): At<TeamName>) -> PageResult {
    shell.render(&team_page(&shell, &name, Form::default()).await?)
}

#[derive(serde::Deserialize)]
pub(super) struct MemberForm {
    #[serde(default)]
    user: String,
}

async fn add(shell: &Shell, team: &TeamName, form: &MemberForm) -> Result<UserName> {
    let user: UserName = form.user.trim().parse()?;
    shell.services.catalog.add_team_member(&shell.actor, team, &user).await?;
    Ok(user)
}

/// `POST /teams/{team}/members`
pub(super) async fn add_member(
    At(name): At<TeamName>,
    Posted(shell, form): Posted<MemberForm>,
) -> PageResult {
    match add(&shell, &name, &form).await {
        Ok(user) => Ok(shell.done(&format!("/teams/{name}"), "flash-member-added", user)),
        Err(error) => {
            let form = Form::of([("user", &form.user)]).refused(&shell.t, error)?;
            shell
                .render_as(StatusCode::UNPROCESSABLE_ENTITY, &team_page(&shell, &name, form).await?)
        }
    }
}

/// `POST /teams/{team}/members/{user}/remove`
pub(super) async fn remove_member(
    At((team, user)): At<(TeamName, UserName)>,
    Posted(shell, Nothing {}): Posted<Nothing>,
) -> PageResult {
    shell.services.catalog.remove_team_member(&shell.actor, &team, &user).await?;
    Ok(shell.done(&format!("/teams/{team}"), "flash-member-removed", user))
}

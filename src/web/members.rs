//! Members of a project: people and teams with their roles.

use askama::Template;
use axum::http::StatusCode;

use super::cookies;
use super::form::{Choice, Form};
use super::format::initials;
use super::frame::{Frame, Section, role_key};
use super::login::Nothing;
use super::session::Posted;
use super::shell::{At, PageResult, Shell};
use super::text::Text;
use crate::accounts::rbac::{Action, Permission, Resource, Role};
use crate::base::actor::PlatformRole;
use crate::base::{Error, ProjectName, Result};
use crate::catalog::MemberName;

/// One member.
struct Row {
    /// `user` or `team`.
    kind: &'static str,
    is_team: bool,
    name: String,
    tile: String,
    role: &'static str,
    role_name: String,
    created_at: crate::base::Timestamp,
}

#[derive(Template)]
#[template(path = "members/list.html")]
struct MembersPage {
    frame: Frame,
    project: String,
    rows: Vec<Row>,
    roles: Vec<Choice>,
    kinds: Vec<Choice>,
    may_change: bool,
    form: Form,
}

fn roles(t: &Text) -> Vec<Choice> {
    Role::ALL
        .into_iter()
        .map(|role| Choice {
            value: role.as_str(),
            label: t.get(role_key(Some(role), PlatformRole::User)),
        })
        .collect()
}

fn parts(name: &MemberName) -> (&'static str, String) {
    match name {
        MemberName::User(user) => ("user", user.to_string()),
        MemberName::Team(team) => ("team", team.to_string()),
    }
}

fn member(kind: &str, name: &str) -> Result<MemberName> {
    match kind {
        "user" => name.parse().map(MemberName::User),
        "team" => name.parse().map(MemberName::Team),
        _ => Err(Error::not_found("member", name)),
    }
}

async fn members_page(shell: &Shell, name: &ProjectName, form: Form) -> Result<MembersPage> {
    let catalog = &shell.services.catalog;
    let t = shell.t;
    let list = Permission(Resource::Member, Action::List);
    let project = catalog.project(&shell.actor, name, list).await?;
    let members = catalog.list_members(&shell.actor, name).await?;
    let frame = shell
        .project_frame(&project, Section::Members, t.get("nav-members"))
        .await?
        .json(format!("/api/v1/projects/{name}/members"));
    Ok(MembersPage {
        frame,
        project: name.to_string(),
        rows: members
            .iter()
            .map(|m| {
                let (kind, name) = parts(&m.name);
                Row {
                    kind,
                    is_team: kind == "team",
                    tile: initials(&name),
                    name,
                    role: m.role.as_str(),
                    role_name: t.get(role_key(Some(m.role), PlatformRole::User)),
                    created_at: m.created_at,
                }
            })
            .collect(),
        roles: roles(&t),
        kinds: vec![
            Choice { value: "user", label: t.get("member-user") },
            Choice { value: "team", label: t.get("member-team") },
        ],
        may_change: shell.may(&project, Permission(Resource::Member, Action::Update)),
        form,
    })
}

/// `GET /p/{project}/members`
pub(super) async fn list(shell: Shell, At(name): At<ProjectName>) -> PageResult {
    let form = Form::of([("role", "developer"), ("kind", "user"), ("name", "")]);
    let mut response = shell.render(&members_page(&shell, &name, form).await?)?;
    cookies::keep(response.headers_mut(), cookies::PROJECT, name.as_str());
    Ok(response)
}

#[derive(serde::Deserialize)]
pub(super) struct MemberForm {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    role: String,
}

async fn set(shell: &Shell, project: &ProjectName, form: &MemberForm) -> Result<()> {
    let member = member(&form.kind, form.name.trim())?;
    let role = form.role.parse()?;
    shell.services.catalog.set_member(&shell.actor, project, &member, role).await?;
    Ok(())
}

/// `POST /p/{project}/members`: adds a member or changes its role.
pub(super) async fn save(
    At(name): At<ProjectName>,
    Posted(shell, form): Posted<MemberForm>,
) -> PageResult {
    match set(&shell, &name, &form).await {
        Ok(()) => {
            Ok(shell.done(&format!("/p/{name}/members"), "flash-member-saved", form.name.trim()))
        }
        Err(error) => {
            let form = Form::of([("kind", &form.kind), ("name", &form.name), ("role", &form.role)])
                .refused(&shell.t, error)?;
            let page = members_page(&shell, &name, form).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// `POST /p/{project}/members/{kind}/{name}/remove`
pub(super) async fn remove(
    At((project, kind, name)): At<(ProjectName, String, String)>,
    Posted(shell, Nothing {}): Posted<Nothing>,
) -> PageResult {
    let member = member(&kind, &name)?;
    shell.services.catalog.remove_member(&shell.actor, &project, &member).await?;
    Ok(shell.done(&format!("/p/{project}/members"), "flash-member-removed", name))
}

//! Rules that lock tags of a project, as sentences.

use askama::Template;
use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};

use super::form::{Choice, Form};
use super::frame::{Frame, Section, role_key};
use super::login::Nothing;
use super::session::Posted;
use super::shell::{At, PageResult, Shell};
use super::text::Text;
use crate::accounts::rbac::{Action, Permission, Resource, Role};
use crate::base::actor::PlatformRole;
use crate::base::id::TagRuleId;
use crate::base::{ProjectName, Result, Timestamp};
use crate::http::{Access, RouteAccess, Services};
use crate::registry::rules::{RuleInput, RuleKind, TagRule};

/// The routes of this page.
pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/p/{project}/tag-rules", get(list).post(create))
        .route("/p/{project}/tag-rules/{id}/delete", post(remove))
}

/// Who may call each.
pub(super) fn access() -> Vec<RouteAccess> {
    let row = |method, path, action| RouteAccess {
        method,
        path,
        access: Access::Project(Permission(Resource::TagRule, action)),
    };
    vec![
        row(Method::GET, "/p/{project}/tag-rules", Action::List),
        row(Method::POST, "/p/{project}/tag-rules", Action::Create),
        row(Method::POST, "/p/{project}/tag-rules/{id}/delete", Action::Delete),
    ]
}

/// One rule.
struct Row {
    id: TagRuleId,
    sentence: String,
    name: String,
    created_by: String,
    created_at: Timestamp,
}

#[derive(Template)]
#[template(path = "tag_rules/list.html")]
struct RulesPage {
    frame: Frame,
    base: String,
    rows: Vec<Row>,
    kinds: Vec<Choice>,
    exempts: Vec<Choice>,
    may_change: bool,
    form: Form,
}

fn role_name(t: &Text, role: Role) -> String {
    t.get(role_key(Some(role), PlatformRole::User))
}

/// The rule as a sentence.
fn sentence(t: &Text, rule: &TagRule) -> String {
    let key = match (rule.kind, rule.exempt) {
        (RuleKind::Immutable, None) => "rule-says-immutable",
        (RuleKind::Immutable, Some(_)) => "rule-says-immutable-but",
        (RuleKind::Protected, _) => "rule-says-protected",
    };
    let role = rule.exempt.map(|role| role_name(t, role)).unwrap_or_default();
    let everywhere = rule.repository == "**";
    let place = if everywhere { t.get("rule-everywhere") } else { rule.repository.clone() };
    t.fmt(key).a("tags", &rule.tag).a("place", place).a("role", role).to_string()
}

async fn page(shell: &Shell, name: &ProjectName, form: Form) -> Result<RulesPage> {
    let t = shell.t;
    let list = Permission(Resource::TagRule, Action::List);
    let project = shell.services.catalog.project(&shell.actor, name, list).await?;
    let rules = shell.services.registry.rules_over(&project).await?;
    let frame = shell
        .project_frame(&project, Section::Repositories, t.get("rules-title"))
        .await?
        .crumb(format!("/p/{name}/r"), t.get("nav-repositories"))
        .json(format!("/api/v1/projects/{name}/tag-rules"));
    let roles = [Role::Developer, Role::Maintainer, Role::ProjectAdmin];
    Ok(RulesPage {
        frame,
        base: format!("/p/{name}/tag-rules"),
        rows: rules
            .iter()
            .map(|rule| Row {
                id: rule.id,
                sentence: sentence(&t, rule),
                name: rule.to_string(),
                created_by: rule.created_by.clone(),
                created_at: rule.created_at,
            })
            .collect(),
        kinds: vec![
            Choice { value: "immutable", label: t.get("rule-immutable") },
            Choice { value: "protected", label: t.get("rule-protected") },
        ],
        exempts: std::iter::once(Choice { value: "", label: t.get("rule-nobody") })
            .chain(roles.map(|role| Choice { value: role.as_str(), label: role_name(&t, role) }))
            .collect(),
        may_change: shell.may(&project, Permission(Resource::TagRule, Action::Create)),
        form,
    })
}

/// `GET /p/{project}/tag-rules`
async fn list(shell: Shell, At(name): At<ProjectName>) -> PageResult {
    let form = Form::of([("kind", "immutable"), ("tag", ""), ("repository", "**"), ("exempt", "")]);
    shell.render(&page(&shell, &name, form).await?)
}

#[derive(serde::Deserialize)]
struct RuleForm {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    repository: String,
    #[serde(default)]
    exempt: String,
}

async fn create_from(shell: &Shell, project: &ProjectName, form: &RuleForm) -> Result<TagRule> {
    let exempt = Some(form.exempt.as_str()).filter(|role| !role.is_empty());
    let input = RuleInput {
        kind: form.kind.parse()?,
        repository: form.repository.trim().to_owned(),
        tag: form.tag.trim().to_owned(),
        exempt: exempt.map(str::parse).transpose()?,
    };
    shell.services.registry.create_tag_rule(&shell.actor, project, input).await
}

/// `POST /p/{project}/tag-rules`
async fn create(At(project): At<ProjectName>, Posted(shell, form): Posted<RuleForm>) -> PageResult {
    match create_from(&shell, &project, &form).await {
        Ok(rule) => Ok(shell.done(&format!("/p/{project}/tag-rules"), "flash-rule-created", rule)),
        Err(error) => {
            let form = Form::of([
                ("kind", &form.kind),
                ("tag", &form.tag),
                ("repository", &form.repository),
                ("exempt", &form.exempt),
            ])
            .refused(&shell.t, error)?;
            let page = page(&shell, &project, form).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// `POST /p/{project}/tag-rules/{id}/delete`
async fn remove(
    At((project, id)): At<(ProjectName, TagRuleId)>,
    Posted(shell, Nothing {}): Posted<Nothing>,
) -> PageResult {
    let registry = &shell.services.registry;
    let rule = registry.tag_rule(&shell.actor, &project, id).await?;
    registry.delete_tag_rule(&shell.actor, &project, id).await?;
    Ok(shell.done(&format!("/p/{project}/tag-rules"), "flash-rule-removed", rule))
}

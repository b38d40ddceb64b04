//! Rules that lock tags of a project.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Result, created, whole};
use super::route::{self, Route, delete, get, in_project, put};
use crate::accounts::rbac::{Action, Resource, Role};
use crate::base::{Page, ProjectName};
use crate::http::caller::ApiCaller;
use crate::http::json::Input;
use crate::http::query::{NoQuery, PathNames, Query};
use crate::registry::Registry;
use crate::registry::rules::{RuleInput, RuleKind, TagRule};

const RULES: &str = "/api/v1/projects/{project}/tag-rules";
const RULE: &str = "/api/v1/projects/{project}/tag-rules/{rule}";

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| in_project(Resource::TagRule, action);
    vec![
        get(RULES, list, "listTagRules", "Rules that lock tags, oldest first", needs(Action::List))
            .lists::<RuleView>(),
        route::create(
            RULES,
            create,
            "createTagRule",
            "Make a rule that locks tags",
            needs(Action::Create),
        )
        .body::<RuleBody>()
        .answers::<RuleView>(201),
        get(RULE, read, "getTagRule", "One rule", needs(Action::Read)).answers::<RuleView>(200),
        put(RULE, change, "changeTagRule", "Change a rule", needs(Action::Update))
            .body::<RuleBody>()
            .answers::<RuleView>(200),
        delete(RULE, remove, "deleteTagRule", "Remove a rule", needs(Action::Delete)),
    ]
}

/// A rule that locks tags.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RuleView {
    id: Uuid,
    /// How refusals name it.
    name: String,
    /// `immutable` or `protected`.
    kind: &'static str,
    repository: String,
    tag: String,
    exempt: Option<&'static str>,
    created_by: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<TagRule> for RuleView {
    fn from(rule: TagRule) -> Self {
        Self {
            id: rule.id.uuid(),
            name: rule.to_string(),
            kind: rule.kind.as_str(),
            exempt: rule.exempt.map(|role| role.as_str()),
            repository: rule.repository,
            tag: rule.tag,
            created_by: rule.created_by,
            created_at: rule.created_at,
            updated_at: rule.updated_at,
        }
    }
}

/// A rule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleBody {
    /// `immutable`: a tag that exists is neither moved nor removed. `protected`: such tags are
    /// pushed, moved and removed only by some roles.
    #[schema(value_type = String)]
    kind: RuleKind,
    /// Pattern of repository paths in the project; `**`, the default, is all of them.
    #[serde(default = "everywhere")]
    repository: String,
    /// Pattern of tags: `*` is any characters, `?` one, `{a,b}` either.
    tag: String,
    /// The weakest role the rule does not bind. A protected rule needs one; an immutable rule
    /// without one binds everybody.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    exempt: Option<Role>,
}

fn everywhere() -> String {
    "**".to_owned()
}

impl From<RuleBody> for RuleInput {
    fn from(body: RuleBody) -> Self {
        Self { kind: body.kind, repository: body.repository, tag: body.tag, exempt: body.exempt }
    }
}

async fn list(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<Page<RuleView>>> {
    let found = registry.tag_rules(&caller.actor, &names.find("project")?).await?;
    Ok(whole(found, RuleView::from))
}

async fn create(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<RuleBody>,
) -> Result<Response> {
    let project: ProjectName = names.find("project")?;
    let rule = registry.create_tag_rule(&caller.actor, &project, input.into()).await?;
    Ok(created(&format!("/api/v1/projects/{project}/tag-rules/{}", rule.id), RuleView::from(rule)))
}

async fn read(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<RuleView>> {
    let (project, rule) = (names.find("project")?, names.find("rule")?);
    Ok(Json(registry.tag_rule(&caller.actor, &project, rule).await?.into()))
}

async fn change(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<RuleBody>,
) -> Result<Json<RuleView>> {
    let (project, rule) = (names.find("project")?, names.find("rule")?);
    let rule = registry.update_tag_rule(&caller.actor, &project, rule, input.into()).await?;
    Ok(Json(rule.into()))
}

async fn remove(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    let (project, rule) = (names.find("project")?, names.find("rule")?);
    registry.delete_tag_rule(&caller.actor, &project, rule).await?;
    Ok(StatusCode::NO_CONTENT)
}

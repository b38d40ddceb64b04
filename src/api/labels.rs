//! Labels of a project.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Result, created, whole};
use super::route::{self, Route, delete, get, in_project, patch};
use crate::accounts::rbac::{Action, Resource};
use crate::base::{Page, ProjectName};
use crate::http::caller::ApiCaller;
use crate::http::json::{Input, given};
use crate::http::query::{NoQuery, PathNames, Query};
use crate::registry::{Label, LabelChange, LabelColor, NewLabel, Registry};

const LABELS: &str = "/api/v1/projects/{project}/labels";
const LABEL: &str = "/api/v1/projects/{project}/labels/{label}";

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| in_project(Resource::Label, action);
    vec![
        get(LABELS, list, "listLabels", "Labels of a project, by name", needs(Action::List))
            .lists::<LabelView>(),
        route::create(LABELS, create, "createLabel", "Make a label", needs(Action::Create))
            .body::<LabelInput>()
            .answers::<LabelView>(201),
        get(LABEL, read, "getLabel", "One label", needs(Action::Read)).answers::<LabelView>(200),
        patch(LABEL, change, "changeLabel", "Rename or recolour a label", needs(Action::Update))
            .body::<LabelPatch>()
            .answers::<LabelView>(200),
        delete(
            LABEL,
            remove,
            "deleteLabel",
            "Delete a label, also from the images that carry it",
            needs(Action::Delete),
        ),
    ]
}

/// A label of a project.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LabelView {
    id: Uuid,
    name: String,
    /// `grey`, `teal`, `green`, `amber`, `red`, `plum` or `orange`.
    color: &'static str,
    description: String,
    /// Images that carry it.
    images: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Label> for LabelView {
    fn from(label: Label) -> Self {
        Self {
            id: label.id.uuid(),
            name: label.name,
            color: label.color.as_str(),
            description: label.description,
            images: label.images,
            created_at: label.created_at,
            updated_at: label.updated_at,
        }
    }
}

/// A label to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LabelInput {
    /// 1 to 40 letters, digits, dots, underscores or hyphens.
    name: String,
    /// `grey` (the default), `teal`, `green`, `amber`, `red`, `plum` or `orange`.
    #[serde(default = "grey")]
    #[schema(value_type = String)]
    color: LabelColor,
    #[serde(default)]
    description: String,
}

fn grey() -> LabelColor {
    LabelColor::Grey
}

/// What to change of a label.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LabelPatch {
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    color: Option<LabelColor>,
    #[serde(default, deserialize_with = "given")]
    description: Option<String>,
}

async fn list(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<Page<LabelView>>> {
    let found = registry.labels(&caller.actor, &names.find("project")?).await?;
    Ok(whole(found, LabelView::from))
}

async fn create(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<LabelInput>,
) -> Result<Response> {
    let project: ProjectName = names.find("project")?;
    let new = NewLabel { name: input.name, color: input.color, description: input.description };
    let label = registry.create_label(&caller.actor, &project, new).await?;
    let name = serde_urlencoded::to_string([("", &label.name)]).unwrap_or_default();
    let at = format!("/api/v1/projects/{project}/labels/{}", name.trim_start_matches('='));
    Ok(created(&at, LabelView::from(label)))
}

async fn read(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<LabelView>> {
    let project = names.find("project")?;
    Ok(Json(registry.label(&caller.actor, &project, names.text("label")).await?.into()))
}

async fn change(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<LabelPatch>,
) -> Result<Json<LabelView>> {
    let project = names.find("project")?;
    let change =
        LabelChange { name: input.name, color: input.color, description: input.description };
    let label = names.text("label");
    Ok(Json(registry.update_label(&caller.actor, &project, label, change).await?.into()))
}

async fn remove(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    let project = names.find("project")?;
    registry.delete_label(&caller.actor, &project, names.text("label")).await?;
    Ok(StatusCode::NO_CONTENT)
}

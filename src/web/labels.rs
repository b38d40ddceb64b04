//! Labels of a project.

use askama::Template;
use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};

use super::form::{Choice, Form};
use super::frame::{Frame, Section};
use super::image::delete::{ConfirmForm, ConfirmPage};
use super::session::Posted;
use super::shell::{At, PageResult, Shell};
use super::text::Text;
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{ProjectName, Result};
use crate::http::{Access, RouteAccess, Services};
use crate::registry::{LabelChange, LabelColor, NewLabel};

/// The routes of this page.
pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/p/{project}/labels", get(list).post(create))
        .route("/p/{project}/labels/{name}", post(change))
        .route("/p/{project}/labels/{name}/delete", get(ask).post(remove))
}

/// Who may call each.
pub(super) fn access() -> Vec<RouteAccess> {
    let row = |method, path, action| RouteAccess {
        method,
        path,
        access: Access::Project(Permission(Resource::Label, action)),
    };
    vec![
        row(Method::GET, "/p/{project}/labels", Action::List),
        row(Method::POST, "/p/{project}/labels", Action::Create),
        row(Method::POST, "/p/{project}/labels/{name}", Action::Update),
        row(Method::GET, "/p/{project}/labels/{name}/delete", Action::Delete),
        row(Method::POST, "/p/{project}/labels/{name}/delete", Action::Delete),
    ]
}

/// One label.
struct Row {
    name: String,
    /// The name as a part of an address.
    href: String,
    color: &'static str,
    description: String,
    images: i64,
}

#[derive(Template)]
#[template(path = "labels/list.html")]
struct LabelsPage {
    frame: Frame,
    base: String,
    rows: Vec<Row>,
    colors: Vec<Choice>,
    may_change: bool,
    form: Form,
}

fn color_key(color: LabelColor) -> &'static str {
    match color {
        LabelColor::Grey => "color-grey",
        LabelColor::Teal => "color-teal",
        LabelColor::Green => "color-green",
        LabelColor::Amber => "color-amber",
        LabelColor::Red => "color-red",
        LabelColor::Plum => "color-plum",
        LabelColor::Orange => "color-orange",
    }
}

fn colors(t: &Text) -> Vec<Choice> {
    let choice =
        |color: LabelColor| Choice { value: color.as_str(), label: t.get(color_key(color)) };
    LabelColor::ALL.into_iter().map(choice).collect()
}

async fn page(shell: &Shell, name: &ProjectName, form: Form) -> Result<LabelsPage> {
    let t = shell.t;
    let list = Permission(Resource::Label, Action::List);
    let project = shell.services.catalog.project(&shell.actor, name, list).await?;
    let labels = shell.services.registry.labels_over(&project).await?;
    let frame = shell
        .project_frame(&project, Section::Repositories, t.get("labels-title"))
        .await?
        .crumb(format!("/p/{name}/r"), t.get("nav-repositories"))
        .json(format!("/api/v1/projects/{name}/labels"));
    Ok(LabelsPage {
        frame,
        base: format!("/p/{name}/labels"),
        rows: labels
            .into_iter()
            .map(|label| Row {
                href: percent_encoded(&label.name),
                name: label.name,
                color: label.color.as_str(),
                description: label.description,
                images: label.images,
            })
            .collect(),
        colors: colors(&t),
        may_change: shell.may(&project, Permission(Resource::Label, Action::Create)),
        form,
    })
}

/// Letters of other scripts as addresses carry them.
fn percent_encoded(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect()
}

/// `GET /p/{project}/labels`
async fn list(shell: Shell, At(name): At<ProjectName>) -> PageResult {
    let form = Form::of([("name", ""), ("color", "teal"), ("description", "")]);
    shell.render(&page(&shell, &name, form).await?)
}

#[derive(serde::Deserialize)]
struct LabelForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    color: String,
    #[serde(default)]
    description: String,
}

impl LabelForm {
    async fn again(
        &self,
        shell: &Shell,
        project: &ProjectName,
        error: crate::base::Error,
    ) -> PageResult {
        let form = Form::of([
            ("name", &self.name),
            ("color", &self.color),
            ("description", &self.description),
        ])
        .refused(&shell.t, error)?;
        let page = page(shell, project, form).await?;
        shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
    }
}

async fn create_from(shell: &Shell, project: &ProjectName, form: &LabelForm) -> Result<()> {
    let new = NewLabel {
        name: form.name.trim().to_owned(),
        color: form.color.parse()?,
        description: form.description.trim().to_owned(),
    };
    shell.services.registry.create_label(&shell.actor, project, new).await.map(|_| ())
}

/// `POST /p/{project}/labels`
async fn create(
    At(project): At<ProjectName>,
    Posted(shell, form): Posted<LabelForm>,
) -> PageResult {
    match create_from(&shell, &project, &form).await {
        Ok(()) => {
            Ok(shell.done(&format!("/p/{project}/labels"), "flash-label-created", form.name.trim()))
        }
        Err(error) => form.again(&shell, &project, error).await,
    }
}

async fn change_from(
    shell: &Shell,
    project: &ProjectName,
    name: &str,
    form: &LabelForm,
) -> Result<()> {
    let change = LabelChange {
        name: Some(form.name.trim().to_owned()),
        color: Some(form.color.parse()?),
        description: Some(form.description.trim().to_owned()),
    };
    shell.services.registry.update_label(&shell.actor, project, name, change).await.map(|_| ())
}

/// `POST /p/{project}/labels/{name}`
async fn change(
    At((project, name)): At<(ProjectName, String)>,
    Posted(shell, form): Posted<LabelForm>,
) -> PageResult {
    match change_from(&shell, &project, &name, &form).await {
        Ok(()) => {
            Ok(shell.done(&format!("/p/{project}/labels"), "flash-label-saved", form.name.trim()))
        }
        Err(error) => form.again(&shell, &project, error).await,
    }
}

async fn confirm_page(
    shell: &Shell,
    project: &ProjectName,
    name: &str,
    form: Form,
) -> Result<ConfirmPage> {
    let t = shell.t;
    let delete = Permission(Resource::Label, Action::Delete);
    let found = shell.services.catalog.project(&shell.actor, project, delete).await?;
    let label = shell.services.registry.label(&shell.actor, project, name).await?;
    let back = format!("/p/{project}/labels");
    let frame = shell
        .project_frame(&found, Section::Repositories, t.get("label-delete"))
        .await?
        .crumb(&back, t.get("labels-title"));
    Ok(ConfirmPage {
        frame,
        form,
        heading: t.fmt("label-delete-title").a("name", &label.name).to_string(),
        costs: vec![t.num("label-delete-cost", label.images).to_string()],
        name: label.name,
        button: t.get("label-delete"),
        back,
        blocked: None,
    })
}

/// `GET /p/{project}/labels/{name}/delete`
async fn ask(shell: Shell, At((project, name)): At<(ProjectName, String)>) -> PageResult {
    shell.render(&confirm_page(&shell, &project, &name, Form::default()).await?)
}

/// `POST /p/{project}/labels/{name}/delete`
async fn remove(
    At((project, name)): At<(ProjectName, String)>,
    Posted(shell, form): Posted<ConfirmForm>,
) -> PageResult {
    if !form.names(&name) {
        let page = confirm_page(&shell, &project, &name, form.mistyped(&shell)).await?;
        return shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    shell.services.registry.delete_label(&shell.actor, &project, &name).await?;
    Ok(shell.done(&format!("/p/{project}/labels"), "flash-label-deleted", &name))
}

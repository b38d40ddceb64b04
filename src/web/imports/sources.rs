//! `/p/{project}/imports/-/sources`: registries with credentials. A secret is typed, never shown.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;

use super::project_of;
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{ProjectName, Result, Secret, SourceName};
use crate::import::{NewSource, Source, SourceChange};
use crate::web::form::Form;
use crate::web::frame::{Frame, Section};
use crate::web::image::delete::{ConfirmForm, ConfirmPage};
use crate::web::projects::ListQuery;
use crate::web::session::Posted;
use crate::web::shell::{At, PageResult, Shell};
use crate::web::view::Pager;

#[derive(Template)]
#[template(path = "imports/sources.html")]
struct SourcesPage {
    frame: Frame,
    rows: Vec<Source>,
    pager: Pager,
    project: String,
    may_create: bool,
    may_operate: bool,
    form: Form,
}

#[derive(Template)]
#[template(path = "imports/source.html")]
struct SourcePage {
    frame: Frame,
    has_secret: bool,
    generation: i64,
    back: String,
    form: Form,
}

fn href(project: &ProjectName) -> String {
    format!("/p/{project}/imports/-/sources")
}

/// The form of a source. There is no way to read a secret out of it.
#[derive(serde::Deserialize)]
pub(in crate::web) struct SourceForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    url: String,
    #[serde(default, rename = "tokenHost")]
    token_host: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
    #[serde(default)]
    generation: Option<i64>,
}

impl SourceForm {
    fn filled(&self) -> Form {
        Form::of([
            ("name", &self.name),
            ("url", &self.url),
            ("tokenHost", &self.token_host),
            ("username", &self.username),
        ])
        .with("secret", "")
    }

    fn token_host(&self) -> Option<String> {
        Some(self.token_host.trim().to_owned()).filter(|host| !host.is_empty())
    }

    fn secret(&self) -> Option<Secret> {
        Some(self.secret.clone()).filter(|secret| !secret.is_empty()).map(Secret::new)
    }
}

async fn list_page(
    shell: &Shell,
    name: &ProjectName,
    query: &ListQuery,
    form: Form,
) -> Result<SourcesPage> {
    let project = project_of(shell, name, Action::List).await?;
    let imports = &shell.services.imports;
    let page = imports.list_sources(&shell.actor, name, &query.request()).await?;
    let frame = shell
        .project_frame(&project, Section::Imports, shell.t.get("sources-title"))
        .await?
        .crumb(format!("/p/{name}/imports"), shell.t.get("nav-imports"))
        .json(format!("/api/v1/projects/{name}/sources"));
    Ok(SourcesPage {
        frame,
        pager: query.pager(&href(name), &page),
        rows: page.items,
        project: name.to_string(),
        may_create: shell.may(&project, Permission(Resource::Import, Action::Create)),
        may_operate: shell.may(&project, Permission(Resource::Import, Action::Operate)),
        form,
    })
}

/// `GET /p/{project}/imports/-/sources`
pub(super) async fn list(
    shell: Shell,
    At(name): At<ProjectName>,
    Query(query): Query<ListQuery>,
) -> PageResult {
    shell.render(&list_page(&shell, &name, &query, Form::default()).await?)
}

async fn make(shell: &Shell, project: &ProjectName, form: &SourceForm) -> Result<()> {
    let name: SourceName = form.name.trim().parse()?;
    let new = NewSource {
        url: form.url.clone(),
        token_host: form.token_host(),
        username: form.username.clone(),
        secret: form.secret(),
    };
    shell.services.imports.create_source(&shell.actor, project, &name, new).await?;
    Ok(())
}

/// `POST /p/{project}/imports/-/sources`
pub(super) async fn create(
    At(name): At<ProjectName>,
    Posted(shell, form): Posted<SourceForm>,
) -> PageResult {
    project_of(&shell, &name, Action::Create).await?;
    match make(&shell, &name, &form).await {
        Ok(()) => Ok(shell.done(&href(&name), "flash-source-stored", form.name.trim())),
        Err(error) => {
            let form = form.filled().refused(&shell.t, error)?;
            let page = list_page(&shell, &name, &ListQuery::default(), form).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

async fn edit_page(
    shell: &Shell,
    name: &ProjectName,
    source: &Source,
    form: Form,
) -> Result<SourcePage> {
    let project = project_of(shell, name, Action::Operate).await?;
    let frame = shell
        .project_frame(&project, Section::Imports, &source.name)
        .await?
        .crumb(format!("/p/{name}/imports"), shell.t.get("nav-imports"))
        .crumb(href(name), shell.t.get("sources-title"))
        .json(format!("/api/v1/projects/{name}/sources/{}", source.name));
    Ok(SourcePage {
        frame,
        has_secret: source.has_secret,
        generation: source.generation,
        back: href(name),
        form,
    })
}

/// `GET /p/{project}/imports/-/sources/{name}`
pub(super) async fn edit(
    shell: Shell,
    At((project, name)): At<(ProjectName, SourceName)>,
) -> PageResult {
    project_of(&shell, &project, Action::Operate).await?;
    let source = shell.services.imports.source(&shell.actor, &project, &name).await?;
    let form = Form::of([
        ("url", source.url.as_str()),
        ("tokenHost", source.token_host.as_deref().unwrap_or_default()),
        ("username", source.username.as_str()),
    ])
    .with("secret", "");
    shell.render(&edit_page(&shell, &project, &source, form).await?)
}

/// `POST /p/{project}/imports/-/sources/{name}`
pub(super) async fn save(
    At((project, name)): At<(ProjectName, SourceName)>,
    Posted(shell, form): Posted<SourceForm>,
) -> PageResult {
    let imports = &shell.services.imports;
    let change = SourceChange {
        url: Some(form.url.clone()),
        token_host: Some(form.token_host()),
        username: Some(form.username.clone()),
        secret: form.secret(),
        generation: form.generation,
    };
    match imports.update_source(&shell.actor, &project, &name, change).await {
        Ok(_) => Ok(shell.done(&href(&project), "flash-source-stored", name)),
        Err(error) => {
            let form = form.filled().refused(&shell.t, error)?;
            let source = imports.source(&shell.actor, &project, &name).await?;
            let page = edit_page(&shell, &project, &source, form).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

async fn confirm_page(
    shell: &Shell,
    name: &ProjectName,
    source: &SourceName,
    form: Form,
) -> Result<ConfirmPage> {
    let t = shell.t;
    let project = project_of(shell, name, Action::Operate).await?;
    let found = shell.services.imports.source(&shell.actor, name, source).await?;
    let button = t.get("source-remove");
    let frame = shell
        .project_frame(&project, Section::Imports, &button)
        .await?
        .crumb(format!("/p/{name}/imports"), t.get("nav-imports"))
        .crumb(href(name), t.get("sources-title"));
    let mut costs = vec![t.get("source-cost-imports")];
    if found.has_secret {
        costs.insert(0, t.fmt("source-cost-secret").a("name", &found.username).to_string());
    }
    Ok(ConfirmPage {
        frame,
        form,
        heading: t.fmt("source-remove-title").a("name", source).to_string(),
        costs,
        name: source.to_string(),
        button,
        back: href(name),
        blocked: None,
    })
}

/// `GET /p/{project}/imports/-/sources/{name}/remove`
pub(super) async fn ask(
    shell: Shell,
    At((project, name)): At<(ProjectName, SourceName)>,
) -> PageResult {
    shell.render(&confirm_page(&shell, &project, &name, Form::default()).await?)
}

/// `POST /p/{project}/imports/-/sources/{name}/remove`
pub(super) async fn remove(
    At((project, name)): At<(ProjectName, SourceName)>,
    Posted(shell, form): Posted<ConfirmForm>,
) -> PageResult {
    let wanted = confirm_page(&shell, &project, &name, Form::default()).await?;
    if !form.names(name.as_str()) {
        let again = ConfirmPage { form: form.mistyped(&shell), ..wanted };
        return shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    shell.services.imports.delete_source(&shell.actor, &project, &name).await?;
    Ok(shell.done(&href(&project), "flash-source-removed", name))
}

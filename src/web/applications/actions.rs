//! Actions on a deployment, each with its own page so that it works without script: scale,
//! restart, pause, delete.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use serde_json::json;

use super::{App, On, Path, names};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Error, Result};
use crate::engine::Precondition;
use crate::web::form::Form;
use crate::web::frame::Frame;
use crate::web::image::delete::{ConfirmForm, ConfirmPage};
use crate::web::session::Posted;
use crate::web::shell::{At, PageResult, Shell};

async fn allowed(shell: &Shell, path: &Path, on: &str, action: Action) -> Result<App> {
    let permission = Permission(Resource::Deployment, action);
    shell.services.catalog.project(&shell.actor, &path.project, permission).await?;
    App::load(shell, path, on).await
}

async fn patch(shell: &Shell, app: &App, change: serde_json::Value) -> Result<()> {
    let (environment, name) = names(app.deployment()?)?;
    let engine = &shell.services.engine;
    engine
        .patch_deployment(&shell.actor, &environment, &name, change, Precondition::default())
        .await?;
    Ok(())
}

#[derive(Template)]
#[template(path = "applications/scale.html")]
struct ScalePage {
    frame: Frame,
    form: Form,
    heading: String,
    now: u32,
    back: String,
}

#[derive(Debug, serde::Deserialize)]
pub(in crate::web) struct ScaleForm {
    #[serde(default)]
    replicas: String,
}

async fn scale_page(shell: &Shell, app: &App, form: Form) -> Result<ScalePage> {
    let deployment = app.deployment()?;
    Ok(ScalePage {
        frame: app.frame(shell, shell.t.get("app-scale"), false).await?,
        form,
        heading: shell.t.fmt("scale-title").a("name", &deployment.name).to_string(),
        now: deployment.spec.replicas,
        back: app.link(""),
    })
}

/// `GET …/-/scale`
pub(in crate::web) async fn ask_scale(
    shell: Shell,
    At(path): At<Path>,
    Query(on): Query<On>,
) -> PageResult {
    let app = allowed(&shell, &path, &on.on, Action::Update).await?;
    let form = Form::of([("replicas", app.deployment()?.spec.replicas)]);
    shell.render(&scale_page(&shell, &app, form).await?)
}

/// `POST …/-/scale`
pub(in crate::web) async fn scale(
    At(path): At<Path>,
    Query(on): Query<On>,
    Posted(shell, form): Posted<ScaleForm>,
) -> PageResult {
    let app = allowed(&shell, &path, &on.on, Action::Update).await?;
    let scaled = async {
        let replicas: u32 = form
            .replicas
            .trim()
            .parse()
            .map_err(|_| Error::invalid("replicas", "must be a whole number from 0 to 1000"))?;
        patch(&shell, &app, json!({ "replicas": replicas })).await
    };
    match scaled.await {
        Ok(()) => Ok(shell.done(&app.link(""), "flash-scaled", form.replicas.trim())),
        Err(error) => {
            let filled = Form::of([("replicas", &form.replicas)]).refused(&shell.t, error)?;
            let page = scale_page(&shell, &app, filled).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

#[derive(Debug, serde::Deserialize)]
pub(in crate::web) struct PauseForm {
    #[serde(default)]
    paused: String,
}

/// `POST …/-/pause`: reversible, so it is done at once.
pub(in crate::web) async fn pause(
    At(path): At<Path>,
    Query(on): Query<On>,
    Posted(shell, form): Posted<PauseForm>,
) -> PageResult {
    let app = allowed(&shell, &path, &on.on, Action::Update).await?;
    let paused = form.paused == "true";
    patch(&shell, &app, json!({ "paused": paused })).await?;
    let flash = if paused { "flash-paused" } else { "flash-resumed" };
    Ok(shell.done(&app.link(""), flash, &app.application.name))
}

#[derive(Template)]
#[template(path = "applications/restart.html")]
struct RestartPage {
    frame: Frame,
    form: Form,
    heading: String,
    image: String,
    replicas: u32,
    back: String,
}

#[derive(Debug, serde::Deserialize)]
pub(in crate::web) struct RestartForm {
    /// Look the tag up again.
    #[serde(default)]
    resolve: String,
}

async fn restart_page(shell: &Shell, app: &App, form: Form) -> Result<RestartPage> {
    let deployment = app.deployment()?;
    let image = deployment.spec.template.containers.first().map(|c| c.image.clone());
    Ok(RestartPage {
        frame: app.frame(shell, shell.t.get("app-restart"), false).await?,
        form,
        heading: shell.t.fmt("restart-title").a("name", &deployment.name).to_string(),
        image: image.unwrap_or_default(),
        replicas: deployment.spec.replicas,
        back: app.link(""),
    })
}

/// `GET …/-/restart`
pub(in crate::web) async fn ask_restart(
    shell: Shell,
    At(path): At<Path>,
    Query(on): Query<On>,
) -> PageResult {
    let app = allowed(&shell, &path, &on.on, Action::Operate).await?;
    shell.render(&restart_page(&shell, &app, Form::default()).await?)
}

/// `POST …/-/restart`
pub(in crate::web) async fn restart(
    At(path): At<Path>,
    Query(on): Query<On>,
    Posted(shell, form): Posted<RestartForm>,
) -> PageResult {
    let app = allowed(&shell, &path, &on.on, Action::Operate).await?;
    let (environment, name) = names(app.deployment()?)?;
    let engine = &shell.services.engine;
    let resolve = !form.resolve.is_empty();
    match engine.restart(&shell.actor, &environment, &name, resolve).await {
        Ok(_) => Ok(shell.done(&app.link(""), "flash-restarted", name)),
        Err(error) => {
            let form = Form::default().refused(&shell.t, error)?;
            let page = restart_page(&shell, &app, form).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

async fn delete_page(shell: &Shell, app: &App, form: Form) -> Result<ConfirmPage> {
    let t = shell.t;
    let deployment = app.deployment()?;
    let services = super::services_of(shell, deployment).await?;
    let names: Vec<_> = services.iter().map(|service| service.name.as_str()).collect();
    let heading = t.fmt("delete-deployment-title").a("name", super::key(deployment)).to_string();
    Ok(ConfirmPage {
        frame: app.frame(shell, t.get("delete-deployment"), false).await?,
        form,
        heading,
        costs: vec![
            t.num("delete-cost-replicas", deployment.status.replicas).to_string(),
            t.get("delete-cost-revisions"),
        ],
        name: deployment.name.clone(),
        button: t.get("delete-deployment"),
        back: app.link("/settings"),
        blocked: (!names.is_empty())
            .then(|| t.fmt("delete-blocked-services").a("names", names.join(", ")).to_string()),
    })
}

/// `GET …/-/delete`
pub(in crate::web) async fn ask_delete(
    shell: Shell,
    At(path): At<Path>,
    Query(on): Query<On>,
) -> PageResult {
    let app = allowed(&shell, &path, &on.on, Action::Delete).await?;
    shell.render(&delete_page(&shell, &app, Form::default()).await?)
}

/// `POST …/-/delete`
pub(in crate::web) async fn delete(
    At(path): At<Path>,
    Query(on): Query<On>,
    Posted(shell, form): Posted<ConfirmForm>,
) -> PageResult {
    let app = allowed(&shell, &path, &on.on, Action::Delete).await?;
    let page = delete_page(&shell, &app, Form::default()).await?;
    if page.blocked.is_some() {
        return shell.render_as(StatusCode::CONFLICT, &page);
    }
    if !form.names(&page.name) {
        let again = ConfirmPage { form: form.mistyped(&shell), ..page };
        return shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let (environment, name) = names(app.deployment()?)?;
    shell.services.engine.delete_deployment(&shell.actor, &environment, &name).await?;
    Ok(shell.done(&app.base(), "flash-deployment-deleted", name))
}

//! `…/config`: what is deployed, as a form. Saving makes a revision and rolls it out.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;

use super::rollout::Pill;
use super::spec_form::{Choices, SpecForm, at_fields};
use super::{App, Head, On, Path, TabName, services_of};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Error, PageRequest, Result};
use crate::engine::Precondition;
use crate::web::form::Form;
use crate::web::frame::Frame;
use crate::web::session::Posted;
use crate::web::shell::{At, PageResult, Shell};

/// Most images offered while typing.
const SUGGESTIONS: u32 = 100;

#[derive(Template)]
#[template(path = "applications/config.html")]
struct ConfigPage {
    frame: Frame,
    head: Head,
    pill: Pill,
    form: Form,
    choices: Choices,
    images: Vec<String>,
    generation: i64,
}

#[derive(Debug, serde::Deserialize)]
pub(in crate::web) struct ConfigForm {
    /// The generation the form was filled from: somebody else's change is not overwritten.
    #[serde(default)]
    generation: String,
    #[serde(flatten)]
    spec: SpecForm,
}

async fn configured(shell: &Shell, path: &Path, on: &str) -> Result<App> {
    let permission = Permission(Resource::Deployment, Action::Update);
    shell.services.catalog.project(&shell.actor, &path.project, permission).await?;
    App::load(shell, path, on).await
}

async fn page_of(shell: &Shell, app: &App, form: Form, generation: i64) -> Result<ConfigPage> {
    let deployment = app.deployment()?;
    let services = services_of(shell, deployment).await?;
    let registry = &shell.services.registry;
    let few = PageRequest::first(SUGGESTIONS);
    let repositories =
        registry.list_repositories(&shell.actor, &app.project.name, None, &few).await;
    let images = shell
        .part(repositories)?
        .map(|page| {
            let newest = |r: &crate::registry::Repository| {
                Some(format!("{}:{}", r.name, r.latest_tag.as_ref()?))
            };
            page.items.iter().filter_map(newest).collect()
        })
        .unwrap_or_default();
    let (kind, word) = super::phase_of(shell, deployment);
    Ok(ConfigPage {
        frame: app.frame(shell, shell.t.get("app-tab-config"), false).await?,
        head: Head::of(shell, app, TabName::Config, &services),
        pill: Pill { kind, word },
        choices: Choices::of(&shell.t, form.value("probe")),
        form,
        images,
        generation,
    })
}

/// `GET …/config`
pub(in crate::web) async fn page(
    shell: Shell,
    At(path): At<Path>,
    Query(on): Query<On>,
) -> PageResult {
    let app = configured(&shell, &path, &on.on).await?;
    let deployment = app.deployment()?;
    let form = SpecForm::of(&deployment.spec).form();
    shell.render(&page_of(&shell, &app, form, deployment.generation).await?)
}

/// `POST …/config`
pub(in crate::web) async fn save(
    At(path): At<Path>,
    Query(on): Query<On>,
    Posted(shell, form): Posted<ConfigForm>,
) -> PageResult {
    let app = configured(&shell, &path, &on.on).await?;
    let deployment = app.deployment()?;
    let generation = form.generation.parse().unwrap_or(deployment.generation);
    let saved = async {
        let (environment, name) = super::names(deployment)?;
        let base = serde_json::to_value(&deployment.spec)
            .map_err(|e| Error::internal("writing a specification", e))?;
        let spec = form.spec.over(base, &deployment.name)?;
        let when = Precondition { generation: Some(generation) };
        shell.services.engine.apply_deployment(&shell.actor, &environment, &name, spec, when).await
    };
    match saved.await {
        Ok(applied) => {
            let flash = if applied.changed { "flash-saved" } else { "flash-unchanged" };
            Ok(shell.done(&app.link(""), flash, &applied.view.name))
        }
        Err(error) => {
            let filled = form.spec.form().refused(&shell.t, at_fields(error))?;
            let page = page_of(&shell, &app, filled, generation).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

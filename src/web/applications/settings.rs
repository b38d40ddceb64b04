//! `…/settings`: whose the application is and what it is for; and its end.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;

use super::rollout::Pill;
use super::{App, Head, On, Path, TabName};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Error, Result};
use crate::catalog::{ApplicationChange, Lifecycle, Link};
use crate::web::form::{Choice, Form};
use crate::web::frame::Frame;
use crate::web::image::delete::{ConfirmForm, ConfirmPage};
use crate::web::session::Posted;
use crate::web::shell::{At, PageResult, Shell};

/// Key of a lifecycle's name.
pub(super) fn lifecycle_key(lifecycle: Lifecycle) -> &'static str {
    crate::web::catalog::lifecycle_key(lifecycle)
}

#[derive(Template)]
#[template(path = "applications/settings.html")]
struct SettingsPage {
    frame: Frame,
    head: Head,
    pill: Option<Pill>,
    form: Form,
    lifecycles: Vec<Choice>,
    may_update: bool,
    may_delete: bool,
    delete_href: String,
    delete_deployment_href: Option<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
pub(in crate::web) struct SettingsForm {
    #[serde(default)]
    description: String,
    #[serde(default)]
    team: String,
    #[serde(default)]
    lifecycle: String,
    #[serde(default)]
    repository: String,
    /// `title URL`, one a line.
    #[serde(default)]
    links: String,
}

impl SettingsForm {
    fn form(&self) -> Form {
        Form::of([
            ("description", &self.description),
            ("team", &self.team),
            ("lifecycle", &self.lifecycle),
            ("repository", &self.repository),
            ("links", &self.links),
        ])
    }

    fn change(&self) -> Result<ApplicationChange> {
        let optional = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let team = optional(&self.team)
            .map(|team| team.parse().map_err(|e: Error| Error::invalid("team", e.public_message())))
            .transpose()?;
        let links = self
            .links
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (title, url) = line.rsplit_once(' ').unwrap_or((line, line));
                Link { title: title.trim().to_owned(), url: url.to_owned() }
            })
            .collect();
        Ok(ApplicationChange {
            team: Some(team),
            description: Some(self.description.trim().to_owned()),
            lifecycle: Some(self.lifecycle.parse()?),
            repository: Some(optional(&self.repository)),
            links: Some(links),
        })
    }
}

async fn page_of(shell: &Shell, app: &App, form: Form) -> Result<SettingsPage> {
    let choice = |lifecycle: Lifecycle| Choice {
        value: lifecycle.as_str(),
        label: shell.t.get(lifecycle_key(lifecycle)),
    };
    let may_delete_deployment = app.may(shell, Resource::Deployment, Action::Delete);
    let pill = app.current.as_ref().map(|deployment| {
        let (kind, word) = super::phase_of(shell, deployment);
        Pill { kind, word }
    });
    Ok(SettingsPage {
        frame: app.frame(shell, shell.t.get("app-tab-settings"), false).await?,
        head: Head::of(shell, app, TabName::Settings, &[]),
        pill,
        form,
        lifecycles: Lifecycle::ALL.into_iter().map(choice).collect(),
        may_update: app.may(shell, Resource::Application, Action::Update),
        may_delete: app.may(shell, Resource::Application, Action::Delete),
        delete_href: format!("{}/-/remove", app.base()),
        delete_deployment_href: (may_delete_deployment && app.current.is_some())
            .then(|| app.link("/-/delete")),
    })
}

/// `GET …/settings`
pub(in crate::web) async fn page(
    shell: Shell,
    At(path): At<Path>,
    Query(on): Query<On>,
) -> PageResult {
    let app = App::load(&shell, &path, &on.on).await?;
    let a = &app.application;
    let links: String = a.links.iter().map(|l| format!("{} {}\n", l.title, l.url)).collect();
    let form = SettingsForm {
        description: a.description.clone(),
        team: a.team.as_ref().map(ToString::to_string).unwrap_or_default(),
        lifecycle: a.lifecycle.as_str().to_owned(),
        repository: a.repository.clone().unwrap_or_default(),
        links,
    };
    shell.render(&page_of(&shell, &app, form.form()).await?)
}

/// `POST …/settings`
pub(in crate::web) async fn save(
    At(path): At<Path>,
    Query(on): Query<On>,
    Posted(shell, form): Posted<SettingsForm>,
) -> PageResult {
    let app = App::load(&shell, &path, &on.on).await?;
    let catalog = &shell.services.catalog;
    let saved = async {
        let change = form.change()?;
        catalog.update_application(&shell.actor, &path.project, &path.app, change).await
    };
    match saved.await {
        Ok(application) => Ok(shell.done(&app.link(""), "flash-settings-saved", application.name)),
        Err(error) => {
            let filled = form.form().refused(&shell.t, error)?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page_of(&shell, &app, filled).await?)
        }
    }
}

async fn remove_page(shell: &Shell, app: &App, form: Form) -> Result<ConfirmPage> {
    let t = shell.t;
    let places: Vec<_> = app.deployments.iter().map(super::key).collect();
    Ok(ConfirmPage {
        frame: app.frame(shell, t.get("delete-application"), false).await?,
        form,
        heading: t.fmt("delete-application-title").a("name", &app.application.name).to_string(),
        costs: vec![t.get("delete-cost-application")],
        name: app.application.name.to_string(),
        button: t.get("delete-application"),
        back: app.link("/settings"),
        blocked: (!places.is_empty())
            .then(|| t.fmt("delete-blocked-deployments").a("names", places.join(", ")).to_string()),
    })
}

async fn removable(shell: &Shell, path: &Path) -> Result<App> {
    let permission = Permission(Resource::Application, Action::Delete);
    shell.services.catalog.project(&shell.actor, &path.project, permission).await?;
    App::load(shell, path, "").await
}

/// `GET …/-/remove`
pub(in crate::web) async fn ask_remove(shell: Shell, At(path): At<Path>) -> PageResult {
    let app = removable(&shell, &path).await?;
    shell.render(&remove_page(&shell, &app, Form::default()).await?)
}

/// `POST …/-/remove`
pub(in crate::web) async fn remove(
    At(path): At<Path>,
    Posted(shell, form): Posted<ConfirmForm>,
) -> PageResult {
    let app = removable(&shell, &path).await?;
    let page = remove_page(&shell, &app, Form::default()).await?;
    if page.blocked.is_some() {
        return shell.render_as(StatusCode::CONFLICT, &page);
    }
    if !form.names(&page.name) {
        let again = ConfirmPage { form: form.mistyped(&shell), ..page };
        return shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    shell.services.catalog.delete_application(&shell.actor, &path.project, &path.app).await?;
    let list = format!("/p/{}/a", path.project);
    Ok(shell.done(&list, "flash-application-deleted", path.app))
}

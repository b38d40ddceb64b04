//! Removing a tag, an image or a repository: a page that says what goes, and asks for the name.

use askama::Template;
use axum::http::StatusCode;

use super::{href, image_href};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Reference, RepositoryName, Result};
use crate::registry::rules::{Change, Standing, protects};
use crate::web::form::Form;
use crate::web::frame::{Frame, Section};
use crate::web::shell::{PageResult, Shell};

/// What is about to go.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(in crate::web) struct ConfirmPage {
    pub frame: Frame,
    pub form: Form,
    pub heading: String,
    /// What it costs, one line each.
    pub costs: Vec<String>,
    /// What must be typed.
    pub name: String,
    pub button: String,
    pub back: String,
    /// Why it cannot be done now, with where to look.
    pub blocked: Option<String>,
}

#[derive(serde::Deserialize)]
pub(in crate::web) struct ConfirmForm {
    #[serde(default)]
    confirm: String,
}

impl ConfirmForm {
    /// Whether the name was typed right.
    pub(in crate::web) fn names(&self, name: &str) -> bool {
        self.confirm.trim() == name
    }

    /// The form again, with what was typed and the fault.
    pub(in crate::web) fn mistyped(&self, shell: &Shell) -> Form {
        Form::of([("confirm", &self.confirm)]).wrong("confirm", shell.t.get("confirm-mismatch"))
    }
}

async fn page(
    shell: &Shell,
    name: &RepositoryName,
    reference: Option<&Reference>,
    form: Form,
) -> Result<ConfirmPage> {
    let services = &shell.services;
    let t = shell.t;
    let resource = match reference {
        None => Resource::Repository,
        Some(Reference::Tag(_)) => Resource::Tag,
        Some(Reference::Digest(_)) => Resource::Artifact,
    };
    let permission = Permission(resource, Action::Delete);
    let project = services.catalog.project(&shell.actor, &name.project(), permission).await?;
    let repository = services.registry.repository(&shell.actor, name).await?;
    let running = super::running(shell, &project, name).await?;
    let back = reference.map_or_else(
        || href(project.name.as_str(), name.path()),
        |reference| image_href(name, reference),
    );
    let mut costs = Vec::new();
    let rules = services.registry.rules_over(&project).await?;
    let who = Standing::of(&shell.actor, &project);
    let locked = |tag: &str| protects(&rules, name, tag, who, Change::Remove);
    let mut lock = None;
    let (heading, typed, button, used) = match reference {
        None => {
            costs.push(t.num("delete-cost-tags", repository.tag_count).to_string());
            costs.push(t.fmt("delete-cost-size").a("size", t.size(repository.size)).to_string());
            costs.push(t.get("delete-cost-final"));
            let heading = t.fmt("delete-repository-title").a("name", name).to_string();
            (heading, name.path().to_owned(), t.get("delete-repository"), running.iter().collect())
        }
        Some(reference) => {
            let image = services.registry.image(&shell.actor, name, reference).await?;
            let used: Vec<_> =
                running.iter().filter(|(_, digest)| *digest == image.digest).collect();
            match reference {
                Reference::Tag(tag) => {
                    lock = locked(tag.as_str());
                    let others = image.tags.iter().filter(|other| *other != tag).count();
                    costs.push(t.num("delete-cost-tag-stays", others).to_string());
                    let heading =
                        t.fmt("delete-tag-title").a("tag", tag).a("name", name).to_string();
                    (heading, tag.to_string(), t.get("delete-tag"), Vec::new())
                }
                Reference::Digest(digest) => {
                    lock = image.tags.iter().find_map(|tag| locked(tag.as_str()));
                    costs.push(t.num("delete-cost-tags", image.tags.len()).to_string());
                    let size = t.size(image.total_size);
                    costs.push(match services.registry.restorable_until() {
                        None => t.fmt("delete-cost-size").a("size", size).to_string(),
                        Some(until) => {
                            let days = (until - t.now).num_days().max(1);
                            t.num("delete-cost-later", days).a("size", size).to_string()
                        }
                    });
                    let short = digest.short();
                    let heading =
                        t.fmt("delete-image-title").a("digest", short).a("name", name).to_string();
                    (heading, short.to_owned(), t.get("delete-image"), used)
                }
            }
        }
    };
    let places: Vec<_> = used.iter().map(|(place, _)| place.as_str()).collect();
    let blocked = (!places.is_empty())
        .then(|| t.fmt("delete-blocked").a("places", places.join(", ")).to_string())
        .or_else(|| lock.map(|rule| t.fmt("delete-locked").a("rule", rule).to_string()));
    let frame = shell
        .project_frame(&project, Section::Repositories, &button)
        .await?
        .crumb(format!("/p/{}/r", project.name), t.get("nav-repositories"))
        .crumb(&back, name.path());
    Ok(ConfirmPage { frame, form, heading, costs, name: typed, button, back, blocked })
}

pub(super) async fn ask(
    shell: &Shell,
    name: &RepositoryName,
    reference: Option<Reference>,
) -> PageResult {
    shell.render(&page(shell, name, reference.as_ref(), Form::default()).await?)
}

pub(super) async fn confirm(
    shell: &Shell,
    name: &RepositoryName,
    reference: Option<Reference>,
    form: &ConfirmForm,
) -> PageResult {
    let wanted = page(shell, name, reference.as_ref(), Form::default()).await?;
    if wanted.blocked.is_some() {
        return shell.render_as(StatusCode::CONFLICT, &wanted);
    }
    if !form.names(&wanted.name) {
        let again = ConfirmPage { form: form.mistyped(shell), ..wanted };
        return shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let registry = &shell.services.registry;
    let repository = href(name.project().as_str(), name.path());
    match &reference {
        None => {
            registry.delete_repository(&shell.actor, name).await?;
            Ok(shell.done(&format!("/p/{}/r", name.project()), "flash-repository-deleted", name))
        }
        Some(Reference::Tag(tag)) => {
            registry.delete_tag_with(&shell.actor, name, tag, super::CLIENT).await?;
            Ok(shell.done(&repository, "flash-tag-deleted", tag))
        }
        Some(Reference::Digest(digest)) => {
            registry.delete_image_with(&shell.actor, name, digest, super::CLIENT).await?;
            let key = match registry.restorable_until() {
                Some(_) => "flash-image-deleted-restorable",
                None => "flash-image-deleted",
            };
            Ok(shell.done(&repository, key, digest.short()))
        }
    }
}

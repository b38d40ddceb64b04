//! Deployments as their users declare, read and delete them.

use serde_json::{Value, json};

use super::admission::{check_policy, refuse_deleting};
use super::loaded::{Loaded, event_of, on_deployment};
use super::spec::DeploymentSpec;
use super::store::deployments::{self as store, NewDeployment, Which};
use super::store::{DeploymentRow, NewRevision, Settings, revisions};
use super::view::{DeploymentPhase, DeploymentView};
use super::{Applied, Engine, Precondition, patch, validate, words};
use crate::accounts::rbac::Action;
use crate::base::id::DeploymentId;
use crate::base::{
    Actor, DeploymentName, EnvironmentName, Error, ErrorKind, Page, PageRequest, Result,
};
use crate::catalog::Environment;
use crate::db::Tx;
use crate::events::{self, NewEvent, Target};

/// Attempts of a write that others got in the way of.
const ATTEMPTS: u32 = 5;

impl Engine {
    /// Declares a deployment. Repeating it with the same spec changes nothing.
    pub async fn apply_deployment(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        spec: DeploymentSpec,
        when: Precondition,
    ) -> Result<Applied<DeploymentView>> {
        let environment =
            self.catalog.environment(actor, environment, on_deployment(Action::Update)).await?;
        let spec = validate::deployment(spec)?;
        self.declare(actor, &environment, name, when, |_| Ok(spec.clone())).await
    }

    /// Merges `patch` into the present spec: objects merge, `null` removes, `containers` and
    /// `env` merge by `name`, `ports` by `containerPort`; `{"image": …}` is shorthand for the
    /// only container's image.
    pub async fn patch_deployment(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        patch: Value,
        when: Precondition,
    ) -> Result<Applied<DeploymentView>> {
        let environment =
            self.catalog.environment(actor, environment, on_deployment(Action::Update)).await?;
        self.declare(actor, &environment, name, when, |present| {
            let present = present.ok_or_else(|| Error::not_found("deployment", name))?;
            validate::deployment(patch::apply(present, patch.clone())?)
        })
        .await
    }

    /// One declarative write: `wanted` makes the new spec from the present one.
    async fn declare(
        &self,
        actor: &Actor,
        environment: &Environment,
        name: &DeploymentName,
        when: Precondition,
        wanted: impl Fn(Option<&DeploymentSpec>) -> Result<DeploymentSpec> + Send + Sync,
    ) -> Result<Applied<DeploymentView>> {
        for _ in 0..ATTEMPTS {
            let present = self.find_deployment(environment, name.as_str()).await?;
            check_precondition(when, present.as_ref())?;
            let done = match present {
                None => {
                    let spec = wanted(None)?;
                    Some(self.create(actor, environment, name, spec).await?)
                }
                Some(present) => {
                    refuse_deleting(&present.row)?;
                    let spec = wanted(Some(&present.spec()?))?;
                    self.update(actor, environment, present, spec).await?
                }
            };
            if let Some((created, changed)) = done {
                let loaded = self
                    .find_deployment(environment, name.as_str())
                    .await?
                    .ok_or_else(|| Error::not_found("deployment", name))?;
                return Ok(Applied { view: loaded.view()?, created, changed });
            }
        }
        Err(Error::conflict("busy", "the deployment is being changed by others; try again"))
    }

    async fn application_id(
        &self,
        actor: &Actor,
        environment: &Environment,
        spec: &DeploymentSpec,
    ) -> Result<Option<crate::base::id::ApplicationId>> {
        let Some(name) = &spec.application else { return Ok(None) };
        let name = name.parse()?;
        match self.catalog.application(actor, &environment.project.name, &name).await {
            Ok(application) => Ok(Some(application.id)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::invalid(
                "application",
                format!(
                    "there is no application \"{name}\" in project {}",
                    environment.project.name
                ),
            )),
            Err(error) => Err(error),
        }
    }

    async fn create(
        &self,
        actor: &Actor,
        environment: &Environment,
        name: &DeploymentName,
        spec: DeploymentSpec,
    ) -> Result<(bool, bool)> {
        self.catalog.environment(actor, &environment.name, on_deployment(Action::Create)).await?;
        let application = self.application_id(actor, environment, &spec).await?;
        let images = self.resolve_images(actor, &spec.template).await?;
        check_policy(environment.name.as_str(), name.as_str(), &spec.template, &images)?;
        let now = self.clock.0.now();
        let id = DeploymentId::new(now);
        let settings = Settings::of(&spec);
        let revision = NewRevision {
            template: spec.template,
            images,
            cause: "deploy".to_owned(),
            created_by: actor.name.clone(),
        };
        let mut tx = self.db.begin().await?;
        let new = NewDeployment {
            id,
            environment: environment.id,
            application,
            name,
            replicas: spec.replicas,
            settings: &settings,
        };
        store::insert(tx.conn(), &new, now).await?;
        self.hold_images(&mut tx, &revision.images).await?;
        revisions::insert(tx.conn(), id, None, &revision, now).await?;
        let path = format!("{}/{name}", environment.name);
        let message = format!(
            "{} deployed {path}: {} replicas of {}",
            actor.name,
            spec.replicas,
            words::changes(None, (&revision.template, &revision.images)).join(", "),
        );
        let event =
            NewEvent::new("deployment.create", Target::new("deployment", id, path), message)
                .in_project(environment.project.id)
                .of_deployment(environment.id, id)
                .detail(
                    json!({ "revision": 1, "replicas": spec.replicas, "images": revision.images }),
                );
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        Ok((true, true))
    }

    /// Whether it was created and changed; `None` when somebody else changed it meanwhile.
    async fn update(
        &self,
        actor: &Actor,
        environment: &Environment,
        present: Loaded,
        spec: DeploymentSpec,
    ) -> Result<Option<(bool, bool)>> {
        let row = &present.row;
        let old = present.spec()?;
        if spec == old {
            return Ok(Some((false, false)));
        }
        let application = if spec.application == old.application {
            row.application_id
        } else {
            self.application_id(actor, environment, &spec).await?
        };
        let rolls = spec.template != old.template;
        let revision = if rolls {
            let images = self.resolve_images(actor, &spec.template).await?;
            check_policy(&row.environment, &row.name, &spec.template, &images)?;
            Some(NewRevision {
                template: spec.template.clone(),
                images,
                cause: "deploy".to_owned(),
                created_by: actor.name.clone(),
            })
        } else {
            None
        };
        let settings = Settings::of(&spec);
        let now = self.clock.0.now();
        let mut tx = self.db.begin().await?;
        if store::lock(tx.conn(), row.id).await? != Some(row.generation) {
            return Ok(None);
        }
        let mut number = row.current_revision;
        let mut changes = words::settings_changes(&old, &spec);
        if let Some(new) = &revision {
            self.hold_images(&mut tx, &new.images).await?;
            number = insert_revision(&mut tx, row, new, now).await?;
            let images = present.revision.images()?;
            changes.extend(words::changes(
                Some((&old.template, &images)),
                (&new.template, &new.images),
            ));
        }
        store::update(tx.conn(), row.id, application, spec.replicas, &settings, number, now)
            .await?;
        if old.paused && !spec.paused {
            revisions::touch(tx.conn(), row.id, now).await?;
        }
        revisions::prune(tx.conn(), row.id, settings.revision_history_limit).await?;
        let scales_only = !rolls && old.replicas != spec.replicas && changes.len() == 1;
        let (action, what) = match (rolls, scales_only) {
            (true, _) => ("deployment.deploy", format!("deployed revision {number} of")),
            (_, true) => ("deployment.scale", "scaled".to_owned()),
            _ => ("deployment.update", "changed".to_owned()),
        };
        let message = format!("{} {what} {}: {}", actor.name, row.path(), changes.join(", "));
        let event = event_of(action, row, message).detail(json!({
            "revision": { "from": row.current_revision, "to": number },
            "replicas": { "from": old.replicas, "to": spec.replicas },
            "changes": changes,
        }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        Ok(Some((false, true)))
    }

    pub async fn deployment(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
    ) -> Result<DeploymentView> {
        self.load(actor, environment, name, on_deployment(Action::Read)).await?.view()
    }

    pub async fn list_deployments(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        page: &PageRequest,
    ) -> Result<Page<DeploymentView>> {
        let environment =
            self.catalog.environment(actor, environment, on_deployment(Action::List)).await?;
        let limit = page.limit()?;
        let after: Option<String> = page.after_key()?;
        let which = Which {
            environment: Some(environment.id),
            after: after.as_deref(),
            ..Which::default()
        };
        let rows = store::list(&mut *self.db.read().await?, &which, i64::from(limit) + 1).await?;
        let page = Page::from_rows(rows, limit, |row| row.name.clone());
        let items = self.views(page.items).await?;
        Ok(Page { items, next: page.next })
    }

    /// Deployments of every project the caller may see, worst phase first; for the overview.
    pub async fn list_all_deployments(
        &self,
        actor: &Actor,
        limit: u32,
    ) -> Result<Vec<DeploymentView>> {
        let projects = self.catalog.visible_projects(actor, on_deployment(Action::List)).await?;
        let which = Which { projects: projects.as_deref(), ..Which::default() };
        let rows = store::list(&mut *self.db.read().await?, &which, 1000).await?;
        let mut views = self.views(rows).await?;
        views.sort_by_key(|view| severity(view.status.phase));
        views.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(views)
    }

    /// Views of rows; one that cannot be read is left out, not fatal for the others.
    async fn views(&self, rows: Vec<DeploymentRow>) -> Result<Vec<DeploymentView>> {
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let revisions = revisions::current_of(&mut *self.db.read().await?, &ids).await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(revision) = revisions.iter().find(|r| r.deployment_id == row.id) else {
                continue;
            };
            let loaded = Loaded { row, revision: revision.clone() };
            match loaded.view() {
                Ok(view) => views.push(view),
                Err(error) => tracing::error!(
                    deployment.id = %loaded.row.id,
                    error = %error.chain(),
                    "a stored deployment cannot be read and is left out of a list"
                ),
            }
        }
        Ok(views)
    }

    /// Removes the replicas, then the deployment. A service that uses it is a conflict.
    pub async fn delete_deployment(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
    ) -> Result<()> {
        let row = self.load(actor, environment, name, on_deployment(Action::Delete)).await?.row;
        if row.deleting_at.is_some() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        store::lock(tx.conn(), row.id).await?;
        let services = store::services_of(tx.conn(), row.id).await?;
        if !services.is_empty() {
            return Err(Error::conflict(
                "deployment_in_use",
                format!(
                    "deployment \"{name}\" is used by service {}; delete that first",
                    services.join(", ")
                ),
            ));
        }
        store::mark_deleting(tx.conn(), row.id, self.clock.0.now()).await?;
        let message = format!("{} deleted {}", actor.name, row.path());
        let event = event_of("deployment.delete", &row, message);
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await
    }
}

/// Inserts the next revision of a locked deployment.
pub(super) async fn insert_revision(
    tx: &mut Tx,
    row: &DeploymentRow,
    new: &NewRevision,
    now: crate::base::Timestamp,
) -> Result<i64> {
    revisions::insert(tx.conn(), row.id, Some(row.current_revision), new, now).await
}

fn check_precondition(when: Precondition, present: Option<&Loaded>) -> Result<()> {
    let Some(wanted) = when.generation else { return Ok(()) };
    match present.map(|p| p.row.generation) {
        Some(generation) if generation == wanted => Ok(()),
        Some(generation) => Err(Error::new(
            ErrorKind::Stale,
            "stale",
            format!("the deployment is at generation {generation}, not {wanted}; read it again"),
        )),
        None => Err(Error::new(ErrorKind::Stale, "stale", "the deployment does not exist")),
    }
}

fn severity(phase: DeploymentPhase) -> u8 {
    match phase {
        DeploymentPhase::Failed => 0,
        DeploymentPhase::Degraded => 1,
        DeploymentPhase::Progressing => 2,
        DeploymentPhase::Deleting => 3,
        DeploymentPhase::Healthy => 4,
        DeploymentPhase::ScaledToZero => 5,
    }
}

//! Revisions: what ran before, going back to it, and rolling the same again.

use std::collections::BTreeMap;

use serde_json::json;

use super::admission::{check_policy, refuse_deleting};
use super::deployments::insert_revision;
use super::loaded::{Loaded, event_of, on_deployment};
use super::store::{NewRevision, RevisionRow, deployments, replicas, revisions};
use super::view::{DeploymentView, RevisionView};
use super::{Engine, words};
use crate::accounts::rbac::Action;
use crate::base::{Actor, DeploymentName, EnvironmentName, Error, Result};
use crate::events::{self};

impl Engine {
    /// Makes a new revision that copies revision `to`. The caller's right to pull its images is
    /// checked again. Replicas of `to` that still run are taken over, not restarted.
    pub async fn rollback(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        to: i64,
        reason: &str,
    ) -> Result<DeploymentView> {
        let present = self.load(actor, environment, name, on_deployment(Action::Operate)).await?;
        if reason.chars().count() > 500 || reason.chars().any(char::is_control) {
            return Err(Error::invalid("reason", "must be at most 500 characters on one line"));
        }
        if to == present.row.current_revision {
            return Err(Error::conflict(
                "revision_current",
                format!("revision {to} is the current one; name an older one"),
            ));
        }
        let old = revisions::list(&mut *self.db.read().await?, present.row.id, Some(to))
            .await?
            .pop()
            .ok_or_else(|| Error::not_found("revision", to))?;
        let images = old.images()?;
        self.recheck_images(actor, &images).await?;
        let cause = if reason.is_empty() {
            format!("rollback to {to}")
        } else {
            format!("rollback to {to}: {reason}")
        };
        let new = NewRevision {
            template: old.template()?,
            images,
            cause,
            created_by: actor.name.clone(),
        };
        self.replace(actor, environment, name, &present, new, Some(to)).await
    }

    /// Rolls all replicas with the same template; with `resolve`, tags are resolved anew.
    pub async fn restart(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        resolve: bool,
    ) -> Result<DeploymentView> {
        let present = self.load(actor, environment, name, on_deployment(Action::Operate)).await?;
        let template = present.revision.template()?;
        let images = if resolve {
            self.resolve_images(actor, &template).await?
        } else {
            let images = present.revision.images()?;
            self.recheck_images(actor, &images).await?;
            images
        };
        let cause = if resolve { "restart with tags resolved anew" } else { "restart" };
        let new = NewRevision {
            template,
            images,
            cause: cause.to_owned(),
            created_by: actor.name.clone(),
        };
        self.replace(actor, environment, name, &present, new, None).await
    }

    /// Makes `new` the current revision.
    async fn replace(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
        present: &Loaded,
        new: NewRevision,
        copied: Option<i64>,
    ) -> Result<DeploymentView> {
        let row = &present.row;
        refuse_deleting(row)?;
        check_policy(&row.environment, &row.name, &new.template, &new.images)?;
        let settings = row.settings()?;
        let now = self.clock.0.now();
        let mut tx = self.db.begin().await?;
        if deployments::lock(tx.conn(), row.id).await? != Some(row.generation) {
            return Err(Error::conflict(
                "busy",
                "the deployment was changed by somebody else just now; look again",
            ));
        }
        self.hold_images(&mut tx, &new.images).await?;
        let number = insert_revision(&mut tx, row, &new, now).await?;
        let kept = match copied {
            Some(from) => replicas::adopt(tx.conn(), row.id, from, number).await?,
            None => 0,
        };
        deployments::update(
            tx.conn(),
            row.id,
            row.application_id,
            row.wanted(),
            &settings,
            number,
            now,
        )
        .await?;
        revisions::prune(tx.conn(), row.id, settings.revision_history_limit).await?;
        let (action, verb) = match copied {
            Some(_) => ("deployment.rollback", "rolled back"),
            None => ("deployment.restart", "restarted"),
        };
        let message =
            format!("{} {verb} {}: revision {number}, {}", actor.name, row.path(), new.cause);
        let event = event_of(action, row, message).detail(json!({
            "revision": { "from": row.current_revision, "to": number, "copied": copied },
            "replicasKept": kept,
        }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        self.load(actor, environment, name, on_deployment(Action::Operate)).await?.view()
    }

    /// Revisions, newest first.
    pub async fn revisions(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &DeploymentName,
    ) -> Result<Vec<RevisionView>> {
        let row = self.load(actor, environment, name, on_deployment(Action::Read)).await?.row;
        let rows = revisions::list(&mut *self.db.read().await?, row.id, None).await?;
        rows.iter()
            .map(|revision| {
                let previous = revision
                    .previous
                    .and_then(|n| rows.iter().find(|r| r.number == n))
                    .or_else(|| rows.iter().find(|r| r.number < revision.number));
                revision_view(revision, previous, row.current_revision)
            })
            .collect()
    }
}

fn revision_view(
    revision: &RevisionRow,
    previous: Option<&RevisionRow>,
    current: i64,
) -> Result<RevisionView> {
    let (template, images) = (revision.template()?, revision.images()?);
    let before = previous.map(|p| Ok::<_, Error>((p.template()?, p.images()?))).transpose()?;
    let changes = words::changes(before.as_ref().map(|(t, i)| (t, i)), (&template, &images));
    Ok(RevisionView {
        id: revision.id.uuid(),
        number: revision.number,
        template,
        images: images.into_iter().map(|(k, v)| (k, v.to_string())).collect::<BTreeMap<_, _>>(),
        outcome: revision.outcome(),
        current: revision.number == current,
        cause: revision.cause.clone(),
        changes,
        created_by: revision.created_by.clone(),
        created_at: revision.created_at,
        finished_at: revision.finished_at,
        failure: revision.failure(),
    })
}

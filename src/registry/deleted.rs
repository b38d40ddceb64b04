//! Deleted images: gone for every client at once, kept whole until their window ends, and brought
//! back with their tags and labels.
//!
//! # Design notes
//!
//! Deleting moves a manifest's row, bytes and all, to a *tombstone* and notes the blobs it needs.
//! Links of noted blobs stay, so a collection leaves the bytes alone and a project goes on paying
//! for them until the window ends. An explicit `DELETE` of a blob is obeyed even so: whoever asks
//! for that (a leaked secret, say) means it. The tombstone then cannot be restored and names the
//! blob it lacks; pushing the blob again heals it. A push of the same manifest makes the tombstone
//! void. The rejected option, a flag on `manifests`, would have put a condition into every query
//! that serves an image.

use std::collections::HashMap;

use serde_json::json;

use super::label::Chip;
use super::store::tags::Mover;
use super::{Registry, access, store};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::ManifestId;
use crate::base::{
    Actor, Digest, Error, Page, PageRequest, Reference, RepositoryName, Result, TagName, Timestamp,
};
use crate::db::Tx;
use crate::events::{self, NewEvent, Target};

/// How long deleted images are kept, unless the installation says otherwise.
pub const UNDELETE_WINDOW: chrono::Duration = chrono::Duration::days(7);
/// Who deleted what is history: those who read the project's events see it.
const LIST: Permission = Permission(Resource::Event, Action::List);
const BATCH: i64 = 200;

/// A deleted image that can still come back.
#[derive(Debug, Clone)]
pub struct DeletedImage {
    pub digest: Digest,
    pub media_type: String,
    pub artifact_type: Option<String>,
    /// Config and layers, bytes.
    pub total_size: i64,
    pub pushed_by: String,
    pub pushed_at: Timestamp,
    /// Tags that named it.
    pub tags: Vec<TagName>,
    /// Labels it carried that still exist.
    pub labels: Vec<Chip>,
    pub deleted_by: String,
    pub client: String,
    pub deleted_at: Timestamp,
    /// It can be restored before then.
    pub restorable_until: Timestamp,
    /// A blob that was deleted since; without it the image cannot be restored.
    pub missing: Option<Digest>,
}

/// A tag that was removed while its image stayed.
#[derive(Debug, Clone)]
pub struct DeletedTag {
    pub tag: TagName,
    pub digest: Digest,
    pub deleted_by: String,
    pub client: String,
    pub deleted_at: Timestamp,
}

/// What became of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It can be pulled.
    Here,
    /// It is deleted and can be restored.
    Deleted,
}

pub(super) fn unknown(digest: &Digest) -> Error {
    Error::not_found("deleted image", Reference::Digest(digest.clone()))
        .with_code("manifest_unknown")
}

impl Registry {
    /// Deleted images that can still come back, newest first.
    pub async fn deleted_images(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        page: &PageRequest,
    ) -> Result<Page<DeletedImage>> {
        self.authorize(actor, name, LIST).await?;
        let repository = self.repository_id(name).await?;
        let (limit, after) = (page.limit()?, page.after_key()?);
        let mut conn = self.db.read().await?;
        let now = self.now();
        let rows = store::deleted::list(&mut conn, repository, None, now, after, limit).await?;
        let page = Page::from_rows(rows, limit, |(id, image)| (image.deleted_at, *id));
        Ok(page.map(|(_, image)| image))
    }

    /// One deleted image, by its digest or by a tag that named it last.
    pub async fn deleted_image(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<DeletedImage> {
        self.authorize(actor, name, LIST).await?;
        let repository = self.repository_id(name).await?;
        let mut conn = self.db.read().await?;
        let now = self.now();
        store::deleted::list(&mut conn, repository, Some(reference), now, None, 1)
            .await?
            .into_iter()
            .next()
            .map(|(_, image)| image)
            .ok_or_else(|| {
                Error::not_found("deleted image", reference).with_code("manifest_unknown")
            })
    }

    /// Tags removed within the window whose image is still here, newest first.
    pub async fn deleted_tags(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        page: &PageRequest,
    ) -> Result<Page<DeletedTag>> {
        self.authorize(actor, name, LIST).await?;
        let repository = self.repository_id(name).await?;
        let (limit, after) = (page.limit()?, page.after_key()?);
        let mut conn = self.db.read().await?;
        let since = self.now() - self.undelete_window;
        let rows = store::tags::removed(&mut conn, repository, since, after, limit).await?;
        Ok(Page::from_rows(rows, limit, |(id, _)| *id).map(|(_, tag)| tag))
    }

    /// Until when what is deleted now can be restored; `None`: deleting is final.
    pub fn restorable_until(&self) -> Option<Timestamp> {
        let window = self.undelete_window;
        (window > chrono::Duration::zero()).then(|| self.now() + window)
    }

    /// Moves manifests to tombstones, if this installation keeps deleted images. Their tags and
    /// rows are still there; the caller deletes both in the same transaction.
    pub(super) async fn bury(
        &self,
        tx: &mut Tx,
        manifests: &[ManifestId],
        mover: Mover<'_>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let Some(until) = self.restorable_until() else { return Ok(None) };
        let ids: Vec<_> = manifests.iter().map(|id| id.uuid()).collect();
        store::deleted::bury(tx.conn(), &ids, mover, now, until).await?;
        Ok(Some(until))
    }

    /// Gives up a deleted image before its window ends, so that its bytes can be collected.
    pub async fn purge_image(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<()> {
        let project = self.authorize(actor, name, access::DELETE).await?;
        let repository = self.repository_id(name).await.map_err(|_| unknown(digest))?;
        let mut tx = self.db.begin().await?;
        let tombstone = store::deleted::lock(tx.conn(), repository, digest, self.now())
            .await?
            .ok_or_else(|| unknown(digest))?;
        store::deleted::forget(tx.conn(), tombstone.id).await?;
        let event = NewEvent::new(
            "image.purge",
            Target::new("image", tombstone.id, format!("{name}@{digest}")),
            format!("Deleted image {name}@{} was purged before its time", digest.short()),
        )
        .in_project(project.id)
        .detail(json!({ "digest": digest }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await
    }

    /// Forgets deleted images whose window has ended; how many. Part of every collection.
    pub(super) async fn purge_expired(&self) -> Result<u64> {
        let mut purged = 0;
        loop {
            let mut tx = self.db.begin().await?;
            let gone = store::deleted::expire(tx.conn(), self.now(), BATCH).await?;
            if gone.is_empty() {
                return Ok(purged);
            }
            for group in &gone {
                purged += group.digests.len() as u64;
                let what = match group.digests.len() {
                    1 => "1 deleted image".to_owned(),
                    n => format!("{n} deleted images"),
                };
                let event = NewEvent::new(
                    "image.purge",
                    Target::new("repository", group.repository, &group.name),
                    format!("{what} of {} can no longer be restored: the window ended", group.name),
                )
                .in_project(group.project)
                .detail(json!({ "digests": group.digests }));
                events::append(&mut tx, &*self.clock.0, &Actor::system(), event).await?;
            }
            tx.commit().await?;
        }
    }

    /// What became of images that a history names; those not in the answer are gone.
    pub async fn fates(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digests: &[Digest],
    ) -> Result<HashMap<Digest, Fate>> {
        self.authorize(actor, name, Permission(Resource::Tag, Action::List)).await?;
        let repository = self.repository_id(name).await?;
        let wanted: Vec<String> = digests.iter().map(Digest::to_string).collect();
        let mut conn = self.db.read().await?;
        let rows = store::deleted::fates(&mut conn, repository, &wanted, self.now()).await?;
        let fate = |is_here| if is_here { Fate::Here } else { Fate::Deleted };
        Ok(rows.into_iter().map(|(digest, is_here)| (digest, fate(is_here))).collect())
    }
}

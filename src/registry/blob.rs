//! Blobs as clients see them: through a repository that links them.

use std::ops::Range;

use bytes::Bytes;
use chrono::Duration;
use futures_util::Stream;

use super::access::{self, DELETE, PULL, PUSH};
use super::blob_store::BlobContent;
use super::quota::Amount;
use super::store::blobs::Linked;
use super::{Registry, store};
use crate::base::{Actor, Digest, Error, ErrorKind, RepositoryName, Result};
use crate::events::{self, NewEvent, Target};

/// How fresh a blob is kept by those who look at it. Far below the grace of the collection, so
/// that whoever was told "it is there" has the time to push the manifest.
const TOUCH_EVERY: Duration = Duration::minutes(10);
/// Deleted images named in an event.
const NAMED: i64 = 100;

/// A blob in a repository.
#[derive(Debug, Clone)]
pub struct Blob {
    /// As the client named it.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// A blob opened for reading.
#[derive(Debug)]
pub struct BlobReader {
    pub blob: Blob,
    content: BlobContent,
}

pub(super) fn unknown_blob(digest: &Digest) -> Error {
    Error::not_found("blob", digest).with_code("blob_unknown")
}

impl Registry {
    /// Looks at a blob; it is safe from collection for long enough to push a manifest.
    pub async fn blob(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Blob> {
        self.authorize(actor, name, PULL).await?;
        let linked = self.linked(name, digest).await?;
        Ok(Blob { digest: digest.clone(), size: size_of(&linked) })
    }

    /// Opens a blob.
    pub async fn open_blob(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobReader> {
        self.authorize(actor, name, PULL).await?;
        let linked = self.linked(name, digest).await?;
        if let Some(reader) = self.open_stored(&linked.stored, digest, size_of(&linked)).await? {
            return Ok(reader);
        }
        // The next push brings it again, if it is told that the blob is absent.
        let mut conn = self.db.read().await?;
        let row = store::checks::find(&mut conn, &linked.stored).await?;
        drop(conn);
        if let Some(row) = row {
            self.quarantine(&row, "missing").await?;
        }
        Err(unknown_blob(digest))
    }

    /// Opens what is stored under `stored`; `None` when its file is missing.
    pub(super) async fn open_stored(
        &self,
        stored: &Digest,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<BlobReader>> {
        let blob = Blob { digest: digest.clone(), size };
        let content = self.blobs().open_blob(stored).await?;
        Ok(content.map(|content| BlobReader { blob, content }))
    }

    /// The link, freshly touched.
    async fn linked(&self, name: &RepositoryName, digest: &Digest) -> Result<Linked> {
        let cache = &self.shared.cache;
        let now = self.now();
        let fresh = |linked: &Linked| now - linked.touched_at < TOUCH_EVERY;
        let key = (name.clone(), digest.clone());
        if let Some(linked) = cache.blobs.get(&key).await.and_then(|e| e.valid(cache, now))
            && fresh(&linked)
        {
            return Ok(linked);
        }
        let stamp = cache.stamp(now);
        let mut conn = self.db.read().await?;
        let find = store::blobs::find_linked(&mut conn, name, digest).await?;
        let mut linked = find.ok_or_else(|| unknown_blob(digest))?;
        if !fresh(&linked) {
            // Touch first, look again second: a collection that was deciding about the link has
            // then either seen the touch or removed the link.
            store::blobs::touch(&mut conn, &linked.stored, now).await?;
            let find = store::blobs::find_linked(&mut conn, name, digest).await?;
            linked = find.ok_or_else(|| unknown_blob(digest))?;
        }
        cache.blobs.insert(key, stamp.on(linked.clone())).await;
        Ok(linked)
    }

    /// Links a blob that another repository has: `from`, or any the caller may pull from.
    /// `false`, always with the same work done, when there is none.
    pub async fn mount_blob(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<bool> {
        let project = self.authorize(actor, name, PUSH).await?;
        let projects = match from {
            None => self.pullable_projects(actor).await?,
            Some(source) => match self.authorize(actor, source, PULL).await {
                Ok(source) => Some(vec![source.id]),
                Err(e) if access::is_hidden(&e) => Some(Vec::new()),
                Err(e) => return Err(e),
            },
        };
        let projects: Option<Vec<_>> = projects.map(|ids| ids.iter().map(|id| id.uuid()).collect());
        let now = self.now();
        let mut tx = self.db.begin().await?;
        let find = store::blobs::find_mount_source;
        let Some(stored) = find(tx.conn(), digest, from, projects.as_deref()).await? else {
            return Ok(false);
        };
        // The touch locks the blob; looking again afterwards sees what a collection did meanwhile.
        store::blobs::touch(tx.conn(), &stored, now).await?;
        if find(tx.conn(), digest, from, projects.as_deref()).await?.is_none() {
            return Ok(false);
        }
        let repository = self.ensure_repository(&mut tx, actor, &project, name).await?;
        let charge = store::blobs::link(tx.conn(), repository, &stored, now).await?;
        let grown = Amount { bytes: charge.grown, manifests: 0 };
        if charge.limited && !self.fits(&mut tx, project.id, grown).await? {
            drop(tx);
            return Err(self.refusal(actor, project.id, &project.name, grown).await?);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Removes a blob from a repository, unless one of its manifests needs it. Deleted images that
    /// need it cannot be restored from then on; the event names them.
    pub async fn delete_blob(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<()> {
        let project = self.authorize(actor, name, DELETE).await?;
        let mut tx = self.db.begin().await?;
        let linked = store::blobs::find_linked(tx.conn(), name, digest)
            .await?
            .ok_or_else(|| unknown_blob(digest))?;
        let repository = linked.repository_id;
        // Locked first: a push that is just naming the blob is then over, and the next statement
        // sees its manifest.
        if !store::blobs::lock_link(tx.conn(), repository, &linked.stored).await? {
            return Err(unknown_blob(digest));
        }
        if !store::blobs::unlink(tx.conn(), repository, &linked.stored).await? {
            return Err(Error::new(
                ErrorKind::Conflict,
                "blob_in_use",
                format!(
                    "blob {digest} belongs to a manifest of this repository; delete that first"
                ),
            ));
        }
        let voided = store::deleted::needing(tx.conn(), repository, &linked.stored, NAMED).await?;
        let also = match voided.len() {
            0 => String::new(),
            1 => "; a deleted image can therefore not be restored".to_owned(),
            _ => "; deleted images can therefore not be restored".to_owned(),
        };
        let event = NewEvent::new(
            "blob.delete",
            Target::named("blob", digest),
            format!("Blob {} was removed from {name}{also}", digest.short()),
        )
        .in_project(project.id)
        .detail(serde_json::json!({ "digest": digest, "unrestorable": voided }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await
    }
}

fn size_of(linked: &Linked) -> u64 {
    u64::try_from(linked.size).unwrap_or(0)
}

impl BlobReader {
    /// The bytes of `range` in large chunks. Memory is bounded by two chunks.
    pub fn read(self, range: Range<u64>) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
        self.content.read(range)
    }
}

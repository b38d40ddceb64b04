//! Uploads: streamed to a file with constant memory, hashed on the way, verified before anything
//! is linked.
//!
//! `received` in the database never says more than what is synced to disk; bytes beyond it are
//! cut off by the next request. One request at a time owns an upload (a lock on its file).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::access::PUSH;
use super::blob::Blob;
use super::blob_store::{Opened, UploadFile};
use super::quota::{Amount, NO_ROOM, Room, no_room};
use super::receive::{Body, ChunkStart};
use super::store::uploads::UploadRow;
use super::{Registry, store};
use crate::base::id::{ProjectId, UploadId};
use crate::base::{
    Actor, Algorithm, Digest, Error, ErrorKind, ProjectName, RepositoryName, Result,
};
use crate::db::OnConstraint;
use crate::events::{self, NewEvent, Target};
use crate::registry::UploadProgress;

/// Open uploads of one user.
const PER_USER: i64 = 32;
/// Open uploads of the installation.
const IN_ALL: i64 = 1000;
/// Uploads of a user at the limit that idle for longer make room for new ones.
const IDLE: chrono::Duration = chrono::Duration::minutes(10);

/// An upload after a request.
#[derive(Debug, Clone, Copy)]
pub struct Upload {
    pub id: UploadId,
    /// Bytes that are safe.
    pub received: u64,
}

/// Running hashes of uploads between their requests. Losing one costs a second read of the file.
#[derive(Default)]
pub(super) struct Hashes(Mutex<HashMap<UploadId, (u64, sha2::Sha256)>>);

impl std::fmt::Debug for Hashes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hashes")
    }
}

impl Hashes {
    fn take(&self, id: UploadId, len: u64) -> Option<sha2::Sha256> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&id).filter(|(at, _)| *at == len).map(|(_, hash)| hash)
    }

    pub(super) fn keep(&self, id: UploadId, file: &UploadFile) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Uploads can end elsewhere; forgetting all now and then costs a second read at most.
        if i64::try_from(all.len()).is_ok_and(|n| n >= IN_ALL) {
            all.clear();
        }
        all.insert(id, (file.len(), file.hash()));
    }

    pub(super) fn forget(&self, id: UploadId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

pub(super) fn unknown_upload(id: UploadId) -> Error {
    Error::not_found("upload", id).with_code("blob_upload_unknown")
}

fn busy() -> Error {
    Error::conflict("blob_upload_busy", "another request is writing to this upload; wait for it")
}

impl Registry {
    /// Starts an upload. The first push to a repository makes it.
    pub async fn start_upload(&self, actor: &Actor, name: &RepositoryName) -> Result<Upload> {
        let project = self.authorize(actor, name, PUSH).await?;
        let now = self.now();
        let repository = match self.find_repository_id(name).await? {
            Some(id) => id,
            None => {
                self.check_room(actor, project.id, &project.name).await?;
                let mut tx = self.db.begin().await?;
                let id = self.ensure_repository(&mut tx, actor, &project, name).await?;
                tx.commit().await?;
                id
            }
        };
        let id = UploadId::new(now);
        let limits = (PER_USER, IN_ALL);
        let mut conn = self.db.read().await?;
        for attempt in 0..2 {
            let started =
                store::uploads::insert(&mut conn, id, repository, actor.user_id, now, limits)
                    .await
                    .on_constraint("uploads_repository_id_fkey", || {
                        super::access::unknown_repository(name)
                    })?;
            if started.is_started {
                return Ok(Upload { id, received: 0 });
            }
            if started.is_full {
                drop(conn);
                self.check_room(actor, project.id, &project.name).await?;
                return Err(Error::rate_limited("the project is just getting room; try again", 1));
            }
            if attempt == 0 && actor.user_id.is_some() {
                self.reap_idle(now - IDLE, actor.user_id).await?;
            }
        }
        Err(Error::rate_limited("too many open uploads; finish or cancel some first", 60))
    }

    /// Deletes uploads idle since `before`, with their files.
    pub(super) async fn reap_idle(
        &self,
        before: crate::base::Timestamp,
        user: Option<crate::base::id::UserId>,
    ) -> Result<u64> {
        let mut conn = self.db.read().await?;
        let gone = store::uploads::delete_idle(&mut conn, before, user).await?;
        drop(conn);
        for id in &gone {
            self.discard(*id).await?;
        }
        Ok(gone.len() as u64)
    }

    /// Deletes uploads that began before `before`, however busy, with their files.
    pub(super) async fn reap_old(&self, before: crate::base::Timestamp) -> Result<u64> {
        let gone = store::uploads::delete_old(&mut *self.db.read().await?, before).await?;
        for id in &gone {
            self.discard(*id).await?;
        }
        Ok(gone.len() as u64)
    }

    /// How far an upload is.
    pub async fn upload(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        id: UploadId,
    ) -> Result<Upload> {
        let row = self.find_upload(actor, name, id).await?;
        Ok(Upload { id, received: received(&row) })
    }

    async fn find_upload(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        id: UploadId,
    ) -> Result<UploadRow> {
        self.authorize(actor, name, PUSH).await?;
        store::uploads::find(&mut *self.db.read().await?, id, name, actor.user_id)
            .await?
            .ok_or_else(|| unknown_upload(id))
    }

    /// Appends a chunk (with `chunk`) or whatever the body holds (without). What arrived before
    /// an error stays and can be continued.
    pub async fn append_upload(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        id: UploadId,
        chunk: Option<ChunkStart>,
        body: impl Body,
    ) -> Result<Upload> {
        let (row, file) = self.take_upload(actor, name, id).await?;
        let mut room = room(&row);
        let needed = file.len().saturating_add(chunk.map_or(0, |chunk| chunk.length));
        let received = async {
            self.check_fits(&mut room, needed, None).await?;
            self.receive(id, file, received(&row), chunk, body, false, room).await
        };
        let file = match received.await {
            Ok(file) => file,
            Err(error) => return Err(self.gave_up(actor, name, id, room, error).await),
        };
        self.shared.hashes.keep(id, &file);
        Ok(Upload { id, received: file.len() })
    }

    /// Appends the body, verifies the digest and links the blob.
    pub async fn finish_upload(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        id: UploadId,
        digest: &Digest,
        chunk: Option<ChunkStart>,
        body: impl Body,
    ) -> Result<Blob> {
        let (row, file) = self.take_upload(actor, name, id).await?;
        if file.len() < received(&row) && self.was_placed(&row, digest).await? {
            let stored = digest.clone();
            let recorded = self.record(&row, id, digest, stored, row.received, false).await;
            let blob = match recorded {
                Ok(blob) => blob,
                Err(error) => return Err(self.gave_up(actor, name, id, room(&row), error).await),
            };
            self.discard(id).await?;
            return Ok(blob);
        }
        let mut room = room(&row);
        let needed = file.len().saturating_add(chunk.map_or(0, |chunk| chunk.length));
        let received = async {
            self.check_fits(&mut room, needed, Some(digest)).await?;
            self.receive(id, file, received(&row), chunk, body, true, room).await
        };
        let file = match received.await {
            Ok(file) => file,
            Err(error) => return Err(self.gave_up(actor, name, id, room, error).await),
        };
        let wanted = digest.algorithm();
        let stored = file.sha256()?;
        let (file, found) = match wanted {
            Algorithm::Sha256 => (file, stored.clone()),
            Algorithm::Sha512 => file.sha512().await?,
        };
        if found != *digest {
            self.shared.hashes.forget(id);
            // It may be tried again from before this request, but clients give up instead: it is
            // the first to make room.
            let idle = self.now() - IDLE - chrono::Duration::seconds(1);
            let mut conn = self.db.read().await?;
            store::uploads::advance(&mut conn, id, row.received, idle).await?;
            return Err(Error::new(
                ErrorKind::Malformed,
                "digest_invalid",
                format!("the uploaded bytes have the digest {found}, not {digest}"),
            ));
        }
        let size = i64::try_from(file.len()).unwrap_or(i64::MAX);
        let recorded = self.record(&row, id, digest, stored, size, true).await;
        drop(file);
        self.shared.hashes.forget(id);
        match recorded {
            Ok(blob) => Ok(blob),
            Err(error) => Err(self.gave_up(actor, name, id, room, error).await),
        }
    }

    /// An upload that the quota refused is of no use any more: its bytes go at once, and the
    /// answer says what was needed.
    async fn gave_up(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        id: UploadId,
        room: Room,
        error: Error,
    ) -> Error {
        if error.code() != NO_ROOM {
            return error;
        }
        let ended = async {
            store::uploads::delete(&mut *self.db.read().await?, id).await?;
            self.discard(id).await
        };
        if let Err(left) = ended.await {
            tracing::debug!(error = %left.chain(), "an upload was left to the reaper");
        }
        let needed = error.detail().and_then(|d| d["needed"]["bytes"].as_u64()).unwrap_or(1);
        match self.no_room(actor, name, room.project, needed).await {
            Ok(refusal) => refusal,
            Err(trouble) => trouble,
        }
    }

    /// Whether a finish that was cut off by a crash had already moved the file into place.
    async fn was_placed(&self, row: &UploadRow, digest: &Digest) -> Result<bool> {
        if digest.algorithm() != Algorithm::Sha256 {
            return Ok(false);
        }
        self.blobs().verify_blob(digest, received(row)).await
    }

    /// Records a verified blob: rows first (which locks its digest against collection), then the
    /// file into place, then the commit.
    async fn record(
        &self,
        row: &UploadRow,
        id: UploadId,
        digest: &Digest,
        stored: Digest,
        size: i64,
        move_file: bool,
    ) -> Result<Blob> {
        let now = self.now();
        let mut tx = self.db.begin().await?;
        let repository = row.repository_id;
        let finished = store::blobs::finish_upload(tx.conn(), id, repository, &stored, size, now);
        let finished = finished.await?;
        if !finished.is_done {
            return Err(unknown_upload(id));
        }
        if *digest != stored {
            store::blobs::insert_alias(tx.conn(), digest, &stored).await?;
        }
        if move_file {
            self.blobs().place(id, &stored).await?;
        } else if !self.blobs().has_blob(&stored).await? {
            return Err(unknown_upload(id));
        }
        if finished.healed {
            let event = NewEvent::new(
                "blob.heal",
                Target::named("blob", digest),
                format!("Blob {} was corrupt; a push brought it again", digest.short()),
            );
            events::append(&mut tx, &*self.clock.0, &Actor::system(), event).await?;
        }
        // After the file, so that the project's row is locked for no longer than the commit takes.
        let grown = Amount { bytes: finished.grown, manifests: 0 };
        if finished.limited && !self.fits(&mut tx, row.project_id, grown).await? {
            drop(tx);
            self.remove_unclaimed(&stored).await?;
            return Err(no_room(u64::try_from(finished.grown).unwrap_or(0)));
        }
        tx.commit().await?;
        Ok(Blob { digest: digest.clone(), size: u64::try_from(size).unwrap_or(0) })
    }

    /// Cancels an upload.
    pub async fn cancel_upload(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        id: UploadId,
    ) -> Result<()> {
        self.find_upload(actor, name, id).await?;
        if !store::uploads::delete(&mut *self.db.read().await?, id).await? {
            return Err(unknown_upload(id));
        }
        self.discard(id).await
    }

    pub(super) async fn discard(&self, id: UploadId) -> Result<()> {
        self.shared.hashes.forget(id);
        self.blobs().remove_upload(id).await
    }

    /// Uploads in progress in a project, newest first. Only members see whose they are.
    pub async fn uploads(
        &self,
        actor: &Actor,
        project: &ProjectName,
    ) -> Result<Vec<UploadProgress>> {
        let project = self.catalog.project(actor, project, super::repository::LIST).await?;
        let mut rows = self.list_uploads(project.id).await?;
        let trusted = actor.is_admin()
            || project.role.is_some()
            || actor.platform_role == crate::base::actor::PlatformRole::Auditor;
        if !trusted {
            rows.iter_mut().for_each(|row| row.user = None);
        }
        Ok(rows)
    }

    async fn list_uploads(&self, project: ProjectId) -> Result<Vec<UploadProgress>> {
        Ok(store::uploads::list(&mut *self.db.read().await?, project, IN_ALL).await?)
    }

    /// Finds an upload and takes its file.
    async fn take_upload(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        id: UploadId,
    ) -> Result<(UploadRow, UploadFile)> {
        let row = self.find_upload(actor, name, id).await?;
        let len = received(&row);
        let hash = self.shared.hashes.take(id, len);
        match self.blobs().open_upload(id, len, hash).await? {
            Opened::Ready(file) => Ok((row, file)),
            Opened::Busy => Err(busy()),
            Opened::Longer(file) => {
                let row = self.find_upload(actor, name, id).await?;
                let len = received(&row);
                let file = file.cut(len).await?;
                Ok((row, file))
            }
        }
    }
}

fn room(row: &UploadRow) -> Room {
    let left = row.room.map(|left| u64::try_from(left).unwrap_or(0));
    Room { project: row.project_id, left }
}

fn received(row: &UploadRow) -> u64 {
    u64::try_from(row.received).unwrap_or(0)
}

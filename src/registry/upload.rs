//! Uploads: streamed to a file with constant memory, hashed on the way, verified before anything
//! is linked.
//!
//! `received` in the database never says more than what is synced to disk; bytes beyond it are
//! cut off by the next request. One request at a time owns an upload (a lock on its file).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use super::access::PUSH;
use super::blob::Blob;
use super::blob_store::{Opened, UploadFile, disk_fault, on_disk};
use super::store::uploads::UploadRow;
use super::{Registry, store};
use crate::base::id::{ProjectId, UploadId};
use crate::base::{
    Actor, Algorithm, Digest, Error, ErrorKind, ProjectName, RepositoryName, Result,
};
use crate::db::OnConstraint;
use crate::registry::UploadProgress;

/// Open uploads of one user.
const PER_USER: i64 = 32;
/// Open uploads of the installation.
const IN_ALL: i64 = 1000;
/// Uploads of a user at the limit that idle for longer make room for new ones.
const IDLE: chrono::Duration = chrono::Duration::minutes(10);
/// Largest blob, bytes.
pub const MAX_BLOB: u64 = 100 * 1024 * 1024 * 1024;
/// Bytes gathered before they are written and hashed together.
const BATCH: usize = 512 * 1024;
/// How often a long request makes its progress durable and visible.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// An upload after a request.
#[derive(Debug, Clone, Copy)]
pub struct Upload {
    pub id: UploadId,
    /// Bytes that are safe.
    pub received: u64,
}

/// Where a chunk says it starts, and how long it says it is (`Content-Range`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkStart {
    pub start: u64,
    pub length: u64,
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

    fn keep(&self, id: UploadId, file: &UploadFile) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(id, (file.len(), file.hash()));
    }

    pub(super) fn forget(&self, id: UploadId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

pub(super) fn unknown_upload(id: UploadId) -> Error {
    Error::not_found("upload", id).with_code("blob_upload_unknown")
}

fn wrong_range(received: u64) -> Error {
    Error::new(
        ErrorKind::RangeInvalid,
        "blob_upload_invalid",
        format!("chunks come in order; the next one starts at byte {received}"),
    )
    .with_detail(serde_json::json!({ "received": received }))
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
            if started {
                return Ok(Upload { id, received: 0 });
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
        let row = self.find_upload(actor, name, id).await?;
        let file = self.open_upload_file(id, received(&row)).await?;
        let file = self.receive(id, file, received(&row), chunk, body, false).await?;
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
        let row = self.find_upload(actor, name, id).await?;
        let file = self.open_upload_file(id, received(&row)).await?;
        if file.len() < received(&row) && self.was_placed(&row, digest).await? {
            let blob = self.record(&row, id, digest, digest.clone(), row.received, false).await?;
            self.discard(id).await?;
            return Ok(blob);
        }
        let file = self.receive(id, file, received(&row), chunk, body, true).await?;
        let wanted = digest.algorithm();
        let stored = file.sha256().map_err(|e| disk_fault("hashing an upload", e))?;
        let (file, found) = match wanted {
            Algorithm::Sha256 => (file, stored.clone()),
            Algorithm::Sha512 => {
                let mut file = file;
                on_disk("hashing an upload", move || {
                    let found = file.sha512()?;
                    Ok((file, found))
                })
                .await?
            }
        };
        if found != *digest {
            self.shared.hashes.forget(id);
            return Err(Error::new(
                ErrorKind::Malformed,
                "digest_invalid",
                format!("the uploaded bytes have the digest {found}, not {digest}"),
            ));
        }
        let size = i64::try_from(file.len()).unwrap_or(i64::MAX);
        let blob = self.record(&row, id, digest, stored, size, true).await?;
        drop(file);
        self.shared.hashes.forget(id);
        Ok(blob)
    }

    /// Whether a finish that was cut off by a crash had already moved the file into place.
    async fn was_placed(&self, row: &UploadRow, digest: &Digest) -> Result<bool> {
        if digest.algorithm() != Algorithm::Sha256 {
            return Ok(false);
        }
        let (blobs, digest, len) = (self.blobs(), digest.clone(), received(row));
        on_disk("verifying a blob", move || blobs.verify_blob(&digest, len)).await
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
        let finished = store::blobs::finish_upload(tx.conn(), id, repository, &stored, size, now)
            .await
            .on_constraint("repository_blobs_repository_id_fkey", || unknown_upload(id))?;
        if !finished {
            return Err(unknown_upload(id));
        }
        if *digest != stored {
            store::blobs::insert_alias(tx.conn(), digest, &stored).await?;
        }
        let blobs = self.blobs();
        let placed = on_disk("moving an upload into place", move || {
            if move_file {
                blobs.place(id, &stored).map(|()| true)
            } else {
                blobs.has_blob(&stored)
            }
        })
        .await?;
        if !placed {
            return Err(unknown_upload(id));
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

    async fn discard(&self, id: UploadId) -> Result<()> {
        self.shared.hashes.forget(id);
        let blobs = self.blobs();
        on_disk("removing an upload", move || blobs.remove_upload(id)).await
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

    async fn open_upload_file(&self, id: UploadId, len: u64) -> Result<UploadFile> {
        let hash = self.shared.hashes.take(id, len);
        let blobs = self.blobs();
        match on_disk("opening an upload", move || blobs.open_upload(id, len, hash)).await? {
            Opened::File(file) => Ok(file),
            Opened::Busy => Err(busy()),
        }
    }

    /// Streams the body into the file and makes it durable. Writing and hashing a batch overlaps
    /// with receiving the next. What arrived before a fault is kept.
    async fn receive(
        &self,
        id: UploadId,
        file: UploadFile,
        mut noted: u64,
        chunk: Option<ChunkStart>,
        mut body: impl Body,
        last: bool,
    ) -> Result<UploadFile> {
        let from = file.len();
        if chunk.is_some_and(|c| c.start != from) {
            self.shared.hashes.keep(id, &file);
            return Err(wrong_range(from));
        }
        let most = chunk.map_or(MAX_BLOB, |c| from.saturating_add(c.length).min(MAX_BLOB));
        let mut total = from;
        let mut noted_at = Instant::now();
        let mut pen = Pen::Idle(file);
        let fault = loop {
            let (batch, end) = gather(&mut body).await;
            total += batch.iter().map(|b| b.len() as u64).sum::<u64>();
            let mut file = pen.rest().await?;
            if total > most {
                pen = Pen::Idle(file);
                break Some(match chunk {
                    Some(_) => wrong_length(),
                    None => Error::too_large("blob", MAX_BLOB).with_code("size_invalid"),
                });
            }
            if noted_at.elapsed() >= PROGRESS_EVERY {
                file = self.note(id, file, &mut noted).await?;
                noted_at = Instant::now();
            }
            pen = if batch.is_empty() { Pen::Idle(file) } else { Pen::write(file, batch) };
            match end {
                None => {}
                Some(Ok(())) if total < most && chunk.is_some() => break Some(wrong_length()),
                Some(end) => break end.err(),
            }
        };
        let file = pen.rest().await?;
        if last && fault.is_none() {
            return on_disk("syncing an upload", move || synced(file)).await;
        }
        let file = self.note(id, file, &mut noted).await?;
        match fault {
            None => Ok(file),
            Some(fault) => {
                self.shared.hashes.keep(id, &file);
                Err(fault)
            }
        }
    }

    /// Makes what was received durable, then visible.
    async fn note(&self, id: UploadId, file: UploadFile, noted: &mut u64) -> Result<UploadFile> {
        let file = on_disk("syncing an upload", move || synced(file)).await?;
        if file.len() != *noted {
            let received = i64::try_from(file.len()).unwrap_or(i64::MAX);
            let mut conn = self.db.read().await?;
            if !store::uploads::advance(&mut conn, id, received, self.now()).await? {
                return Err(unknown_upload(id));
            }
            *noted = file.len();
        }
        Ok(file)
    }
}

/// What an upload receives.
pub trait Body: Stream<Item = Result<Bytes>> + Unpin + Send {}
impl<T: Stream<Item = Result<Bytes>> + Unpin + Send> Body for T {}

/// The file, or the write that will give it back.
enum Pen {
    Idle(UploadFile),
    Writing(tokio::task::JoinHandle<std::io::Result<UploadFile>>),
}

impl Pen {
    fn write(mut file: UploadFile, batch: Vec<Bytes>) -> Self {
        Self::Writing(tokio::task::spawn_blocking(move || file.append(&batch).map(|()| file)))
    }

    async fn rest(self) -> Result<UploadFile> {
        match self {
            Self::Idle(file) => Ok(file),
            Self::Writing(task) => task
                .await
                .map_err(|e| Error::internal("writing an upload", e))?
                .map_err(|e| disk_fault("writing an upload", e)),
        }
    }
}

/// Bytes until a batch is full or the body ends, and how it ended.
async fn gather(body: &mut impl Body) -> (Vec<Bytes>, Option<Result<()>>) {
    let (mut batch, mut gathered) = (Vec::new(), 0);
    while gathered < BATCH {
        match body.next().await {
            Some(Ok(bytes)) => {
                gathered += bytes.len();
                batch.push(bytes);
            }
            Some(Err(fault)) => return (batch, Some(Err(fault))),
            None => return (batch, Some(Ok(()))),
        }
    }
    (batch, None)
}

fn synced(mut file: UploadFile) -> std::io::Result<UploadFile> {
    file.sync().map(|()| file)
}

fn wrong_length() -> Error {
    Error::new(
        ErrorKind::Malformed,
        "size_invalid",
        "the body is not as long as Content-Range says",
    )
}

fn received(row: &UploadRow) -> u64 {
    u64::try_from(row.received).unwrap_or(0)
}

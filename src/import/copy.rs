//! Carries a plan out: blobs, manifests, tags, each through the registry's own service.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};

use super::remote::{Remote, broken};
use super::store::imports::Request;
use super::store::plan::{self, BlobRow, ManifestRow};
use super::{Imports, plan as planning};
use crate::base::id::UploadId;
use crate::base::{Actor, Digest, Error, ErrorKind, Reference, Result};
use crate::jobs::Job;
use crate::registry::{MAX_BLOB, MAX_TAGS, NewPush};

/// Blobs copied at the same time by one import.
const AT_ONCE: usize = 3;
/// Requests for a blob in a row that brought no byte.
const STALLS: u32 = 3;
/// The name of this client in the history of tags.
const CLIENT: &str = "portolan import";

/// One run of an import.
pub(super) struct Copy<'a> {
    pub imports: &'a Imports,
    pub job: &'a Job,
    pub request: &'a Request,
    pub remote: &'a Remote,
    /// Something arrived in this run.
    pub moved: &'a AtomicBool,
}

impl Copy<'_> {
    /// Carries out what is left of the plan.
    pub(super) async fn run(&self) -> Result<()> {
        while let Some(manifest) = self.next_manifest().await? {
            self.copy_manifest(&manifest).await?;
            let mut conn = self.imports.db.read().await?;
            plan::mark_pushed(&mut conn, self.job.id, manifest.position).await?;
            self.moved.store(true, Ordering::Relaxed);
        }
        self.set_tags().await
    }

    async fn next_manifest(&self) -> Result<Option<ManifestRow>> {
        let mut conn = self.imports.db.read().await?;
        Ok(plan::next_manifest(&mut conn, self.job.id).await?)
    }

    async fn copy_manifest(&self, manifest: &ManifestRow) -> Result<()> {
        let document = planning::document(&manifest.content, Some(&manifest.media_type))?;
        let digests: HashSet<String> =
            document.required_blobs().map(|part| part.digest.to_string()).collect();
        let digests: Vec<String> = digests.into_iter().collect();
        self.copy_blobs(&digests).await?;
        match self.push(manifest, &[]).await {
            // A collection can take a blob between its arrival and its manifest, if that is long.
            Err(fault) if fault.code() == "manifest_blob_unknown" => {
                let mut conn = self.imports.db.read().await?;
                plan::recheck(&mut conn, self.job.id, &digests).await?;
                drop(conn);
                self.copy_blobs(&digests).await?;
                self.push(manifest, &[]).await
            }
            done => done,
        }
    }

    async fn copy_blobs(&self, digests: &[String]) -> Result<()> {
        let mut conn = self.imports.db.read().await?;
        let missing = plan::missing_blobs(&mut conn, self.job.id, digests).await?;
        drop(conn);
        futures_util::stream::iter(missing)
            .map(|blob| self.copy_blob(blob))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// The asking user as it is now; asked for before every step, so that lost rights count.
    async fn actor(&self) -> Result<Actor> {
        self.imports.actor_of(self.job).await
    }

    async fn mark(&self, digest: &Digest, state: &str, upload: Option<UploadId>) -> Result<()> {
        let mut conn = self.imports.db.read().await?;
        Ok(plan::mark_blob(&mut conn, self.job.id, digest, state, upload).await?)
    }

    async fn copy_blob(&self, blob: BlobRow) -> Result<()> {
        let BlobRow { digest, size, upload_id } = blob;
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        if size > MAX_BLOB {
            return Err(Error::too_large("a blob of the source", MAX_BLOB));
        }
        let (registry, target) = (&self.imports.registry, &self.request.repository);
        let actor = self.actor().await?;
        if self.is_here(&actor, &digest).await? {
            return self.mark(&digest, "present", None).await;
        }
        let held = match upload_id {
            None => None,
            Some(id) => match registry.upload(&actor, target, id).await {
                Ok(upload) if upload.received <= size => Some(upload),
                Ok(upload) => {
                    registry.cancel_upload(&actor, target, upload.id).await?;
                    None
                }
                Err(fault) if fault.is_not_found() => None,
                Err(fault) => return Err(fault),
            },
        };
        let resumed = held.is_some_and(|upload| upload.received > 0);
        let upload = match held {
            Some(upload) => upload,
            None => registry.start_upload(&actor, target).await?,
        };
        self.mark(&digest, "copying", Some(upload.id)).await?;
        self.receive(&actor, upload.id, &digest, upload.received, size).await?;
        let actor = self.actor().await?;
        let nothing = futures_util::stream::iter(Vec::<Result<Bytes>>::new());
        match registry.finish_upload(&actor, target, upload.id, &digest, None, nothing).await {
            Ok(_) => self.mark(&digest, "copied", None).await,
            Err(fault) if fault.code() == "digest_invalid" => {
                registry.cancel_upload(&actor, target, upload.id).await?;
                self.mark(&digest, "waiting", None).await?;
                if resumed {
                    // The part from before may be what is wrong: the next run starts anew.
                    return Err(Error::unavailable("a blob put together from two runs is damaged")
                        .with_source(fault));
                }
                Err(broken(format!("the source sends other bytes than those of {digest}")))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Whether the blob is in the repository, or could be linked from one that the user may read.
    async fn is_here(&self, actor: &Actor, digest: &Digest) -> Result<bool> {
        let (registry, target) = (&self.imports.registry, &self.request.repository);
        match registry.blob(actor, target, digest).await {
            Ok(_) => Ok(true),
            Err(fault) if fault.is_not_found() => {
                match registry.mount_blob(actor, target, digest, None).await {
                    Ok(mounted) => Ok(mounted),
                    Err(fault) if fault.is_not_found() => Ok(false),
                    Err(fault) => Err(fault),
                }
            }
            Err(fault) => Err(fault),
        }
    }

    /// Fetches the rest of a blob into its upload, by range as often as the line breaks.
    async fn receive(
        &self,
        actor: &Actor,
        id: UploadId,
        digest: &Digest,
        mut received: u64,
        size: u64,
    ) -> Result<()> {
        let (registry, target) = (&self.imports.registry, &self.request.repository);
        let mut stalls = 0;
        while received < size {
            let answer = self.remote.blob(digest, received).await?;
            let skip = if answer.status().as_u16() == 206 { 0 } else { received };
            let body = self.counted(answer.stream(), skip, size - received);
            let outcome = registry.append_upload(actor, target, id, None, body).await;
            let now = registry.upload(actor, target, id).await?.received;
            stalls = if now > received { 0 } else { stalls + 1 };
            received = now;
            match outcome {
                Err(fault) if fault.kind() != ErrorKind::Unavailable || stalls >= STALLS => {
                    return Err(fault);
                }
                Ok(_) if received < size && stalls >= STALLS => {
                    return Err(Error::unavailable("the source ends its answers early"));
                }
                _ if received < size => tokio::time::sleep(self.imports.pause).await,
                _ => {}
            }
        }
        Ok(())
    }

    /// The body without its first `skip` bytes, at most `most` after them.
    fn counted<'s>(
        &'s self,
        body: impl Stream<Item = Result<Bytes>> + Send + 's,
        skip: u64,
        most: u64,
    ) -> Pin<Box<dyn Stream<Item = Result<Bytes>> + Send + 's>> {
        let (mut skip, mut left) = (skip, most);
        Box::pin(body.map(move |piece| {
            let mut piece = piece?;
            let cut = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            let _ = piece.split_to(cut);
            skip -= cut as u64;
            left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| broken("the source sends more bytes than its manifest says"))?;
            self.moved.store(true, Ordering::Relaxed);
            Ok(piece)
        }))
    }

    async fn push(&self, manifest: &ManifestRow, tags: &[String]) -> Result<()> {
        let actor = self.actor().await?;
        let push = NewPush {
            reference: Reference::Digest(manifest.digest.clone()),
            tags: tags.iter().map(|tag| tag.parse()).collect::<Result<_>>()?,
            content_type: Some(&manifest.media_type),
            content: Bytes::copy_from_slice(&manifest.content),
            client: CLIENT,
        };
        self.imports.registry.push_manifest(&actor, &self.request.repository, push).await?;
        Ok(())
    }

    /// Points the tags, after everything they lead to is here.
    async fn set_tags(&self) -> Result<()> {
        let mut after = -1;
        loop {
            let mut conn = self.imports.db.read().await?;
            let next = plan::next_tagged(&mut conn, self.job.id, after).await?;
            drop(conn);
            let Some((manifest, tags)) = next else { return Ok(()) };
            for tags in tags.chunks(MAX_TAGS) {
                self.push(&manifest, tags).await?;
            }
            after = manifest.position;
        }
    }
}

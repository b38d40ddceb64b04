//! Where the bytes of blobs and of uploads in progress are kept. The rest of the registry knows
//! this port only, never which store is behind it.
//!
//! A blob is stored under its SHA-256. It appears all at once, verified and durable; an upload
//! belongs to one request at a time.

mod files;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::Stream;

use self::files::{Files, LocalUpload};
use crate::base::id::UploadId;
use crate::base::{Algorithm, Digest, Error, Result};

/// Bytes read at once, for hashing and for serving.
pub(crate) const CHUNK: usize = 256 * 1024;

/// The store of this installation; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum BlobStore {
    Files(Files),
}

/// A blob opened for reading.
#[derive(Debug)]
pub(crate) enum BlobContent {
    File(File),
}

/// An upload while one request owns it, positioned at its end, with the hash of what it holds.
#[derive(Debug)]
pub(crate) enum UploadFile {
    Local(LocalUpload),
}

/// How opening an upload ended.
#[derive(Debug)]
pub(crate) enum Opened {
    /// It is ours.
    Ready(UploadFile),
    /// It is ours and holds more than the caller knows of: a crash left that, or another request
    /// was faster. Ask again how much is good, now that nobody else writes to it.
    Longer(LongerFile),
    /// Another request is writing to it.
    Busy,
}

/// An upload with more in it than expected.
#[derive(Debug)]
pub(crate) struct LongerFile(files::LongerFile);

impl LongerFile {
    /// Cuts off everything after `len` bytes.
    pub(crate) async fn cut(self, len: u64) -> Result<UploadFile> {
        on_disk("cutting an upload", move || self.0.cut(len)).await.map(UploadFile::Local)
    }
}

impl BlobStore {
    /// Opens the store in the directory `root`; makes it when it is missing. Scans nothing.
    pub(crate) async fn open_directory(root: PathBuf) -> Result<Self> {
        let shown = root.display().to_string();
        let files = on_disk("opening the blob store", move || Files::open(&root)).await;
        files.map(Self::Files).map_err(|e| {
            Error::unavailable(format!("cannot use the blob directory {shown}")).with_source(e)
        })
    }

    /// Whether the store takes, gives and removes data.
    pub(crate) async fn probe(&self) -> Result<()> {
        let Self::Files(files) = self;
        let files = files.clone();
        on_disk("probing the blob store", move || files.probe()).await
    }

    /// Opens a blob for reading; `None` when it is missing.
    pub(crate) async fn open_blob(&self, digest: &Digest) -> Result<Option<BlobContent>> {
        let Self::Files(files) = self;
        let (files, digest) = (files.clone(), digest.clone());
        let file = on_disk("opening a blob", move || files.open_blob(&digest)).await?;
        Ok(file.map(BlobContent::File))
    }

    /// Reads a blob of at most `limit` bytes; `None` when it is missing or larger.
    pub(crate) async fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>> {
        let Self::Files(files) = self;
        let (files, digest) = (files.clone(), digest.clone());
        on_disk("reading a blob", move || files.read_blob(&digest, limit)).await
    }

    /// Bytes of a blob; `None` when it is missing.
    pub(crate) async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        let Self::Files(files) = self;
        let (files, digest) = (files.clone(), digest.clone());
        on_disk("looking at a blob", move || files.blob_size(&digest)).await
    }

    /// Whether the blob is there.
    pub(crate) async fn has_blob(&self, digest: &Digest) -> Result<bool> {
        Ok(self.blob_size(digest).await?.is_some())
    }

    /// The SHA-256 of what is really stored for a blob; `None` when it is missing. Reads all of
    /// it.
    pub(crate) async fn hash_blob(&self, digest: &Digest) -> Result<Option<Digest>> {
        let Self::Files(files) = self;
        let (files, digest) = (files.clone(), digest.clone());
        on_disk("hashing a blob", move || files.hash_blob(&digest)).await
    }

    /// Whether the blob is there and really has this digest and length.
    pub(crate) async fn verify_blob(&self, digest: &Digest, len: u64) -> Result<bool> {
        Ok(self.blob_size(digest).await? == Some(len)
            && self.hash_blob(digest).await?.as_ref() == Some(digest))
    }

    /// Opens an upload, of which `len` bytes are known to be good. `hash` is their hash when it
    /// is still in memory; otherwise they are read again. A shorter one is used as it is.
    pub(crate) async fn open_upload(
        &self,
        id: UploadId,
        len: u64,
        hash: Option<sha2::Sha256>,
    ) -> Result<Opened> {
        let Self::Files(files) = self;
        let files = files.clone();
        let opened = on_disk("opening an upload", move || files.open_upload(id, len, hash)).await?;
        Ok(match opened {
            files::Opened::Ready(file) => Opened::Ready(UploadFile::Local(file)),
            files::Opened::Longer(file) => Opened::Longer(LongerFile(file)),
            files::Opened::Busy => Opened::Busy,
        })
    }

    /// Makes an upload the blob `digest`, durably. The caller holds the key of `digest` in the
    /// database, so that no collection removes the blob meanwhile.
    pub(crate) async fn place(&self, id: UploadId, digest: &Digest) -> Result<()> {
        let Self::Files(files) = self;
        let (files, digest) = (files.clone(), digest.clone());
        on_disk("moving an upload into place", move || files.place(id, &digest)).await
    }

    /// Removes a blob's bytes; absent is fine.
    pub(crate) async fn remove_blob(&self, digest: &Digest) -> Result<()> {
        let Self::Files(files) = self;
        let (files, digest) = (files.clone(), digest.clone());
        on_disk("removing a blob", move || files.remove_blob(&digest)).await
    }

    /// Removes all that an upload left; absent is fine.
    pub(crate) async fn remove_upload(&self, id: UploadId) -> Result<()> {
        let Self::Files(files) = self;
        let files = files.clone();
        on_disk("removing an upload", move || files.remove_upload(id)).await
    }

    /// Blobs whose SHA-256 starts with the byte `shard`, stored before `before`.
    pub(crate) async fn blobs_in_shard(
        &self,
        shard: u8,
        before: SystemTime,
    ) -> Result<Vec<Digest>> {
        let Self::Files(files) = self;
        let files = files.clone();
        on_disk("listing blobs", move || files.blobs_in_shard(shard, before)).await
    }

    /// Uploads of which the store holds something, last written before `before`.
    pub(crate) async fn uploads_on_disk(&self, before: SystemTime) -> Result<Vec<UploadId>> {
        let Self::Files(files) = self;
        let files = files.clone();
        on_disk("listing uploads", move || files.uploads_on_disk(before)).await
    }
}

impl BlobContent {
    /// The bytes of `range` in large chunks. Memory is bounded by two chunks.
    pub(crate) fn read(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let Self::File(file) = self;
        files::read(file, range)
    }
}

impl UploadFile {
    /// Bytes it holds.
    pub(crate) fn len(&self) -> u64 {
        let Self::Local(file) = self;
        file.len()
    }

    /// The running hash, to keep between requests.
    pub(crate) fn hash(&self) -> sha2::Sha256 {
        let Self::Local(file) = self;
        file.hash()
    }

    /// Appends and hashes. Blocks: call it off the async threads.
    pub(crate) fn append(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        let Self::Local(file) = self;
        file.append(chunks)
    }

    /// Makes the content durable.
    pub(crate) async fn sync(self) -> Result<Self> {
        let Self::Local(mut file) = self;
        if file.is_synced() {
            return Ok(Self::Local(file));
        }
        let synced = on_disk("syncing an upload", move || file.sync().map(|()| file)).await?;
        Ok(Self::Local(synced))
    }

    /// The SHA-256 of the content.
    pub(crate) fn sha256(&self) -> Result<Digest> {
        let Self::Local(file) = self;
        file.sha256().map_err(|e| disk_fault("hashing an upload", e))
    }

    /// The SHA-512 of the content, which is read again.
    pub(crate) async fn sha512(self) -> Result<(Self, Digest)> {
        let Self::Local(mut file) = self;
        let (file, digest) =
            on_disk("hashing an upload", move || file.sha512().map(|digest| (file, digest)))
                .await?;
        Ok((Self::Local(file), digest))
    }
}

fn digest_of(algorithm: Algorithm, hash: &[u8]) -> io::Result<Digest> {
    Digest::from_hash(algorithm, hash).ok_or_else(|| io::Error::other("hash of a wrong length"))
}

/// Runs blocking disk work off the async threads.
async fn on_disk<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(disk_fault(doing, e)),
        Err(e) => Err(Error::internal(doing, e)),
    }
}

/// A full disk is told apart: the operator can mend it, and the client may try again.
pub(crate) fn disk_fault(doing: &'static str, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::StorageFull {
        return Error::unavailable("the disk of the registry is full").with_source(error);
    }
    Error::internal(doing, error)
}

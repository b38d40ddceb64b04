//! The store in a directory. Only digests and ids become file names, so nothing is ever written
//! outside the root.
//!
//! Layout: `sha256/<2 hex>/<62 hex>` for blobs, `uploads/<id>` for uploads. A blob appears by a
//! rename of an upload that is already synced, and its directory is synced before anybody is told.
//! All functions block; callers run them off the async threads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{Stream, stream};
use sha2::Digest as _;

use super::{CHUNK, digest_of};
use crate::base::id::UploadId;
use crate::base::{Algorithm, Digest};

/// The directory that holds all blobs.
#[derive(Debug, Clone)]
pub(in crate::registry) struct Files {
    root: PathBuf,
}

/// An upload's file while one request owns it: locked, positioned at its end, with the hash of
/// what it holds.
#[derive(Debug)]
pub(in crate::registry) struct LocalUpload {
    file: File,
    hash: sha2::Sha256,
    len: u64,
    synced: u64,
}

/// How opening an upload's file ended.
#[derive(Debug)]
pub(super) enum Opened {
    /// It is ours.
    Ready(LocalUpload),
    /// It is ours and holds more than the caller knows of: a crash left that, or another request
    /// was faster. Ask again how much is good, now that the file is locked.
    Longer(LongerFile),
    /// Another request is writing to it.
    Busy,
}

/// A locked file with more in it than expected.
#[derive(Debug)]
pub(super) struct LongerFile(File);

impl LongerFile {
    /// Cuts off everything after `len` bytes.
    pub(super) fn cut(self, len: u64) -> io::Result<LocalUpload> {
        let len = len.min(self.0.metadata()?.len());
        self.0.set_len(len)?;
        LocalUpload::at(self.0, len, None)
    }
}

impl Files {
    /// Opens the store; makes its directories when they are missing. Scans nothing.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let store = Self { root: root.to_owned() };
        fs::create_dir_all(root.join("uploads"))?;
        let blobs = root.join("sha256");
        fs::create_dir_all(&blobs)?;
        for shard in 0..=u8::MAX {
            match fs::create_dir(blobs.join(hex::encode([shard]))) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        sync_dir(&blobs)?;
        sync_dir(root)?;
        Ok(store)
    }

    /// Where the blob with this SHA-256 lives.
    fn blob_path(&self, digest: &Digest) -> PathBuf {
        debug_assert_eq!(digest.algorithm(), Algorithm::Sha256, "blobs are keyed by SHA-256");
        let (shard, rest) = digest.hex().split_at(2);
        self.root.join("sha256").join(shard).join(rest)
    }

    /// Writes, syncs, reads and removes a small file of this process's own.
    pub(super) fn probe(&self) -> io::Result<()> {
        let path = self.root.join(format!("probe-{}", std::process::id()));
        let mut file = File::create(&path)?;
        file.write_all(b"probe")?;
        file.sync_data()?;
        drop(file);
        let read = fs::read(&path)?;
        fs::remove_file(&path)?;
        if read == b"probe" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn upload_path(&self, id: UploadId) -> PathBuf {
        self.root.join("uploads").join(id.to_string())
    }

    /// Opens a blob for reading; `None` when its file is missing.
    pub(super) fn open_blob(&self, digest: &Digest) -> io::Result<Option<File>> {
        absent_is_none(File::open(self.blob_path(digest)))
    }

    /// Reads a blob of at most `limit` bytes; `None` when it is missing or larger.
    pub(super) fn read_blob(&self, digest: &Digest, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open_blob(digest)? else { return Ok(None) };
        if file.metadata()?.len() > limit {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Opens an upload's file, of which `len` bytes are known to be good. `hash` is their hash
    /// when it is still in memory; otherwise they are read again. A shorter file is used as it is.
    pub(super) fn open_upload(
        &self,
        id: UploadId,
        len: u64,
        hash: Option<sha2::Sha256>,
    ) -> io::Result<Opened> {
        let path = self.upload_path(id);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(Opened::Busy),
            Err(fs::TryLockError::Error(e)) => return Err(e),
        }
        let on_disk = file.metadata()?.len();
        if on_disk > len {
            return Ok(Opened::Longer(LongerFile(file)));
        }
        LocalUpload::at(file, on_disk, hash.filter(|_| on_disk == len)).map(Opened::Ready)
    }

    /// Makes an upload the blob `digest`, durably. The caller holds the key of `digest` in the
    /// database, so that no collection removes the file meanwhile.
    pub(super) fn place(&self, id: UploadId, digest: &Digest) -> io::Result<()> {
        let target = self.blob_path(digest);
        fs::rename(self.upload_path(id), &target)?;
        sync_dir(target.parent().unwrap_or(&self.root))
    }

    /// Bytes of the blob's file; `None` when it is missing.
    pub(super) fn blob_size(&self, digest: &Digest) -> io::Result<Option<u64>> {
        Ok(absent_is_none(fs::metadata(self.blob_path(digest)))?.map(|m| m.len()))
    }

    /// The SHA-256 of what the blob's file holds; `None` when it is missing.
    pub(super) fn hash_blob(&self, digest: &Digest) -> io::Result<Option<Digest>> {
        let Some(mut file) = self.open_blob(digest)? else { return Ok(None) };
        let hash = hash_reader::<sha2::Sha256>(&mut file, u64::MAX)?.finalize();
        digest_of(Algorithm::Sha256, &hash).map(Some)
    }

    /// Removes a blob's file; absent is fine.
    pub(super) fn remove_blob(&self, digest: &Digest) -> io::Result<()> {
        absent_is_none(fs::remove_file(self.blob_path(digest))).map(drop)
    }

    /// Removes an upload's file; absent is fine.
    pub(super) fn remove_upload(&self, id: UploadId) -> io::Result<()> {
        absent_is_none(fs::remove_file(self.upload_path(id))).map(drop)
    }

    /// Blobs on disk in one shard whose file is older than `before`.
    pub(super) fn blobs_in_shard(&self, shard: u8, before: SystemTime) -> io::Result<Vec<Digest>> {
        let shard = hex::encode([shard]);
        let names = old_files(&self.root.join("sha256").join(&shard), before)?;
        Ok(names.iter().filter_map(|rest| format!("sha256:{shard}{rest}").parse().ok()).collect())
    }

    /// Uploads on disk whose file is older than `before`.
    pub(super) fn uploads_on_disk(&self, before: SystemTime) -> io::Result<Vec<UploadId>> {
        let names = old_files(&self.root.join("uploads"), before)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

impl LocalUpload {
    fn at(mut file: File, len: u64, hash: Option<sha2::Sha256>) -> io::Result<Self> {
        let hash = match hash {
            Some(hash) => hash,
            None => hash_reader::<sha2::Sha256>(&mut file, len)?,
        };
        file.seek(SeekFrom::Start(len))?;
        Ok(Self { file, hash, len, synced: len })
    }

    /// Bytes it holds.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether everything it holds is synced.
    pub(super) fn is_synced(&self) -> bool {
        self.synced == self.len
    }

    /// The running hash, to keep between requests.
    pub(super) fn hash(&self) -> sha2::Sha256 {
        self.hash.clone()
    }

    /// Appends and hashes.
    pub(super) fn append(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        for chunk in chunks {
            self.file.write_all(chunk)?;
            self.hash.update(chunk);
            self.len += chunk.len() as u64;
        }
        Ok(())
    }

    /// Makes the content durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced() {
            self.file.sync_data()?;
            self.synced = self.len;
        }
        Ok(())
    }

    /// The SHA-256 of the content.
    pub(super) fn sha256(&self) -> io::Result<Digest> {
        digest_of(Algorithm::Sha256, &self.hash.clone().finalize())
    }

    /// The SHA-512 of the content, read again from disk.
    pub(super) fn sha512(&mut self) -> io::Result<Digest> {
        let hash = hash_reader::<sha2::Sha512>(&mut self.file, self.len)?;
        digest_of(Algorithm::Sha512, &hash.finalize())
    }
}

/// Hashes the first `len` bytes of `file`.
fn hash_reader<H: sha2::Digest>(file: &mut File, len: u64) -> io::Result<H> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = H::new();
    let mut buffer = vec![0; CHUNK];
    let mut left = file.take(len);
    loop {
        match left.read(&mut buffer)? {
            0 => return Ok(hash),
            n => hash.update(&buffer[..n]),
        }
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn old_files(dir: &Path, before: SystemTime) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Some(metadata) = absent_is_none(entry.metadata())? else { continue };
        if metadata.is_file() && metadata.modified()? < before {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}

/// The bytes of `range` in large chunks, reading one ahead. Memory is bounded by two chunks.
pub(super) fn read(file: File, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let left = range.end.saturating_sub(range.start);
    let first = Ahead::start(file, Some(range.start), left);
    stream::unfold(Some(first), |ahead| async move {
        match ahead?.next().await {
            Ok(Some((bytes, rest))) => Some((Ok(bytes), rest)),
            Ok(None) => None,
            Err(e) => Some((Err(e), None)),
        }
    })
}

/// One chunk being read while the one before is being sent.
struct Ahead(tokio::task::JoinHandle<io::Result<(File, Bytes, u64)>>);

impl Ahead {
    fn start(mut file: File, seek: Option<u64>, left: u64) -> Self {
        Self(tokio::task::spawn_blocking(move || {
            if let Some(at) = seek.filter(|at| *at > 0) {
                file.seek(SeekFrom::Start(at))?;
            }
            let want = left.min(CHUNK as u64);
            let mut buffer = Vec::with_capacity(usize::try_from(want).unwrap_or(CHUNK));
            (&mut file).take(want).read_to_end(&mut buffer)?;
            if (buffer.len() as u64) < want {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            Ok((file, Bytes::from(buffer), left - want))
        }))
    }

    async fn next(self) -> io::Result<Option<(Bytes, Option<Self>)>> {
        let (file, bytes, left) = self.0.await.map_err(io::Error::other)??;
        if bytes.is_empty() {
            return Ok(None);
        }
        let rest = (left > 0).then(|| Self::start(file, None, left));
        Ok(Some((bytes, rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Clock as _;

    fn id() -> UploadId {
        UploadId::new(crate::base::SystemClock.now())
    }

    fn opened(store: &Files, id: UploadId, len: u64) -> LocalUpload {
        match store.open_upload(id, len, None).expect("open") {
            Opened::Ready(file) => file,
            Opened::Longer(file) => file.cut(len).expect("cut"),
            Opened::Busy => panic!("busy"),
        }
    }

    #[test]
    fn an_upload_is_cut_back_to_what_was_acknowledged_and_hashed_again() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Files::open(dir.path()).expect("open");
        let id = id();
        let mut file = opened(&store, id, 0);
        file.append(&[Bytes::from_static(b"hello torn")]).expect("append");
        drop(file);
        let mut file = opened(&store, id, 6);
        file.append(&[Bytes::from_static(b"world")]).expect("append");
        file.sync().expect("sync");
        let digest = file.sha256().expect("hash");
        assert_eq!(digest, Digest::sha256(b"hello world"));
        assert_eq!(file.sha512().expect("hash"), Digest::of(Algorithm::Sha512, b"hello world"));
        store.place(id, &digest).expect("place");
        assert_eq!(store.blob_size(&digest).expect("size"), Some(11));
        assert_eq!(store.hash_blob(&digest).expect("hash").as_ref(), Some(&digest));
        assert_eq!(store.read_blob(&digest, 11).expect("read").expect("there"), b"hello world");
        assert!(store.read_blob(&digest, 10).expect("read").is_none(), "over the limit");
    }

    #[test]
    fn one_request_at_a_time_writes_to_an_upload() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Files::open(dir.path()).expect("open");
        let id = id();
        let first = opened(&store, id, 0);
        assert!(matches!(store.open_upload(id, 0, None), Ok(Opened::Busy)));
        drop(first);
        assert!(matches!(store.open_upload(id, 0, None), Ok(Opened::Ready(_))));
    }
}

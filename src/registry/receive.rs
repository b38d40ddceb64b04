//! Receiving a body: streamed into an upload's file with constant memory, hashed on the way.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use super::blob_store::{UploadFile, disk_fault};
use super::quota::{Room, no_room};
use super::upload::unknown_upload;
use super::{Registry, store};
use crate::base::id::UploadId;
use crate::base::{Error, ErrorKind, Result};

/// Largest blob, bytes.
pub const MAX_BLOB: u64 = 100 * 1024 * 1024 * 1024;
/// Bytes gathered before they are written and hashed together.
const BATCH: usize = 512 * 1024;
/// How often a long request makes its progress durable and visible.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Where a chunk says it starts, and how long it says it is (`Content-Range`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkStart {
    pub start: u64,
    pub length: u64,
}

/// What an upload receives.
pub trait Body: Stream<Item = Result<Bytes>> + Unpin + Send {}
impl<T: Stream<Item = Result<Bytes>> + Unpin + Send> Body for T {}

impl Registry {
    /// Streams the body into the file and makes it durable, as long as it fits into `room`. Writing and hashing a batch overlaps
    /// with receiving the next. What arrived before a fault is kept.
    #[expect(clippy::too_many_arguments, reason = "what one request says about an upload")]
    pub(super) async fn receive(
        &self,
        id: UploadId,
        file: UploadFile,
        mut noted: u64,
        chunk: Option<ChunkStart>,
        mut body: impl Body,
        last: bool,
        room: Room,
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
            if room.left.is_some_and(|left| total > left) {
                pen = Pen::Idle(file);
                break Some(no_room(total));
            }
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
            return file.sync().await;
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
        let file = file.sync().await?;
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

fn wrong_length() -> Error {
    Error::new(
        ErrorKind::Malformed,
        "size_invalid",
        "the body is not as long as Content-Range says",
    )
}

fn wrong_range(received: u64) -> Error {
    Error::new(
        ErrorKind::RangeInvalid,
        "blob_upload_invalid",
        format!("chunks come in order; the next one starts at byte {received}"),
    )
    .with_detail(serde_json::json!({ "received": received }))
}

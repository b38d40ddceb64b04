//! Checking what is stored: whether the store takes writes, and whether every blob is intact.

use super::{Registry, store};
use crate::base::{Digest, Result};

/// Blobs looked at between two queries.
const BATCH: i64 = 500;

/// A blob that is not what its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub digest: Digest,
    /// `missing`, `wrong size`, `wrong content`.
    pub what: &'static str,
    /// Repositories in which it is visible, and which are therefore broken.
    pub repositories: Vec<String>,
}

/// What a check saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    pub blobs: u64,
    pub bytes: i64,
    pub faults: Vec<Fault>,
}

impl Registry {
    /// Writes, reads and removes a small piece of data where blobs are kept.
    pub async fn check_storage(&self) -> Result<()> {
        self.blobs().probe().await
    }

    /// Reads every blob and compares it with its row. With `quick`, only whether it is there and
    /// how long it is. Changes nothing; may run beside a server.
    pub async fn check(&self, quick: bool) -> Result<Checked> {
        let mut checked = Checked::default();
        let mut after = String::new();
        loop {
            let rows = store::blobs::list(&mut *self.db.read().await?, &after, BATCH).await?;
            let Some((last, _)) = rows.last() else { return Ok(checked) };
            after = last.to_string();
            for (digest, size) in rows {
                checked.blobs += 1;
                checked.bytes += size;
                if let Some(what) = self.fault_of(&digest, size, quick).await? {
                    let conn = &mut *self.db.read().await?;
                    // A collection may have removed it since the list was read.
                    let Some(repositories) = store::blobs::linked_from(conn, &digest).await? else {
                        continue;
                    };
                    checked.faults.push(Fault { digest, what, repositories });
                }
            }
        }
    }

    async fn fault_of(
        &self,
        digest: &Digest,
        size: i64,
        quick: bool,
    ) -> Result<Option<&'static str>> {
        let blobs = self.blobs();
        let Some(found) = blobs.blob_size(digest).await? else { return Ok(Some("missing")) };
        if i64::try_from(found).unwrap_or(i64::MAX) != size {
            return Ok(Some("wrong size"));
        }
        if quick {
            return Ok(None);
        }
        Ok(match blobs.hash_blob(digest).await? {
            None => Some("missing"),
            Some(found) if found == *digest => None,
            Some(_) => Some("wrong content"),
        })
    }
}

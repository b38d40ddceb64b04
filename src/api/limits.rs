//! How many answers may stream at once, and how long.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::{Error, Result};

/// Streams of events and logs that are open at once, all callers together.
const MAX_STREAMS: usize = 512;
/// A followed log ends then.
pub(super) const LONGEST_LOG: Duration = Duration::from_secs(3600);
/// A stream of events ends then; the client goes on with `Last-Event-ID` and proves anew who it
/// is.
pub(super) const LONGEST_STREAM: Duration = Duration::from_secs(900);

static STREAMS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MAX_STREAMS)));

/// A place for one stream, given back when dropped.
pub(super) fn stream() -> Result<OwnedSemaphorePermit> {
    Arc::clone(&STREAMS)
        .try_acquire_owned()
        .map_err(|_| Error::rate_limited("too many streams are open; try again later", 5))
}

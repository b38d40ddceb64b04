//! Start, shutdown and the one place tasks are spawned on.
//!
//! Shutdown has two steps. The first signal (SIGTERM, SIGINT) asks: listeners stop accepting and
//! drain, loops end after what they are doing. A second signal, or too long a drain, ends the
//! process at once; that is safe at any moment, because everything acknowledged is durable.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::base::{Error, Result};

/// How long loops may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Spawns tasks and ends them in order.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// Cancelled when the process should end.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs `task` until it ends by itself; it is given the token that asks it to.
    pub fn spawn<Fut>(&self, name: &'static str, task: impl FnOnce(CancellationToken) -> Fut)
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        let work = task(self.stop.clone());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            work.await;
            if !stop.is_cancelled() {
                tracing::error!(task.name = name, "a task that runs for ever has ended");
            }
        });
    }

    /// Waits for a signal, then for the tasks. A second signal does not wait.
    pub async fn run_to_end(&self) -> Result<()> {
        let hear = |kind| signal(kind).map_err(|e| Error::internal("listening to signals", e));
        let (mut term, mut int) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
        let mut next = async || {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping; connections are finished first");
        self.stop.cancel();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            () = next() => tracing::warn!("stopped at once by a second signal"),
            () = tokio::time::sleep(PATIENCE) => {
                tracing::warn!(tasks = self.tasks.len(), "tasks did not end in time");
            }
        }
        Ok(())
    }
}

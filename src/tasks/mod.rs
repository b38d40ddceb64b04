//! Drives periodic work: run on a period and on a poke, one run at a time, no input, no retries
//! inside (the period retries).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::base::Result;

/// Wakes a task ahead of its period. Cheap; several pokes before a run are one run.
#[derive(Debug, Clone, Default)]
pub struct Activator(Arc<Notify>);

impl Activator {
    /// Asks for a run soon.
    pub fn poke(&self) {
        self.0.notify_one();
    }

    /// Waits for the next poke.
    pub async fn poked(&self) {
        self.0.notified().await;
    }
}

/// Runs `work` every `period` and whenever `activator` is poked, until `stop`. A failed run is
/// logged and tried again at the next period.
pub async fn drive<F, Fut>(
    name: &'static str,
    period: Duration,
    activator: Activator,
    stop: CancellationToken,
    mut work: F,
) where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    loop {
        if let Err(error) = work().await {
            tracing::warn!(task.name = name, error = %error.chain(), "a periodic task failed; it runs again at its next period");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = activator.poked() => {}
            () = tokio::time::sleep(period) => {}
        }
    }
}

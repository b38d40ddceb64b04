//! Which deployments to look at, now or later. Several wishes for one are one look.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::base::id::DeploymentId;

#[derive(Debug, Default)]
struct State {
    due: HashSet<DeploymentId>,
    later: HashMap<DeploymentId, Instant>,
}

/// The reconciler's wishes.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    woken: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Look at it soon.
    pub(super) fn poke(&self, id: DeploymentId) {
        self.lock().due.insert(id);
        self.woken.notify_one();
    }

    /// Look at all of these soon.
    pub(super) fn poke_all(&self, ids: impl IntoIterator<Item = DeploymentId>) {
        self.lock().due.extend(ids);
        self.woken.notify_one();
    }

    /// Look at it at `at` at the latest.
    pub(super) fn later(&self, id: DeploymentId, at: Instant) {
        self.lock().later.insert(id, at);
        self.woken.notify_one();
    }

    /// Up to `room` deployments that are due and not in `busy`, and when the next one will be.
    pub(super) fn take(
        &self,
        busy: &HashSet<DeploymentId>,
        room: usize,
    ) -> (Vec<DeploymentId>, Option<Instant>) {
        let mut state = self.lock();
        let now = Instant::now();
        let ripe: Vec<_> =
            state.later.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in ripe {
            state.later.remove(&id);
            state.due.insert(id);
        }
        let taken: Vec<_> =
            state.due.iter().filter(|id| !busy.contains(*id)).take(room).copied().collect();
        for id in &taken {
            state.due.remove(id);
            state.later.remove(id);
        }
        (taken, state.later.values().min().copied())
    }

    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }
}

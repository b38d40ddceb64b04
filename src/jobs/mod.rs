//! The queue of jobs: work that outlives the request which asked for it, in PostgreSQL.
//!
//! A *job* is a row; a *run* is one try at it by one instance, which holds a *lease* and renews
//! it. A run that ends without an answer (the process was killed) loses its lease, and another
//! instance runs the job again, so handlers must be safe to run twice.
//!
//! # Design notes
//!
//! Enqueueing happens in the caller's transaction, and so does what a handler says when a job
//! settles: a job and its events cannot disagree. A run is cancelled by dropping its future; what
//! it had acknowledged stays, and the next run goes on from there. Attempts count since the last
//! run that got further, so that a long job over a poor line ends, but one that stands still does
//! not run for ever. History is bounded by age and by number in each project. A queue outside the
//! database was rejected: it could lose what a transaction promised.

mod store;
mod work;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::base::id::{JobId, ProjectId, UserId};
use crate::base::{Actor, Error, Result, SharedClock, Timestamp};
use crate::db::{Db, Tx};

/// How long a lease holds without being renewed.
pub const LEASE: Duration = Duration::from_secs(20);
/// Finished jobs are kept this long, at most.
const KEPT: chrono::Duration = chrono::Duration::days(30);
/// Finished jobs of one kind kept in one project.
const KEPT_PER_PROJECT: i64 = 200;
/// A job that is not done by then fails, however it goes on.
const OLDEST: chrono::Duration = chrono::Duration::days(3);

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for its turn or for its next try.
    Queued,
    /// A run holds it.
    Running,
    /// Done.
    Succeeded,
    /// Given up; `error` says why.
    Failed,
    /// Ended because somebody asked.
    Cancelled,
}

impl Status {
    /// The word stored and used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it may still run by itself.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

impl std::str::FromStr for Status {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|status| status.as_str() == s)
            .ok_or_else(|| {
                Error::invalid("status", "must be queued, running, succeeded, failed or cancelled")
            })
    }
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// What it is about.
    pub name: String,
    /// Where it is.
    pub status: Status,
    /// Runs begun since it was asked for or last got further.
    pub attempt: i32,
    /// Runs it may begin.
    pub max_attempts: i32,
    /// Not run before.
    pub run_at: Timestamp,
    /// Somebody asked for its end.
    pub cancel_requested: bool,
    /// What a finished run counted.
    pub progress: Value,
    /// Stable code of the last fault.
    pub error_code: Option<String>,
    /// The last fault, for people.
    pub error: Option<String>,
    /// Who asked; `None` when that user is gone.
    pub user_id: Option<UserId>,
    /// The name of who asked.
    pub actor_name: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its first run began.
    pub started_at: Option<Timestamp>,
    /// When it settled.
    pub finished_at: Option<Timestamp>,
}

/// A job to enqueue.
#[derive(Debug)]
pub struct NewJob<'a> {
    /// Which handler runs it.
    pub kind: &'static str,
    /// Its project.
    pub project: Option<ProjectId>,
    /// What it is about, as people write it.
    pub name: &'a str,
    /// Runs without getting further before it fails.
    pub max_attempts: i32,
}

/// How a run ended, as its handler says.
#[derive(Debug)]
pub enum Ending {
    /// Done; what it counted.
    Done(Value),
    /// Worth another try, after `after` seconds if that is said. `progressed`: this run got
    /// further than the last.
    Again {
        /// Why.
        error: Error,
        /// This run got further than the one before.
        progressed: bool,
    },
    /// Will not work, however often it is tried.
    Failed(Error),
}

/// How a job settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled<'a> {
    /// It is done.
    Succeeded(&'a Value),
    /// It is given up.
    Failed {
        /// Stable code.
        code: &'a str,
        /// For people.
        message: &'a str,
    },
    /// Somebody asked for its end.
    Cancelled,
}

/// Runs the jobs of one kind.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The kind of jobs it runs.
    fn kind(&self) -> &'static str;

    /// Jobs that one instance runs at the same time.
    fn at_once(&self) -> usize;

    /// One run. It may be dropped at any await: on cancel, on shutdown, or when the lease is
    /// lost.
    async fn run(&self, job: &Job) -> Ending;

    /// What else belongs into the transaction that settles a job: its event.
    async fn settled(&self, tx: &mut Tx, job: &Job, how: Settled<'_>) -> Result<()>;

    /// After that transaction, when a job was cancelled: gives back what it still holds. Best
    /// effort; it is not called after a crash.
    async fn release(&self, job: &Job);
}

/// The handle on the queue; cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    db: Db,
    clock: SharedClock,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Jobs")
    }
}

/// What a request to cancel met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelling {
    /// It had not begun and is cancelled now.
    Cancelled,
    /// Its run is told.
    Asked,
    /// It had settled before.
    TooLate,
}

impl Jobs {
    /// A queue in `db`.
    pub fn new(db: Db, clock: SharedClock) -> Self {
        Self { db, clock }
    }

    /// Enqueues a job in the caller's transaction, with the rights of `actor`.
    pub async fn enqueue(&self, tx: &mut Tx, actor: &Actor, new: NewJob<'_>) -> Result<JobId> {
        let now = self.clock.now();
        let id = JobId::new(now);
        store::insert(tx.conn(), id, &new, actor, now).await?;
        Ok(id)
    }

    /// Jobs of a kind in a project that have not settled. Serialises with other calls for the
    /// same project until the transaction ends, so that a limit holds.
    pub async fn count_open(&self, tx: &mut Tx, kind: &str, project: ProjectId) -> Result<i64> {
        store::lock_project(tx.conn(), kind, project).await?;
        Ok(store::count_open(tx.conn(), kind, project).await?)
    }

    /// Asks for the end of a job. One that waits is cancelled at once; the caller appends its
    /// event then, in this transaction.
    pub async fn cancel(&self, tx: &mut Tx, id: JobId) -> Result<Cancelling> {
        Ok(match store::cancel(tx.conn(), id, self.clock.now()).await? {
            Some(Status::Cancelled) => Cancelling::Cancelled,
            Some(_) => Cancelling::Asked,
            None => Cancelling::TooLate,
        })
    }

    /// Enqueues a failed or cancelled job again, from where it ended, with the rights of `actor`
    /// now; `false` when it is neither.
    pub async fn retry(&self, tx: &mut Tx, id: JobId, actor: &Actor) -> Result<bool> {
        Ok(store::retry(tx.conn(), id, actor, self.clock.now()).await?)
    }

    /// Removes what is older than the history that is kept.
    pub async fn prune(&self) -> Result<u64> {
        let mut conn = self.db.read().await?;
        let before = self.clock.now() - KEPT;
        Ok(store::prune(&mut conn, before, KEPT_PER_PROJECT).await?)
    }
}

/// Time before the next run, after `attempt` runs: 5 s, 15 s, 45 s, …, at most 15 min.
fn pause(attempt: i32) -> chrono::Duration {
    let steps = u32::try_from(attempt.clamp(1, 8) - 1).unwrap_or(0);
    chrono::Duration::seconds((5 * 3i64.pow(steps)).min(900))
}

#[cfg(test)]
mod tests {
    use super::pause;

    #[test]
    fn pauses_grow_to_a_quarter_of_an_hour() {
        let seconds: Vec<_> = (0..8).map(|n| pause(n).num_seconds()).collect();
        assert_eq!(seconds, [5, 5, 15, 45, 135, 405, 900, 900]);
    }
}

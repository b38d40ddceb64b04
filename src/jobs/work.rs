//! Runs jobs: claims them, renews their leases, settles them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::store::{self, Left};
use super::{Ending, Handler, Job, Jobs, LEASE, OLDEST, Settled, Status, pause};
use crate::base::{Error, ErrorKind, Result};

/// How often a run renews its lease and hears whether it should end.
const RENEW: Duration = Duration::from_secs(2);
/// Least time between two looks at the queue, however many events come.
const PACE: Duration = Duration::from_millis(200);
/// Longest time between two looks: retries become due without an event.
const POLL: Duration = Duration::from_secs(2);
/// Between two removals of old history.
const PRUNE: Duration = Duration::from_secs(3600);

/// A claimed job and the lease on it.
struct Run {
    job: Job,
    lease: Uuid,
}

/// What ended a run.
enum Cause {
    /// The handler's own answer.
    Ended(Ending),
    Cancelled,
    /// The server stops.
    Stopping,
    /// Another instance has it now.
    Lost,
}

impl Jobs {
    /// Runs the jobs of `handler` until `stop`, several at a time.
    pub async fn work(&self, handler: Arc<dyn Handler>, stop: CancellationToken) {
        let mut changes = self.changes();
        let mut runs = FuturesUnordered::new();
        let mut pruned: Option<tokio::time::Instant> = None;
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            if pruned.is_none_or(|at| at.elapsed() >= PRUNE) {
                pruned = Some(tokio::time::Instant::now());
                if let Err(error) = self.prune().await {
                    tracing::warn!(error = %error.chain(), "cannot remove old jobs");
                }
            }
            while runs.len() < handler.at_once() {
                match self.claim(handler.kind()).await {
                    Ok(Some(run)) => runs.push(self.carry(&*handler, run, &stop)),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(error = %error.chain(), "cannot look for jobs");
                        break;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(()) = runs.next() => {}
                () = tokio::time::sleep(POLL) => {}
                _ = changes.changed() => {
                    // Runs go on while the queue is left alone for a moment.
                    let pause = tokio::time::sleep(PACE);
                    tokio::pin!(pause);
                    loop {
                        tokio::select! {
                            () = &mut pause => break,
                            Some(()) = runs.next() => {}
                        }
                    }
                }
            }
        }
        while runs.next().await.is_some() {}
    }

    /// Claims one job that is due and runs it to its end; `false` when none is.
    pub async fn run_one(&self, handler: &dyn Handler) -> Result<bool> {
        let Some(run) = self.claim(handler.kind()).await? else { return Ok(false) };
        self.carry(handler, run, &CancellationToken::new()).await;
        Ok(true)
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.db.changes()
    }

    fn lease_end(&self) -> crate::base::Timestamp {
        self.clock.now() + LEASE
    }

    async fn claim(&self, kind: &str) -> Result<Option<Run>> {
        let now = self.clock.now();
        // Only its being unlike any other lease matters; it names nothing.
        let lease = crate::base::id::JobId::new(now).uuid();
        let mut conn = self.db.read().await?;
        let job = store::claim(&mut conn, kind, lease, self.lease_end(), now).await?;
        Ok(job.map(|job| Run { job, lease }))
    }

    /// One run from claim to settlement.
    async fn carry(&self, handler: &dyn Handler, run: Run, stop: &CancellationToken) {
        let Run { job, lease } = run;
        tracing::info!(job.id = %job.id, job.name, job.attempt, "a job runs");
        let cause = if job.cancel_requested {
            Cause::Cancelled
        } else if job.attempt > job.max_attempts {
            let why = "its runs were cut off again and again, without getting further";
            Cause::Ended(Ending::Failed(Error::new(ErrorKind::Unavailable, "interrupted", why)))
        } else {
            tokio::select! {
                ending = handler.run(&job) => Cause::Ended(ending),
                cause = self.hold(&job, lease) => cause,
                () = stop.cancelled() => Cause::Stopping,
            }
        };
        if let Err(error) = self.settle(handler, &job, lease, cause).await {
            // The lease ends by itself, and another run finds out what is left to do.
            tracing::warn!(job.id = %job.id, error = %error.chain(), "cannot settle a job");
        }
    }

    /// Renews the lease until the run should end.
    async fn hold(&self, job: &Job, lease: Uuid) -> Cause {
        let mut failing = 0;
        loop {
            tokio::time::sleep(RENEW).await;
            match self.renew(job, lease).await {
                Ok(Some(false)) => failing = 0,
                Ok(Some(true)) => return Cause::Cancelled,
                Ok(None) => return Cause::Lost,
                Err(error) => {
                    failing += 1;
                    tracing::warn!(job.id = %job.id, error = %error.chain(), "cannot renew a lease");
                    // By now another instance may have taken it.
                    if RENEW * (failing + 1) >= LEASE {
                        return Cause::Lost;
                    }
                }
            }
        }
    }

    async fn renew(&self, job: &Job, lease: Uuid) -> Result<Option<bool>> {
        let mut conn = self.db.read().await?;
        Ok(store::renew(&mut conn, job.id, lease, self.lease_end()).await?)
    }

    async fn settle(
        &self,
        handler: &dyn Handler,
        job: &Job,
        lease: Uuid,
        cause: Cause,
    ) -> Result<()> {
        let now = self.clock.now();
        let again = |error, attempt, run_at| Left {
            status: Status::Queued,
            run_at,
            attempt,
            progress: None,
            error,
        };
        match cause {
            Cause::Lost => {
                tracing::warn!(job.id = %job.id, "a run lost its lease");
                Ok(())
            }
            Cause::Stopping => {
                let left = again(None, job.attempt - 1, now);
                store::leave(&mut *self.db.read().await?, job.id, lease, &left, now).await?;
                Ok(())
            }
            Cause::Cancelled => self.end(handler, job, lease, Settled::Cancelled).await,
            Cause::Ended(Ending::Done(counted)) => {
                self.end(handler, job, lease, Settled::Succeeded(&counted)).await
            }
            Cause::Ended(Ending::Failed(error)) => self.fail(handler, job, lease, &error).await,
            Cause::Ended(Ending::Again { error, progressed }) => {
                let attempt = if progressed { 1 } else { job.attempt };
                let too_old = job.started_at.is_some_and(|at| now - at > OLDEST);
                if attempt >= job.max_attempts || too_old {
                    return self.fail(handler, job, lease, &error).await;
                }
                let asked = chrono::Duration::seconds(error.retry_after().unwrap_or(0).into());
                let run_at = now + pause(attempt).max(asked.min(chrono::Duration::hours(1)));
                tracing::info!(job.id = %job.id, error = %error.chain(), "a job is tried again later");
                let why = Some((error.code(), error.public_message()));
                let left = again(why, attempt, run_at);
                store::leave(&mut *self.db.read().await?, job.id, lease, &left, now).await?;
                Ok(())
            }
        }
    }

    async fn fail(
        &self,
        handler: &dyn Handler,
        job: &Job,
        lease: Uuid,
        error: &Error,
    ) -> Result<()> {
        tracing::warn!(job.id = %job.id, error = %error.chain(), "a job failed");
        let how = Settled::Failed { code: error.code(), message: error.public_message() };
        self.end(handler, job, lease, how).await
    }

    async fn end(
        &self,
        handler: &dyn Handler,
        job: &Job,
        lease: Uuid,
        how: Settled<'_>,
    ) -> Result<()> {
        let now = self.clock.now();
        let (status, progress, error) = match how {
            Settled::Succeeded(counted) => (Status::Succeeded, Some(counted), None),
            Settled::Failed { code, message } => (Status::Failed, None, Some((code, message))),
            Settled::Cancelled => (Status::Cancelled, None, None),
        };
        let left = Left { status, run_at: job.run_at, attempt: job.attempt, progress, error };
        let mut tx = self.db.begin().await?;
        if !store::leave(tx.conn(), job.id, lease, &left, now).await? {
            return Ok(());
        }
        handler.settled(&mut tx, job, how).await?;
        tx.commit().await?;
        if status == Status::Cancelled {
            handler.release(job).await;
        }
        Ok(())
    }
}

//! Upkeep: what keeps the store clean and sound by itself, when it runs, and what it did.
//!
//! A *run* is one collection, sweep, scrub, check, or check of the quotas; it has a row from its
//! start, so a run that a crash cut off is seen. Scheduled runs that did nothing are forgotten
//! when the next one ends.

use std::str::FromStr;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Registry, store};
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::id::RunId;
use crate::base::quantity::size;
use crate::base::{Actor, Error, Page, PageRequest, Result, Timestamp};
use crate::events::{self, NewEvent, Target};
use crate::tasks;

pub(super) const READ: Permission = Permission(Resource::Collection, Action::Read);
const OPERATE: Permission = Permission(Resource::Collection, Action::Operate);

/// How often the schedule and the requests are looked at.
const TICK: Duration = Duration::from_secs(60);
/// Time between scheduled runs.
const COLLECT_EVERY: chrono::Duration = chrono::Duration::minutes(10);
const SWEEP_EVERY: chrono::Duration = chrono::Duration::hours(24);
const VERIFY_EVERY: chrono::Duration = chrono::Duration::hours(24);
/// A run that said nothing for so long was interrupted.
pub(super) const SILENCE: chrono::Duration = chrono::Duration::minutes(10);
const KEPT: chrono::Duration = chrono::Duration::days(90);

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Removes what nobody needs.
    Collection,
    /// Removes files without a row.
    Sweep,
    /// Reads every blob again, slowly.
    Scrub,
    /// Compares rows and files (`portolan fsck`).
    Check,
    /// Compares the use of projects with what they store.
    Quota,
}

impl Kind {
    /// The word stored and used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Collection => "collection",
            Self::Sweep => "sweep",
            Self::Scrub => "scrub",
            Self::Check => "check",
            Self::Quota => "quota",
        }
    }
}

impl FromStr for Kind {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        [Self::Collection, Self::Sweep, Self::Scrub, Self::Check, Self::Quota]
            .into_iter()
            .find(|kind| kind.as_str() == s)
            .ok_or_else(|| {
                Error::invalid("kind", "must be collection, sweep, scrub, check or quota")
            })
    }
}

/// Why a run was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Schedule,
    Request,
    Command,
}

impl Cause {
    /// The word stored and used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Request => "request",
            Self::Command => "command",
        }
    }
}

impl FromStr for Cause {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        [Self::Schedule, Self::Request, Self::Command]
            .into_iter()
            .find(|cause| cause.as_str() == s)
            .ok_or_else(|| Error::invalid("cause", "must be schedule, request or command"))
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Asked for; somebody takes it up within a minute.
    Waiting,
    Running,
    /// Cut off by a crash or a stop. The next run does what is left.
    Interrupted,
    Done,
    Failed,
}

impl State {
    /// The word used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// What a run removed or looked at, and what it found wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub uploads: i64,
    pub links: i64,
    pub blobs: i64,
    pub bytes: i64,
    pub faults: i64,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: RunId,
    pub kind: Kind,
    pub cause: Cause,
    pub actor_name: String,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub state: State,
    pub counts: Counts,
    /// A scrub's last digest.
    pub position: String,
    /// One sentence, once it ended.
    pub message: String,
}

impl Registry {
    /// Asks for a run soon, in the background. A kind that is already waiting is not asked for
    /// twice: the same run is the answer.
    pub async fn request_run(&self, actor: &Actor, kind: Kind) -> Result<Run> {
        require_platform(actor, OPERATE)?;
        if kind == Kind::Check {
            let rule = "must be collection, sweep, scrub or quota; a check runs as `portolan fsck`";
            return Err(Error::invalid("kind", rule));
        }
        let (now, id) = (self.now(), RunId::new(self.now()));
        let mut tx = self.db.begin().await?;
        if store::runs::request(tx.conn(), id, kind, &actor.name, now).await? {
            let event = NewEvent::new(
                "collection.request",
                Target::new("run", id, kind.as_str()),
                format!("A {} was asked for", kind.as_str()),
            );
            events::append(&mut tx, &*self.clock.0, actor, event).await?;
        }
        tx.commit().await?;
        self.shared.upkeep.poke();
        self.shared.scrubbing.poke();
        let mut conn = self.db.read().await?;
        let runs = store::runs::list(&mut conn, (None, Some(kind)), None, now - SILENCE, 1).await?;
        runs.into_iter().next().ok_or_else(|| Error::not_found("run", kind.as_str()))
    }

    /// Runs newest first.
    pub async fn runs(
        &self,
        actor: &Actor,
        kind: Option<Kind>,
        page: &PageRequest,
    ) -> Result<Page<Run>> {
        require_platform(actor, READ)?;
        let (limit, after) = (page.limit()?, page.after_key()?);
        let (silent, most) = (self.now() - SILENCE, i64::from(limit) + 1);
        let mut conn = self.db.read().await?;
        let rows = store::runs::list(&mut conn, (None, kind), after, silent, most).await?;
        Ok(Page::from_rows(rows, limit, |run| (run.created_at, run.id.uuid())))
    }

    /// One run.
    pub async fn run_record(&self, actor: &Actor, id: RunId) -> Result<Run> {
        require_platform(actor, READ)?;
        let mut conn = self.db.read().await?;
        let silent = self.now() - SILENCE;
        let found = store::runs::list(&mut conn, (Some(id), None), None, silent, 1).await?;
        found.into_iter().next().ok_or_else(|| Error::not_found("run", id))
    }

    /// Starts the record of a run that is not scheduled.
    pub(super) async fn begin_run(&self, kind: Kind, cause: Cause, actor: &Actor) -> Result<RunId> {
        let (now, id) = (self.now(), RunId::new(self.now()));
        let who = (cause, actor.name.as_str());
        store::runs::start(&mut *self.db.read().await?, id, kind, who, None, now).await?;
        Ok(id)
    }

    /// Ends the record of a run. A failure is recorded and passed on.
    pub(super) async fn end_run(
        &self,
        id: RunId,
        kind: Kind,
        actor: &Actor,
        done: Result<Counts>,
    ) -> Result<Counts> {
        let now = self.now();
        let (counts, outcome, message) = match &done {
            Ok(counts) => (*counts, "success", said(kind, counts)),
            Err(error) => (Counts::default(), "failure", error.public_message().to_owned()),
        };
        let recorded = async {
            let mut tx = self.db.begin().await?;
            store::runs::finish(tx.conn(), id, counts, outcome, &message, now).await?;
            store::runs::forget(tx.conn(), kind, id, now - KEPT).await?;
            let did = counts.uploads + counts.links + counts.faults > 0
                || (counts.blobs > 0 && matches!(kind, Kind::Collection | Kind::Sweep));
            if did {
                let event = NewEvent::new(
                    match kind {
                        Kind::Collection => "collection.run",
                        Kind::Sweep => "collection.sweep",
                        Kind::Scrub => "collection.scrub",
                        Kind::Check => "collection.check",
                        Kind::Quota => "collection.quota",
                    },
                    Target::new("run", id, kind.as_str()),
                    message.clone(),
                )
                .detail(json!({
                    "uploads": counts.uploads, "links": counts.links, "blobs": counts.blobs,
                    "bytes": counts.bytes, "faults": counts.faults,
                }));
                events::append(&mut tx, &*self.clock.0, actor, event).await?;
            }
            tx.commit().await
        };
        let recorded = recorded.await;
        let counts = done?;
        recorded?;
        if counts != Counts::default() {
            tracing::info!(run.kind = kind.as_str(), "{message}");
        }
        Ok(counts)
    }

    /// One round: what was asked for, then what is due.
    pub async fn upkeep(&self) -> Result<()> {
        let system = Actor::system();
        loop {
            let mut conn = self.db.read().await?;
            let waiting = store::runs::take_waiting(&mut conn, self.now()).await?;
            drop(conn);
            let Some((id, kind, actor_name)) = waiting else { break };
            let asker = Actor { name: actor_name, ..Actor::system() };
            let done = self.work(kind, id).await;
            // The next one is not to wait for this one's fault.
            if let Err(error) = self.end_run(id, kind, &asker, done).await {
                tracing::warn!(error = %error.chain(), "a run that was asked for failed");
            }
        }
        let last = store::runs::last_started(&mut *self.db.read().await?).await?;
        for (kind, period) in [
            (Kind::Collection, COLLECT_EVERY),
            (Kind::Sweep, SWEEP_EVERY),
            (Kind::Quota, VERIFY_EVERY),
        ] {
            let (now, id) = (self.now(), RunId::new(self.now()));
            let due = now - period;
            if last.iter().any(|(of, at)| *of == kind && *at > due) {
                continue;
            }
            let who = (Cause::Schedule, system.name.as_str());
            let mut conn = self.db.read().await?;
            let is_ours = store::runs::start(&mut conn, id, kind, who, Some(due), now).await?;
            drop(conn);
            if is_ours {
                let done = self.work(kind, id).await;
                self.end_run(id, kind, &system, done).await?;
            }
        }
        Ok(())
    }

    async fn work(&self, kind: Kind, id: RunId) -> Result<Counts> {
        match kind {
            Kind::Collection => self.collect_as(id).await,
            Kind::Sweep => self.sweep_as(id).await,
            Kind::Quota => {
                let (_, wrong) = self.verify_quotas(&Actor::system(), true).await?;
                let faults = i64::try_from(wrong.len()).unwrap_or(i64::MAX);
                Ok(Counts { faults, ..Counts::default() })
            }
            Kind::Scrub | Kind::Check => Ok(Counts::default()),
        }
    }

    /// When the next scheduled collection is due.
    pub(super) async fn next_collection(&self) -> Result<Timestamp> {
        let last = store::runs::last_started(&mut *self.db.read().await?).await?;
        let last = last.into_iter().find(|(kind, _)| *kind == Kind::Collection);
        Ok(last.map_or(self.now(), |(_, at)| (at + COLLECT_EVERY).max(self.now())))
    }

    /// Keeps the store clean until `stop`.
    pub(super) async fn keep_clean(&self, stop: CancellationToken) {
        let activator = self.shared.upkeep.clone();
        let work = || async {
            self.fill_version_keys().await?;
            self.upkeep().await
        };
        tasks::drive("registry upkeep", TICK, activator, stop, work).await;
    }
}

/// What a run did, in one sentence.
fn said(kind: Kind, counts: &Counts) -> String {
    let Counts { uploads, links, blobs, bytes, faults } = *counts;
    match kind {
        Kind::Collection => format!(
            "Collection freed {} in {blobs} blobs, removed {links} links and {uploads} idle uploads",
            size(bytes)
        ),
        Kind::Sweep => {
            format!("Sweep removed {blobs} blob files and {uploads} upload files without a row")
        }
        Kind::Scrub => format!("Scrub read {} in {blobs} blobs; {faults} are corrupt", size(bytes)),
        Kind::Check => format!("Check read {} in {blobs} blobs; {faults} differences", size(bytes)),
        Kind::Quota => format!("The use of {faults} projects was counted wrong and was mended"),
    }
}

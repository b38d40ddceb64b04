//! The event log: who or what did which action on which object, when, with which outcome.
//!
//! Every mutation appends its event in its own transaction. The log is the only fan-out: the
//! audit page, the live pages and the reconcilers' wake-ups read it.
//!
//! # Design notes
//!
//! Positions are `(txid, seq)`. Readers take only rows below the oldest running transaction, so
//! that a row which commits late is never skipped; writers take no lock (the rejected option, an
//! advisory lock around a dense counter, makes every push wait for every other push's fsync).
//! `NOTIFY` inside a transaction takes a global lock at commit, so the wake-up for other
//! instances is sent after the commit and at most every 20 ms (`listen`).

pub mod listen;
mod store;

use serde_json::Value;

use crate::base::id::{DeploymentId, EnvironmentId, EventId, ProjectId};
use crate::base::{Actor, Clock, Page, PageRequest, Result, Timestamp};
use crate::db::{Db, Tx};

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was tried and did not work.
    Failure,
    /// The caller may not.
    Denied,
}

impl Outcome {
    /// The word stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Denied => "denied",
        }
    }
}

/// What an event is about.
#[derive(Debug, Clone)]
pub struct Target {
    /// Kind of object: `project`, `tag`, `replica`, …
    pub kind: &'static str,
    /// Its id, where it has one.
    pub id: Option<uuid::Uuid>,
    /// Its name as people write it.
    pub name: String,
}

impl Target {
    /// An object of `kind` with an id and a name.
    pub fn new(kind: &'static str, id: impl Into<uuid::Uuid>, name: impl ToString) -> Self {
        Self { kind, id: Some(id.into()), name: name.to_string() }
    }

    /// An object that has only a name.
    pub fn named(kind: &'static str, name: impl ToString) -> Self {
        Self { kind, id: None, name: name.to_string() }
    }
}

/// An event to append.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// `object.verb`, e.g. `deployment.create`.
    pub action: &'static str,
    /// What it is about.
    pub target: Target,
    /// The project it belongs to, which decides who may read it; `None`: platform only.
    pub project: Option<ProjectId>,
    /// The environment, for engine events.
    pub environment: Option<EnvironmentId>,
    /// The deployment, for engine events.
    pub deployment: Option<DeploymentId>,
    /// How it ended.
    pub outcome: Outcome,
    /// One sentence: what happened and why. Never holds a secret.
    pub message: String,
    /// Inputs, formula and result of a decision; before and after of a change.
    pub detail: Value,
}

impl NewEvent {
    /// A successful event; refine it with the builder methods.
    pub fn new(action: &'static str, target: Target, message: impl Into<String>) -> Self {
        Self {
            action,
            target,
            project: None,
            environment: None,
            deployment: None,
            outcome: Outcome::Success,
            message: message.into(),
            detail: Value::Object(serde_json::Map::new()),
        }
    }

    /// Sets the project.
    #[must_use]
    pub fn in_project(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }

    /// Sets environment and deployment.
    #[must_use]
    pub fn of_deployment(mut self, environment: EnvironmentId, deployment: DeploymentId) -> Self {
        self.environment = Some(environment);
        self.deployment = Some(deployment);
        self
    }

    /// Sets the outcome.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Sets the detail.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// A row of the log as readers see it.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Position in commit order, first part.
    #[serde(skip)]
    pub txid: i64,
    /// Position in commit order, second part; also the order shown to people.
    #[serde(skip)]
    pub seq: i64,
    /// When.
    pub created_at: Timestamp,
    /// `user`, `system`, `node`, `anonymous`.
    pub actor_kind: String,
    /// Who.
    pub actor_name: String,
    /// `object.verb`.
    pub action: String,
    /// Kind of object.
    pub target_kind: String,
    /// Name of the object.
    pub target_name: String,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// Its environment.
    pub environment_id: Option<EnvironmentId>,
    /// Its deployment.
    pub deployment_id: Option<DeploymentId>,
    /// `success`, `failure`, `denied`.
    pub outcome: String,
    /// One sentence.
    pub message: String,
    /// Inputs, formula, result; before and after.
    pub detail: Value,
    /// `web`, `api`, `registry`, `cli`, `engine`.
    pub channel: String,
    /// Address of the caller.
    pub address: Option<String>,
    /// Request id.
    pub request_id: Option<String>,
}

impl Event {
    /// Where a follower that has seen this event continues.
    pub fn position(&self) -> Position {
        Position { txid: self.txid, seq: self.seq }
    }
}

/// A place in the commit-ordered log.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Position {
    /// Transaction id.
    pub txid: i64,
    /// Sequence within the log.
    pub seq: i64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.txid, self.seq)
    }
}

impl std::str::FromStr for Position {
    type Err = crate::base::Error;
    fn from_str(s: &str) -> Result<Self> {
        s.split_once('-')
            .and_then(|(t, q)| Some(Self { txid: t.parse().ok()?, seq: q.parse().ok()? }))
            .ok_or_else(|| {
                crate::base::Error::invalid("position", "not a position of the event log")
            })
    }
}

/// Which events a reader wants. Empty fields match everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only these projects; `None`: all, platform events included (admins and auditors only;
    /// the caller decides).
    pub projects: Option<Vec<ProjectId>>,
    /// Only this deployment.
    pub deployment: Option<DeploymentId>,
    /// Only this actor.
    pub actor: Option<String>,
    /// Only actions that start with this, e.g. `tag.` or `tag.push`.
    pub action: Option<String>,
    /// Only this outcome.
    pub outcome: Option<Outcome>,
    /// Only targets whose name contains this.
    pub text: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// Appends an event in the caller's transaction.
pub async fn append(tx: &mut Tx, clock: &dyn Clock, actor: &Actor, event: NewEvent) -> Result<()> {
    let now = clock.now();
    store::insert(tx.conn(), EventId::new(now), now, actor, &event).await?;
    tx.mark_appended();
    Ok(())
}

/// Appends one event in a transaction of its own, for refusals and failures that change nothing
/// else.
pub async fn append_alone(
    db: &Db,
    clock: &dyn Clock,
    actor: &Actor,
    event: NewEvent,
) -> Result<()> {
    let mut tx = db.begin().await?;
    append(&mut tx, clock, actor, event).await?;
    tx.commit().await
}

/// Events newest first.
pub async fn list(db: &Db, filter: &Filter, page: &PageRequest) -> Result<Page<Event>> {
    let mut conn = db.read().await?;
    let limit = page.limit()?;
    let after: Option<(Timestamp, i64)> = page.after_key()?;
    let rows = store::list(&mut conn, filter, after, limit).await?;
    Ok(Page::from_rows(rows, limit, |e| (e.created_at, e.seq)))
}

/// The end of the log now: followers start here.
pub async fn head(db: &Db) -> Result<Position> {
    Ok(store::head(&mut *db.read().await?).await?)
}

/// Up to `limit` settled events after `position`, in commit order.
pub async fn since(db: &Db, position: Position, limit: i64) -> Result<Vec<Event>> {
    Ok(store::since(&mut *db.read().await?, position, limit).await?)
}

/// Makes the partitions of this month and the next, and repairs positions after a restore into a
/// new cluster (where transaction ids start low again). Called at start-up and daily.
pub async fn maintain(db: &Db, clock: &dyn Clock) -> Result<()> {
    let now = clock.now();
    let mut tx = db.begin().await?;
    store::ensure_partition(tx.conn(), now).await?;
    store::ensure_partition(tx.conn(), now + chrono::Duration::days(31)).await?;
    store::settle_restored(tx.conn()).await?;
    tx.commit().await
}

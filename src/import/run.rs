//! Runs the jobs: makes or takes up the plan, carries it out, watches the rights meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::copy::Copy;
use super::remote::{Credential, Remote};
use super::source::place;
use super::store::imports::Request;
use super::{CREATE, Imports, KIND, address, plan, store};
use crate::base::actor::PlatformRole;
use crate::base::{Actor, Channel, Error, ErrorKind, Result, Secret};
use crate::db::Tx;
use crate::events::{self, NewEvent, Outcome, Target};
use crate::jobs::{Ending, Handler, Job, Settled};

/// Imports that one instance runs at the same time.
const AT_ONCE: usize = 2;
/// How often the rights of who asked are looked at while bytes move.
const WATCH: Duration = Duration::from_secs(3);

fn rights_lost(job: &Job) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "rights_lost",
        format!("{} may no longer import into this project", job.actor_name),
    )
}

impl Imports {
    /// Who asked, as it is now; `rights_lost` when it may no longer import here.
    pub(super) async fn actor_of(&self, job: &Job) -> Result<Actor> {
        let (Some(user), Some(project)) = (job.user_id, job.project_id) else {
            return Err(rights_lost(job));
        };
        let lost = |fault: Error| match fault.kind() {
            ErrorKind::Unauthenticated | ErrorKind::Denied | ErrorKind::NotFound => {
                rights_lost(job).with_source(fault)
            }
            _ => fault,
        };
        let actor = self.accounts.actor_now(user, Channel::Engine).await.map_err(lost)?;
        self.catalog.project_by_id(&actor, project, CREATE).await.map_err(lost)?;
        Ok(actor)
    }

    /// Ends when the rights are lost.
    async fn watch(&self, job: &Job) -> Error {
        loop {
            tokio::time::sleep(WATCH).await;
            match self.actor_of(job).await {
                Err(fault) if fault.code() == "rights_lost" => return fault,
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// What made a step fail: the registry only hides what the rights no longer reach.
    async fn explained(&self, job: &Job, fault: Error) -> Error {
        use ErrorKind::{Denied, NotFound, Unauthenticated};
        if !matches!(fault.kind(), Denied | NotFound | Unauthenticated) {
            return fault;
        }
        match self.actor_of(job).await {
            Err(lost) if lost.code() == "rights_lost" => lost,
            _ => fault,
        }
    }

    async fn request_of(&self, job: &Job) -> Result<Request> {
        store::imports::find_request(&mut *self.db.read().await?, job.id)
            .await?
            .ok_or_else(|| Error::internal("reading an import", "it has no request"))
    }

    async fn remote_of(&self, request: &Request) -> Result<Remote> {
        let gone = |name: &str| {
            Error::new(
                ErrorKind::Conflict,
                "source_gone",
                format!("the source {name} was removed; store it again and ask for a new import"),
            )
        };
        let (mut credential, mut token_host, mut url) = (None, None, request.url.clone());
        if let Some(name) = &request.source_name {
            let id = request.source_id.ok_or_else(|| gone(name))?;
            let access = store::sources::access(&mut *self.db.read().await?, id)
                .await?
                .ok_or_else(|| gone(name))?;
            if let Some(sealed) = &access.secret {
                let secret = self.vault.open(&place(id), sealed)?;
                let secret = String::from_utf8(secret)
                    .map_err(|_| Error::internal("reading a secret", "it is not text"))?;
                let secret = Secret::new(secret);
                credential = Some(Credential { username: access.username, secret });
            }
            (url, token_host) = (access.url, access.token_host);
        }
        Ok(Remote::new(
            self.egress.clone(),
            address::base(&url)?,
            request.source_repository.clone(),
            credential,
            token_host,
            self.pause,
        ))
    }

    async fn carry_out(&self, job: &Job, moved: &AtomicBool) -> Result<serde_json::Value> {
        self.actor_of(job).await?;
        let request = self.request_of(job).await?;
        let remote = self.remote_of(&request).await?;
        if request.planned_at.is_none() {
            let plan = plan::make(&remote, &request).await?;
            let mut tx = self.db.begin().await?;
            store::plan::insert(tx.conn(), job.id, &plan, self.now()).await?;
            tx.commit().await?;
            moved.store(true, Ordering::Relaxed);
        }
        Copy { imports: self, job, request: &request, remote: &remote, moved }.run().await?;
        let mut conn = self.db.read().await?;
        let counted =
            store::imports::list(&mut conn, request.project_id, Some(job.id), None, 1).await?;
        let progress = counted.first().map(|import| import.progress).unwrap_or_default();
        Ok(json!(progress))
    }
}

/// Whether another run could end otherwise.
fn is_transient(fault: &Error) -> bool {
    matches!(fault.kind(), ErrorKind::Unavailable | ErrorKind::RateLimited | ErrorKind::Internal)
        || fault.code() == "blob_upload_busy"
}

#[async_trait]
impl Handler for Imports {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    async fn run(&self, job: &Job) -> Ending {
        let moved = AtomicBool::new(false);
        let outcome = tokio::select! {
            outcome = self.carry_out(job, &moved) => outcome,
            fault = self.watch(job) => Err(fault),
        };
        let outcome = match outcome {
            Err(fault) => Err(self.explained(job, fault).await),
            done => done,
        };
        match outcome {
            Ok(counted) => Ending::Done(counted),
            Err(error) if is_transient(&error) => {
                Ending::Again { error, progressed: moved.load(Ordering::Relaxed) }
            }
            Err(error) => Ending::Failed(error),
        }
    }

    async fn settled(&self, tx: &mut Tx, job: &Job, how: Settled<'_>) -> Result<()> {
        let (action, outcome, message, detail) = match how {
            Settled::Succeeded(counted) => {
                store::plan::delete(tx.conn(), job.id).await?;
                let message = format!("{} was imported", job.name);
                ("import.finish", Outcome::Success, message, counted.clone())
            }
            Settled::Failed { code, message } => (
                "import.fail",
                Outcome::Failure,
                format!("{} was not imported: {message}", job.name),
                json!({ "code": code }),
            ),
            Settled::Cancelled => (
                "import.stop",
                Outcome::Success,
                format!("The import of {} was stopped, because its end was asked for", job.name),
                json!({}),
            ),
        };
        let mut event = NewEvent::new(action, Target::new("import", job.id, &job.name), message)
            .outcome(outcome)
            .detail(detail);
        event.project = job.project_id;
        let actor = match job.user_id {
            Some(user) => {
                Actor::user(user, job.actor_name.as_str(), PlatformRole::User, Channel::Engine)
            }
            None => Actor::system(),
        };
        events::append(tx, &*self.clock.0, &actor, event).await
    }

    async fn release(&self, job: &Job) {
        if let Err(error) = self.give_up_uploads(job).await {
            // They idle, and the registry removes them in time.
            tracing::debug!(job.id = %job.id, error = %error.chain(), "uploads of a cancelled import stay");
        }
    }
}

impl Imports {
    /// Cancels the uploads that a job still holds.
    async fn give_up_uploads(&self, job: &Job) -> Result<()> {
        let actor = self.actor_of(job).await?;
        let request = self.request_of(job).await?;
        let held = store::plan::uploads(&mut *self.db.read().await?, job.id).await?;
        for upload in held {
            match self.registry.cancel_upload(&actor, &request.repository, upload).await {
                Err(fault) if !fault.is_not_found() => return Err(fault),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

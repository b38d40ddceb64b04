//! Runs: applying a plan, one removal after the other, each only if it is still what was shown.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::evaluate::attached_to;
use super::policy::READ;
use super::{Item, KEPT_RUNS, Outcome, Plan, Policy, Run, Skip, Status, Trigger};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::{PlanId, RunId};
use crate::base::{Actor, Error, ErrorKind, Page, PageRequest, ProjectName, Result, Timestamp};
use crate::catalog::Project;
use crate::db::Tx;
use crate::events::{self, NewEvent, Target};
use crate::registry::rules::{Change, Standing, protects};
use crate::registry::store::retention::removal::{self, Present, Sums};
use crate::registry::store::retention::{facts, leader, plans, policies, runs};
use crate::registry::{Registry, store};
use crate::tasks;

const OPERATE: Permission = Permission(Resource::Retention, Action::Operate);
/// How often the worker looks for work that nobody woke it for.
const EVERY: Duration = Duration::from_secs(10);
/// Rows read at a time; the rules are looked at again before each batch.
const BATCH: i64 = 100;

/// Who removes.
fn remover() -> Actor {
    Actor { name: "retention".to_owned(), ..Actor::system() }
}

/// Sentence for what is in the way of a plan that empties repositories.
fn empties(plan: &Plan) -> String {
    match plan.emptied {
        1 => "one repository would be left without any tag".to_owned(),
        n => format!("{n} repositories would be left without any tag"),
    }
}

impl Registry {
    /// Asks for a plan to be applied. The run is answered at once and worked on by one server.
    /// Asking again for the same plan is answered with the run it has. A plan that would leave
    /// a repository without any tag needs `confirm`, or is a conflict,
    /// `confirmation_needed`.
    pub async fn apply_retention(
        &self,
        actor: &Actor,
        project: &ProjectName,
        plan: PlanId,
        confirm: bool,
    ) -> Result<Run> {
        let project = self.catalog.project(actor, project, OPERATE).await?;
        let now = self.now();
        let mut tx = self.db.begin().await?;
        let held = policies::hold(tx.conn(), project.id).await?;
        let plan = plans::find(tx.conn(), project.id, plan)
            .await?
            .ok_or_else(|| Error::not_found("preview", plan))?;
        if let Some(run) = plan.run {
            return self.find_run(&project, run).await;
        }
        let generation = held.map_or(0, |(generation, _)| generation);
        if plan.generation != generation {
            return Err(Error::conflict(
                "preview_outdated",
                "the rules were changed after this preview; preview again",
            ));
        }
        if now >= plan.expires_at {
            return Err(Error::conflict(
                "preview_expired",
                "this preview is older than 15 minutes; preview again",
            ));
        }
        if plan.emptied > 0 && !confirm {
            return Err(Error::conflict(
                "confirmation_needed",
                format!("{}; confirm that this is meant", empties(&plan)),
            ));
        }
        let run = Run {
            status: Status::Running,
            plan: Some(plan.id),
            total: plan.removed_tags + plan.removed_images,
            ..self.new_run(&project, Trigger::Manual, &actor.name)
        };
        let id = runs::insert(tx.conn(), &run).await?;
        if id == run.id {
            let message = format!(
                "{} applied a retention preview of {}: {} tags and {} images are to go",
                actor.name, project.name, plan.removed_tags, plan.removed_images
            );
            let target = Target::new("retention", project.id, &project.name);
            let event = NewEvent::new("retention.apply", target, message)
                .in_project(project.id)
                .detail(json!({ "preview": plan.id, "run": id, "confirmed": confirm }));
            events::append(&mut tx, &*self.clock.0, actor, event).await?;
        }
        tx.commit().await?;
        self.shared.retention.poke();
        self.find_run(&project, id).await
    }

    fn new_run(&self, project: &Project, trigger: Trigger, started_by: &str) -> Run {
        let now = self.now();
        Run {
            id: RunId::new(now),
            project_id: project.id,
            plan: None,
            trigger,
            status: Status::Planning,
            started_by: started_by.to_owned(),
            message: String::new(),
            total: 0,
            removed_tags: 0,
            removed_images: 0,
            skipped: 0,
            freed_bytes: 0,
            created_at: now,
            started_at: None,
            finished_at: None,
        }
    }

    async fn find_run(&self, project: &Project, id: RunId) -> Result<Run> {
        runs::list(&mut *self.db.read().await?, project.id, Some(id), None, 1)
            .await?
            .pop()
            .ok_or_else(|| Error::not_found("run", id))
    }

    /// Runs of a project, newest first.
    pub async fn retention_runs(
        &self,
        actor: &Actor,
        project: &ProjectName,
        page: &PageRequest,
    ) -> Result<Page<Run>> {
        let project = self.catalog.project(actor, project, READ).await?;
        let (limit, after) = (page.limit()?, page.after_key()?);
        let mut conn = self.db.read().await?;
        let rows = runs::list(&mut conn, project.id, None, after, limit).await?;
        Ok(Page::from_rows(rows, limit, |run| (run.created_at, run.id)))
    }

    /// A run.
    pub async fn retention_run(
        &self,
        actor: &Actor,
        project: &ProjectName,
        id: RunId,
    ) -> Result<Run> {
        let project = self.catalog.project(actor, project, READ).await?;
        self.find_run(&project, id).await
    }

    /// Starts the runs whose time has come and works on all that are open, unless another server
    /// does.
    pub async fn run_retention(&self) -> Result<()> {
        self.work_on_runs(&CancellationToken::new()).await
    }

    pub(in crate::registry) async fn keep_retaining(&self, stop: CancellationToken) {
        let (poke, until) = (self.shared.retention.clone(), stop.clone());
        let work = || self.work_on_runs(&until);
        tasks::drive("retention", EVERY, poke, stop, work).await;
    }

    async fn work_on_runs(&self, stop: &CancellationToken) -> Result<()> {
        let now = self.now();
        if !runs::is_work(&mut *self.db.read().await?, now).await? {
            return Ok(());
        }
        let Some(_leader) = leader::acquire(&self.db).await? else { return Ok(()) };
        while self.start_due(now).await? {}
        // One run's trouble must not hold up the others.
        let (mut failed, mut trouble) = (Vec::new(), None);
        while !stop.is_cancelled() {
            let next = runs::next_open(&mut *self.db.read().await?, &failed).await?;
            let Some(run) = next else { break };
            let id = run.id;
            match self.advance(run, stop).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    failed.push(id.uuid());
                    trouble = Some(error);
                }
            }
        }
        let mut conn = self.db.read().await?;
        runs::forget(&mut conn, KEPT_RUNS).await?;
        plans::forget(&mut conn, now - chrono::Duration::days(1), 20).await?;
        trouble.map_or(Ok(()), Err)
    }

    /// Records a run for one policy whose time has come.
    async fn start_due(&self, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let Some(row) = policies::lock_due(tx.conn(), now).await? else { return Ok(false) };
        let policy = Policy::of(row)?;
        let next = policy.schedule.next(now);
        policies::set_next_run(tx.conn(), policy.project_id, next).await?;
        let name = facts::project_name(tx.conn(), policy.project_id).await?;
        // A run that is not finished does what this one would.
        if let Some(name) = name
            && !runs::has_open(tx.conn(), policy.project_id).await?
        {
            let project = self.catalog.project(&remover(), &name, OPERATE).await?;
            let run = self.new_run(&project, Trigger::Schedule, "retention");
            runs::insert(tx.conn(), &run).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Works on a run; false when it was interrupted.
    async fn advance(&self, run: Run, stop: &CancellationToken) -> Result<bool> {
        let name = facts::project_name(&mut *self.db.read().await?, run.project_id).await?;
        let Some(name) = name else { return Ok(true) };
        let project = self.catalog.project(&remover(), &name, OPERATE).await?;
        let plan = match run.plan {
            Some(plan) => plans::find(&mut *self.db.read().await?, project.id, plan).await?,
            None => None,
        };
        let plan = match plan {
            Some(plan) => plan,
            None => match self.plan_scheduled(&project, &run).await? {
                Some(plan) => plan,
                None => return Ok(true),
            },
        };
        let total = plan.removed_tags + plan.removed_images;
        let now = self.now();
        runs::begin(&mut *self.db.read().await?, run.id, plan.id, total, now).await?;
        loop {
            if stop.is_cancelled() {
                return Ok(false);
            }
            let mut conn = self.db.read().await?;
            let items = plans::open_items(&mut conn, plan.id, BATCH).await?;
            let held = policies::hold(&mut conn, project.id).await?;
            drop(conn);
            if items.is_empty() {
                break;
            }
            if held.map_or(0, |(generation, _)| generation) != plan.generation {
                let mut conn = self.db.read().await?;
                runs::skip_rest(&mut conn, run.id, plan.id, &Skip::RulesChanged).await?;
                drop(conn);
                let why = "the rules were changed during the run; what was left is untouched";
                self.end(&project, run.id, Status::Stopped, why).await?;
                return Ok(true);
            }
            for item in &items {
                self.settle(&project, run.id, &plan, item).await?;
            }
        }
        self.end(&project, run.id, Status::Done, "").await?;
        Ok(true)
    }

    /// The plan of a scheduled run, unless nobody has allowed what it would do.
    async fn plan_scheduled(&self, project: &Project, run: &Run) -> Result<Option<Plan>> {
        let policy = self.policy(project.id).await?;
        let plan = self.make_plan(&policy, &project.name, "retention").await?;
        if plan.emptied > 0 && !policy.accepts_empty {
            let why =
                format!("{}; preview and apply by hand, or allow it in the rules", empties(&plan));
            self.end(project, run.id, Status::Refused, &why).await?;
            return Ok(None);
        }
        Ok(Some(plan))
    }

    /// Ends a run with one event that sums it up.
    async fn end(&self, project: &Project, id: RunId, status: Status, why: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let ended = runs::finish(tx.conn(), id, status, why, self.now()).await?;
        let Some(run) = ended else { return Ok(()) };
        let sums = format!(
            "{} tags and {} images removed, {} skipped",
            run.removed_tags, run.removed_images, run.skipped
        );
        let message = match status {
            Status::Refused => format!("Retention of {} was refused: {why}", project.name),
            Status::Stopped => format!("Retention of {} was stopped, {sums}: {why}", project.name),
            _ => format!("Retention of {} is done: {sums}", project.name),
        };
        let target = Target::new("retention", project.id, &project.name);
        let mut event =
            NewEvent::new("retention.run", target, message).in_project(project.id).detail(json!({
                "run": run.id,
                "preview": run.plan,
                "trigger": run.trigger.as_str(),
                "startedBy": run.started_by,
                "removedTags": run.removed_tags,
                "removedImages": run.removed_images,
                "skipped": run.skipped,
                "freedBytes": run.freed_bytes,
            }));
        if status != Status::Done {
            event = event.outcome(events::Outcome::Failure);
        }
        events::append(&mut tx, &*self.clock.0, &remover(), event).await?;
        tx.commit().await
    }

    /// Removes what one row names, or notes why not; in one transaction.
    async fn settle(&self, project: &Project, run: RunId, plan: &Plan, item: &Item) -> Result<()> {
        let error = match self.try_remove(project, run, plan, item).await {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(error) => error,
        };
        if error.kind() == ErrorKind::Internal {
            tracing::error!(error = %error.chain(), "a removal of retention failed; it is skipped");
        }
        // The transaction of the attempt is rolled back; the refusal is noted in its own.
        let skip = Skip::Refused { message: error.public_message().to_owned() };
        let mut tx = self.db.begin().await?;
        if removal::claim(tx.conn(), plan.id, item.position).await? {
            removal::note_skipped(tx.conn(), run, plan.id, item.position, &skip).await?;
        }
        tx.commit().await
    }

    async fn try_remove(
        &self,
        project: &Project,
        run: RunId,
        plan: &Plan,
        item: &Item,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        if !removal::claim(tx.conn(), plan.id, item.position).await? {
            return Ok(());
        }
        let here = removal::lock_manifest(tx.conn(), item.manifest_id).await?;
        let outcome = match &item.tag {
            Some(tag) => self.remove_planned_tag(&mut tx, project, plan, item, tag).await?,
            None if !here => Err(Skip::Gone),
            None => self.remove_planned_image(&mut tx, project, plan, item).await?,
        };
        match outcome {
            Ok(sums) => {
                removal::note_removed(tx.conn(), run, plan.id, item.position, sums).await?;
            }
            Err(skip) => {
                removal::note_skipped(tx.conn(), run, plan.id, item.position, &skip).await?;
            }
        }
        tx.commit().await
    }

    /// What has changed about the row's object since the plan, if anything.
    async fn change_since(
        &self,
        tx: &mut Tx,
        project: &Project,
        plan: &Plan,
        item: &Item,
        present: &Present,
    ) -> Result<Option<Skip>> {
        if present.digest != item.digest {
            return Ok(Some(Skip::Moved { digest: present.digest.clone() }));
        }
        if present.pushed_at != item.pushed_at {
            return Ok(Some(Skip::Pushed));
        }
        let unwritten = self.shared.pulls.last(item.manifest_id);
        if present.pulled_at.max(unwritten).is_some_and(|at| at > plan.created_at) {
            return Ok(Some(Skip::Pulled));
        }
        let uses = self.in_use()?.uses(tx, &item.repository, &item.digest).await?;
        Ok(uses.first().map(|used| Skip::InUse(used.shown_in(project.id))))
    }

    async fn remove_planned_tag(
        &self,
        tx: &mut Tx,
        project: &Project,
        plan: &Plan,
        item: &Item,
        tag: &str,
    ) -> Result<Result<Sums, Skip>> {
        let present = removal::lock_tag(tx.conn(), item.repository_id, tag).await?;
        let Some(present) = present else { return Ok(Err(Skip::Gone)) };
        if let Some(skip) = self.change_since(tx, project, plan, item, &present).await? {
            return Ok(Err(skip));
        }
        if let (super::Reason::Subject { .. }, Some(subject)) = (&item.reason, attached_to(tag))
            && removal::has_manifest(tx.conn(), item.repository_id, &subject).await?
        {
            return Ok(Err(Skip::Subject { digest: subject }));
        }
        // The rules bind whoever works automatically, whatever the rights of this actor.
        let locks = store::rules::list(tx.conn(), project.id).await?;
        let lock = protects(&locks, &item.repository, tag, Standing::AUTOMATIC, Change::Remove);
        if let Some(rule) = lock {
            return Ok(Err(Skip::Protected { by: rule.to_string() }));
        }
        let tag = tag.parse()?;
        self.remove_tag(tx, &remover(), project, &item.repository, &tag, "").await?;
        Ok(Ok(Sums { tags: 1, ..Sums::default() }))
    }

    async fn remove_planned_image(
        &self,
        tx: &mut Tx,
        project: &Project,
        plan: &Plan,
        item: &Item,
    ) -> Result<Result<Sums, Skip>> {
        let present = removal::manifest(tx.conn(), item.manifest_id).await?;
        let Some(present) = present else { return Ok(Err(Skip::Gone)) };
        if let Some(skip) = self.change_since(tx, project, plan, item, &present).await? {
            return Ok(Err(skip));
        }
        let (repository, id) = (item.repository_id, item.manifest_id);
        let held = removal::holders(tx.conn(), plan.id, repository, id, &item.digest).await?;
        let skip = match held {
            removal::Holders { has_tag: true, .. } => Some(Skip::Tagged),
            removal::Holders { index: Some(digest), .. } => Some(Skip::Index { digest }),
            removal::Holders { subject: Some(digest), .. } => Some(Skip::Subject { digest }),
            removal::Holders { referrer: Some(digest), .. } => Some(Skip::Referrer { digest }),
            _ => None,
        };
        if let Some(skip) = skip {
            return Ok(Err(skip));
        }
        let bytes = removal::own_bytes(tx.conn(), id).await?;
        let name = &item.repository;
        self.remove_image(tx, &remover(), project, name, &item.digest, "").await?;
        Ok(Ok(Sums { images: 1, bytes, ..Sums::default() }))
    }
}

impl Outcome {
    /// Whether it is gone.
    pub fn is_removed(&self) -> bool {
        *self == Self::Removed
    }
}

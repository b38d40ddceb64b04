//! One look at one deployment: read, plan, commit, act.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Duration as Span;
use serde_json::json;
use tokio::time::Instant;

use super::Session;
use crate::base::id::{DeploymentId, ReplicaId};
use crate::base::{Error, ErrorKind, Result};
use crate::engine::admission::{Owner, container_spec};
use crate::engine::plan::{
    self, Act, Desired, Found, Member, Plan, Progress, Replica, Request, Rolling, Snapshot,
};
use crate::engine::runtime::ContainerSpec;
use crate::engine::spec::{IntOrPercent, PodTemplate, RollbackPolicy, StrategyKind};
use crate::engine::store::deployments::{self, Which};
use crate::engine::store::{DeploymentRow, Images, RevisionRow, Settings, replicas, revisions};
use crate::engine::view::{DeploymentPhase, DeploymentStatus};

/// Pause before a look that failed is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// A share of replicas over and under the wanted number, when the spec names none.
const QUARTER: IntOrPercent = IntOrPercent::Percent(25);

/// A revision, read and ready to run.
pub(super) struct Runnable {
    pub(super) row: RevisionRow,
    pub(super) template: PodTemplate,
    pub(super) images: Images,
}

/// Everything the rows say about one deployment.
pub(super) struct Stored {
    pub(super) row: DeploymentRow,
    pub(super) settings: Settings,
    pub(super) revisions: BTreeMap<i64, Runnable>,
    pub(super) replicas: Vec<Replica>,
}

impl Stored {
    pub(super) fn revision(&self, number: i64) -> Result<&Runnable> {
        self.revisions.get(&number).ok_or_else(|| {
            Error::internal("reading a deployment", format!("revision {number} is missing"))
        })
    }

    /// What is sent to the node for a replica.
    pub(super) fn container(&self, replica: &Replica) -> Result<ContainerSpec> {
        let revision = self.revision(replica.revision)?;
        let owner = Owner {
            environment: &self.row.environment,
            deployment: &self.row.name,
            deployment_id: self.row.id,
            replica: replica.id,
            replica_name: &replica.name,
            revision: replica.revision,
            attempt: replica.restarts,
        };
        container_spec(&owner, &revision.template, &revision.images)
    }
}

impl Session {
    /// Looks at a deployment; a fault in it is told in its status and touches no other.
    pub(super) async fn look_and_tell(self: Arc<Self>, id: DeploymentId) {
        let Err(error) = self.look(id).await else { return };
        self.queue.later(id, Instant::now() + RETRY);
        if error.kind() != ErrorKind::Internal {
            tracing::warn!(deployment.id = %id, error = %error.chain(), "cannot look at a deployment now");
            return;
        }
        tracing::error!(deployment.id = %id, error = %error.chain(), "a deployment cannot be reconciled");
        let status = DeploymentStatus {
            phase: DeploymentPhase::Degraded,
            reason: "its stored state cannot be read; the server's log says why".to_owned(),
            ..DeploymentStatus::default()
        };
        let told = async {
            let status = serde_json::to_value(&status)
                .map_err(|e| Error::internal("writing a status", e))?;
            deployments::set_status(&mut *self.engine.db.read().await?, id, &status).await
        };
        if let Err(error) = told.await {
            tracing::warn!(deployment.id = %id, error = %error.chain(), "cannot write a status");
        }
    }

    async fn look(self: &Arc<Self>, id: DeploymentId) -> Result<()> {
        let Some(stored) = self.read(id).await? else { return Ok(()) };
        let snapshot = self.snapshot(&stored)?;
        let plan = plan::plan(&snapshot, self.now());
        let created = self.intents(&stored, &plan);
        match self.commit(&stored, &snapshot, &plan, &created).await {
            Ok(true) => {}
            // The desired state changed meanwhile: look again at the new one.
            Ok(false) => {
                created.iter().for_each(|r| self.world().forget(r.id));
                self.queue.poke(id);
                return Ok(());
            }
            Err(error) => {
                created.iter().for_each(|r| self.world().forget(r.id));
                return Err(error);
            }
        }
        for gone in &plan.forgets {
            self.world().forget(*gone);
        }
        if !plan.rows.is_empty() || !plan.forgets.is_empty() {
            self.traffic.poke();
        }
        if let Some(at) = plan.wake_at {
            let wait = (at - self.now()).to_std().unwrap_or_default();
            self.queue.later(id, Instant::now() + wait + Duration::from_millis(1));
        }
        self.act(&stored, &snapshot, &plan, &created);
        Ok(())
    }

    async fn read(&self, id: DeploymentId) -> Result<Option<Stored>> {
        let mut conn = self.engine.db.read().await?;
        let which = Which { id: Some(id), ..Which::default() };
        let Some(row) = deployments::find(&mut conn, &which).await? else { return Ok(None) };
        let replicas = replicas::list(&mut conn, id).await?;
        let wanted: Vec<i64> = replicas
            .iter()
            .map(|r| r.revision)
            .chain([row.current_revision])
            .chain(row.stable_revision)
            .collect();
        let mut read = BTreeMap::new();
        for revision in revisions::list(&mut conn, id, None).await? {
            if wanted.contains(&revision.number) {
                let (template, images) = (revision.template()?, revision.images()?);
                read.insert(revision.number, Runnable { row: revision, template, images });
            }
        }
        let settings = row.settings()?;
        Ok(Some(Stored { row, settings, revisions: read, replicas }))
    }

    fn snapshot(&self, stored: &Stored) -> Result<Snapshot> {
        let mut members = Vec::with_capacity(stored.replicas.len());
        for replica in &stored.replicas {
            self.world().own(replica.id, stored.row.id);
            let template = &stored.revision(replica.revision)?.template;
            if replica.node.is_some() {
                self.world().set_aside(replica.id, Request::of(template));
            }
            members.push(Member {
                live: self.world().live(replica, stored.row.id),
                request: Request::of(template),
                selector: template.node_selector.clone(),
                grace: Span::seconds(i64::from(template.termination_grace_period_seconds)),
                replica: replica.clone(),
            });
        }
        Ok(Snapshot {
            desired: desired(stored)?,
            members,
            nodes: self.world().node().into_iter().collect(),
        })
    }

    /// The rows of the replicas a plan creates, with room set aside for them.
    fn intents(&self, stored: &Stored, plan: &Plan) -> Vec<Replica> {
        let now = self.now();
        let request = stored
            .revisions
            .get(&stored.row.current_revision)
            .map(|r| Request::of(&r.template))
            .unwrap_or_default();
        let created: Vec<Replica> = plan
            .creates
            .iter()
            .map(|create| Replica::new(&stored.row.name, stored.row.current_revision, create, now))
            .collect();
        for replica in created.iter().filter(|r| r.node.is_some()) {
            self.world().expect(replica.id, stored.row.id);
            self.world().set_aside(replica.id, request);
        }
        created
    }

    fn act(
        self: &Arc<Self>,
        stored: &Stored,
        snapshot: &Snapshot,
        plan: &Plan,
        created: &[Replica],
    ) {
        let latest = |id: ReplicaId| {
            let before = snapshot.members.iter().map(|m| &m.replica);
            plan.rows.iter().chain(before).find(|r| r.id == id)
        };
        for replica in created.iter().filter(|r| r.node.is_some()) {
            self.start(stored, replica);
        }
        for act in &plan.acts {
            match act {
                Act::Start(id) => {
                    if let Some(replica) = latest(*id) {
                        self.start(stored, replica);
                    }
                }
                Act::Cancel(id) => self.world().cancel(*id),
                Act::Kill(id, grace) => {
                    if let Some(container) = latest(*id).and_then(|r| r.container.clone()) {
                        self.kill(*id, container, grace.to_std().unwrap_or_default());
                    }
                }
                Act::Remove(id, grace) => self.remove(*id, grace.to_std().unwrap_or_default()),
            }
        }
        // Containers that ran before this leader began are probed from here.
        for member in &snapshot.members {
            if let Found::Running { id, address, .. } = &member.live.found
                && let Ok(revision) = stored.revision(member.replica.revision)
                && !member.replica.is_leaving()
            {
                let ready = member.replica.ready && member.replica.container.as_ref() == Some(id);
                self.probe(member.replica.id, id, *address, &revision.template, ready);
            }
        }
    }
}

fn desired(stored: &Stored) -> Result<Desired> {
    let (row, settings) = (&stored.row, &stored.settings);
    let current = stored.revision(row.current_revision)?;
    Ok(Desired {
        replicas: row.wanted(),
        deleting: row.deleting_at.is_some(),
        paused: settings.paused,
        rolling: rolling(settings, row.wanted()),
        min_ready: Span::seconds(i64::from(settings.min_ready_seconds)),
        deadline: Span::seconds(i64::from(settings.progress_deadline_seconds)),
        undo: settings.rollback == RollbackPolicy::Automatic,
        revision: row.current_revision,
        stable: row.stable_revision.filter(|n| stored.revisions.contains_key(n)),
        outcome: current.row.outcome(),
        started_at: current.row.started_at,
        progressed_at: current.row.progressed_at,
        progress: progress_of(&row.status),
        request: Request::of(&current.template),
        selector: current.template.node_selector.clone(),
    })
}

fn rolling(settings: &Settings, wanted: u32) -> Rolling {
    if settings.strategy.kind == StrategyKind::Recreate {
        return Rolling::Recreate;
    }
    let bounds = settings.strategy.rolling_update.clone().unwrap_or_default();
    let surge = bounds.max_surge.unwrap_or(QUARTER).of(wanted, true);
    let unavailable = bounds.max_unavailable.unwrap_or(QUARTER).of(wanted, false).min(wanted);
    // Nothing could ever move with both at zero.
    let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable };
    Rolling::Bounds { surge, unavailable }
}

fn progress_of(status: &serde_json::Value) -> Progress {
    status
        .get("progress")
        .and_then(|value| serde_json::from_value(value.clone()).ok())
        .unwrap_or_default()
}

/// The status as stored: what users see, and the rollout's high and low water.
pub(super) fn stored_status(plan: &Plan) -> Result<serde_json::Value> {
    let mut value =
        serde_json::to_value(&plan.status).map_err(|e| Error::internal("writing a status", e))?;
    value["progress"] = json!(plan.progress);
    Ok(value)
}

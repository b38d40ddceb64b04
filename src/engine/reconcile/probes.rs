//! Probes of running containers: when to ask, and what the planner learns from the answers.
//!
//! When to ask is `probe::health`'s knowledge: right after the start, then quickly until the
//! first success, then once per period. Here the questions are put and the answers noted.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Session;
use super::world::Vitals;
use crate::base::Timestamp;
use crate::base::id::ReplicaId;
use crate::engine::probe::check;
use crate::engine::probe::health::{Health, Kind, Probes};
use crate::engine::spec::{PodTemplate, Probe};

/// One container under observation.
struct Observation {
    session: Arc<Session>,
    replica: ReplicaId,
    container: String,
    target: check::Target,
    health: Mutex<(Health, Vitals)>,
    /// The startup probe has succeeded, or there is none.
    started: watch::Sender<bool>,
}

impl Session {
    /// Observes a running container, unless it is observed already.
    pub(super) fn probe(
        self: &Arc<Self>,
        replica: ReplicaId,
        container: &str,
        address: Option<IpAddr>,
        template: &PodTemplate,
        ready: bool,
    ) {
        let Some(spec) = template.containers.first() else { return };
        let probes = Probes {
            readiness: spec.readiness_probe.clone(),
            liveness: spec.liveness_probe.clone(),
            startup: spec.startup_probe.clone(),
        };
        let health = Health::new(&probes, ready, self.now());
        let is_ready = health.is_ready();
        let Some(end) = self.world().begin_probes(replica, container, is_ready) else { return };
        if is_ready {
            self.poke_owner(replica);
        }
        let target = check::Target { container: container.to_owned(), address };
        let observation = Arc::new(Observation {
            session: Arc::clone(self),
            replica,
            container: container.to_owned(),
            target,
            started: watch::Sender::new(health.is_started()),
            health: Mutex::new((health, Vitals { ready: is_ready, ..Vitals::default() })),
        });
        for (kind, probe) in [
            (Kind::Startup, probes.startup),
            (Kind::Readiness, probes.readiness),
            (Kind::Liveness, probes.liveness),
        ] {
            let Some(probe) = probe else { continue };
            let (observation, end) = (Arc::clone(&observation), end.clone());
            self.tracker.spawn(async move { observation.ask_on(kind, &probe, end).await });
        }
    }
}

impl Observation {
    /// Asks one probe again and again until the observation ends.
    async fn ask_on(&self, kind: Kind, probe: &Probe, end: CancellationToken) {
        tokio::select! {
            () = end.cancelled() => {}
            () = self.session.stop.cancelled() => {}
            () = self.questions(kind, probe) => {}
        }
    }

    async fn questions(&self, kind: Kind, probe: &Probe) {
        let mut started = self.started.subscribe();
        if kind != Kind::Startup && started.wait_for(|started| *started).await.is_err() {
            return;
        }
        // Nothing is due any more once the startup probe succeeded or the container is given up.
        while let Some(due) = self.next_due(kind) {
            let wait = (due - self.session.now()).to_std().unwrap_or_default();
            tokio::time::sleep(wait).await;
            let asked = self.session.now();
            let runtime = &*self.session.engine.runtime;
            let answer = check::run(kind, probe, &self.target, runtime, asked).await;
            self.take(kind, answer.success, &answer.answer, asked);
            self.session.world().add_answer(self.replica, answer);
        }
    }

    fn next_due(&self, kind: Kind) -> Option<Timestamp> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).0.next_due(kind)
    }

    /// Counts an answer and tells the planner when it changes anything.
    fn take(&self, kind: Kind, success: bool, answer: &str, asked: Timestamp) {
        let vitals = {
            let mut held = self.health.lock().unwrap_or_else(PoisonError::into_inner);
            let (health, vitals) = &mut *held;
            health.observe(kind, success, asked);
            self.started.send_replace(health.is_started());
            vitals.ready = health.is_ready();
            if !success {
                vitals.answer = Some(format!("{} probe: {answer}", kind.as_str()));
            }
            if health.is_dead() {
                vitals.dead = Some(format!("{} probe failed: {answer}", kind.as_str()));
            }
            vitals.clone()
        };
        if self.session.world().set_vitals(self.replica, &self.container, vitals) {
            self.session.poke_owner(self.replica);
        }
    }
}

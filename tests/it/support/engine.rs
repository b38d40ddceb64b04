//! An engine over a registry with images, a node made of memory, and a balancer that remembers.

use std::sync::Arc;

use portolan::accounts::{Accounts, Settings};
use portolan::base::{
    Actor, DeploymentName, Digest, EnvironmentName, Page, PageRequest, Secret, ServiceName,
};
use portolan::engine::spec::{DeploymentSpec, ServiceSpec};
use portolan::engine::view::{DeploymentPhase, DeploymentView, ReplicaView};
use portolan::engine::{Applied, Engine, Parts, Precondition};
use portolan::events::{self, Event};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::images::tiny;
use super::machine::Machine;
use super::registry::TestRegistry;
use super::server::eventually;

pub struct TestEngine {
    pub registry: TestRegistry,
    pub engine: Engine,
    pub machine: Machine,
    /// A developer of project `demo`.
    pub ada: Actor,
}

/// An engine that drives replicas until it is stopped.
pub struct Driving {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Driving {
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the engine ends");
    }

    /// Ends it in the middle of whatever it does.
    pub async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub fn environment() -> EnvironmentName {
    "demo".parse().expect("a name")
}

pub fn deployment(name: &str) -> DeploymentName {
    name.parse().expect("a name")
}

/// A spec whose readiness the machine decides by image.
pub fn spec(replicas: u32, image: &str) -> Value {
    json!({"replicas": replicas, "progressDeadlineSeconds": 20, "template": {
        "containers": [{"name": "hello", "image": image, "ports": [{"containerPort": 8080}],
            "readinessProbe": {"exec": {"command": ["ready"]}, "periodSeconds": 1}}],
        "terminationGracePeriodSeconds": 5}})
}

impl TestEngine {
    /// Images `demo/hello` with the tags `1`, `2`, and `broken`, which never becomes ready.
    pub async fn new() -> Self {
        let registry = TestRegistry::start().await;
        let ada = registry.with_demo().await;
        let machine = Machine::new();
        for tag in ["1", "2", "broken"] {
            registry.push(&ada, "demo/hello", tag, &tiny(tag)).await;
        }
        machine.break_image(tiny("broken").digest());
        let engine = Self::engine(&registry, &machine).await;
        Self { registry, engine, machine, ada }
    }

    async fn engine(registry: &TestRegistry, machine: &Machine) -> Engine {
        let settings = Settings {
            master_key: Secret::new([7; 32]),
            issuer: "test".to_owned(),
            audience: "test".to_owned(),
        };
        let accounts = Accounts::open(registry.db.clone(), registry.clock.clone(), settings)
            .await
            .expect("accounts");
        Engine::new(Parts {
            db: registry.db.clone(),
            clock: registry.clock.clone(),
            accounts,
            catalog: registry.catalog.clone(),
            registry: registry.registry.clone(),
            runtime: Arc::new(machine.clone()),
            balancer: Arc::new(machine.clone()),
            node_address: "memory".to_owned(),
        })
    }

    /// Another server on the same database and node.
    pub async fn twin(&self) -> Engine {
        Self::engine(&self.registry, &self.machine).await
    }

    pub fn drive_with(&self, engine: &Engine) -> Driving {
        let (engine, stop) = (engine.clone(), CancellationToken::new());
        let token = stop.clone();
        Driving { stop, task: tokio::spawn(async move { engine.run(token).await }) }
    }

    pub fn drive(&self) -> Driving {
        self.drive_with(&self.engine)
    }

    /// Moves the clock and lets the engine notice.
    pub fn advance(&self, seconds: i64) {
        self.registry.clock.advance(chrono::Duration::seconds(seconds));
        self.machine.resync();
    }

    pub async fn try_apply(
        &self,
        name: &str,
        spec: Value,
    ) -> portolan::base::Result<Applied<DeploymentView>> {
        let spec: DeploymentSpec = serde_json::from_value(spec).expect("a well-formed spec");
        let when = Precondition::default();
        self.engine.apply_deployment(&self.ada, &environment(), &deployment(name), spec, when).await
    }

    pub async fn apply(&self, name: &str, spec: Value) -> DeploymentView {
        self.try_apply(name, spec).await.expect("applies").view
    }

    pub async fn patch(&self, name: &str, patch: Value) -> DeploymentView {
        self.engine
            .patch_deployment(
                &self.ada,
                &environment(),
                &deployment(name),
                patch,
                Precondition::default(),
            )
            .await
            .expect("patches")
            .view
    }

    pub async fn serve(&self, name: &str, node_port: u16) {
        let service: ServiceSpec = serde_json::from_value(json!({"deployment": name,
            "ports": [{"port": 80, "targetPort": 8080, "nodePort": node_port}]}))
        .expect("a well-formed spec");
        let service_name: ServiceName = name.parse().expect("a name");
        self.engine
            .apply_service(&self.ada, &environment(), &service_name, service)
            .await
            .expect("applies");
    }

    pub async fn view(&self, name: &str) -> DeploymentView {
        self.engine
            .deployment(&self.ada, &environment(), &deployment(name))
            .await
            .expect("a deployment")
    }

    pub async fn replicas(&self, name: &str) -> Vec<ReplicaView> {
        self.engine.replicas(&self.ada, &environment(), &deployment(name)).await.expect("replicas")
    }

    /// Waits until the deployment has settled in `phase`, at the revision that was asked for.
    pub async fn settles(&self, name: &str, phase: DeploymentPhase) -> DeploymentView {
        eventually(10, &format!("{name} settles in {phase:?}"), || async {
            let view = self.view(name).await;
            let seen = view.observed_generation == view.generation;
            let quiet = view.status.replicas == view.status.updated_replicas;
            (seen && quiet && view.status.phase == phase).then_some(view)
        })
        .await
    }

    pub async fn events(&self) -> Vec<Event> {
        let page: Page<Event> =
            events::list(&self.registry.db, &events::Filter::default(), &PageRequest::first(500))
                .await
                .expect("events");
        page.items
    }

    /// Messages of events whose action starts with `action`, oldest first.
    pub async fn messages(&self, action: &str) -> Vec<String> {
        let mut found: Vec<_> = self.events().await;
        found.reverse();
        found.into_iter().filter(|e| e.action.starts_with(action)).map(|e| e.message).collect()
    }

    pub async fn sql(&self, sql: impl Into<String>) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.into()))
            .execute(self.registry.db.pool())
            .await
            .expect("sql");
    }
}

/// Digest of the image that a tag of `demo/hello` was pushed with.
pub fn digest_of(tag: &str) -> Digest {
    tiny(tag).digest()
}

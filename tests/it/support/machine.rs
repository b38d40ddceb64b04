//! A node made of memory and a balancer that remembers, for the engine's tests.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use portolan::base::id::ReplicaId;
use portolan::base::{Clock, Timestamp};
use portolan::base::{Cpu, Digest, Error, Memory, Result, Secret, SystemClock};
use portolan::engine::balance::{Balancer, EndpointState, Report, Table};
use portolan::engine::runtime::{
    ContainerId, ContainerSpec, ContainerState, ExecOutput, NodeInfo, ObservedContainer,
    PinnedImage, Runtime, RuntimeEvent,
};
use portolan::engine::{LogLine, LogRequest, LogStream};
use tokio::sync::broadcast;

#[derive(Default)]
struct State {
    next: u8,
    containers: BTreeMap<ContainerId, (ContainerSpec, ObservedContainer)>,
    images: HashSet<Digest>,
    /// Images whose containers never become ready.
    broken: HashSet<Digest>,
    /// Containers whose liveness is gone.
    unwell: HashSet<ContainerId>,
    /// Why nothing works.
    down: Option<String>,
    calls: Vec<String>,
    networks: HashSet<String>,
    table: Option<Table>,
    tables: Vec<Table>,
    in_flight: HashMap<ReplicaId, u32>,
    /// How long a list takes.
    list_delay: Duration,
    lists_begun: usize,
}

/// The node and the balancer, one memory, so that their order can be told.
#[derive(Clone)]
pub struct Machine {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<RuntimeEvent>,
}

impl Machine {
    pub fn new() -> Self {
        Self { state: Arc::default(), events: broadcast::channel(1024).0 }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while holding it")
    }

    fn up(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        match &state.down {
            None => Ok(state),
            Some(why) => Err(Error::unavailable(why.clone())),
        }
    }

    fn send(&self, event: RuntimeEvent) {
        let _ = self.events.send(event);
    }

    /// Something may have been missed: look at everything.
    pub fn resync(&self) {
        self.send(RuntimeEvent::Resync);
    }

    pub fn set_down(&self, why: Option<&str>) {
        self.lock().down = why.map(str::to_owned);
    }

    pub fn break_image(&self, digest: Digest) {
        self.lock().broken.insert(digest);
    }

    pub fn make_unwell(&self, container: &str) {
        self.lock().unwell.insert(container.to_owned());
    }

    pub fn set_in_flight(&self, replica: ReplicaId, count: u32) {
        self.lock().in_flight.insert(replica, count);
    }

    /// Ends a container's process, as `docker kill` does.
    pub fn kill(&self, container: &str, code: i64) {
        let replica = self.exit(container, code);
        self.send(RuntimeEvent::Died { container: container.to_owned(), replica, code });
    }

    fn exit(&self, container: &str, code: i64) -> ReplicaId {
        let mut state = self.lock();
        let (_, seen) = state.containers.get_mut(container).expect("a container");
        seen.state = ContainerState::Exited { code, oom_killed: false, at: None };
        seen.replica
    }

    /// Removes a container behind the engine's back.
    pub fn snatch(&self, container: &str) {
        let gone = self.lock().containers.remove(container).expect("a container");
        let replica = gone.1.replica;
        self.send(RuntimeEvent::Changed { container: container.to_owned(), replica });
    }

    /// A container of ours that no row knows.
    pub fn plant(&self, spec: ContainerSpec) {
        let mut state = self.lock();
        let seen = observed(&spec, "planted", ContainerState::Running);
        state.containers.insert("planted".to_owned(), (spec, seen));
    }

    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    pub fn running(&self) -> Vec<(ContainerSpec, ObservedContainer)> {
        let state = self.lock();
        let running = state.containers.values().filter(|(_, c)| c.state == ContainerState::Running);
        running.cloned().collect()
    }

    pub fn count(&self) -> usize {
        self.lock().containers.len()
    }

    /// Makes lists slow; how many were begun before.
    pub fn slow_lists(&self, delay: Duration) -> usize {
        let mut state = self.lock();
        state.list_delay = delay;
        state.lists_begun
    }

    pub fn lists_begun(&self) -> usize {
        self.lock().lists_begun
    }

    /// Whether an engine follows its events.
    pub fn is_watched(&self) -> bool {
        self.events.receiver_count() > 0
    }

    pub fn tables(&self) -> Vec<Table> {
        self.lock().tables.clone()
    }
}

fn observed(spec: &ContainerSpec, id: &str, state: ContainerState) -> ObservedContainer {
    ObservedContainer {
        id: id.to_owned(),
        name: spec.name.clone(),
        replica: spec.replica,
        attempt: spec.attempt,
        state,
        address: None,
        started_at: None,
    }
}

#[async_trait::async_trait]
impl Runtime for Machine {
    async fn info(&self) -> Result<NodeInfo> {
        let _up = self.up()?;
        Ok(NodeInfo {
            engine_id: "memory".to_owned(),
            name: "memory".to_owned(),
            version: "1".to_owned(),
            cpu: Cpu::from_millis(2000),
            memory: Memory::from_bytes(4 << 30),
        })
    }
    async fn list(&self) -> Result<Vec<ObservedContainer>> {
        let delay = {
            let mut state = self.up()?;
            state.lists_begun += 1;
            state.list_delay
        };
        tokio::time::sleep(delay).await;
        Ok(self.up()?.containers.values().map(|(_, c)| c.clone()).collect())
    }
    async fn inspect(&self, id: &ContainerId) -> Result<Option<ObservedContainer>> {
        Ok(self.up()?.containers.get(id).map(|(_, c)| c.clone()))
    }
    async fn ensure_network(&self, network: &str) -> Result<()> {
        self.up()?.networks.insert(network.to_owned());
        Ok(())
    }
    async fn remove_network(&self, network: &str) -> Result<()> {
        self.up()?.networks.remove(network);
        Ok(())
    }
    async fn pull(&self, image: &PinnedImage, token: &Secret) -> Result<()> {
        assert!(!token.expose().is_empty());
        let mut state = self.up()?;
        state.calls.push(format!("pull {}", image.repository));
        state.images.insert(image.digest.clone());
        Ok(())
    }
    async fn has_image(&self, image: &PinnedImage) -> Result<bool> {
        Ok(self.up()?.images.contains(&image.digest))
    }
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let mut state = self.up()?;
        let same = state.containers.values().find(|(s, _)| s.name == spec.name);
        if let Some((_, seen)) = same {
            return Ok(seen.id.clone());
        }
        state.next += 1;
        let id = format!("c{}", state.next);
        state.calls.push(format!("create {}", spec.name));
        let seen = observed(spec, &id, ContainerState::Created);
        state.containers.insert(id.clone(), (spec.clone(), seen));
        Ok(id)
    }
    async fn start(&self, id: &ContainerId) -> Result<Option<IpAddr>> {
        let (address, replica) = {
            let mut state = self.up()?;
            state.calls.push(format!("start {id}"));
            let number: u8 = id[1..].parse().expect("a number");
            let (_, seen) = state
                .containers
                .get_mut(id)
                .ok_or_else(|| Error::unavailable("the container is gone"))?;
            seen.state = ContainerState::Running;
            seen.address = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)));
            (seen.address, seen.replica)
        };
        self.send(RuntimeEvent::Started { container: id.clone(), replica });
        Ok(address)
    }
    async fn stop(&self, id: &ContainerId, _grace: Duration) -> Result<()> {
        let replica = {
            let mut state = self.up()?;
            let Some((spec, seen)) = state.containers.get(id) else { return Ok(()) };
            let (name, replica) = (spec.name.clone(), seen.replica);
            let active = state.table.iter().flat_map(|t| &t.listeners).flat_map(|l| &l.endpoints);
            let mut active = active.filter(|e| e.state == EndpointState::Active);
            let note = if active.any(|e| e.replica == replica) { " while active" } else { "" };
            state.calls.push(format!("stop {name}{note}"));
            replica
        };
        self.exit(id, 143);
        self.send(RuntimeEvent::Died { container: id.clone(), replica, code: 143 });
        Ok(())
    }
    async fn remove(&self, id: &ContainerId) -> Result<()> {
        let mut state = self.up()?;
        state.containers.remove(id);
        Ok(())
    }
    async fn logs(&self, id: &ContainerId, _request: &LogRequest) -> Result<LogStream> {
        let line = LogLine {
            at: SystemClock.now(),
            stream: "stderr".to_owned(),
            text: format!("{id} says \u{1b}[31mred"),
        };
        Ok(futures_util::stream::iter([Ok(line)]).boxed())
    }
    async fn exec(
        &self,
        id: &ContainerId,
        command: &[String],
        _timeout: Duration,
    ) -> Result<ExecOutput> {
        let state = self.up()?;
        let (spec, _) = state.containers.get(id).ok_or_else(|| Error::unavailable("gone"))?;
        let fails = match command.first().map(String::as_str) {
            Some("alive") => state.unwell.contains(id),
            _ => state.broken.contains(&spec.image.digest),
        };
        Ok(ExecOutput { code: i64::from(fails), output: "not yet".to_owned() })
    }
    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        tokio_stream::wrappers::BroadcastStream::new(self.events.subscribe())
            .map(|event| event.unwrap_or(RuntimeEvent::Resync))
            .boxed()
    }
}

#[async_trait::async_trait]
impl Balancer for Machine {
    async fn apply(&self, table: &Table) -> Result<Report> {
        {
            let mut state = self.lock();
            state.table = Some(table.clone());
            state.tables.push(table.clone());
        }
        self.report().await
    }
    async fn report(&self) -> Result<Report> {
        let state = self.lock();
        let generation = state.table.as_ref().map_or(0, |t| t.generation);
        let in_flight = state.in_flight.iter().map(|(k, v)| (*k, *v)).collect();
        Ok(Report { generation, in_flight, ..Report::default() })
    }
    async fn check_port(&self, port: u16) -> Result<()> {
        match port {
            8080 => Err(Error::conflict("port_taken", "port 8080 is held by Portolan itself")),
            _ => Ok(()),
        }
    }
}

/// When the test runs, for rows made by hand.
pub fn now() -> Timestamp {
    SystemClock.now()
}

//! A runtime in memory: the same contract as a Docker Engine, and controls for tests.
//!
//! Deterministic: ids and addresses count up, and nothing happens by itself. A test kills
//! containers, makes the next calls fail or take long, and counts the calls.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::BroadcastStream;

use super::{
    ContainerId, ContainerSpec, ContainerState, ExecOutput, NodeInfo, ObservedContainer,
    PinnedImage, Runtime, RuntimeEvent, clean, log_tail,
};
use crate::base::{Cpu, Error, Memory, Result, Secret, SharedClock};
use crate::engine::{LogLine, LogRequest, LogStream};

/// The methods of [`Runtime`], to make them fail, slow them down and count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    Info,
    List,
    Inspect,
    EnsureNetwork,
    RemoveNetwork,
    Pull,
    HasImage,
    Create,
    Start,
    Stop,
    Remove,
    Logs,
    Exec,
}

type ExecAnswer = Arc<dyn Fn(&ContainerSpec, &[String]) -> ExecOutput + Send + Sync>;

/// Containers in memory. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct FakeRuntime {
    clock: SharedClock,
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<RuntimeEvent>,
}

struct State {
    containers: BTreeMap<ContainerId, Container>,
    networks: HashSet<String>,
    images: HashSet<PinnedImage>,
    made: u32,
    address: Option<IpAddr>,
    failures: HashMap<Call, VecDeque<Error>>,
    delays: HashMap<Call, Duration>,
    calls: HashMap<Call, u64>,
    exec: ExecAnswer,
    down: bool,
}

struct Container {
    spec: ContainerSpec,
    observed: ObservedContainer,
    /// Grows by every line and by the end of the container.
    lines: watch::Sender<Vec<LogLine>>,
}

impl FakeRuntime {
    /// An empty node that tells the time by `clock`.
    pub fn new(clock: SharedClock) -> Self {
        let state = State {
            containers: BTreeMap::new(),
            networks: HashSet::new(),
            images: HashSet::new(),
            made: 0,
            address: None,
            failures: HashMap::new(),
            delays: HashMap::new(),
            calls: HashMap::new(),
            exec: Arc::new(|_, _| ExecOutput { code: 0, output: String::new() }),
            down: false,
        };
        Self { clock, state: Arc::new(Mutex::new(state)), events: broadcast::channel(4096).0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What every call does first: counts, waits and fails as it was told.
    async fn begin(&self, call: Call) -> Result<()> {
        let (delay, failure) = {
            let mut state = self.state();
            *state.calls.entry(call).or_default() += 1;
            let failure = if state.down {
                Some(Error::unavailable("the fake engine is down: start it"))
            } else {
                state.failures.get_mut(&call).and_then(VecDeque::pop_front)
            };
            (state.delays.get(&call).copied(), failure)
        };
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        failure.map_or(Ok(()), Err)
    }

    fn emit(&self, event: RuntimeEvent) {
        // Nobody listens: then nobody misses it.
        let _ = self.events.send(event);
    }

    /// The next `call` fails with `error`; several add up.
    pub fn fail_next(&self, call: Call, error: Error) {
        self.state().failures.entry(call).or_default().push_back(error);
    }

    /// Every `call` takes `delay` from now on.
    pub fn slow(&self, call: Call, delay: Duration) {
        self.state().delays.insert(call, delay);
    }

    /// While down, every call fails as if no daemon answered.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
        if !down {
            self.emit(RuntimeEvent::Resync);
        }
    }

    /// How often `call` was made.
    pub fn calls(&self, call: Call) -> u64 {
        self.state().calls.get(&call).copied().unwrap_or(0)
    }

    /// Gives every container this address instead of one of its own, so that a test can listen.
    pub fn set_address(&self, address: IpAddr) {
        self.state().address = Some(address);
    }

    /// Answers commands from now on; by default they exit with 0.
    pub fn set_exec(
        &self,
        answer: impl Fn(&ContainerSpec, &[String]) -> ExecOutput + Send + Sync + 'static,
    ) {
        self.state().exec = Arc::new(answer);
    }

    /// The specification a container was created with.
    pub fn spec(&self, id: &str) -> Option<ContainerSpec> {
        self.state().containers.get(id).map(|c| c.spec.clone())
    }

    /// Every container, in the order of their creation.
    pub fn containers(&self) -> Vec<ObservedContainer> {
        self.state().containers.values().map(|c| c.observed.clone()).collect()
    }

    /// Networks that exist.
    pub fn networks(&self) -> HashSet<String> {
        self.state().networks.clone()
    }

    /// The container's main process ends with `code`.
    pub fn kill(&self, id: &str, code: i64) {
        self.end(id, code, false);
    }

    /// The container exceeds its memory.
    pub fn run_out_of_memory(&self, id: &str) {
        self.end(id, 137, true);
    }

    fn end(&self, id: &str, code: i64, oom_killed: bool) {
        let at = Some(self.clock.now());
        let replica = {
            let mut state = self.state();
            let Some(container) = state.containers.get_mut(id) else { return };
            if !container.is_up() {
                return;
            }
            container.observed.state = ContainerState::Exited { code, oom_killed, at };
            container.observed.address = None;
            container.lines.send_modify(|_| {});
            container.observed.replica
        };
        if oom_killed {
            self.emit(RuntimeEvent::OutOfMemory { container: id.to_owned(), replica });
        }
        self.emit(RuntimeEvent::Died { container: id.to_owned(), replica, code });
    }

    /// Somebody removes the container behind the engine's back.
    pub fn remove_behind(&self, id: &str) {
        self.kill(id, 137);
        self.forget(id);
    }

    fn forget(&self, id: &str) {
        let removed = self.state().containers.remove(id);
        if let Some(container) = removed {
            let replica = container.observed.replica;
            self.emit(RuntimeEvent::Changed { container: id.to_owned(), replica });
        }
    }

    /// Events are lost, and the stream says so.
    pub fn resync(&self) {
        self.emit(RuntimeEvent::Resync);
    }

    /// The container writes a line; `stream` is `stdout` or `stderr`.
    pub fn write_log(&self, id: &str, stream: &str, text: &str) {
        let line = LogLine {
            at: self.clock.now(),
            stream: stream.to_owned(),
            text: clean::visible(text).into_owned(),
        };
        if let Some(container) = self.state().containers.get(id) {
            container.lines.send_modify(|lines| lines.push(line));
        }
    }
}

impl Container {
    fn is_up(&self) -> bool {
        matches!(self.observed.state, ContainerState::Running | ContainerState::Paused)
    }
}

fn gone(id: &str) -> Error {
    Error::not_found("container", id)
}

#[async_trait::async_trait]
impl Runtime for FakeRuntime {
    async fn info(&self) -> Result<NodeInfo> {
        self.begin(Call::Info).await?;
        Ok(NodeInfo {
            engine_id: "fake".to_owned(),
            name: "fake".to_owned(),
            version: "0".to_owned(),
            cpu: Cpu::from_millis(64_000),
            memory: Memory::from_bytes(256 << 30),
        })
    }

    async fn list(&self) -> Result<Vec<ObservedContainer>> {
        self.begin(Call::List).await?;
        Ok(self.containers())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ObservedContainer>> {
        self.begin(Call::Inspect).await?;
        Ok(self.state().containers.get(id).map(|c| c.observed.clone()))
    }

    async fn ensure_network(&self, network: &str) -> Result<()> {
        self.begin(Call::EnsureNetwork).await?;
        self.state().networks.insert(network.to_owned());
        Ok(())
    }

    async fn remove_network(&self, network: &str) -> Result<()> {
        self.begin(Call::RemoveNetwork).await?;
        let mut state = self.state();
        if state.containers.values().any(|c| c.spec.network == network && c.is_up()) {
            return Err(super::network_in_use(network));
        }
        state.networks.remove(network);
        Ok(())
    }

    async fn pull(&self, image: &PinnedImage, _token: &Secret) -> Result<()> {
        self.begin(Call::Pull).await?;
        self.state().images.insert(image.clone());
        Ok(())
    }

    async fn has_image(&self, image: &PinnedImage) -> Result<bool> {
        self.begin(Call::HasImage).await?;
        Ok(self.state().images.contains(image))
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        self.begin(Call::Create).await?;
        let mut state = self.state();
        if let Some(same) = state.containers.values().find(|c| c.spec.name == spec.name) {
            return if same.spec.replica == spec.replica {
                Ok(same.observed.id.clone())
            } else {
                Err(super::name_taken(&spec.name))
            };
        }
        if !state.images.contains(&spec.image) {
            return Err(super::image_missing(&spec.image));
        }
        state.made += 1;
        let id = format!("{:064x}", state.made);
        let observed = ObservedContainer {
            id: id.clone(),
            name: spec.name.clone(),
            replica: spec.replica,
            attempt: spec.attempt,
            state: ContainerState::Created,
            address: None,
            started_at: None,
        };
        let lines = watch::Sender::new(Vec::new());
        state.containers.insert(id.clone(), Container { spec: spec.clone(), observed, lines });
        Ok(id)
    }

    async fn start(&self, id: &ContainerId) -> Result<Option<IpAddr>> {
        self.begin(Call::Start).await?;
        let now = self.clock.now();
        let (address, replica) = {
            let state = &mut *self.state();
            let container = state.containers.get_mut(id).ok_or_else(|| gone(id))?;
            let network = &container.spec.network;
            if !state.networks.contains(network) {
                let message = format!("network {network} not found");
                return Err(Error::conflict("docker_refused", message));
            }
            if container.observed.state == ContainerState::Running {
                return Ok(container.observed.address);
            }
            let number = u32::from_str_radix(id, 16).unwrap_or(0);
            let own = IpAddr::V4(Ipv4Addr::from_bits((10 << 24) + number));
            let address = Some(state.address.unwrap_or(own));
            container.observed.state = ContainerState::Running;
            container.observed.address = address;
            container.observed.started_at = Some(now);
            (address, container.observed.replica)
        };
        self.emit(RuntimeEvent::Started { container: id.clone(), replica });
        Ok(address)
    }

    async fn stop(&self, id: &ContainerId, _grace: Duration) -> Result<()> {
        self.begin(Call::Stop).await?;
        self.end(id, 143, false);
        Ok(())
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        self.begin(Call::Remove).await?;
        self.end(id, 137, false);
        self.forget(id);
        Ok(())
    }

    async fn logs(&self, id: &ContainerId, request: &LogRequest) -> Result<LogStream> {
        self.begin(Call::Logs).await?;
        let lines = {
            let state = self.state();
            let container = state.containers.get(id).ok_or_else(|| gone(id))?;
            container.lines.subscribe()
        };
        let all = lines.borrow().clone();
        let wanted = all.iter().filter(|l| request.since.is_none_or(|s| l.at >= s)).cloned();
        let wanted: Vec<_> = wanted.collect();
        let first = wanted.len().saturating_sub(log_tail(request));
        let past = futures_util::stream::iter(wanted.into_iter().skip(first).map(Ok));
        if !request.follow {
            return Ok(Box::pin(past));
        }
        let (runtime, id) = (self.clone(), id.clone());
        let news = futures_util::stream::unfold((lines, all.len()), move |(mut lines, at)| {
            let (runtime, id) = (runtime.clone(), id.clone());
            async move {
                loop {
                    let next = lines.borrow_and_update().get(at).cloned();
                    if let Some(line) = next {
                        return Some((Ok(line), (lines, at + 1)));
                    }
                    let is_up = runtime.state().containers.get(&id).is_some_and(Container::is_up);
                    if !is_up || lines.changed().await.is_err() {
                        return None;
                    }
                }
            }
        });
        Ok(Box::pin(past.chain(news)))
    }

    async fn exec(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput> {
        let begun = tokio::time::timeout(timeout, self.begin(Call::Exec)).await;
        begun.map_err(|_| super::exec_timed_out(timeout))??;
        let (answer, spec) = {
            let state = self.state();
            let container = state.containers.get(id).ok_or_else(|| gone(id))?;
            if container.observed.state != ContainerState::Running {
                return Err(super::not_running(id));
            }
            (Arc::clone(&state.exec), container.spec.clone())
        };
        Ok(answer(&spec, command))
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let events = BroadcastStream::new(self.events.subscribe());
        events.map(|event| event.unwrap_or(RuntimeEvent::Resync)).boxed()
    }
}

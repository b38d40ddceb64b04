//! All open ports: brings them to what a table says and reports on them.
//!
//! The order of a change is what makes draining exact: first the routes without the endpoint,
//! then the endpoint refuses new work. Whoever chose it from the old route in between is counted
//! in flight before the table counts as in force.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::port::{Port, Shared, listen};
use super::route::Route;
use super::upstream::Upstream;
use super::{EndpointState, Listener, Report, Table, holder, limits};
use crate::base::id::ReplicaId;
use crate::base::{Error, Result};

/// The ports of one gateway.
#[derive(Debug)]
pub struct Ports {
    address: IpAddr,
    pub shared: Shared,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    table: Table,
    open: BTreeMap<u16, Open>,
    upstreams: HashMap<(ReplicaId, SocketAddr), Arc<Upstream>>,
    problems: BTreeMap<u16, String>,
}

#[derive(Debug)]
struct Open {
    port: Arc<Port>,
    accepting: JoinHandle<()>,
}

impl Ports {
    /// No ports yet; they will be opened on `address`.
    pub fn new(address: IpAddr) -> Self {
        Self { address, shared: Shared::default(), state: Mutex::default() }
    }

    /// Puts `table` in force unless a newer one is. Returns whether it is in force, and the state.
    pub async fn apply(&self, table: &Table) -> (bool, Report) {
        let mut state = self.state.lock().await;
        let is_newer = table.generation >= state.table.generation;
        if is_newer {
            self.enforce(&mut state, table).await;
        }
        (is_newer, state.report())
    }

    /// The present state.
    pub async fn report(&self) -> Report {
        self.state.lock().await.report()
    }

    /// Tries again to open the ports that could not be opened.
    pub async fn reopen(&self) {
        let mut state = self.state.lock().await;
        if !state.problems.is_empty() {
            let table = state.table.clone();
            self.enforce(&mut state, &table).await;
        }
    }

    /// Closes pooled connections nobody needs.
    pub async fn sweep(&self) {
        let upstreams: Vec<_> = self.state.lock().await.upstreams.values().cloned().collect();
        for upstream in upstreams {
            upstream.pool.sweep();
        }
    }

    /// Closes all ports and waits until they are free. Connections go on.
    pub async fn close(&self) {
        let mut state = self.state.lock().await;
        let open = std::mem::take(&mut state.open);
        close(open.into_values()).await;
    }

    /// Whether `port` could be opened now.
    pub async fn check(&self, port: u16) -> Result<()> {
        let state = self.state.lock().await;
        if let Some(open) = state.open.get(&port) {
            let name = open.port.route().name.clone();
            return Err(in_use(port, &format!("service {name}")));
        }
        match listen(SocketAddr::new(self.address, port)) {
            Ok(_listener) => Ok(()),
            Err(error) => Err(in_use(port, &why_not(port, &error).await)),
        }
    }

    async fn enforce(&self, state: &mut State, table: &Table) {
        state.problems.clear();
        let mut wanted: BTreeMap<u16, &Listener> = BTreeMap::new();
        for listener in table.listeners.iter().take(limits::LISTENERS) {
            if let Some(first) = wanted.get(&listener.port) {
                let problem = format!("{} has it; {} does not", first.name, listener.name);
                state.problems.insert(listener.port, problem);
            } else {
                wanted.insert(listener.port, listener);
            }
        }
        let gone: Vec<_> = state.open.keys().filter(|p| !wanted.contains_key(p)).copied().collect();
        close(gone.iter().filter_map(|p| state.open.remove(p))).await;

        let mut active = BTreeSet::new();
        for (number, listener) in wanted {
            let route = state.route(listener, &mut active);
            if let Some(open) = state.open.get(&number) {
                open.port.set_route(route);
                continue;
            }
            match listen(SocketAddr::new(self.address, number)) {
                Ok(socket) => {
                    let port = Port::new(route, self.shared.clone());
                    let accepting = self.shared.tasks.spawn(port.clone().accept(socket));
                    state.open.insert(number, Open { port, accepting });
                }
                Err(error) => {
                    let problem = why_not(number, &error).await;
                    tracing::warn!(listener.name = %listener.name, listener.port = number, problem, "a port could not be opened; it is tried again every second");
                    state.problems.insert(number, problem);
                }
            }
        }
        for (key, upstream) in &state.upstreams {
            upstream.set_active(active.contains(key));
        }
        state.table = table.clone();
        let listed: BTreeSet<_> = table
            .listeners
            .iter()
            .flat_map(|l| &l.endpoints)
            .map(|e| (e.replica, e.address))
            .collect();
        state.upstreams.retain(|key, upstream| listed.contains(key) || upstream.in_flight() > 0);
    }
}

impl State {
    /// The route of a listener over known and new endpoints; notes the active ones.
    fn route(
        &mut self,
        listener: &Listener,
        active: &mut BTreeSet<(ReplicaId, SocketAddr)>,
    ) -> Route {
        let mut endpoints = Vec::new();
        for endpoint in &listener.endpoints {
            let key = (endpoint.replica, endpoint.address);
            let upstream =
                self.upstreams.entry(key).or_insert_with(|| Arc::new(Upstream::new(key.0, key.1)));
            if endpoint.state == EndpointState::Active {
                active.insert(key);
                upstream.set_active(true);
                endpoints.push(upstream.clone());
            }
        }
        Route {
            name: listener.name.clone(),
            protocol: listener.protocol,
            algorithm: listener.algorithm,
            endpoints,
        }
    }

    fn report(&self) -> Report {
        let mut in_flight = BTreeMap::new();
        for upstream in self.upstreams.values() {
            *in_flight.entry(upstream.replica).or_default() += upstream.in_flight();
        }
        Report {
            generation: self.table.generation,
            problems: self.problems.clone(),
            in_flight,
            ports: self.open.iter().map(|(n, open)| (*n, open.port.totals.read())).collect(),
        }
    }
}

async fn close(ports: impl IntoIterator<Item = Open>) {
    let ports: Vec<_> = ports.into_iter().collect();
    for open in &ports {
        open.port.close();
    }
    for open in ports {
        if let Err(error) = open.accepting.await {
            tracing::error!(error = %error, "an accept loop broke off");
        }
    }
}

fn in_use(port: u16, holder: &str) -> Error {
    Error::conflict("port_in_use", format!("port {port} cannot be opened: {holder}"))
}

/// Why a port could not be opened, with the process that holds it where that can be seen.
async fn why_not(port: u16, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let holder = tokio::task::spawn_blocking(move || holder::find(port)).await;
            match holder.ok().flatten() {
                Some(holder) => format!("it is in use by {holder}"),
                None => "it is in use by another process".to_owned(),
            }
        }
        std::io::ErrorKind::PermissionDenied => {
            "the gateway may not open it; choose a port from 1024".to_owned()
        }
        _ => error.to_string(),
    }
}

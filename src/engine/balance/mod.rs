//! The balancer: what the gateway is told (a [`Table`]) and what it answers (a [`Report`]).
//!
//! [`gateway`] is the process that serves, [`client`] the engine's way to it. The rest is the
//! gateway's inside: ports and their routes, one algorithm per file, `http` for L7, `relay` for L4.

pub mod client;
pub mod gateway;

mod control;
mod ewma;
mod holder;
mod http;
mod least_connections;
mod limits;
mod p2c;
mod port;
mod ports;
mod relay;
mod round_robin;
mod route;
mod sniff;
mod state_file;
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::spec::{Algorithm, PortProtocol};
use crate::base::Result;
use crate::base::id::{ReplicaId, ServiceId};

/// Everything the gateway serves. A newer table replaces the older one whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Table {
    /// Rises with every change; an older table is ignored.
    pub generation: u64,
    pub listeners: Vec<Listener>,
}

/// One port of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Port on the gateway's address.
    pub port: u16,
    pub service: ServiceId,
    /// Name for logs and metrics: `environment/service:port`.
    pub name: String,
    pub protocol: PortProtocol,
    pub algorithm: Algorithm,
    pub endpoints: Vec<Endpoint>,
}

/// One replica's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub replica: ReplicaId,
    pub address: SocketAddr,
    pub state: EndpointState,
}

/// Whether an endpoint takes new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// Takes requests.
    Active,
    /// Finishes what it has; keep-alive connections are told to close.
    Draining,
}

/// What the gateway says of itself after applying a table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Generation in force.
    pub generation: u64,
    /// Ports that could not be opened, and why.
    pub problems: BTreeMap<u16, String>,
    /// Requests and connections in flight, per replica.
    pub in_flight: BTreeMap<ReplicaId, u32>,
    /// Totals per listener port since the gateway started.
    pub ports: BTreeMap<u16, PortTotals>,
}

/// Totals of one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PortTotals {
    /// Requests (http) or connections (tcp) begun.
    pub requests: u64,
    /// Answered with 5xx by the gateway itself, or broken off.
    pub failures: u64,
    /// Tried again on another replica.
    pub retries: u64,
}

/// The engine's port to the gateway. The real one talks over a unix socket; tests count calls.
#[async_trait::async_trait]
pub trait Balancer: Send + Sync + 'static {
    /// Hands over a table and waits until it is in force. Draining endpoints get no new work
    /// once this returns.
    async fn apply(&self, table: &Table) -> Result<Report>;
    /// The present state, for draining (in-flight counts) and pages.
    async fn report(&self) -> Result<Report>;
    /// Whether `port` could be opened now; the error says what holds it.
    async fn check_port(&self, port: u16) -> Result<()>;
}

//! The balancer's table: ready and draining replicas of every service, as the rows say.
//!
//! Nothing is sent before every deployment was looked at once, so a server that starts does not
//! take traffic away from replicas it has not seen yet. A draining replica is stopped only after
//! a table that gives it no new work is in force (`plan::heal`).

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Session;
use crate::base::id::{DeploymentId, ReplicaId};
use crate::base::{Error, Result};
use crate::engine::balance::{Endpoint, EndpointState, Listener, Report, Table};
use crate::engine::store::replicas::{self, Reachable};
use crate::engine::store::services::{self, algorithm_of, protocol_of};

/// How long the gateway may take to put a table in force.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often in-flight counts are read while something drains.
const DRAINING: Duration = Duration::from_millis(50);
/// How often the gateway is looked at otherwise; it may have been restarted.
const IDLE: Duration = Duration::from_secs(5);

/// The rows behind a table.
struct Wanted {
    listeners: Vec<Listener>,
    served: HashSet<DeploymentId>,
    draining: Vec<(ReplicaId, DeploymentId)>,
}

impl Session {
    pub(super) async fn drive_traffic(self: Arc<Self>) {
        // Tables of later leaders outrank those of earlier ones.
        let mut generation = u64::try_from(self.token).unwrap_or(0) << 32;
        let mut in_force: Option<Table> = None;
        let mut works = true;
        loop {
            let served = self.serve(&mut generation, &mut in_force).await;
            let worked = std::mem::replace(&mut works, served.is_ok());
            let pause = match served {
                Ok(true) => DRAINING,
                Ok(false) => IDLE,
                Err(error) => {
                    if worked {
                        tracing::warn!(error = %error.chain(), "the balancer did not take the table");
                    }
                    in_force = None;
                    Duration::from_millis(500)
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.traffic.poked() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Brings the balancer up to date; whether something drains.
    async fn serve(&self, generation: &mut u64, in_force: &mut Option<Table>) -> Result<bool> {
        if !self.settled.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let wanted = self.wanted().await?;
        self.world().table_built(wanted.served);
        let changed = in_force.as_ref().is_none_or(|t| t.listeners != wanted.listeners);
        let report = if changed {
            *generation += 1;
            let table = Table { generation: *generation, listeners: wanted.listeners };
            let report = patient(self.engine.balancer.apply(&table)).await?;
            self.world().table_applied(active(&table));
            *in_force = Some(table);
            report
        } else {
            patient(self.engine.balancer.report()).await?
        };
        if report.generation < *generation {
            // It was restarted with an older table.
            *in_force = None;
            self.traffic.poke();
        }
        self.world().set_in_flight(report.in_flight.into_iter());
        for (_, deployment) in &wanted.draining {
            self.queue.poke(*deployment);
        }
        Ok(!wanted.draining.is_empty())
    }

    async fn wanted(&self) -> Result<Wanted> {
        let mut conn = self.engine.db.read().await?;
        let (services, ports) = services::list(&mut conn, None, None).await?;
        let reachable = replicas::reachable(&mut conn, None).await?;
        let draining = reachable.iter().filter(|r| r.draining);
        let draining = draining.map(|r| (r.id, r.deployment)).collect();
        let mut listeners = Vec::new();
        let mut served = HashSet::new();
        for service in &services {
            for port in ports.iter().filter(|p| p.service_id == service.id) {
                let spec = port.spec();
                let Some(node_port) = spec.node_port else { continue };
                served.insert(service.deployment_id);
                let target = spec.target_port.unwrap_or(spec.port);
                listeners.push(Listener {
                    port: node_port,
                    service: service.id,
                    name: format!("{}/{}:{}", service.environment, service.name, spec.port),
                    protocol: protocol_of(&port.protocol),
                    algorithm: algorithm_of(&service.algorithm),
                    endpoints: reachable
                        .iter()
                        .filter(|r| r.deployment == service.deployment_id)
                        .map(|r| endpoint(r, target))
                        .collect(),
                });
            }
        }
        Ok(Wanted { listeners, served, draining })
    }
}

fn endpoint(replica: &Reachable, port: u16) -> Endpoint {
    Endpoint {
        replica: replica.id,
        address: SocketAddr::new(replica.address, port),
        state: if replica.draining { EndpointState::Draining } else { EndpointState::Active },
    }
}

fn active(table: &Table) -> HashSet<ReplicaId> {
    let endpoints = table.listeners.iter().flat_map(|l| &l.endpoints);
    endpoints.filter(|e| e.state == EndpointState::Active).map(|e| e.replica).collect()
}

async fn patient(answer: impl Future<Output = Result<Report>>) -> Result<Report> {
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Err(Error::unavailable("the gateway does not answer")))
}

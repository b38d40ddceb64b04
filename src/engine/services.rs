//! Services: a stable name and ports over the ready replicas of a deployment.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::balance::Report;
use super::spec::ServiceSpec;
use super::store::replicas::Reachable;
use super::store::services::{self as store, PortRow, ServiceRow};
use super::store::{deployments, replicas};
use super::view::{EndpointView, ServiceView};
use super::{Applied, Engine, validate};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::ServiceId;
use crate::base::{Actor, EnvironmentName, Error, ErrorKind, Result, ServiceName};
use crate::catalog::Environment;
use crate::events::{self, NewEvent, Target};

/// How long a page waits for the gateway's figures.
const REPORT_PATIENCE: Duration = Duration::from_millis(300);

fn on_service(action: Action) -> Permission {
    Permission(Resource::Service, action)
}

impl Engine {
    /// Declares a service. Repeating it with the same spec changes nothing.
    pub async fn apply_service(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &ServiceName,
        spec: ServiceSpec,
    ) -> Result<Applied<ServiceView>> {
        let environment =
            self.catalog.environment(actor, environment, on_service(Action::Update)).await?;
        let spec = validate::service(spec)?;
        let present = self.find_service(&environment, name).await?;
        let old = present.as_ref().map(|(row, ports)| row.spec(ports));
        let created = present.is_none();
        if created {
            self.catalog.environment(actor, &environment.name, on_service(Action::Create)).await?;
        }
        let changed = old.as_ref() != Some(&spec);
        if changed {
            self.check_ports(actor, old.as_ref(), &spec).await?;
            let id = present.map_or_else(|| ServiceId::new(self.clock.0.now()), |(row, _)| row.id);
            self.put_service(actor, &environment, id, name, &spec, created).await?;
        }
        let view = self.service(actor, &environment.name, name).await?;
        Ok(Applied { view, created, changed })
    }

    /// Refuses ports that something else on this machine holds, Portolan's own among them.
    async fn check_ports(
        &self,
        actor: &Actor,
        old: Option<&ServiceSpec>,
        new: &ServiceSpec,
    ) -> Result<()> {
        let held: Vec<u16> =
            old.into_iter().flat_map(|s| &s.ports).filter_map(|p| p.node_port).collect();
        for (index, port) in new.ports.iter().enumerate() {
            let Some(node_port) = port.node_port.filter(|p| !held.contains(p)) else { continue };
            if let Some(error) = self.port_conflict(actor, node_port).await? {
                return Err(error);
            }
            match self.balancer.check_port(node_port).await {
                Ok(()) => {}
                // Without a gateway nobody can tell; the service's problems will say.
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                Err(error) => {
                    return Err(Error::conflict(
                        "port_taken",
                        format!("ports[{index}].nodePort: {}", error.public_message()),
                    )
                    .with_detail(json!({ "nodePort": node_port })));
                }
            }
        }
        Ok(())
    }

    /// The conflict with another service, named as far as the caller may see it.
    async fn port_conflict(&self, actor: &Actor, node_port: u16) -> Result<Option<Error>> {
        let holder = store::holder_of(&mut *self.db.read().await?, node_port).await?;
        let Some(holder) = holder else { return Ok(None) };
        let visible = self
            .catalog
            .project_by_id(actor, holder.project_id, on_service(Action::Read))
            .await
            .is_ok();
        let by = if visible {
            format!("service {}/{}", holder.environment, holder.service)
        } else {
            "a service of another project".to_owned()
        };
        Ok(Some(
            Error::conflict(
                "port_taken",
                format!("node port {node_port} is taken by {by}; choose another"),
            )
            .with_detail(json!({ "nodePort": node_port })),
        ))
    }

    async fn put_service(
        &self,
        actor: &Actor,
        environment: &Environment,
        id: ServiceId,
        name: &ServiceName,
        spec: &ServiceSpec,
        created: bool,
    ) -> Result<()> {
        let deployment = self
            .find_deployment(environment, &spec.deployment)
            .await?
            .filter(|found| found.row.deleting_at.is_none())
            .ok_or_else(|| {
                Error::invalid(
                    "deployment",
                    format!(
                        "there is no deployment \"{}\" in {}",
                        spec.deployment, environment.name
                    ),
                )
            })?
            .row;
        let mut tx = self.db.begin().await?;
        // Serialises with its deletion, which looks for services under the same lock.
        if deployments::lock(tx.conn(), deployment.id).await?.is_none() {
            return Err(Error::not_found("deployment", &spec.deployment));
        }
        let which = deployments::Which { id: Some(deployment.id), ..Default::default() };
        if let Some(row) = deployments::find(tx.conn(), &which).await? {
            super::admission::refuse_deleting(&row)?;
        }
        let stored = store::put(
            tx.conn(),
            id,
            environment.id,
            deployment.id,
            name,
            spec,
            self.clock.0.now(),
        )
        .await;
        if let Err(error) = stored {
            drop(tx);
            let port = error.detail().and_then(|d| d["nodePort"].as_u64());
            let conflict = match port.and_then(|p| u16::try_from(p).ok()) {
                Some(port) => self.port_conflict(actor, port).await?,
                None => None,
            };
            return Err(conflict.unwrap_or(error));
        }
        let (action, verb) =
            if created { ("service.create", "created") } else { ("service.update", "changed") };
        let path = format!("{}/{name}", environment.name);
        let ports = spec.ports.iter().map(describe_port).collect::<Vec<_>>().join(", ");
        let message =
            format!("{} {verb} service {path} over {}: {ports}", actor.name, spec.deployment);
        let event = NewEvent::new(action, Target::new("service", id, path), message)
            .in_project(environment.project.id)
            .of_deployment(environment.id, deployment.id)
            .detail(json!({ "spec": spec }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await
    }

    async fn find_service(
        &self,
        environment: &Environment,
        name: &ServiceName,
    ) -> Result<Option<(ServiceRow, Vec<PortRow>)>> {
        let mut conn = self.db.read().await?;
        let (mut rows, ports) = store::list(&mut conn, Some(environment.id), Some(name)).await?;
        Ok(rows.pop().map(|row| (row, ports)))
    }

    pub async fn service(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &ServiceName,
    ) -> Result<ServiceView> {
        let environment =
            self.catalog.environment(actor, environment, on_service(Action::Read)).await?;
        let (row, ports) = self
            .find_service(&environment, name)
            .await?
            .ok_or_else(|| Error::not_found("service", name))?;
        let endpoints =
            replicas::reachable(&mut *self.db.read().await?, Some(row.deployment_id)).await?;
        Ok(service_view(&row, &ports, &endpoints, &self.report().await))
    }

    pub async fn list_services(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
    ) -> Result<Vec<ServiceView>> {
        let environment =
            self.catalog.environment(actor, environment, on_service(Action::List)).await?;
        let (rows, ports, endpoints) = {
            let mut conn = self.db.read().await?;
            let (rows, ports) = store::list(&mut conn, Some(environment.id), None).await?;
            (rows, ports, replicas::reachable(&mut conn, None).await?)
        };
        let report = self.report().await;
        Ok(rows.iter().map(|row| service_view(row, &ports, &endpoints, &report)).collect())
    }

    /// The gateway's report, or why there is none.
    async fn report(&self) -> Result<Report> {
        tokio::time::timeout(REPORT_PATIENCE, self.balancer.report())
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("the gateway does not answer")))
    }

    pub async fn delete_service(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        name: &ServiceName,
    ) -> Result<()> {
        let environment =
            self.catalog.environment(actor, environment, on_service(Action::Delete)).await?;
        let (row, _) = self
            .find_service(&environment, name)
            .await?
            .ok_or_else(|| Error::not_found("service", name))?;
        let mut tx = self.db.begin().await?;
        store::delete(tx.conn(), row.id).await?;
        let path = format!("{}/{name}", environment.name);
        let message = format!("{} deleted service {path}", actor.name);
        let event = NewEvent::new("service.delete", Target::new("service", row.id, path), message)
            .in_project(environment.project.id)
            .of_deployment(environment.id, row.deployment_id);
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await
    }
}

fn describe_port(port: &super::spec::ServicePort) -> String {
    let target = port.target_port.unwrap_or(port.port);
    match port.node_port {
        Some(node) => format!("{} → {target} on node port {node}", port.port),
        None => format!("{} → {target}", port.port),
    }
}

fn service_view(
    row: &ServiceRow,
    ports: &[PortRow],
    endpoints: &[Reachable],
    report: &Result<Report>,
) -> ServiceView {
    let spec = row.spec(ports);
    let empty = BTreeMap::new();
    let in_flight = report.as_ref().map_or(&empty, |r| &r.in_flight);
    let mut problems = Vec::new();
    if spec.ports.iter().any(|p| p.node_port.is_some()) {
        match report {
            Ok(report) => problems.extend(
                spec.ports.iter().filter_map(|p| report.problems.get(&p.node_port?)).cloned(),
            ),
            Err(error) => problems.push(error.public_message().to_owned()),
        }
    }
    ServiceView {
        id: row.id.uuid(),
        environment: row.environment.clone(),
        name: row.name.clone(),
        endpoints: endpoints
            .iter()
            .filter(|e| e.deployment == row.deployment_id)
            .map(|e| EndpointView {
                replica: e.name.clone(),
                address: e.address.to_string(),
                state: if e.draining { "draining" } else { "active" }.to_owned(),
                in_flight: in_flight.get(&e.id).copied().unwrap_or(0),
            })
            .collect(),
        problems,
        spec,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

//! SQL of services and their ports.

use sqlx::PgConnection;

use crate::base::id::{DeploymentId, EnvironmentId, ProjectId, ServiceId};
use crate::base::{Error, Result, ServiceName, Timestamp};
use crate::db::OnConstraint;
use crate::engine::spec::{Algorithm, PortProtocol, ServicePort, ServiceSpec};

/// A service without its ports.
#[derive(Debug, Clone)]
pub(in crate::engine) struct ServiceRow {
    pub(in crate::engine) id: ServiceId,
    pub(in crate::engine) environment: String,
    pub(in crate::engine) deployment_id: DeploymentId,
    pub(in crate::engine) deployment: String,
    pub(in crate::engine) name: String,
    pub(in crate::engine) algorithm: String,
    pub(in crate::engine) created_at: Timestamp,
    pub(in crate::engine) updated_at: Timestamp,
}

/// A port of a service.
#[derive(Debug, Clone)]
pub(in crate::engine) struct PortRow {
    pub(in crate::engine) service_id: ServiceId,
    pub(in crate::engine) name: String,
    pub(in crate::engine) port: i32,
    pub(in crate::engine) target_port: i32,
    pub(in crate::engine) node_port: Option<i32>,
    pub(in crate::engine) protocol: String,
}

pub(in crate::engine) fn algorithm_word(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::PeakEwma => "peak_ewma",
        Algorithm::LeastConnections => "least_connections",
        Algorithm::RoundRobin => "round_robin",
    }
}

pub(in crate::engine) fn algorithm_of(word: &str) -> Algorithm {
    match word {
        "least_connections" => Algorithm::LeastConnections,
        "round_robin" => Algorithm::RoundRobin,
        _ => Algorithm::PeakEwma,
    }
}

fn protocol_word(protocol: PortProtocol) -> &'static str {
    match protocol {
        PortProtocol::Auto => "auto",
        PortProtocol::Http => "http",
        PortProtocol::Tcp => "tcp",
    }
}

pub(in crate::engine) fn protocol_of(word: &str) -> PortProtocol {
    match word {
        "http" => PortProtocol::Http,
        "tcp" => PortProtocol::Tcp,
        _ => PortProtocol::Auto,
    }
}

impl PortRow {
    pub(in crate::engine) fn spec(&self) -> ServicePort {
        ServicePort {
            name: (!self.name.is_empty()).then(|| self.name.clone()),
            port: u16::try_from(self.port).unwrap_or(0),
            target_port: u16::try_from(self.target_port).ok(),
            node_port: self.node_port.and_then(|p| u16::try_from(p).ok()),
            protocol: protocol_of(&self.protocol),
        }
    }
}

impl ServiceRow {
    pub(in crate::engine) fn spec(&self, ports: &[PortRow]) -> ServiceSpec {
        ServiceSpec {
            deployment: self.deployment.clone(),
            algorithm: algorithm_of(&self.algorithm),
            ports: ports.iter().filter(|p| p.service_id == self.id).map(PortRow::spec).collect(),
        }
    }
}

/// Services with their ports; fields that are `None` match everything.
pub(in crate::engine) async fn list(
    conn: &mut PgConnection,
    environment: Option<EnvironmentId>,
    name: Option<&ServiceName>,
) -> Result<(Vec<ServiceRow>, Vec<PortRow>)> {
    let services = sqlx::query_as!(
        ServiceRow,
        r#"select s.id as "id: _", e.name as environment, s.deployment_id as "deployment_id: _",
                  d.name as deployment, s.name, s.algorithm, s.created_at, s.updated_at
           from services s
           join environments e on e.id = s.environment_id
           join deployments d on d.id = s.deployment_id
           where ($1::uuid is null or s.environment_id = $1)
             and ($2::text is null or s.name = $2)
           order by e.name, s.name"#,
        environment.map(|id| id.uuid()),
        name.map(ServiceName::as_str),
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<uuid::Uuid> = services.iter().map(|s| s.id.uuid()).collect();
    let ports = sqlx::query_as!(
        PortRow,
        r#"select service_id as "service_id: _", name, port, target_port, node_port, protocol
           from service_ports where service_id = any($1) order by service_id, port"#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok((services, ports))
}

/// Makes or changes a service and replaces its ports. The error names a node port that is taken.
pub(in crate::engine) async fn put(
    conn: &mut PgConnection,
    id: ServiceId,
    environment: EnvironmentId,
    deployment: DeploymentId,
    name: &ServiceName,
    spec: &ServiceSpec,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "insert into services
            (id, environment_id, deployment_id, name, algorithm, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $6)
         on conflict (id) do update
         set deployment_id = excluded.deployment_id, algorithm = excluded.algorithm,
             updated_at = excluded.updated_at",
        id.uuid(),
        environment.uuid(),
        deployment.uuid(),
        name.as_str(),
        algorithm_word(spec.algorithm),
        now,
    )
    .execute(&mut *conn)
    .await
    .on_constraints(|constraint| match constraint {
        "services_environment_id_name_key" => Some(Error::conflict(
            "service_exists",
            format!("service \"{name}\" was created by somebody else just now"),
        )),
        "services_deployment_id_fkey" => Some(Error::not_found("deployment", &spec.deployment)),
        _ => None,
    })?;
    sqlx::query!("delete from service_ports where service_id = $1", id.uuid())
        .execute(&mut *conn)
        .await?;
    for port in &spec.ports {
        sqlx::query!(
            "insert into service_ports (service_id, name, port, target_port, node_port, protocol)
             values ($1, $2, $3, $4, $5, $6)",
            id.uuid(),
            port.name.as_deref().unwrap_or_default(),
            i32::from(port.port),
            i32::from(port.target_port.unwrap_or(port.port)),
            port.node_port.map(i32::from),
            protocol_word(port.protocol),
        )
        .execute(&mut *conn)
        .await
        .on_constraint("service_ports_node_port_key", || {
            let port = port.node_port.unwrap_or_default();
            Error::conflict("port_taken", format!("node port {port} is taken"))
                .with_detail(serde_json::json!({ "nodePort": port }))
        })?;
    }
    Ok(())
}

/// Who holds a node port.
pub(in crate::engine) struct PortHolder {
    pub(in crate::engine) service: String,
    pub(in crate::engine) environment: String,
    pub(in crate::engine) project_id: ProjectId,
}

pub(in crate::engine) async fn holder_of(
    conn: &mut PgConnection,
    node_port: u16,
) -> Result<Option<PortHolder>> {
    Ok(sqlx::query_as!(
        PortHolder,
        r#"select s.name as service, e.name as environment, e.project_id as "project_id: _"
           from service_ports p
           join services s on s.id = p.service_id
           join environments e on e.id = s.environment_id
           where p.node_port = $1"#,
        i32::from(node_port),
    )
    .fetch_optional(conn)
    .await?)
}

pub(in crate::engine) async fn delete(conn: &mut PgConnection, id: ServiceId) -> Result<()> {
    sqlx::query!("delete from services where id = $1", id.uuid()).execute(conn).await?;
    Ok(())
}

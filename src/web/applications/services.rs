//! `…/services`: the ports over a deployment, where they lead, and making or removing one.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;

use super::rollout::Pill;
use super::{App, Head, On, Path, TabName, names, services_of};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Error, Result, ServiceName};
use crate::engine::spec::{Algorithm, PortProtocol, ServicePort, ServiceSpec};
use crate::engine::view::ServiceView;
use crate::web::form::{Choice, Form};
use crate::web::frame::Frame;
use crate::web::session::Posted;
use crate::web::shell::{At, PageResult, Shell};

/// The form of a service with one port; more ports are made through the API.
#[derive(Debug, Default, serde::Deserialize)]
pub(in crate::web) struct ServiceForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    port: String,
    #[serde(default)]
    target_port: String,
    #[serde(default)]
    node_port: String,
    #[serde(default)]
    algorithm: String,
}

#[derive(Debug, Default, serde::Deserialize)]
pub(in crate::web) struct RemoveForm {
    #[serde(default)]
    service: String,
}

#[derive(Template)]
#[template(path = "applications/services.html")]
struct ServicesPage {
    frame: Frame,
    head: Head,
    pill: Pill,
    services: Vec<ServiceView>,
    host: String,
    form: Form,
    algorithms: Vec<Choice>,
    may_create: bool,
    may_delete: bool,
    remove_href: String,
}

impl ServicesPage {
    /// The address of a port of the gateway.
    fn url(&self, port: &u16) -> String {
        format!("http://{}:{port}", self.host)
    }
}

async fn page_of(shell: &Shell, app: &App, form: Form) -> Result<ServicesPage> {
    let deployment = app.deployment()?;
    let services = services_of(shell, deployment).await?;
    let (kind, word) = super::phase_of(shell, deployment);
    let choice = |value, key: &str| Choice { value, label: shell.t.get(key) };
    let host = shell.services.config.registry_host();
    Ok(ServicesPage {
        frame: app
            .frame(shell, shell.t.get("app-tab-services"), false)
            .await?
            .json(format!("/api/v1/environments/{}/services", deployment.environment)),
        head: Head::of(shell, app, TabName::Services, &services),
        pill: Pill { kind, word },
        services,
        host: host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned(),
        form,
        algorithms: vec![
            choice("peakEwma", "algorithm-peak-ewma"),
            choice("leastConnections", "algorithm-least-connections"),
            choice("roundRobin", "algorithm-round-robin"),
        ],
        may_create: app.may(shell, Resource::Service, Action::Create),
        may_delete: app.may(shell, Resource::Service, Action::Delete),
        remove_href: app.link("/services/remove"),
    })
}

async fn permitted(shell: &Shell, path: &Path, on: &str, action: Action) -> Result<App> {
    let permission = Permission(Resource::Service, action);
    shell.services.catalog.project(&shell.actor, &path.project, permission).await?;
    App::load(shell, path, on).await
}

/// `GET …/services`
pub(in crate::web) async fn page(
    shell: Shell,
    At(path): At<Path>,
    Query(on): Query<On>,
) -> PageResult {
    let app = permitted(&shell, &path, &on.on, Action::List).await?;
    let deployment = app.deployment()?;
    let target = deployment
        .spec
        .template
        .containers
        .first()
        .and_then(|container| container.ports.first())
        .map(|port| port.container_port.to_string())
        .unwrap_or_default();
    let form =
        Form::of([("name", deployment.name.as_str()), ("port", "80"), ("target_port", &target)]);
    shell.render(&page_of(&shell, &app, form).await?)
}

fn port(field: &str, text: &str) -> Result<Option<u16>> {
    match text.trim() {
        "" => Ok(None),
        text => {
            text.parse().map(Some).map_err(|_| Error::invalid(field, "must be a port, 1 to 65535"))
        }
    }
}

async fn apply(shell: &Shell, app: &App, form: &ServiceForm) -> Result<ServiceView> {
    let deployment = app.deployment()?;
    let (environment, _) = names(deployment)?;
    let name: ServiceName = form.name.trim().parse()?;
    let spec = ServiceSpec {
        deployment: deployment.name.clone(),
        algorithm: match form.algorithm.as_str() {
            "leastConnections" => Algorithm::LeastConnections,
            "roundRobin" => Algorithm::RoundRobin,
            _ => Algorithm::PeakEwma,
        },
        ports: vec![ServicePort {
            name: None,
            port: port("port", &form.port)?
                .ok_or_else(|| Error::invalid("port", "must be a port, 1 to 65535"))?,
            target_port: port("target_port", &form.target_port)?,
            node_port: port("node_port", &form.node_port)?,
            protocol: PortProtocol::default(),
        }],
    };
    Ok(shell.services.engine.apply_service(&shell.actor, &environment, &name, spec).await?.view)
}

/// `POST …/services`
pub(in crate::web) async fn save(
    At(path): At<Path>,
    Query(on): Query<On>,
    Posted(shell, form): Posted<ServiceForm>,
) -> PageResult {
    let app = permitted(&shell, &path, &on.on, Action::Create).await?;
    match apply(&shell, &app, &form).await {
        Ok(service) => Ok(shell.done(&app.link("/services"), "flash-service-saved", service.name)),
        Err(error) => {
            let filled = Form::of([
                ("name", &form.name),
                ("port", &form.port),
                ("target_port", &form.target_port),
                ("node_port", &form.node_port),
                ("algorithm", &form.algorithm),
            ])
            .refused(&shell.t, error)?;
            let page = page_of(&shell, &app, filled).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// `POST …/services/remove`
pub(in crate::web) async fn remove(
    At(path): At<Path>,
    Query(on): Query<On>,
    Posted(shell, form): Posted<RemoveForm>,
) -> PageResult {
    let app = permitted(&shell, &path, &on.on, Action::Delete).await?;
    let (environment, _) = names(app.deployment()?)?;
    let name: ServiceName = form.service.parse()?;
    shell.services.engine.delete_service(&shell.actor, &environment, &name).await?;
    Ok(shell.done(&app.link("/services"), "flash-service-removed", name))
}

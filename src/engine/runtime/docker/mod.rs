//! The Docker Engine behind the runtime port.
//!
//! # Design notes
//!
//! The client never sends an API version, so the daemon answers in its newest shape; only fields
//! that 20.10 and its successors share are read. Requests are not pooled: a connection to a unix
//! socket costs less than finding out that a kept one is dead.
//!
//! Containers on an environment's network reach neither each other (`enable_icc=false`) nor
//! other networks, but, as with every bridge, they can reach what listens on the host's own
//! addresses. Portolan, its database and the Docker Engine therefore listen on loopback or on
//! unix sockets unless they are told otherwise.
//!
//! A container that somebody renames is no longer ours (its seal covers the name): it is replaced
//! and left alone.

mod body;
mod client;
mod events;
mod exec;
mod logs;
mod network;
mod observe;
mod pull;
mod seal;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::{
    ContainerId, ContainerSpec, ExecOutput, NodeInfo, ObservedContainer, PinnedImage, Runtime,
    RuntimeEvent,
};
use crate::base::{Cpu, Error, Memory, Result, Secret};
use crate::engine::{LogRequest, LogStream};
use client::{Client, status};
use seal::Seal;

/// Ended containers that are looked at side by side when listing.
const LOOKS: usize = 8;
/// What the daemon may take on top of a container's grace.
const STOP_MARGIN: Duration = Duration::from_secs(60);

/// Runs containers on one Docker Engine. Cheap to clone.
#[derive(Clone)]
pub struct DockerRuntime(Arc<Inner>);

struct Inner {
    client: Client,
    /// Host (and port) by which the daemon reaches the registry.
    registry_host: String,
    seal: Seal,
    /// CPUs of the node in billionths, 0 while unknown: no container may be given more.
    cpus: AtomicI64,
    pulls: Mutex<HashMap<PinnedImage, Arc<tokio::sync::Mutex<()>>>>,
    /// Network names are not unique in Docker, so networks are made one at a time.
    networks: tokio::sync::Mutex<()>,
}

impl DockerRuntime {
    /// A runtime on the engine at `docker_host` (`unix://…` or `tcp://…`; by default the usual
    /// socket), which need not answer yet. Containers are sealed with `seal_key`.
    pub fn new(
        docker_host: Option<&str>,
        registry_host: String,
        seal_key: Secret<Vec<u8>>,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            client: Client::new(docker_host)?,
            registry_host,
            seal: Seal::new(&seal_key),
            cpus: AtomicI64::new(0),
            pulls: Mutex::default(),
            networks: tokio::sync::Mutex::default(),
        })))
    }
}

impl DockerRuntime {
    /// The name by which Docker knows an environment's network.
    pub fn network_name(&self, network: &str) -> String {
        self.0.network_name(network)
    }
}

impl Inner {
    /// The name by which Docker knows the image.
    fn reference(&self, image: &PinnedImage) -> String {
        format!("{}/{}@{}", self.registry_host, image.repository, image.digest)
    }

    async fn look(&self, id: &str) -> Result<Option<ContainerInspectResponse>> {
        let docker = self.client.docker()?;
        match docker.inspect_container(id, None::<InspectContainerOptions>).await {
            Ok(container) => Ok(Some(container)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.client.failed("inspect a container", error)),
        }
    }

    async fn find(&self, id: &str) -> Result<Option<ObservedContainer>> {
        Ok(self.look(id).await?.and_then(|c| observe::inspected(&self.seal, &c)))
    }

    async fn find_by_name(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        match self.find(&spec.name).await? {
            Some(c) if c.name == spec.name && c.replica == spec.replica => Ok(c.id),
            _ => Err(super::name_taken(&spec.name)),
        }
    }
}

fn gone(id: &str) -> Error {
    Error::not_found("container", id.get(..12).unwrap_or(id))
}

#[async_trait::async_trait]
impl Runtime for DockerRuntime {
    async fn info(&self) -> Result<NodeInfo> {
        let client = &self.0.client;
        let info = client.docker()?.info().await;
        let info = info.map_err(|e| client.failed("describe itself", e))?;
        let cpus = u64::try_from(info.ncpu.unwrap_or(0)).unwrap_or(0);
        let cpu = Cpu::from_millis(cpus * 1000);
        self.0.cpus.store(cpu.nanos(), Ordering::Relaxed);
        Ok(NodeInfo {
            engine_id: info.id.unwrap_or_default(),
            name: info.name.unwrap_or_default(),
            version: info.server_version.unwrap_or_default(),
            cpu,
            memory: Memory::from_bytes(u64::try_from(info.mem_total.unwrap_or(0)).unwrap_or(0)),
        })
    }

    async fn list(&self) -> Result<Vec<ObservedContainer>> {
        let (client, seal) = (&self.0.client, &self.0.seal);
        let docker = client.docker()?;
        let filters = HashMap::from([("label", vec![seal::SEAL])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let all = docker.list_containers(Some(options)).await;
        let all = all.map_err(|e| client.failed("list its containers", e))?;
        let found: Vec<_> = all.iter().filter_map(|c| observe::listed(seal, c)).collect();
        // The list tells neither exit codes nor whether memory ran out.
        stream::iter(found)
            .map(|found| async move {
                match found {
                    observe::Listed::Whole(container) => Ok(Some(container)),
                    observe::Listed::Ended(id) => self.0.find(&id).await,
                }
            })
            .buffered(LOOKS)
            .try_filter_map(|c| async move { Ok(c) })
            .try_collect()
            .await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ObservedContainer>> {
        self.0.find(id).await
    }

    async fn ensure_network(&self, network: &str) -> Result<()> {
        self.0.ensure_network(network).await
    }

    async fn remove_network(&self, network: &str) -> Result<()> {
        self.0.remove_network(network).await
    }

    async fn pull(&self, image: &PinnedImage, token: &Secret) -> Result<()> {
        self.0.pull(image, token).await
    }

    async fn has_image(&self, image: &PinnedImage) -> Result<bool> {
        self.0.has_image(image).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let inner = &self.0;
        let cpus = inner.cpus.load(Ordering::Relaxed);
        let body = body::create(
            spec,
            inner.reference(&spec.image),
            inner.network_name(&spec.network),
            &inner.seal,
            cpus,
        );
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        match inner.client.docker()?.create_container(Some(options), body).await {
            Ok(created) => Ok(created.id),
            Err(error) => match status(&error) {
                Some(409) => inner.find_by_name(spec).await,
                Some(404) => Err(super::image_missing(&spec.image).with_source(error)),
                _ => Err(inner.client.failed("create the container", error)),
            },
        }
    }

    async fn start(&self, id: &ContainerId) -> Result<Option<IpAddr>> {
        let inner = &self.0;
        let docker = inner.client.docker()?;
        if let Err(error) = docker.start_container(id, None::<StartContainerOptions>).await {
            return Err(match client::refusal(&error) {
                Some((404, message)) if message.contains("No such container") => gone(id),
                _ => inner.client.failed("start the container", error),
            });
        }
        let container = inner.look(id).await?.ok_or_else(|| gone(id))?;
        Ok(observe::address(container.network_settings.and_then(|n| n.networks).as_ref()))
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<()> {
        let inner = &self.0;
        let seconds = grace.as_millis().div_ceil(1000);
        let options = StopContainerOptionsBuilder::new()
            .t(i32::try_from(seconds).unwrap_or(i32::MAX))
            .build();
        let docker = inner.client.docker()?.with_timeout(grace + STOP_MARGIN);
        match docker.stop_container(id, Some(options)).await {
            Err(error) if status(&error) != Some(404) => {
                Err(inner.client.failed("stop the container", error))
            }
            _ => Ok(()),
        }
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        let inner = &self.0;
        // `v`: an image's VOLUMEs became anonymous volumes that nobody else can use.
        let options = RemoveContainerOptionsBuilder::new().v(true).force(true).build();
        match inner.client.docker()?.remove_container(id, Some(options)).await {
            Ok(()) => Ok(()),
            // Gone, or being removed already.
            Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
            Err(error) => Err(inner.client.failed("remove the container", error)),
        }
    }

    async fn logs(&self, id: &ContainerId, request: &LogRequest) -> Result<LogStream> {
        if self.0.find(id).await?.is_none() {
            return Err(gone(id));
        }
        logs::follow(&self.0.client, id, request)
    }

    async fn exec(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput> {
        exec::run(&self.0.client, id, command, timeout).await
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        events::stream(Arc::clone(&self.0))
    }
}

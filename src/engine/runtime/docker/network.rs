//! Networks of environments: bridges without traffic between their containers.

use std::collections::HashMap;

use bollard::models::{NetworkCreateRequest, NetworkInspect};
use bollard::query_parameters::InspectNetworkOptions;

use super::super::network_in_use;
use super::Inner;
use super::client::{refusal, status};
use crate::base::{Error, Result};

/// The bridge driver's switch for traffic between containers.
const ICC: &str = "com.docker.network.bridge.enable_icc";

impl Inner {
    /// Docker's name of an environment's network. Environments of two installations that share an
    /// engine, or of one that was set up anew, may have the same name; their networks must not.
    pub(super) fn network_name(&self, network: &str) -> String {
        format!("{network}-{}", self.seal.tag())
    }

    pub(super) async fn ensure_network(&self, network: &str) -> Result<()> {
        let network = self.network_name(network);
        let network = network.as_str();
        let _one_at_a_time = self.networks.lock().await;
        if self.owns_network(network).await? {
            return Ok(());
        }
        let request = NetworkCreateRequest {
            name: network.to_owned(),
            driver: Some("bridge".to_owned()),
            options: Some(HashMap::from([(ICC.to_owned(), "false".to_owned())])),
            labels: Some(self.seal.network_labels(network)),
            ..NetworkCreateRequest::default()
        };
        let Err(error) = self.client.docker()?.create_network(request).await else {
            return Ok(());
        };
        match refusal(&error) {
            Some((409, _)) if self.owns_network(network).await? => Ok(()),
            Some((_, message)) if message.contains("address pool") => {
                Err(Error::unavailable(format!(
                    "Docker has no address range left for network {network}: remove networks that \
                     nothing uses (docker network prune), or add ranges to default-address-pools \
                     in /etc/docker/daemon.json"
                ))
                .with_code("networks_exhausted")
                .with_source(error))
            }
            _ => Err(self.client.failed("create the network", error)),
        }
    }

    pub(super) async fn remove_network(&self, network: &str) -> Result<()> {
        let network = self.network_name(network);
        let network = network.as_str();
        let _one_at_a_time = self.networks.lock().await;
        if !self.owns_network(network).await? {
            return Ok(());
        }
        match self.client.docker()?.remove_network(network).await {
            Ok(()) => Ok(()),
            Err(error) => match refusal(&error) {
                Some((404, _)) => Ok(()),
                Some((_, message)) if message.contains("active endpoints") => {
                    Err(network_in_use(network).with_source(error))
                }
                _ => Err(self.client.failed("remove the network", error)),
            },
        }
    }

    /// Whether the network exists. One of that name that is not ours is a conflict: containers
    /// on it might reach each other, or more.
    async fn owns_network(&self, network: &str) -> Result<bool> {
        let docker = self.client.docker()?;
        let found: NetworkInspect =
            match docker.inspect_network(network, None::<InspectNetworkOptions>).await {
                Ok(found) => found,
                Err(error) if status(&error) == Some(404) => return Ok(false),
                Err(error) => return Err(self.client.failed("inspect a network", error)),
            };
        // Docker also finds networks by the start of their id.
        if found.name.as_deref() != Some(network) {
            return Ok(false);
        }
        let labels = found.labels.unwrap_or_default();
        let icc = found.options.as_ref().and_then(|o| o.get(ICC)).map(String::as_str);
        if self.seal.is_ours(network, &labels) && icc == Some("false") {
            return Ok(true);
        }
        Err(Error::conflict(
            "network_taken",
            format!("Docker has a network {network} that Portolan did not make: remove it"),
        ))
    }
}

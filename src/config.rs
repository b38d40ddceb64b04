//! Configuration: flags and environment, checked at once, all faults reported together.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What `portolan serve` runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Everything Portolan keeps on disk.
    pub data_dir: PathBuf,
    /// Plain HTTP.
    pub listen: SocketAddr,
    /// HTTPS.
    pub tls_listen: SocketAddr,
    /// Base of absolute URLs (the registry's token realm); without a trailing slash.
    pub external_url: String,
    /// An external PostgreSQL; `None`: the embedded one.
    pub database_url: Option<String>,
    /// Docker's address; `None`: the default socket.
    pub docker_host: Option<String>,
    /// Address service ports are opened on.
    pub gateway_address: std::net::IpAddr,
}

impl Config {
    /// Host and port that clients use for the registry, e.g. `127.0.0.1:8080`.
    pub fn registry_host(&self) -> &str {
        self.external_url.split_once("://").map_or(self.external_url.as_str(), |(_, host)| host)
    }

    /// Docker's address for people.
    pub fn node_address(&self) -> String {
        self.docker_host.clone().unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
    }
}

//! Configuration: what `portolan serve` runs with, checked at once, all faults reported together.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::base::Secret;
use crate::egress::Networks;

/// Days for which deleted images are kept unless the installation says otherwise.
pub const UNDELETE_DAYS: u32 = 7;
const MAX_UNDELETE_DAYS: u32 = 3650;

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
    pub gateway_address: IpAddr,
    /// Days for which deleted images can be restored; 0: deleting is final.
    pub undelete_days: u32,
    /// Whether images are accepted whose layers are not here.
    pub accept_sparse_images: bool,
    /// How the registry keeps its store clean and sound.
    pub upkeep: Upkeep,
}

/// How the registry keeps its store clean and sound.
#[derive(Debug, Clone, Copy)]
pub struct Upkeep {
    /// How long a blob that nothing needs is kept after it was last relied on; also how long an
    /// idle upload lives.
    pub grace: chrono::Duration,
    /// Bytes per second at which stored blobs are read again; 0: only when asked for.
    pub scrub_rate: u64,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self { grace: chrono::Duration::hours(24), scrub_rate: 8 * 1024 * 1024 }
    }
}

/// What only the start needs and nothing keeps.
#[derive(Debug)]
pub struct Start {
    /// Password of the first admin; `None`: made up and printed.
    pub admin_password: Option<Secret>,
    /// Certificate chain and key of the HTTPS listener; `None`: self-signed.
    pub tls_files: Option<(PathBuf, PathBuf)>,
    /// Bearer token that may read `/metrics`; `None`: only those who may read system data.
    pub metrics_token: Option<Secret>,
    /// Connections of one address.
    pub connections_per_address: usize,
    /// Encrypts stored secrets; `None`: the key in the data directory, made at the first start.
    pub secret_key: Option<Secret<[u8; 32]>>,
    /// Networks beyond the public internet that imports may connect to.
    pub import_allow: Networks,
}

impl Config {
    /// Host and port that clients use for the registry, e.g. `127.0.0.1:8080`.
    pub fn registry_host(&self) -> &str {
        self.external_url.split_once("://").map_or(self.external_url.as_str(), |(_, host)| host)
    }

    /// Whether browsers reach the portal over HTTPS.
    pub fn is_secure(&self) -> bool {
        self.external_url.starts_with("https://")
    }

    /// Docker's address for people.
    pub fn node_address(&self) -> String {
        self.docker_host.clone().unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
    }

    /// Every fault of the configuration, in words that name the setting.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        match self.external_url.split_once("://") {
            Some(("http" | "https", host))
                if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '"']) => {}
            _ => faults.push(format!(
                "PORTOLAN_EXTERNAL_URL is \"{}\"; write it as http://HOST[:PORT] or https://HOST[:PORT], without a path",
                self.external_url
            )),
        }
        if self.listen == self.tls_listen && self.listen.port() != 0 {
            faults.push(
                "--listen and --tls-listen are the same address; give them different ports"
                    .to_owned(),
            );
        }
        if self.undelete_days > MAX_UNDELETE_DAYS {
            faults.push(format!(
                "PORTOLAN_UNDELETE_DAYS is {}; at most {MAX_UNDELETE_DAYS} days make sense",
                self.undelete_days
            ));
        }
        if let Some(docker) = &self.docker_host
            && !["unix://", "tcp://", "http://"].iter().any(|scheme| docker.starts_with(scheme))
        {
            faults
                .push(format!("DOCKER_HOST is \"{docker}\"; it must start with unix:// or tcp://"));
        }
        faults
    }
}

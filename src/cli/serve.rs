//! `portolan serve`: the server.

use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;

use super::database::Place;
use super::upkeep::Upkeep;
use crate::app::{self, DataDir};
use crate::base::{Error, Result, Secret, SharedClock, SystemClock};
use crate::config::{Config, Start, UNDELETE_DAYS};
use crate::egress::Networks;
use crate::engine::balance::{client, gateway};
use crate::http::limits::Limits;
use crate::http::serve::{Connections, Listener, serve};
use crate::http::tls;
use crate::lifecycle::Lifecycle;
use crate::telemetry;

/// Run the server.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    upkeep: Upkeep,
    /// Address of the plain HTTP listener.
    #[arg(long, env = "PORTOLAN_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Address of the HTTPS listener.
    #[arg(
        long,
        env = "PORTOLAN_TLS_LISTEN",
        default_value = "127.0.0.1:8443",
        value_name = "ADDRESS"
    )]
    tls_listen: SocketAddr,
    /// Certificate chain of the HTTPS listener, PEM; without it a self-signed one.
    #[arg(long, env = "PORTOLAN_TLS_CERTIFICATE", requires = "tls_key", value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// Key of the HTTPS listener, PEM.
    #[arg(long, env = "PORTOLAN_TLS_KEY", requires = "tls_certificate", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The address that browsers and Docker clients use, such as `https://registry.example.org`; by
    /// default that of the plain listener.
    #[arg(long, env = "PORTOLAN_EXTERNAL_URL", value_name = "URL")]
    external_url: Option<String>,
    /// Docker's address; by default /var/run/docker.sock.
    #[arg(long, env = "DOCKER_HOST", value_name = "URL")]
    docker_host: Option<String>,
    /// Address on which service ports are opened.
    #[arg(long, env = "PORTOLAN_GATEWAY_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "IP")]
    gateway_address: IpAddr,
    /// Do not start a gateway; one is run by somebody else on the data directory's socket.
    #[arg(long, env = "PORTOLAN_NO_GATEWAY")]
    no_gateway: bool,
    /// Accept images whose layers are not in the repository, for mirrors that hold only a part.
    #[arg(long, env = "PORTOLAN_ACCEPT_SPARSE_IMAGES")]
    accept_sparse_images: bool,
    /// Password of the first admin; by default made up and printed once.
    #[arg(long, env = "PORTOLAN_ADMIN_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    admin_password: Option<String>,
    /// A bearer token that may read /metrics.
    #[arg(long, env = "PORTOLAN_METRICS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    metrics_token: Option<String>,
    /// Days for which deleted images can be restored; 0 makes deleting final.
    #[arg(long, env = "PORTOLAN_UNDELETE_DAYS", default_value_t = UNDELETE_DAYS, value_name = "DAYS")]
    undelete_days: u32,
    /// Connections that one address may hold.
    #[arg(long, env = "PORTOLAN_CONNECTIONS_PER_ADDRESS", default_value_t = Limits::default().per_address, value_name = "N")]
    connections_per_address: usize,
    /// Encrypts stored secrets, 64 hexadecimal characters; by default a key kept in the data
    /// directory. Never change it while there are secrets.
    #[arg(long, env = "PORTOLAN_SECRET_KEY", hide_env_values = true, value_name = "KEY")]
    secret_key: Option<String>,
    /// Networks beyond the public internet that imports may connect to, such as `10.1.0.0/16`,
    /// separated by commas; plain HTTP is allowed there.
    #[arg(long, env = "PORTOLAN_IMPORT_ALLOW", value_name = "NETWORKS")]
    import_allow: Option<String>,
}

impl Serve {
    fn split(&self) -> Result<(Config, Start)> {
        let nonempty = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let host = match self.listen.ip() {
            ip if ip.is_unspecified() => format!("127.0.0.1:{}", self.listen.port()),
            _ => self.listen.to_string(),
        };
        let external = nonempty(&self.external_url).unwrap_or_else(|| format!("http://{host}"));
        let config = Config {
            data_dir: self.place.data_dir.clone(),
            listen: self.listen,
            tls_listen: self.tls_listen,
            external_url: external.trim_end_matches('/').to_owned(),
            database_url: nonempty(&self.place.database_url),
            docker_host: nonempty(&self.docker_host),
            gateway_address: self.gateway_address,
            undelete_days: self.undelete_days,
            accept_sparse_images: self.accept_sparse_images,
            upkeep: self.upkeep.read()?,
        };
        let mut faults = config.faults();
        if self.connections_per_address == 0 {
            faults.push("PORTOLAN_CONNECTIONS_PER_ADDRESS is 0; nobody could connect".to_owned());
        }
        let secret_key = nonempty(&self.secret_key).map(|text| secret_key(&text));
        let allowed = self.import_allow.as_deref().unwrap_or_default().parse::<Networks>();
        faults.extend(secret_key.iter().filter_map(|key| key.as_ref().err()).cloned());
        faults.extend(allowed.as_ref().err().map(|e| e.public_message().to_owned()));
        if !faults.is_empty() {
            return Err(Error::invalid("configuration", faults.join("; ")));
        }
        let start = Start {
            admin_password: nonempty(&self.admin_password).map(Secret::new),
            tls_files: self.tls_certificate.clone().zip(self.tls_key.clone()),
            metrics_token: nonempty(&self.metrics_token).map(Secret::new),
            connections_per_address: self.connections_per_address,
            secret_key: secret_key.and_then(|key| key.ok()),
            import_allow: allowed.unwrap_or_default(),
        };
        Ok((config, start))
    }

    pub(super) async fn run(self) -> Result<()> {
        let (config, start) = self.split()?;
        let data = self.place.data()?;
        let lock = lock(&data)?;
        let limits = Limits { per_address: start.connections_per_address, ..Limits::default() };
        // What may be taken is taken before anything else is started.
        let plain = bind(config.listen, "--listen").await?;
        let secure = bind(config.tls_listen, "--tls-listen").await?;
        let clock: SharedClock = Arc::new(SystemClock);
        let metrics = telemetry::start_metrics()?;
        let opened = self.place.open(&data).await?;
        let outcome = async {
            let app = app::build(
                config.clone(),
                &start,
                &data,
                opened.db.clone(),
                clock.clone(),
                metrics,
                &limits,
            )
            .await?;
            let generated = app.services.accounts.ensure_admin(start.admin_password).await?;
            let acceptor = match start.tls_files {
                Some((certificate, key)) => tls::from_files(&tls::Files { certificate, key })?,
                None => {
                    let host = config.registry_host();
                    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
                    let names = tls::names(host, config.tls_listen.ip());
                    tls::self_signed(&data.tls(), &names, clock.now())?
                }
            };
            if !self.no_gateway {
                start_gateway(&config, &data).await;
            }
            let lifecycle = Lifecycle::default();
            app::start_loops(&app.services, &lifecycle);
            let connections = Connections::default();
            for (socket, tls) in [(plain, None), (secure, Some(acceptor))] {
                let listener = Listener { socket, tls, connections: connections.clone(), limits };
                let router = app.router.clone();
                lifecycle.spawn("listener", |stop| serve(listener, router, stop));
            }
            banner(&config, &data, generated.as_ref());
            lifecycle.run_to_end().await
        };
        let outcome = outcome.await;
        opened.close().await;
        drop(lock);
        outcome
    }
}

/// Reads `PORTOLAN_SECRET_KEY`; the fault does not repeat it.
fn secret_key(text: &str) -> std::result::Result<Secret<[u8; 32]>, String> {
    let mut key = [0u8; 32];
    hex::decode_to_slice(text.trim(), &mut key).map_err(|_| {
        "PORTOLAN_SECRET_KEY is not 64 hexadecimal characters; make one with: openssl rand -hex 32"
            .to_owned()
    })?;
    Ok(Secret::new(key))
}

/// One server per data directory; the lock ends with the process, however it ends.
fn lock(data: &DataDir) -> Result<File> {
    let failed = |e: std::io::Error| Error::internal("locking the data directory", e);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(data.lock())
        .map_err(failed)?;
    file.try_lock().map_err(|_| {
        Error::conflict(
            "data_dir_in_use",
            format!("another server uses the data directory {}; stop it first, or choose another with --data-dir", data.path().display()),
        )
    })?;
    Ok(file)
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        Error::unavailable(format!(
            "cannot listen on {address}: {e}; choose another address with {flag}"
        ))
    })
}

/// Without a gateway the portal and the registry still work, so trouble with it is told, not
/// fatal.
async fn start_gateway(config: &Config, data: &DataDir) {
    let settings = gateway::Settings {
        socket: data.gateway_socket(),
        address: config.gateway_address,
        state_file: data.gateway_state(),
    };
    let started = match std::env::current_exe() {
        Ok(binary) => client::ensure_running(&binary, settings, &data.gateway_log()).await,
        Err(error) => Err(Error::internal("finding this program", error)),
    };
    if let Err(error) = started {
        tracing::error!(error = %error.chain(), "no gateway runs; services have no traffic");
    }
}

/// Tells a person where to go. Standard output holds nothing else, so that a script can read it.
fn banner(config: &Config, data: &DataDir, generated: Option<&Secret>) {
    let mut text = format!(
        "\n  Portolan is ready.\n\n  Portal and registry   {}\n  HTTPS                 https://{}  (CA: {})\n",
        config.external_url,
        config.tls_listen,
        data.tls().join("ca.pem").display(),
    );
    match generated {
        Some(password) => {
            text.push_str(&format!(
                "  Sign in as            admin\n  Password              {}\n\n  The password is shown only now. Change it in the portal, under your name.\n",
                password.expose()
            ));
        }
        None => text.push_str("  Sign in as            admin, or any user you made\n"),
    }
    text.push_str("\n  Ctrl-C stops the server. Containers and their traffic go on;\n  `portolan gateway --stop` ends the traffic, too.\n\n");
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

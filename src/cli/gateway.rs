//! `portolan gateway`: carries the traffic of services, beside the server or alone.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::app::DataDir;
use crate::base::{Error, Result};
use crate::engine::balance::client::GatewayClient;
use crate::engine::balance::gateway::{self, Settings};

/// Carry the traffic of services; `serve` starts one by itself.
#[derive(Debug, Args)]
pub(super) struct Gateway {
    /// The server's data directory.
    #[arg(long, env = "PORTOLAN_DATA_DIR", default_value = "data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Control socket; by default in the data directory.
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// Address on which ports are opened.
    #[arg(long, env = "PORTOLAN_GATEWAY_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "IP")]
    address: IpAddr,
    /// Where the last table is kept; by default in the data directory.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Tell the running gateway to finish its connections and end.
    #[arg(long)]
    stop: bool,
}

impl Gateway {
    pub(super) async fn run(self) -> Result<()> {
        let settings = match (self.socket, self.state) {
            (Some(socket), Some(state_file)) => {
                Settings { socket, address: self.address, state_file }
            }
            (socket, state) => {
                let data = DataDir::open(&self.data_dir)?;
                Settings {
                    socket: socket.unwrap_or_else(|| data.gateway_socket()),
                    address: self.address,
                    state_file: state.unwrap_or_else(|| data.gateway_state()),
                }
            }
        };
        if self.stop {
            return GatewayClient::new(settings.socket).stop().await;
        }
        let stop = CancellationToken::new();
        let serving = gateway::run(settings, stop.clone());
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            ended = &mut serving => return ended,
            heard = signal() => heard?,
        }
        stop.cancel();
        serving.await
    }
}

async fn signal() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let hear = |kind| signal(kind).map_err(|e| Error::internal("listening to signals", e));
    let (mut term, mut int) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

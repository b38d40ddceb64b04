//! `portolan healthcheck`: asks a running server, for containers without a shell.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::base::{Error, Result};

/// Ask a running server whether it is healthy.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Address of the plain HTTP listener.
    #[arg(long, env = "PORTOLAN_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
}

impl Healthcheck {
    pub(super) async fn run(self) -> Result<()> {
        let mut address = self.listen;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let ask = async {
            let mut stream = TcpStream::connect(address).await?;
            let request =
                format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(64 * 1024).read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = tokio::time::timeout(Duration::from_secs(5), ask)
            .await
            .map_err(|_| Error::unavailable(format!("{address} did not answer within 5 s")))?
            .map_err(|e| Error::unavailable(format!("{address} does not answer")).with_source(e))?;
        if answer.starts_with(b"HTTP/1.1 200 ") {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        Err(Error::unavailable(format!("{address} is not ready: {line}")))
    }
}

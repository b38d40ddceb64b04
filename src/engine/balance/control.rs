//! The control protocol: length-prefixed JSON over a unix socket of mode 0600, for the gateway's
//! own user and root only.
//!
//! The gateway speaks first ([`Hello`]); then every [`Request`] gets one [`Reply`]. The shapes of
//! `Hello` and `Request::Stop` never change, so that any server can recognise and replace any
//! gateway; all else may change with [`PROTOCOL`].

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;

use super::ports::Ports;
use super::{Report, Table, limits, state_file};
use crate::base::Error;

/// Version of the messages after [`Hello`].
pub const PROTOCOL: u32 = 1;

/// Who answers on the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    /// Version of the program.
    pub version: String,
    pub process: u32,
    /// Where it opens ports.
    pub address: IpAddr,
}

impl Hello {
    /// What this program says.
    pub fn new(address: IpAddr) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { protocol: PROTOCOL, version, process: std::process::id(), address }
    }
}

/// What a server asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Apply {
        table: Table,
    },
    Report,
    CheckPort {
        port: u16,
    },
    /// Gives up the ports and the socket, lets connections finish, ends.
    Stop,
}

/// What the gateway answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Report { report: Report },
    Done,
    Refused { code: String, message: String },
}

/// One end of a control connection.
pub type Line = Framed<UnixStream, LengthDelimitedCodec>;

/// Frames a stream; messages are bounded.
pub fn line(stream: UnixStream) -> Line {
    LengthDelimitedCodec::builder().max_frame_length(limits::MESSAGE_BYTES).new_framed(stream)
}

/// Sends one message.
pub async fn send<T: Serialize>(line: &mut Line, message: &T) -> io::Result<()> {
    line.send(Bytes::from(serde_json::to_vec(message)?)).await
}

/// Receives one message; the end of the stream is `UnexpectedEof`.
pub async fn receive<T: DeserializeOwned>(line: &mut Line) -> io::Result<T> {
    let frame = line.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
    Ok(serde_json::from_slice(&frame)?)
}

/// The gateway's side.
#[derive(Debug)]
pub struct Control {
    pub ports: Arc<Ports>,
    pub hello: Hello,
    pub state_file: PathBuf,
    /// Cancelled by `Stop`.
    pub stop: CancellationToken,
}

impl Control {
    /// Answers requests until the other side closes or the gateway stops.
    pub async fn serve(&self, stream: UnixStream) -> io::Result<()> {
        let peer = stream.peer_cred()?.uid();
        if peer != 0 && peer != rustix::process::geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut line = line(stream);
        send(&mut line, &self.hello).await?;
        loop {
            let frame = tokio::select! {
                frame = line.next() => frame,
                () = self.stop.cancelled() => None,
            };
            let Some(frame) = frame else { return Ok(()) };
            let reply = match serde_json::from_slice(&frame?) {
                Ok(request) => self.answer(request).await,
                Err(error) => refused(&Error::malformed(format!("not a request: {error}"))),
            };
            send(&mut line, &reply).await?;
        }
    }

    async fn answer(&self, request: Request) -> Reply {
        match request {
            Request::Apply { table } => self.apply(table).await,
            Request::Report => Reply::Report { report: self.ports.report().await },
            Request::CheckPort { port } => match self.ports.check(port).await {
                Ok(()) => Reply::Done,
                Err(error) => refused(&error),
            },
            Request::Stop => {
                self.stop.cancel();
                Reply::Done
            }
        }
    }

    /// Traffic first, then the disk; acknowledged after both. A table that cannot be kept is in
    /// force all the same, and the server is told.
    async fn apply(&self, table: Table) -> Reply {
        let (is_in_force, report) = self.ports.apply(&table).await;
        if is_in_force {
            let path = self.state_file.clone();
            let saved = tokio::task::spawn_blocking(move || state_file::save(&path, &table)).await;
            if let Err(error) = saved.unwrap_or_else(|e| Err(io::Error::other(e))) {
                tracing::error!(error = %error, file = %self.state_file.display(), "the table could not be kept on disk; it is in force, but a restarted gateway would not know it");
            }
        }
        Reply::Report { report }
    }
}

fn refused(error: &Error) -> Reply {
    Reply::Refused { code: error.code().to_owned(), message: error.public_message().to_owned() }
}

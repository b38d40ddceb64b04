//! The connection to a Docker Engine, and its failures in words.

use std::sync::OnceLock;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as DockerError;

use super::super::clean::summary;
use crate::base::{Error, Result};

const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// Longest wait for the head of an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Most characters shown of what Docker says.
const SHOWN: usize = 400;

/// A client that connects when it is first needed.
#[derive(Clone)]
pub(super) struct Client {
    host: String,
    docker: OnceLock<Docker>,
}

impl Client {
    pub(super) fn new(host: Option<&str>) -> Result<Self> {
        let host = host.filter(|h| !h.is_empty()).unwrap_or(DEFAULT_HOST);
        if !["unix://", "tcp://", "http://"].iter().any(|scheme| host.starts_with(scheme)) {
            return Err(Error::invalid(
                "DOCKER_HOST",
                "must start with unix:// or tcp://, for example unix:///var/run/docker.sock",
            ));
        }
        Ok(Self { host: host.to_owned(), docker: OnceLock::new() })
    }

    /// The client. Fails only while there is no socket.
    pub(super) fn docker(&self) -> Result<Docker> {
        if let Some(docker) = self.docker.get() {
            return Ok(docker.clone());
        }
        let (seconds, version) = (ANSWER_LIMIT.as_secs(), bollard::API_DEFAULT_VERSION);
        let docker = if self.host.starts_with("unix://") {
            Docker::connect_with_unix(&self.host, seconds, version)
        } else {
            Docker::connect_with_http(&self.host, seconds, version)
        };
        let docker = docker.map_err(|e| self.failed("answer", e))?;
        Ok(self.docker.get_or_init(|| docker).clone())
    }

    /// Why Docker could not do `doing`, in words that help.
    pub(super) fn failed(&self, doing: &str, error: DockerError) -> Error {
        if let Some((status, message)) = refusal(&error) {
            let message = summary(message.as_bytes(), SHOWN);
            let sentence = format!("Docker could not {doing}: {message}");
            return if status < 500 {
                Error::conflict("docker_refused", sentence)
            } else {
                Error::unavailable(sentence).with_code("docker_failed")
            }
            .with_source(error);
        }
        let host = &self.host;
        let sentence = match &error {
            DockerError::RequestTimeoutError => format!("Docker took too long to {doing}"),
            DockerError::DockerStreamError { error } => {
                format!("Docker could not {doing}: {}", summary(error.as_bytes(), SHOWN))
            }
            _ if has_cause(&error, std::io::ErrorKind::PermissionDenied) => format!(
                "Portolan may not use the Docker Engine at {host}: add its user to the group docker"
            ),
            DockerError::SocketNotFoundError(_) => no_daemon(host),
            DockerError::HyperLegacyError { err } if err.is_connect() => no_daemon(host),
            _ => {
                format!("lost the connection to the Docker Engine at {host}, which was to {doing}")
            }
        };
        Error::unavailable(sentence).with_source(error)
    }
}

fn no_daemon(host: &str) -> String {
    format!("no Docker Engine answers at {host}: start Docker, or set DOCKER_HOST")
}

fn has_cause(error: &DockerError, kind: std::io::ErrorKind) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == kind) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Status and message of an answer that refuses.
pub(super) fn refusal(error: &DockerError) -> Option<(u16, &str)> {
    match error {
        DockerError::DockerResponseServerError { status_code, message } => {
            Some((*status_code, message))
        }
        _ => None,
    }
}

/// Status of an answer that refuses.
pub(super) fn status(error: &DockerError) -> Option<u16> {
    refusal(error).map(|(status, _)| status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    #[test]
    fn a_missing_socket_says_what_to_do() {
        let client = Client::new(Some("unix:///nowhere/docker.sock")).expect("a client");
        let error = client.docker().expect_err("no socket");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(
            error.public_message(),
            "no Docker Engine answers at unix:///nowhere/docker.sock: start Docker, or set DOCKER_HOST"
        );
    }

    #[test]
    fn unknown_schemes_are_refused() {
        for bad in ["ssh://a", "/var/run/docker.sock", "npipe:////./pipe/x"] {
            assert!(Client::new(Some(bad)).is_err(), "{bad}");
        }
    }
}

//! The real `docker` client with a configuration directory of its own.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

/// What an image does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Answers every request with its host name and version.
    Serves,
    /// Runs, logs why it is unhappy, and never listens.
    NeverReady,
}

/// `docker` as one person uses it.
pub(super) struct DockerClient {
    registry: SocketAddr,
    config: tempfile::TempDir,
}

impl DockerClient {
    pub(super) fn new(registry: SocketAddr) -> Self {
        Self { registry, config: tempfile::tempdir().expect("temporary directory") }
    }

    /// The full name of `repository:version` in the registry.
    pub(super) fn image(&self, repository: &str, version: &str) -> String {
        format!("{}/{repository}:{version}", self.registry)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        // The classic builder needs no plugin and no image from outside.
        command.env("DOCKER_CONFIG", self.config.path()).env("DOCKER_BUILDKIT", "0").args(args);
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().expect("docker runs")
    }

    /// Runs `docker args…`, which must succeed; its output.
    pub(super) fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "docker {args:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Runs `docker args…`, which the registry must refuse without telling whether it exists.
    pub(super) fn refused(&self, args: &[&str]) {
        let output = self.output(args);
        let text = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(!output.status.success(), "docker {args:?} went through");
        assert!(text.contains("denied") || text.contains("not found"), "docker {args:?}: {text}");
    }

    pub(super) fn login(&self, name: &str, password: &str) {
        self.run(&["login", "-u", name, "-p", password, &self.registry.to_string()]);
    }

    pub(super) fn push(&self, image: &str) {
        self.run(&["push", "-q", image]);
    }

    /// Builds `image` from a static busybox.
    pub(super) fn build(&self, image: &str, version: &str, kind: Kind) {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::copy("/bin/busybox", dir.path().join("busybox")).expect("busybox-static");
        let start = match kind {
            Kind::Serves => format!(
                "/busybox mkdir -p /tmp/www && echo \"$(/busybox hostname) version {version}\" > \
                 /tmp/www/index.html && exec /busybox httpd -f -p 8080 -h /tmp/www"
            ),
            Kind::NeverReady => {
                "while true; do echo cannot reach the database; /busybox sleep 1; done".to_owned()
            }
        };
        let cmd = serde_json::json!(["/busybox", "sh", "-c", start]);
        let dockerfile = format!("FROM scratch\nCOPY busybox /busybox\nCMD {cmd}\n");
        std::fs::write(dir.path().join("Dockerfile"), dockerfile).expect("written");
        self.run(&["build", "-q", "-t", image, &dir.path().to_string_lossy()]);
    }

    /// Ids of the running containers.
    pub(super) fn running(&self) -> Vec<String> {
        self.run(&["ps", "-q", "--no-trunc"]).lines().map(str::to_owned).collect()
    }

    pub(super) fn exists(&self, id: &str) -> bool {
        self.output(&["inspect", id]).status.success()
    }
}

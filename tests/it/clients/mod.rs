//! The clients people use, against a real socket.

mod artifacts;
mod images;
mod signatures;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::support::oci::PASSWORD;

pub(crate) struct Run {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

async fn finish(mut command: Command) -> Run {
    let output = command.stdin(Stdio::null()).output().await.expect("the program runs");
    Run {
        ok: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        err: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    }
}

pub(crate) async fn run(program: &str, args: &[&str]) -> Run {
    let mut command = Command::new(program);
    command.args(args);
    finish(command).await
}

pub(crate) async fn must(program: &str, args: &[&str]) -> String {
    let done = run(program, args).await;
    assert!(done.ok, "{program} {args:?}\n{}\n{}", done.out, done.err);
    done.out
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Where `scripts/clients.sh` puts the clients that Debian stable does not have.
fn fetched(program: &str) -> PathBuf {
    let cache = || {
        let home = std::env::var_os("XDG_CACHE_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache"),
            PathBuf::from,
        );
        home.join("portolan-clients")
    };
    let place = std::env::var_os("PORTOLAN_CLIENTS").map_or_else(cache, PathBuf::from);
    let path = place.join("bin").join(program);
    assert!(path.exists(), "{} is missing; scripts/clients.sh fetches it", path.display());
    path
}

/// One person's desk: a home directory of its own, in which clients keep what they know.
pub(crate) struct Desk {
    host: String,
    dir: tempfile::TempDir,
}

impl Desk {
    pub fn new(host: &str) -> Self {
        // Podman and buildah make a name of the path, so it must be in lower case.
        let lower = format!("portolan-desk-{}", hex::encode(uuid::Uuid::new_v4().as_bytes()));
        let dir = tempfile::Builder::new().prefix(&lower).rand_bytes(0).tempdir().expect("tempdir");
        let this = Self { host: host.to_owned(), dir };
        // Buildah insists on the file that the variable names.
        std::fs::create_dir(this.path("docker")).expect("made");
        std::fs::write(this.path("docker/config.json"), "{}").expect("written");
        this
    }

    /// Logs in as `docker login` does; crane, oras, cosign and helm read the same file.
    pub async fn logged_in(self, user: &str) -> Self {
        let login = ["login", &self.host, "-u", user, "-p", PASSWORD];
        self.must("docker", &login).await;
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn run(&self, program: &str, args: &[&str]) -> Run {
        finish(self.command(program, args)).await
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let place = match program {
            "crane" | "oras" | "cosign" | "notation" | "helm" => fetched(program),
            _ => PathBuf::from(program),
        };
        let mut command = Command::new(place);
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("DOCKER_CONFIG", self.path("docker"))
            .env("COSIGN_PASSWORD", "")
            .env("COSIGN_EXPERIMENTAL", "1");
        command
    }

    pub async fn must(&self, program: &str, args: &[&str]) -> String {
        let done = self.run(program, args).await;
        assert!(done.ok, "{program} {args:?}\n{}\n{}", done.out, done.err);
        done.out
    }

    /// Starts a containerd that shares nothing with any other.
    pub async fn containerd(&self) -> Containerd {
        let place = self.path("containerd");
        std::fs::create_dir(&place).expect("made");
        let shown = place.display();
        let config = format!(
            "version = 2\nroot = \"{shown}/root\"\nstate = \"{shown}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\n  address = \"{shown}/socket\"\n"
        );
        std::fs::write(place.join("config.toml"), config).expect("written");
        let child = Command::new("containerd")
            .args(["-c", text(&place.join("config.toml"))])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("containerd starts");
        let this = Containerd { socket: place.join("socket"), _child: child };
        for _ in 0..200 {
            if this.try_ctr(self, &["version"]).await.ok {
                return this;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("containerd does not answer");
    }
}

/// A running containerd; ends with this value.
pub(crate) struct Containerd {
    socket: PathBuf,
    _child: Child,
}

impl Containerd {
    pub async fn try_ctr(&self, desk: &Desk, args: &[&str]) -> Run {
        let args: Vec<&str> =
            ["--address", text(&self.socket)].into_iter().chain(args.iter().copied()).collect();
        desk.run("ctr", &args).await
    }

    pub async fn ctr(&self, desk: &Desk, args: &[&str]) -> String {
        let done = self.try_ctr(desk, args).await;
        assert!(done.ok, "ctr {args:?}\n{}\n{}", done.out, done.err);
        done.out
    }
}

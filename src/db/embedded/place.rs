//! Where the cluster, its socket and its log are, and how they are made.

use std::fs::{self, DirBuilder, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::owner::{Owner, is_root};
use super::programs::Programs;
use crate::base::{Digest, Error, Result};

/// Owner of everything in the cluster, and the database the tables are in.
const NAME: &str = "portolan";
const PORT: u16 = 5432;
/// A unix socket's path has room for 107 bytes; the name of the socket takes 14.
const LONGEST_SOCKET_DIR: usize = 90;
/// The log is set aside at this size, once.
const MAX_LOG: u64 = 8 << 20;
/// Clusters of data directories that their owner cannot reach.
const ELSEWHERE: &str = "/var/lib/portolan";

pub(super) fn io(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format!("{what} {}", path.display())).with_source(error)
}

/// The paths of one installation.
#[derive(Debug)]
pub(super) struct Place {
    pub owner: Owner,
    /// The cluster's directory, without links.
    pub cluster: PathBuf,
    pub socket_dir: PathBuf,
    data_dir: PathBuf,
}

impl Place {
    /// Where the cluster of `data_dir` (canonical) is or is to be.
    pub(super) fn find(data_dir: &Path) -> Result<Self> {
        let entry = data_dir.join("postgres");
        let hash = Digest::sha256(data_dir.as_os_str().as_encoded_bytes()).short().to_owned();
        let (owner, cluster) = match fs::canonicalize(&entry) {
            Ok(cluster) => {
                let meta = fs::metadata(&cluster)
                    .map_err(|e| io("cannot open the cluster", &cluster, e))?;
                let owner = Owner::of(&cluster, &meta)?;
                if !owner.reaches(&cluster) {
                    return Err(Error::unavailable(format!(
                        "PostgreSQL (user id {}) cannot reach its cluster {}; open the directories \
                         above it (chmod o+x)",
                        owner.uid,
                        cluster.display()
                    )));
                }
                (owner, cluster)
            }
            Err(_) if entry.is_symlink() => {
                return Err(Error::unavailable(format!(
                    "{} links to a cluster that is gone; restore it, or remove the link to start \
                     with an empty database",
                    entry.display()
                )));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let owner = Owner::choose()?;
                if owner.reaches(data_dir) {
                    (owner, entry)
                } else {
                    (owner, elsewhere(data_dir, &hash, owner)?)
                }
            }
            Err(e) => return Err(io("cannot open the cluster", &entry, e)),
        };
        let near = cluster.with_file_name("postgres.socket");
        let socket_dir = if near.as_os_str().len() <= LONGEST_SOCKET_DIR {
            near
        } else if is_root() {
            Path::new("/run/portolan").join(&hash)
        } else {
            std::env::temp_dir().join(format!("portolan-{}-{hash}", owner.uid))
        };
        let place = Self { owner, cluster, socket_dir, data_dir: data_dir.to_owned() };
        if place.is_initialized() {
            place.link()?;
        }
        Ok(place)
    }

    /// Whether the cluster has been made.
    pub(super) fn is_initialized(&self) -> bool {
        self.cluster.exists()
    }

    /// The release that made the cluster, if it has been made.
    pub(super) fn version(&self) -> Result<Option<u32>> {
        if !self.is_initialized() {
            return Ok(None);
        }
        let text = fs::read_to_string(self.cluster.join("PG_VERSION")).map_err(|e| {
            io("there is no PostgreSQL cluster; move away the directory", &self.cluster, e)
        })?;
        Ok(text.trim().parse().ok())
    }

    /// Makes the cluster beside its place and moves it there when it is whole.
    pub(super) async fn initialize(&self, programs: &Programs) -> Result<()> {
        let draft = self.cluster.with_file_name("postgres.new");
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(|e| io("cannot remove", &draft, e))?;
        }
        self.make_owned(&draft)?;
        let mut command = programs.command("initdb");
        command.arg("--pgdata").arg(&draft).args([
            "--username",
            NAME,
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
        ]);
        self.owner.run(&mut command);
        let output = command
            .output()
            .await
            .map_err(|e| Error::internal("running PostgreSQL's initdb", e))?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::unavailable(format!(
                "cannot make the PostgreSQL cluster {}",
                self.cluster.display()
            ))
            .with_source(reason));
        }
        fs::rename(&draft, &self.cluster)
            .and_then(|()| File::open(self.cluster.with_file_name("."))?.sync_all())
            .map_err(|e| io("cannot make", &self.cluster, e))?;
        self.link()
    }

    /// Makes `<data_dir>/postgres` name a cluster that is elsewhere.
    fn link(&self) -> Result<()> {
        let entry = self.data_dir.join("postgres");
        if entry.exists() {
            return Ok(());
        }
        symlink(&self.cluster, &entry).map_err(|e| io("cannot make the link", &entry, e))
    }

    /// Makes the socket directory, or makes sure that it is private.
    pub(super) fn make_socket_dir(&self) -> Result<()> {
        let dir = &self.socket_dir;
        if is_root()
            && let Some(parent) = dir.parent()
        {
            make_open(parent)?;
        }
        match fs::symlink_metadata(dir) {
            Err(_) => self.make_owned(dir),
            Ok(meta) if meta.is_dir() && meta.uid() == self.owner.uid => {
                fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
                    .map_err(|e| io("cannot close", dir, e))
            }
            Ok(_) => Err(Error::unavailable(format!(
                "{} is not a directory of PostgreSQL's user; remove it",
                dir.display()
            ))),
        }
    }

    fn make_owned(&self, dir: &Path) -> Result<()> {
        DirBuilder::new().mode(0o700).create(dir).map_err(|e| io("cannot make", dir, e))?;
        if is_root() {
            chown(dir, Some(self.owner.uid), Some(self.owner.gid))
                .map_err(|e| io("cannot hand over", dir, e))?;
        }
        Ok(())
    }

    /// How to connect to the database `portolan`.
    pub(super) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_dir)
            .port(PORT)
            .username(NAME)
            .database(NAME)
            .ssl_mode(PgSslMode::Disable)
    }

    /// Where PostgreSQL's messages go.
    pub(super) fn log(&self) -> PathBuf {
        self.data_dir.join("postgres.log")
    }

    /// The log, open for appending.
    pub(super) fn open_log(&self) -> Result<File> {
        let path = self.log();
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|e| io("cannot open the log", &path, e))
    }

    /// The end of the log, for an error.
    pub(super) fn log_tail(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(self.log()) {
            let size = file.metadata().map_or(0, |meta| meta.len());
            if file.seek(SeekFrom::Start(size.saturating_sub(600))).is_ok() {
                // What cannot be read is left out of a message that names the file.
                drop(file.take(600).read_to_end(&mut text));
            }
        }
        String::from_utf8_lossy(&text).trim().replace('\n', " | ")
    }

    /// Sets the log aside when it is large. PostgreSQL appends, so it goes on in the emptied file.
    pub(super) fn bound_log(&self) {
        let path = self.log();
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > MAX_LOG) {
            let done = fs::copy(&path, self.data_dir.join("postgres.log.1"))
                .and_then(|_| File::options().write(true).open(&path)?.set_len(0));
            if let Err(error) = done {
                tracing::warn!(error = %error, "cannot shorten PostgreSQL's log");
            }
        }
    }
}

/// Makes a directory of root that others may pass through but not list.
fn make_open(dir: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o711).create(dir).map_err(|e| io("cannot make", dir, e))
}

/// The cluster's path outside the data directory.
fn elsewhere(data_dir: &Path, hash: &str, owner: Owner) -> Result<PathBuf> {
    let dir = Path::new(ELSEWHERE).join(hash);
    make_open(&dir)?;
    if !owner.reaches(&dir) {
        return Err(Error::unavailable(format!(
            "PostgreSQL (user id {}) can reach neither {} nor {}; open one of them (chmod o+x)",
            owner.uid,
            data_dir.display(),
            dir.display()
        )));
    }
    tracing::info!(
        postgres.cluster = %dir.join("postgres").display(),
        data_dir = %data_dir.display(),
        "PostgreSQL's user cannot enter the data directory, so the database is kept outside it"
    );
    Ok(dir.join("postgres"))
}

//! Finding the programs of PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::base::{Error, Result};

/// Oldest release that is used.
const OLDEST: u32 = 15;

/// The programs of one release.
#[derive(Debug)]
pub(super) struct Programs {
    dir: PathBuf,
}

/// Where PostgreSQL is looked for: what `pg_config` of the search path says, then the places of
/// distributions, the newest first.
pub(super) async fn search_path() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Some(dir) = output(Path::new("pg_config"), "--bindir").await {
        dirs.push(PathBuf::from(dir));
    }
    let mut releases: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-"), ("/opt", "pgsql-")] {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(major) = name.strip_prefix(prefix).and_then(|major| major.parse().ok()) {
                releases.push((major, entry.path().join("bin")));
            }
        }
    }
    releases.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    dirs.extend(releases.into_iter().map(|(_, dir)| dir));
    dirs.extend(["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    dirs
}

async fn output(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .await
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}

/// The release in `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn major(version: &str) -> Option<u32> {
    let number = version.strip_prefix("postgres (PostgreSQL) ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl Programs {
    /// The first directory of `search` with a release that fits: that of the cluster if there is
    /// one, otherwise any that is not too old.
    pub(super) async fn find(search: &[PathBuf], cluster: Option<u32>) -> Result<Self> {
        for dir in search {
            if !dir.join("initdb").is_file() {
                continue;
            }
            let Some(found) = output(&dir.join("postgres"), "--version").await else { continue };
            let Some(found) = major(&found) else { continue };
            if cluster.map_or(found >= OLDEST, |release| found == release) {
                return Ok(Self { dir: dir.clone() });
            }
        }
        let message = match cluster {
            Some(release) => format!(
                "the data directory holds a cluster of PostgreSQL {release}, which is not \
                 installed; install it (Debian, Ubuntu: apt-get install postgresql-{release})"
            ),
            None => format!(
                "PostgreSQL {OLDEST} or newer is not installed; install it (Debian, Ubuntu: \
                 apt-get install postgresql; Fedora: dnf install postgresql-server; Alpine: apk \
                 add postgresql), or name a running one with DATABASE_URL"
            ),
        };
        Err(Error::unavailable(message).with_code("postgres_missing"))
    }

    /// A command of `program` with nothing of this process's environment or directory.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.dir.join(program));
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_any_build() {
        assert_eq!(major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("postmaster 9"), None);
    }
}

//! Who PostgreSQL runs as, and what that user can reach.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::base::{Error, Result};

/// Users that root hands the cluster to, the best first.
const CANDIDATES: [&str; 3] = ["postgres", "portolan", "nobody"];

/// A user that is not root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// Whether this process is root and must hand PostgreSQL to somebody else.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Owner {
    /// Whoever makes a new cluster: this process, or for root the first candidate there is.
    pub(super) fn choose() -> Result<Self> {
        if !is_root() {
            return Ok(Self {
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
            });
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        CANDIDATES.iter().find_map(|name| Self::parse(&users, name)).ok_or_else(|| {
            Error::unavailable(
                "PostgreSQL does not run as root and there is no user postgres, portolan or \
                 nobody; make one: useradd --system portolan",
            )
        })
    }

    fn parse(users: &str, name: &str) -> Option<Self> {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next()? != name {
                return None;
            }
            let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
            Some(Self { uid, gid: fields.next()?.parse().ok()? })
        })
    }

    /// Whoever a cluster belongs to already; it stays theirs.
    pub(super) fn of(cluster: &Path, meta: &Metadata) -> Result<Self> {
        let owner = Self { uid: meta.uid(), gid: meta.gid() };
        let us = rustix::process::geteuid().as_raw();
        if owner.uid == 0 || (!is_root() && owner.uid != us) {
            return Err(Error::unavailable(format!(
                "the cluster {} belongs to user id {}, as whom it cannot be run by user id {us}",
                cluster.display(),
                owner.uid
            )));
        }
        Ok(owner)
    }

    /// Whether every directory from the root down to `dir` lets this user pass. `dir` is canonical.
    pub(super) fn reaches(self, dir: &Path) -> bool {
        dir.ancestors().all(|dir| {
            std::fs::metadata(dir).is_ok_and(|meta| {
                let bit = if meta.uid() == self.uid {
                    0o100
                } else if meta.gid() == self.gid {
                    0o010
                } else {
                    0o001
                };
                meta.mode() & bit != 0
            })
        })
    }

    /// Runs `command` as this user.
    pub(super) fn run(self, command: &mut tokio::process::Command) {
        if is_root() {
            command.uid(self.uid).gid(self.gid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_of_users_other_than_root_are_taken() {
        let users = "root:x:0:0::/:/bin/sh\npostgresql:x:7:7::/:\nportolan:x:0:0::/:\npostgres:x:101:104:,,,:/:\n";
        assert_eq!(Owner::parse(users, "postgres"), Some(Owner { uid: 101, gid: 104 }));
        assert_eq!(Owner::parse(users, "portolan"), None);
        assert_eq!(Owner::parse(users, "nobody"), None);
    }
}

//! The container policy: one function over the typed value that is actually sent to a runtime.
//!
//! It is asked at admission, for every new revision, and again before each container is created,
//! so a row that somebody edited by hand starts nothing. What a tenant could use to reach the
//! host (privileges, host paths, namespaces, devices, log drivers, published ports) has no field
//! in [`ContainerSpec`]; the rules here cover the fields it does have.

use super::runtime::ContainerSpec;
use super::validate::is_working_dir;
use crate::base::{Error, FieldError, Result};

/// Labels with this prefix say whose a container is; only the runtime writes them.
pub const RESERVED_LABELS: &str = "portolan.";
/// Most processes and threads of a container.
pub const PIDS_LIMIT: u32 = 512;

/// Refuses a container that breaks the policy, naming every rule it breaks.
pub fn check(spec: &ContainerSpec) -> Result<()> {
    let mut faults = Vec::new();
    let mut refuse = |field: &str, message: &str| {
        faults.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    };
    if spec.cpu_limit.millis() == 0 {
        refuse("resources.limits.cpu", "must be set");
    }
    if spec.memory_limit.bytes() == 0 {
        refuse("resources.limits.memory", "must be set");
    }
    if spec.cpu_request > spec.cpu_limit {
        refuse("resources.requests.cpu", "must not exceed the limit");
    }
    if !(1..=4096).contains(&spec.pids_limit) {
        refuse("pidsLimit", "must be between 1 and 4096");
    }
    if spec.user == Some(0) {
        refuse("securityContext.runAsUser", "must not be 0 (root)");
    }
    if spec.working_dir.as_deref().is_some_and(|dir| !is_working_dir(dir)) {
        refuse("workingDir", "must be an absolute path outside /proc, /sys and /dev");
    }
    if spec
        .env
        .iter()
        .any(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
    {
        refuse("env", "names hold no \"=\", and nothing holds a NUL");
    }
    if spec.command.iter().chain(&spec.args).any(|a| a.contains('\0')) {
        refuse("command", "holds a NUL");
    }
    if !spec.network.starts_with("portolan-") || !is_plain(&spec.network) {
        refuse("network", "must be the environment's own");
    }
    if !spec.name.starts_with("portolan-") || !is_plain(&spec.name) {
        refuse("name", "must be one that Portolan gave");
    }
    if spec.labels.iter().any(|(key, _)| key.to_ascii_lowercase().starts_with(RESERVED_LABELS)) {
        refuse("labels", "must not use the reserved prefix");
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid_fields(faults).with_code("policy_refused"))
    }
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Cpu, Memory, Timestamp};
    use crate::engine::runtime::PinnedImage;

    type Spoil = fn(&mut ContainerSpec);

    fn fine() -> ContainerSpec {
        let at = Timestamp::UNIX_EPOCH;
        ContainerSpec {
            replica: crate::base::id::ReplicaId::new(at),
            deployment: crate::base::id::DeploymentId::new(at),
            attempt: 0,
            name: "portolan-demo-hello-abc-0".to_owned(),
            hostname: "hello-abc".to_owned(),
            image: PinnedImage {
                repository: "demo/hello".parse().expect("valid"),
                digest: crate::base::Digest::sha256(b"x"),
            },
            command: Vec::new(),
            args: Vec::new(),
            working_dir: None,
            env: Vec::new(),
            user: None,
            cpu_limit: Cpu::from_millis(100),
            memory_limit: Memory::from_bytes(64 << 20),
            cpu_request: Cpu::from_millis(50),
            pids_limit: PIDS_LIMIT,
            read_only_root: false,
            bind_low_ports: false,
            network: "portolan-demo".to_owned(),
            labels: vec![("environment".to_owned(), "demo".to_owned())],
        }
    }

    #[test]
    fn each_hostile_value_is_refused_by_its_own_rule() {
        assert!(check(&fine()).is_ok());
        let cases: [(&str, Spoil); 14] = [
            ("resources.limits.cpu", |s| s.cpu_limit = Cpu::from_millis(0)),
            ("resources.limits.memory", |s| s.memory_limit = Memory::from_bytes(0)),
            ("resources.requests.cpu", |s| s.cpu_request = Cpu::from_millis(500)),
            ("pidsLimit", |s| s.pids_limit = 0),
            ("securityContext.runAsUser", |s| s.user = Some(0)),
            ("workingDir", |s| s.working_dir = Some("/proc/self/fd/8".to_owned())),
            ("workingDir", |s| s.working_dir = Some("relative".to_owned())),
            ("env", |s| s.env = vec![("A=B".to_owned(), String::new())]),
            ("command", |s| s.args = vec!["a\0b".to_owned()]),
            ("network", |s| s.network = "host".to_owned()),
            ("network", |s| s.network = "container:abc".to_owned()),
            ("network", |s| s.network = "portolan-demo/../x".to_owned()),
            ("name", |s| s.name = "dockerd".to_owned()),
            ("labels", |s| s.labels = vec![("Portolan.replica".to_owned(), "x".to_owned())]),
        ];
        for (field, spoil) in cases {
            let mut spec = fine();
            spoil(&mut spec);
            let error = check(&spec).expect_err(field);
            assert!(error.fields().iter().any(|f| f.field == field), "{field}: {error:?}");
        }
    }
}

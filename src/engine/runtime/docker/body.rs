//! The body of a create request: the specification plus the fixed part of the container policy.
//!
//! Every field a tenant must not control is either set here to its safe value or left to a
//! default of the daemon that is safe (seccomp and AppArmor profiles, masked and read-only
//! paths). An image whose user is root runs as root without any capability.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigLogConfig, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};

use super::super::ContainerSpec;
use super::seal::Seal;

/// Bytes of `/dev/shm`.
const SHM_SIZE: i64 = 64 << 20;

fn some_unless_empty(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn text(values: &[&str]) -> Option<Vec<String>> {
    Some(values.iter().map(|v| (*v).to_owned()).collect())
}

/// The request for `spec`; `cpus` is the node's CPUs in billionths, 0 if unknown.
pub(super) fn create(
    spec: &ContainerSpec,
    image: String,
    network: String,
    seal: &Seal,
    cpus: i64,
) -> ContainerCreateBody {
    let endpoint = (network.clone(), EndpointSettings::default());
    ContainerCreateBody {
        hostname: Some(spec.hostname.clone()),
        user: spec.user.map(|u| u.to_string()),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        entrypoint: some_unless_empty(&spec.command),
        cmd: some_unless_empty(&spec.args),
        working_dir: spec.working_dir.clone(),
        image: Some(image),
        labels: Some(seal.labels(spec)),
        tty: Some(false),
        open_stdin: Some(false),
        // Probing is the engine's; an image's own health check would only cost.
        healthcheck: Some(HealthConfig { test: text(&["NONE"]), ..HealthConfig::default() }),
        host_config: Some(host_config(spec, cpus, network)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([endpoint])),
        }),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &ContainerSpec, cpus: i64, network: String) -> HostConfig {
    let memory = i64::try_from(spec.memory_limit.bytes()).unwrap_or(i64::MAX);
    let limit = spec.cpu_limit.nanos();
    let log = HashMap::from([
        ("max-size".to_owned(), "10m".to_owned()),
        ("max-file".to_owned(), "2".to_owned()),
    ]);
    HostConfig {
        privileged: Some(false),
        cap_drop: text(&["ALL"]),
        cap_add: if spec.bind_low_ports { text(&["NET_BIND_SERVICE"]) } else { None },
        security_opt: text(&["no-new-privileges:true"]),
        readonly_rootfs: Some(spec.read_only_root),
        memory: Some(memory),
        // The same as `memory`: no swap.
        memory_swap: Some(memory),
        // The daemon refuses more CPUs than it has; a limit above that limits nothing anyway.
        nano_cpus: Some(if cpus > 0 { limit.min(cpus) } else { limit }),
        cpu_shares: Some(cpu_shares(spec)),
        pids_limit: Some(i64::from(spec.pids_limit)),
        shm_size: Some(SHM_SIZE),
        init: Some(true),
        network_mode: Some(network),
        ipc_mode: Some("private".to_owned()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        publish_all_ports: Some(false),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        auto_remove: Some(false),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(log),
        }),
        ..HostConfig::default()
    }
}

/// Weight under contention, as Kubernetes derives it from the request: 1024 per CPU, 2 at least.
fn cpu_shares(spec: &ContainerSpec) -> i64 {
    let shares = spec.cpu_request.millis().saturating_mul(1024) / 1000;
    i64::try_from(shares.clamp(2, 262_144)).unwrap_or(2)
}

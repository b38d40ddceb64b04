//! The rules of one container: its start-up, environment, ports, resources and probes.

use std::collections::BTreeSet;

use super::{
    DEFAULT_CPU_LIMIT, DEFAULT_CPU_REQUEST, DEFAULT_MEMORY_LIMIT, DEFAULT_MEMORY_REQUEST, Faults,
    rule_of, shown,
};
use crate::base::{Cpu, ImageRef, Memory, TeamName};
use crate::engine::spec::{Container, Probe, Resources, SecurityContext};

/// Docker refuses less than these.
const MIN_CPU: Cpu = Cpu::from_millis(10);
const MIN_MEMORY: Memory = Memory::from_bytes(6 << 20);
const MAX_CPU: Cpu = Cpu::from_millis(1_024_000);
const MAX_MEMORY: Memory = Memory::from_bytes(64 << 40);
/// Longest environment of a container, bytes; Linux refuses much more at `execve`.
const MAX_ENVIRONMENT: usize = 128 << 10;

pub(super) fn container(faults: &mut Faults, path: &str, c: &mut Container) {
    // The rule of a DNS label; any name type with that rule states it.
    if let Err(error) = c.name.parse::<TeamName>() {
        faults.add(format!("{path}.name"), rule_of(&error));
    }
    if let Err(error) = c.image.parse::<ImageRef>() {
        faults.add(format!("{path}.image"), rule_of(&error));
    }
    arguments(faults, &format!("{path}.command"), &c.command);
    arguments(faults, &format!("{path}.args"), &c.args);
    if let Some(dir) = &c.working_dir
        && !is_working_dir(dir)
    {
        faults.add(
            format!("{path}.workingDir"),
            "must be an absolute path without \"..\", outside /proc, /sys and /dev",
        );
    }
    environment(faults, path, c);
    ports(faults, path, c);
    resources(faults, &format!("{path}.resources"), &mut c.resources);
    for (name, probe) in [
        ("readinessProbe", &c.readiness_probe),
        ("livenessProbe", &c.liveness_probe),
        ("startupProbe", &c.startup_probe),
    ] {
        if let Some(probe) = probe {
            let restarts = name != "readinessProbe";
            self::probe(faults, &format!("{path}.{name}"), probe, restarts);
        }
    }
    if let Some(context) = &c.security_context {
        security(faults, &format!("{path}.securityContext"), context);
    }
}

fn arguments(faults: &mut Faults, path: &str, arguments: &[String]) {
    if arguments.len() > 128 {
        faults.add(path, "may have at most 128 entries");
    }
    if arguments.iter().any(|a| a.len() > 16 << 10 || a.contains('\0')) {
        faults.add(path, "entries are at most 16384 bytes and hold no NUL");
    }
}

/// A working directory that cannot reach a file of the host through a leaked descriptor.
pub(in crate::engine) fn is_working_dir(dir: &str) -> bool {
    let hidden = |root: &str| dir == root || dir.starts_with(&format!("{root}/"));
    dir.starts_with('/')
        && dir.len() <= 4096
        && !dir.contains("//")
        && !dir.chars().any(char::is_control)
        && !dir.split('/').any(|part| part == ".." || part == ".")
        && !["/proc", "/sys", "/dev"].into_iter().any(hidden)
}

fn environment(faults: &mut Faults, path: &str, c: &Container) {
    if c.env.len() > 256 {
        faults.add(format!("{path}.env"), "may have at most 256 variables");
    }
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    for (index, variable) in c.env.iter().enumerate().take(256) {
        let field = format!("{path}.env[{index}]");
        let name = &variable.name;
        let named = !name.is_empty()
            && name.len() <= 256
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !named {
            faults.add(
                format!("{field}.name"),
                "must be letters, digits, underscores, dots or hyphens, not starting with a digit",
            );
        } else if !seen.insert(name) {
            faults.add(format!("{field}.name"), format!("\"{}\" is set twice", shown(name)));
        }
        if variable.value.contains('\0') {
            faults.add(format!("{field}.value"), "holds a NUL");
        }
        bytes += name.len() + variable.value.len();
    }
    if bytes > MAX_ENVIRONMENT {
        faults.add(format!("{path}.env"), "is over 128 KiB in all");
    }
}

fn ports(faults: &mut Faults, path: &str, c: &Container) {
    if c.ports.len() > 32 {
        faults.add(format!("{path}.ports"), "may have at most 32 ports");
    }
    let mut seen = BTreeSet::new();
    for (index, port) in c.ports.iter().enumerate().take(32) {
        let field = format!("{path}.ports[{index}]");
        if port.container_port == 0 {
            faults.add(format!("{field}.containerPort"), "must be between 1 and 65535");
        } else if !seen.insert(port.container_port) {
            faults.add(format!("{field}.containerPort"), "is listed twice");
        }
        if port.protocol.as_deref().is_some_and(|p| p != "TCP") {
            faults.add(format!("{field}.protocol"), "must be TCP");
        }
        if port.name.as_deref().is_some_and(|n| n.parse::<TeamName>().is_err()) {
            faults.add(
                format!("{field}.name"),
                "must be 1 to 63 lower-case letters, digits or hyphens",
            );
        }
    }
}

/// Fills in the platform's limits and requests, then checks them. A limit that is not given grows
/// with the request; a request that is not given shrinks to the limit.
fn resources(faults: &mut Faults, path: &str, r: &mut Resources) {
    let cpu_limit =
        r.limits.cpu.unwrap_or(DEFAULT_CPU_LIMIT.max(r.requests.cpu.unwrap_or_default()));
    let cpu_request = r.requests.cpu.unwrap_or(DEFAULT_CPU_REQUEST.min(cpu_limit));
    let memory_limit =
        r.limits.memory.unwrap_or(DEFAULT_MEMORY_LIMIT.max(r.requests.memory.unwrap_or_default()));
    let memory_request = r.requests.memory.unwrap_or(DEFAULT_MEMORY_REQUEST.min(memory_limit));
    if !(MIN_CPU..=MAX_CPU).contains(&cpu_limit) {
        faults.add(format!("{path}.limits.cpu"), format!("must be from {MIN_CPU} to {MAX_CPU}"));
    }
    if !(MIN_MEMORY..=MAX_MEMORY).contains(&memory_limit) {
        faults.add(
            format!("{path}.limits.memory"),
            format!("must be from {MIN_MEMORY} to {MAX_MEMORY}"),
        );
    }
    if cpu_request > cpu_limit {
        faults.add(
            format!("{path}.requests.cpu"),
            format!("{cpu_request} is more than the limit {cpu_limit}"),
        );
    }
    if memory_request > memory_limit {
        faults.add(
            format!("{path}.requests.memory"),
            format!("{memory_request} is more than the limit {memory_limit}"),
        );
    }
    r.limits.cpu = Some(cpu_limit);
    r.limits.memory = Some(memory_limit);
    r.requests.cpu = Some(cpu_request);
    r.requests.memory = Some(memory_request);
}

fn probe(faults: &mut Faults, path: &str, probe: &Probe, restarts: bool) {
    let kinds = u8::from(probe.http_get.is_some())
        + u8::from(probe.tcp_socket.is_some())
        + u8::from(probe.exec.is_some());
    if kinds != 1 {
        faults.add(path, "needs exactly one of httpGet, tcpSocket and exec");
    }
    faults.range(&format!("{path}.initialDelaySeconds"), probe.initial_delay_seconds, 0..=3600);
    faults.range(&format!("{path}.periodSeconds"), probe.period_seconds, 1..=3600);
    faults.range(&format!("{path}.timeoutSeconds"), probe.timeout_seconds, 1..=300);
    faults.range(&format!("{path}.failureThreshold"), probe.failure_threshold, 1..=1000);
    if restarts {
        if probe.success_threshold != 1 {
            faults.add(format!("{path}.successThreshold"), "must be 1 for this probe");
        }
    } else {
        faults.range(&format!("{path}.successThreshold"), probe.success_threshold, 1..=1000);
    }
    if let Some(http) = &probe.http_get {
        let path = format!("{path}.httpGet");
        let printable = http.path.bytes().all(|b| b.is_ascii_graphic());
        if !http.path.starts_with('/') || http.path.len() > 2048 || !printable {
            faults.add(
                format!("{path}.path"),
                "must start with \"/\" and be at most 2048 printable characters without spaces",
            );
        }
        port(faults, &path, http.port);
        if http.http_headers.len() > 16 {
            faults.add(format!("{path}.httpHeaders"), "may have at most 16 headers");
        }
        for (index, header) in http.http_headers.iter().enumerate().take(16) {
            let name = http::HeaderName::from_bytes(header.name.as_bytes());
            let value = http::HeaderValue::from_str(&header.value);
            if name.is_err() || value.is_err() || header.name.len() + header.value.len() > 4096 {
                faults.add(format!("{path}.httpHeaders[{index}]"), "is not an HTTP header");
            }
        }
    }
    if let Some(tcp) = &probe.tcp_socket {
        port(faults, &format!("{path}.tcpSocket"), tcp.port);
    }
    if let Some(exec) = &probe.exec {
        let path = format!("{path}.exec.command");
        if exec.command.first().is_none_or(String::is_empty) {
            faults.add(path.as_str(), "needs a program");
        }
        arguments(faults, &path, &exec.command);
    }
}

fn port(faults: &mut Faults, path: &str, port: u16) {
    if port == 0 {
        faults.add(format!("{path}.port"), "must be between 1 and 65535");
    }
}

fn security(faults: &mut Faults, path: &str, context: &SecurityContext) {
    match context.run_as_user {
        Some(0) => faults.add(format!("{path}.runAsUser"), "must not be 0 (root)"),
        Some(n) if i32::try_from(n).is_err() => {
            faults.add(format!("{path}.runAsUser"), "must be between 1 and 2147483647");
        }
        _ => {}
    }
    if context.add_capabilities.iter().any(|c| c != "NET_BIND_SERVICE")
        || context.add_capabilities.len() > 1
    {
        faults.add(format!("{path}.addCapabilities"), "may only hold NET_BIND_SERVICE");
    }
}

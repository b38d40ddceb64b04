//! The rules of a service.

use std::collections::BTreeSet;

use super::{Faults, rule_of};
use crate::base::{DeploymentName, Result, TeamName};
use crate::engine::spec::ServiceSpec;

/// Checks and normalises a service.
pub fn service(mut spec: ServiceSpec) -> Result<ServiceSpec> {
    let mut faults = Faults::default();
    if let Err(error) = spec.deployment.parse::<DeploymentName>() {
        faults.add("deployment", rule_of(&error));
    }
    match spec.ports.len() {
        0 => faults.add("ports", "needs at least one port"),
        1..=32 => {}
        _ => faults.add("ports", "may have at most 32 ports"),
    }
    let (mut ports, mut node_ports) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in spec.ports.iter_mut().enumerate().take(32) {
        let field = format!("ports[{index}]");
        if port.port == 0 {
            faults.add(format!("{field}.port"), "must be between 1 and 65535");
        } else if !ports.insert(port.port) {
            faults.add(format!("{field}.port"), "is listed twice");
        }
        if *port.target_port.get_or_insert(port.port) == 0 {
            faults.add(format!("{field}.targetPort"), "must be between 1 and 65535");
        }
        match port.node_port {
            None => {}
            Some(0..1024) => {
                faults.add(format!("{field}.nodePort"), "must be between 1024 and 65535");
            }
            Some(n) if !node_ports.insert(n) => {
                faults.add(format!("{field}.nodePort"), "is listed twice");
            }
            Some(_) => {}
        }
        if port.name.as_deref().is_some_and(|n| n.parse::<TeamName>().is_err()) {
            faults.add(
                format!("{field}.name"),
                "must be 1 to 63 lower-case letters, digits or hyphens",
            );
        }
    }
    spec.ports.sort_by_key(|p| p.port);
    faults.finish(spec)
}

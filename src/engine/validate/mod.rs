//! The rules of desired state: fills in the platform's defaults and reports every broken rule at
//! once, each with the path of its field.
//!
//! What comes out is *normal*: limits are set, requests are at most the limits, and comparing two
//! normal specs tells whether anything changed.

mod container;
mod service;

use std::collections::BTreeMap;

use super::spec::{DeploymentSpec, IntOrPercent, PodTemplate, StrategyKind};
use crate::base::{ApplicationName, Cpu, Error, FieldError, Memory, Result};

pub(in crate::engine) use container::is_working_dir;
pub use service::service;

/// Limits and requests of a container that names none.
pub const DEFAULT_CPU_LIMIT: Cpu = Cpu::from_millis(1000);
pub const DEFAULT_MEMORY_LIMIT: Memory = Memory::from_bytes(512 << 20);
pub const DEFAULT_CPU_REQUEST: Cpu = Cpu::from_millis(50);
pub const DEFAULT_MEMORY_REQUEST: Memory = Memory::from_bytes(64 << 20);

/// Collects broken rules.
#[derive(Debug, Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), message: message.into() });
    }

    /// `value` must lie in `range`.
    fn range(&mut self, field: &str, value: u32, range: std::ops::RangeInclusive<u32>) {
        if !range.contains(&value) {
            self.add(field, format!("must be between {} and {}", range.start(), range.end()));
        }
    }

    fn finish<T>(self, value: T) -> Result<T> {
        if self.0.is_empty() { Ok(value) } else { Err(Error::invalid_fields(self.0)) }
    }
}

/// Checks and normalises a deployment.
pub fn deployment(mut spec: DeploymentSpec) -> Result<DeploymentSpec> {
    let mut faults = Faults::default();
    if let Some(name) = &spec.application
        && let Err(error) = name.parse::<ApplicationName>()
    {
        faults.add("application", rule_of(&error));
    }
    faults.range("replicas", spec.replicas, 0..=1000);
    faults.range("minReadySeconds", spec.min_ready_seconds, 0..=3600);
    faults.range("progressDeadlineSeconds", spec.progress_deadline_seconds, 1..=86_400);
    faults.range("revisionHistoryLimit", spec.revision_history_limit, 0..=100);
    if spec.progress_deadline_seconds <= spec.min_ready_seconds {
        faults.add("progressDeadlineSeconds", "must be more than minReadySeconds");
    }
    strategy(&mut faults, &spec);
    template(&mut faults, &mut spec.template);
    faults.finish(spec)
}

fn strategy(faults: &mut Faults, spec: &DeploymentSpec) {
    let Some(rolling) = &spec.strategy.rolling_update else { return };
    if spec.strategy.kind == StrategyKind::Recreate {
        faults.add("strategy.rollingUpdate", "only fits the type RollingUpdate; leave it out");
    }
    for (field, value) in
        [("maxSurge", rolling.max_surge), ("maxUnavailable", rolling.max_unavailable)]
    {
        if let Some(IntOrPercent::Int(1001..)) = value {
            faults.add(
                format!("strategy.rollingUpdate.{field}"),
                "must be at most 1000, or a percentage",
            );
        }
    }
}

fn template(faults: &mut Faults, template: &mut PodTemplate) {
    faults.range(
        "template.terminationGracePeriodSeconds",
        template.termination_grace_period_seconds,
        0..=3600,
    );
    selector(faults, &template.node_selector);
    match template.containers.len() {
        1 => {}
        0 => faults.add("template.containers", "needs one container"),
        n => faults.add(
            "template.containers",
            format!("has {n} containers; a replica runs exactly one for now"),
        ),
    }
    for (index, container) in template.containers.iter_mut().enumerate().take(16) {
        container::container(faults, &format!("template.containers[{index}]"), container);
    }
}

fn selector(faults: &mut Faults, labels: &BTreeMap<String, String>) {
    const FIELD: &str = "template.nodeSelector";
    if labels.len() > 16 {
        faults.add(FIELD, "may have at most 16 labels");
    }
    for (key, value) in labels.iter().take(16) {
        if !is_label_text(key, 1, 253) || !is_label_text(value, 0, 63) {
            faults.add(
                format!("{FIELD}.{}", shown(key)),
                "keys and values are letters, digits, dots, slashes, underscores and hyphens",
            );
        }
    }
}

fn is_label_text(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"./_-".contains(&b))
}

/// A hostile text cut and cleaned for a field path.
fn shown(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The rule that a name's error states, without the name of its field.
fn rule_of(error: &Error) -> String {
    error.fields().first().map_or_else(|| error.to_string(), |f| f.message.clone())
}

#[cfg(test)]
mod tests;

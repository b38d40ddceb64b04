//! Changes of desired state in words. Values of environment variables never appear.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::spec::{Container, DeploymentSpec, PodTemplate, Resources};
use super::store::Images;
use crate::base::ImageRef;

/// What changed between two revisions; a first revision names its image.
pub(super) fn changes(
    before: Option<(&PodTemplate, &Images)>,
    after: (&PodTemplate, &Images),
) -> Vec<String> {
    let (new, new_images) = after;
    let mut words = Vec::new();
    let Some((old, old_images)) = before else {
        words.extend(new.containers.iter().map(|c| format!("image {}", c.image)));
        return words;
    };
    if let (Some(a), Some(b)) = (old.containers.first(), new.containers.first()) {
        image(&mut words, a, b, old_images, new_images);
        container(&mut words, a, b);
    }
    value(
        &mut words,
        "terminationGracePeriodSeconds",
        &old.termination_grace_period_seconds,
        &new.termination_grace_period_seconds,
    );
    if old.node_selector != new.node_selector {
        words.push("nodeSelector changed".to_owned());
    }
    words
}

fn image(words: &mut Vec<String>, a: &Container, b: &Container, old: &Images, new: &Images) {
    if a.image != b.image {
        words.push(format!("image {} → {}", short(&a.image), short(&b.image)));
    } else if let (Some(from), Some(to)) = (old.get(&a.image), new.get(&b.image))
        && from != to
    {
        words.push(format!("image {} moved {} → {}", short(&a.image), from.short(), to.short()));
    }
}

/// The image without its project.
fn short(image: &str) -> String {
    match image.parse::<ImageRef>() {
        Ok(parsed) => {
            let whole = parsed.to_string();
            whole.split_once('/').map_or(whole.clone(), |(_, rest)| rest.to_owned())
        }
        Err(_) => image.to_owned(),
    }
}

fn container(words: &mut Vec<String>, a: &Container, b: &Container) {
    value(words, "container name", &a.name, &b.name);
    for (what, changed) in [
        ("command changed", a.command != b.command),
        ("args changed", a.args != b.args),
        ("ports changed", a.ports != b.ports),
        ("securityContext changed", a.security_context != b.security_context),
    ] {
        if changed {
            words.push(what.to_owned());
        }
    }
    option(words, "workingDir", a.working_dir.as_ref(), b.working_dir.as_ref());
    env(words, a, b);
    resources(words, &a.resources, &b.resources);
    for (name, old, new) in [
        ("readinessProbe", &a.readiness_probe, &b.readiness_probe),
        ("livenessProbe", &a.liveness_probe, &b.liveness_probe),
        ("startupProbe", &a.startup_probe, &b.startup_probe),
    ] {
        match (old, new) {
            (None, Some(_)) => words.push(format!("{name} added")),
            (Some(_), None) => words.push(format!("{name} removed")),
            (Some(x), Some(y)) if x != y => words.push(format!("{name} changed")),
            _ => {}
        }
    }
}

fn env(words: &mut Vec<String>, a: &Container, b: &Container) {
    let map = |c: &Container| -> BTreeMap<String, String> {
        c.env.iter().map(|e| (e.name.clone(), e.value.clone())).collect()
    };
    let (old, new) = (map(a), map(b));
    for (name, value) in &new {
        match old.get(name) {
            None => words.push(format!("env {name} added")),
            Some(before) if before != value => words.push(format!("env {name} changed")),
            Some(_) => {}
        }
    }
    words.extend(old.keys().filter(|n| !new.contains_key(*n)).map(|n| format!("env {n} removed")));
}

fn resources(words: &mut Vec<String>, a: &Resources, b: &Resources) {
    for (list, old, new) in
        [("requests", &a.requests, &b.requests), ("limits", &a.limits, &b.limits)]
    {
        option(words, &format!("{list}.cpu"), old.cpu.as_ref(), new.cpu.as_ref());
        option(words, &format!("{list}.memory"), old.memory.as_ref(), new.memory.as_ref());
    }
}

fn value<T: PartialEq + Display>(words: &mut Vec<String>, what: &str, a: &T, b: &T) {
    if a != b {
        words.push(format!("{what} {a} → {b}"));
    }
}

fn option<T: PartialEq + Display>(
    words: &mut Vec<String>,
    what: &str,
    a: Option<&T>,
    b: Option<&T>,
) {
    let show = |v: Option<&T>| v.map_or_else(|| "unset".to_owned(), ToString::to_string);
    if a != b {
        words.push(format!("{what} {} → {}", show(a), show(b)));
    }
}

/// Changes outside the template, in words.
pub(super) fn settings_changes(old: &DeploymentSpec, new: &DeploymentSpec) -> Vec<String> {
    let mut changes = Vec::new();
    if old.replicas != new.replicas {
        changes.push(format!("replicas {} → {}", old.replicas, new.replicas));
    }
    if old.application != new.application {
        let name = |spec: &DeploymentSpec| spec.application.clone().unwrap_or("none".to_owned());
        changes.push(format!("application {} → {}", name(old), name(new)));
    }
    for (what, a, b) in [
        ("minReadySeconds", old.min_ready_seconds, new.min_ready_seconds),
        ("progressDeadlineSeconds", old.progress_deadline_seconds, new.progress_deadline_seconds),
        ("revisionHistoryLimit", old.revision_history_limit, new.revision_history_limit),
    ] {
        if a != b {
            changes.push(format!("{what} {a} → {b}"));
        }
    }
    if old.strategy != new.strategy {
        changes.push("strategy changed".to_owned());
    }
    if old.paused != new.paused {
        changes.push(if new.paused { "paused" } else { "resumed" }.to_owned());
    }
    if old.rollback != new.rollback {
        changes.push(format!("rollback {:?} → {:?}", old.rollback, new.rollback).to_lowercase());
    }
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_named_without_their_secret_values() {
        let template = |image: &str, secret: &str, cpu: &str| -> PodTemplate {
            serde_json::from_value(json!({"containers": [{"name": "hello", "image": image,
                "env": [{"name": "TOKEN", "value": secret}],
                "resources": {"limits": {"cpu": cpu}}}]}))
            .expect("valid")
        };
        let (a, b) =
            (template("demo/hello:1", "s3cret", "1"), template("demo/hello:2", "0ther", "2"));
        let none = Images::new();
        let words = changes(Some((&a, &none)), (&b, &none));
        assert_eq!(words, ["image hello:1 → hello:2", "env TOKEN changed", "limits.cpu 1 → 2"]);
        assert_eq!(changes(None, (&a, &none)), ["image demo/hello:1"]);
        assert!(changes(Some((&a, &none)), (&a, &none)).is_empty());
    }

    #[test]
    fn a_tag_that_was_resolved_anew_shows_both_digests() {
        let template: PodTemplate = serde_json::from_value(
            json!({"containers": [{"name": "hello", "image": "demo/hello:1"}]}),
        )
        .expect("valid");
        let pin = |bytes: &[u8]| {
            Images::from([("demo/hello:1".to_owned(), crate::base::Digest::sha256(bytes))])
        };
        let words = changes(Some((&template, &pin(b"a"))), (&template, &pin(b"b")));
        assert_eq!(words.len(), 1);
        assert!(words[0].starts_with("image hello:1 moved "), "{words:?}");
    }
}

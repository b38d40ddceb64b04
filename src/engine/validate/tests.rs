//! Every broken rule is reported at once, with its path; defaults are filled in exactly.

use serde_json::{Value, json};

use crate::base::ErrorKind;
use crate::engine::spec::{DeploymentSpec, ServiceSpec};

fn journey() -> Value {
    json!({"application": "hello", "replicas": 3, "template": {"containers": [{
        "name": "hello", "image": "demo/hello:1", "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "resources": {"requests": {"cpu": "50m", "memory": "16Mi"},
                      "limits": {"cpu": "200m", "memory": "64Mi"}}}]}})
}

fn parse(value: Value) -> DeploymentSpec {
    serde_json::from_value(value).expect("a well-formed spec")
}

/// Sets `pointer` of the journey's spec and returns the paths at fault.
fn faults(changes: &[(&str, Value)]) -> Vec<String> {
    let mut value = journey();
    for (pointer, new) in changes {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        value.pointer_mut(parent).expect("exists")[key] = new.clone();
    }
    match super::deployment(parse(value)) {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            error.fields().iter().map(|f| f.field.clone()).collect()
        }
    }
}

#[test]
fn limits_and_requests_are_always_set_and_consistent() {
    let mut value = journey();
    value["template"]["containers"][0]["resources"] = json!({});
    let spec = super::deployment(parse(value.clone())).expect("valid");
    let r = &spec.template.containers[0].resources;
    assert_eq!(r.limits.cpu.expect("set").to_string(), "1");
    assert_eq!(r.limits.memory.expect("set").to_string(), "512Mi");
    assert_eq!(r.requests.cpu.expect("set").to_string(), "50m");
    assert_eq!(r.requests.memory.expect("set").to_string(), "64Mi");
    value["template"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "3"}, "limits": {"memory": "32Mi"}});
    let spec = super::deployment(parse(value)).expect("valid");
    let r = &spec.template.containers[0].resources;
    assert_eq!(r.limits.cpu, r.requests.cpu, "the default limit grows to the request");
    assert_eq!(r.requests.memory, r.limits.memory, "the default request shrinks to the limit");
}

#[test]
fn normalising_twice_changes_nothing() {
    let once = super::deployment(parse(journey())).expect("valid");
    assert_eq!(super::deployment(once.clone()).expect("valid"), once);
}

#[test]
fn every_broken_rule_is_reported_at_once() {
    let container = "/template/containers/0";
    let found = faults(&[
        ("/replicas", json!(1001)),
        ("/application", json!("Hello")),
        (&format!("{container}/image"), json!("sha256:0123")),
        (&format!("{container}/workingDir"), json!("/proc/self/fd/8")),
        (&format!("{container}/resources/limits/cpu"), json!("1m")),
        (&format!("{container}/env"), json!([{"name": "A"}, {"name": "A"}, {"name": "9"}])),
        (&format!("{container}/livenessProbe"), json!({"periodSeconds": 0})),
        (
            &format!("{container}/securityContext"),
            json!({"runAsUser": 0, "addCapabilities": ["SYS_ADMIN"]}),
        ),
    ]);
    assert_eq!(
        found,
        [
            "application",
            "replicas",
            "template.containers[0].image",
            "template.containers[0].workingDir",
            "template.containers[0].env[1].name",
            "template.containers[0].env[2].name",
            "template.containers[0].resources.limits.cpu",
            "template.containers[0].resources.requests.cpu",
            "template.containers[0].livenessProbe",
            "template.containers[0].livenessProbe.periodSeconds",
            "template.containers[0].securityContext.runAsUser",
            "template.containers[0].securityContext.addCapabilities",
        ]
    );
}

#[test]
fn single_rules_name_their_field() {
    let c = "/template/containers/0";
    let cases: &[(&str, Value, &str)] = &[
        ("/progressDeadlineSeconds", json!(0), "progressDeadlineSeconds"),
        ("/strategy", json!({"type": "Recreate", "rollingUpdate": {}}), "strategy.rollingUpdate"),
        ("/template/containers", json!([]), "template.containers"),
        (&format!("{c}/image"), json!("busybox"), "template.containers[0].image"),
        (&format!("{c}/workingDir"), json!("/a/../b"), "template.containers[0].workingDir"),
        (&format!("{c}/args"), json!(["a\u{0}b"]), "template.containers[0].args"),
        (
            &format!("{c}/readinessProbe/httpGet/path"),
            json!("/a b"),
            "template.containers[0].readinessProbe.httpGet.path",
        ),
        (
            &format!("{c}/readinessProbe/httpGet/httpHeaders"),
            json!([{"name": "x", "value": "a\r\nHost: evil"}]),
            "template.containers[0].readinessProbe.httpGet.httpHeaders[0]",
        ),
        (
            &format!("{c}/resources/requests/memory"),
            json!("128Mi"),
            "template.containers[0].resources.requests.memory",
        ),
    ];
    for (pointer, value, field) in cases {
        let found = faults(&[(pointer, value.clone())]);
        assert!(found.iter().any(|f| f == field), "{pointer}: {found:?}");
    }
}

#[test]
fn what_is_not_known_or_not_a_quantity_is_refused_when_parsing() {
    for (pointer, value) in [
        ("/template/containers/0/resources/limits/cpu", json!("50x")),
        ("/replicas", json!(-1)),
        ("/template/containers/0/privileged", json!(true)),
        ("/template/hostNetwork", json!(true)),
        ("/template/volumes", json!([])),
    ] {
        let mut spec = journey();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        spec.pointer_mut(parent).expect("exists")[key] = value;
        assert!(serde_json::from_value::<DeploymentSpec>(spec).is_err(), "{pointer}");
    }
}

#[test]
fn services_have_distinct_ports_in_range() {
    let spec = |ports: Value| -> ServiceSpec {
        serde_json::from_value(json!({"deployment": "hello", "ports": ports})).expect("parses")
    };
    let ok = super::service(spec(json!([{"port": 80, "nodePort": 30080}]))).expect("valid");
    assert_eq!(ok.ports[0].target_port, Some(80));
    for ports in [
        json!([]),
        json!([{"port": 0}]),
        json!([{"port": 80, "nodePort": 80}]),
        json!([{"port": 80}, {"port": 80}]),
        json!([{"port": 80, "nodePort": 3000}, {"port": 81, "nodePort": 3000}]),
    ] {
        assert!(super::service(spec(ports.clone())).is_err(), "{ports}");
    }
}

//! The specification of a deployment as a form: what it holds, how it is read, how it is filled.

use serde_json::{Map, Value, json};

use crate::base::{Error, FieldError, Result};
use crate::engine::spec::{Container, DeploymentSpec};
use crate::web::form::{Choice, Form};
use crate::web::text::Text;

/// The fields of the deploy form and of the configuration page. Everything is text: the service
/// reads quantities and says what is wrong with them.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(super) struct SpecForm {
    #[serde(default)]
    pub image: String,
    #[serde(default)]
    pub replicas: String,
    #[serde(default)]
    pub port: String,
    #[serde(default)]
    pub probe: String,
    #[serde(default)]
    pub probe_path: String,
    #[serde(default)]
    pub cpu_request: String,
    #[serde(default)]
    pub cpu_limit: String,
    #[serde(default)]
    pub memory_request: String,
    #[serde(default)]
    pub memory_limit: String,
    /// `NAME=value`, one a line.
    #[serde(default)]
    pub env: String,
    #[serde(default)]
    pub strategy: String,
    #[serde(default)]
    pub deadline: String,
    #[serde(default)]
    pub rollback: String,
}

/// Where a field of the form ends up in the specification, for the service's complaints.
const PLACES: [(&str, &str); 11] = [
    ("template.containers[0].image", "image"),
    ("image", "image"),
    ("replicas", "replicas"),
    ("template.containers[0].ports", "port"),
    ("template.containers[0].readinessProbe", "probe_path"),
    ("template.containers[0].resources.requests.cpu", "cpu_request"),
    ("template.containers[0].resources.limits.cpu", "cpu_limit"),
    ("template.containers[0].resources.requests.memory", "memory_request"),
    ("template.containers[0].resources.limits.memory", "memory_limit"),
    ("template.containers[0].env", "env"),
    ("progressDeadlineSeconds", "deadline"),
];

/// Moves the complaints of the service to the fields of the form.
pub(super) fn at_fields(error: Error) -> Error {
    if error.fields().is_empty() {
        return error;
    }
    let fields = error
        .fields()
        .iter()
        .map(|fault| {
            let place = PLACES.iter().find(|(path, _)| fault.field.starts_with(path));
            FieldError {
                field: place.map_or(fault.field.clone(), |(_, field)| (*field).to_owned()),
                message: fault.message.clone(),
            }
        })
        .collect();
    Error::invalid_fields(fields)
}

fn number(field: &str, text: &str) -> Result<Value> {
    text.trim()
        .parse::<u32>()
        .map(Value::from)
        .map_err(|_| Error::invalid(field, "must be a whole number"))
}

fn env_of(text: &str) -> Result<Vec<Value>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.split_once('=').ok_or_else(|| {
                Error::invalid("env", format!("\"{line}\" lacks \"=\"; write NAME=value"))
            })?;
            Ok(json!({ "name": name.trim(), "value": value }))
        })
        .collect()
}

impl SpecForm {
    /// The defaults of a first deployment.
    pub(super) fn fresh() -> Self {
        Self {
            replicas: "2".to_owned(),
            port: "8080".to_owned(),
            probe: "http".to_owned(),
            probe_path: "/".to_owned(),
            cpu_request: "50m".to_owned(),
            cpu_limit: "500m".to_owned(),
            memory_request: "64Mi".to_owned(),
            memory_limit: "256Mi".to_owned(),
            strategy: "RollingUpdate".to_owned(),
            deadline: "600".to_owned(),
            rollback: "automatic".to_owned(),
            ..Self::default()
        }
    }

    /// The form of a specification.
    pub(super) fn of(spec: &DeploymentSpec) -> Self {
        let container = spec.template.containers.first();
        let text = |value: Option<String>| value.unwrap_or_default();
        let resources = container.map(|c| c.resources.clone()).unwrap_or_default();
        let probe = container.and_then(|c| c.readiness_probe.as_ref());
        Self {
            image: text(container.map(|c| c.image.clone())),
            replicas: spec.replicas.to_string(),
            port: text(
                container.and_then(|c| c.ports.first()).map(|p| p.container_port.to_string()),
            ),
            probe: match probe {
                Some(probe) if probe.http_get.is_some() => "http",
                Some(probe) if probe.tcp_socket.is_some() => "tcp",
                Some(_) => "exec",
                None => "none",
            }
            .to_owned(),
            probe_path: text(probe.and_then(|p| p.http_get.as_ref()).map(|http| http.path.clone())),
            cpu_request: text(resources.requests.cpu.map(|v| v.to_string())),
            cpu_limit: text(resources.limits.cpu.map(|v| v.to_string())),
            memory_request: text(resources.requests.memory.map(|v| v.to_string())),
            memory_limit: text(resources.limits.memory.map(|v| v.to_string())),
            env: container.map(env_text).unwrap_or_default(),
            strategy: match spec.strategy.kind {
                crate::engine::spec::StrategyKind::RollingUpdate => "RollingUpdate",
                crate::engine::spec::StrategyKind::Recreate => "Recreate",
            }
            .to_owned(),
            deadline: spec.progress_deadline_seconds.to_string(),
            rollback: match spec.rollback {
                crate::engine::spec::RollbackPolicy::Automatic => "automatic",
                crate::engine::spec::RollbackPolicy::Manual => "manual",
            }
            .to_owned(),
        }
    }

    /// The specification, laid over `base`: what the form does not show stays as it is.
    pub(super) fn over(&self, mut base: Value, name: &str) -> Result<DeploymentSpec> {
        let port =
            (!self.port.trim().is_empty()).then(|| number("port", &self.port)).transpose()?;
        let mut container = base
            .pointer("/template/containers/0")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_else(Map::new);
        container.entry("name").or_insert_with(|| json!(name));
        container.insert("image".to_owned(), json!(self.image.trim()));
        self.put_ports(&mut container, port.as_ref());
        container.insert("env".to_owned(), Value::Array(env_of(&self.env)?));
        container.insert("resources".to_owned(), self.resources());
        self.put_probe(&mut container, port.as_ref())?;
        if !base.is_object() {
            base = json!({});
        }
        base["replicas"] = number("replicas", &self.replicas)?;
        base["progressDeadlineSeconds"] = number("deadline", &self.deadline)?;
        base["rollback"] = json!(self.rollback);
        if base["strategy"]["type"] != json!(self.strategy) {
            base["strategy"] = json!({ "type": self.strategy });
        }
        base["template"]["containers"] = json!([container]);
        serde_path_to_error::deserialize(base)
            .map_err(|error| Error::invalid(error.path().to_string(), error.inner().to_string()))
    }

    fn put_ports(&self, container: &mut Map<String, Value>, port: Option<&Value>) {
        let mut ports =
            container.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
        match port {
            Some(port) if ports.is_empty() => ports.push(json!({ "containerPort": port })),
            Some(port) => ports[0]["containerPort"] = port.clone(),
            None => ports.clear(),
        }
        container.insert("ports".to_owned(), Value::Array(ports));
    }

    fn resources(&self) -> Value {
        let list = |cpu: &str, memory: &str| {
            let mut list = Map::new();
            for (name, text) in [("cpu", cpu.trim()), ("memory", memory.trim())] {
                if !text.is_empty() {
                    list.insert(name.to_owned(), json!(text));
                }
            }
            Value::Object(list)
        };
        json!({
            "requests": list(&self.cpu_request, &self.memory_request),
            "limits": list(&self.cpu_limit, &self.memory_limit),
        })
    }

    /// Changes the readiness probe's kind and place; its periods and thresholds stay.
    fn put_probe(&self, container: &mut Map<String, Value>, port: Option<&Value>) -> Result<()> {
        let need_port = || {
            port.cloned().ok_or_else(|| Error::invalid("port", "a probe needs a port; name one"))
        };
        let mut probe = container
            .get("readinessProbe")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_else(Map::new);
        match self.probe.as_str() {
            "http" => {
                let path =
                    if self.probe_path.trim().is_empty() { "/" } else { self.probe_path.trim() };
                let mut http = probe
                    .get("httpGet")
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_else(Map::new);
                http.insert("path".to_owned(), json!(path));
                http.insert("port".to_owned(), need_port()?);
                probe.retain(|key, _| key != "tcpSocket" && key != "exec");
                probe.insert("httpGet".to_owned(), Value::Object(http));
            }
            "tcp" => {
                probe.retain(|key, _| key != "httpGet" && key != "exec");
                probe.insert("tcpSocket".to_owned(), json!({ "port": need_port()? }));
            }
            // A command is edited through the API; the form leaves it alone.
            "exec" => {}
            _ => {
                container.remove("readinessProbe");
                return Ok(());
            }
        }
        container.insert("readinessProbe".to_owned(), Value::Object(probe));
        Ok(())
    }

    /// As a page shows it.
    pub(super) fn form(&self) -> Form {
        Form::of([
            ("image", &self.image),
            ("replicas", &self.replicas),
            ("port", &self.port),
            ("probe", &self.probe),
            ("probe_path", &self.probe_path),
            ("cpu_request", &self.cpu_request),
            ("cpu_limit", &self.cpu_limit),
            ("memory_request", &self.memory_request),
            ("memory_limit", &self.memory_limit),
            ("env", &self.env),
            ("strategy", &self.strategy),
            ("deadline", &self.deadline),
            ("rollback", &self.rollback),
        ])
    }
}

fn env_text(container: &Container) -> String {
    container.env.iter().map(|var| format!("{}={}\n", var.name, var.value)).collect()
}

/// The choices of the form.
pub(super) struct Choices {
    pub probes: Vec<Choice>,
    pub strategies: Vec<Choice>,
    pub rollbacks: Vec<Choice>,
}

impl Choices {
    /// `exec` is offered only where a command probe is there already.
    pub(super) fn of(t: &Text, probe: &str) -> Self {
        let choice = |value, key: &str| Choice { value, label: t.get(key) };
        let mut probes = vec![
            choice("http", "probe-http"),
            choice("tcp", "probe-tcp"),
            choice("none", "probe-none"),
        ];
        if probe == "exec" {
            probes.push(choice("exec", "probe-exec"));
        }
        Self {
            probes,
            strategies: vec![
                choice("RollingUpdate", "spec-rolling"),
                choice("Recreate", "spec-recreate"),
            ],
            rollbacks: vec![
                choice("automatic", "spec-undo-automatic"),
                choice("manual", "spec-undo-manual"),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_form_does_not_show_survives_it() {
        let spec: DeploymentSpec = serde_json::from_value(json!({
            "application": "hello",
            "minReadySeconds": 5,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2}},
            "template": {"terminationGracePeriodSeconds": 7, "containers": [{
                "name": "web", "image": "demo/hello:1", "args": ["-x"],
                "ports": [{"containerPort": 80, "name": "http"}],
                "readinessProbe": {"httpGet": {"path": "/r", "port": 80}, "periodSeconds": 3},
                "livenessProbe": {"tcpSocket": {"port": 80}},
            }]},
        }))
        .expect("a specification");
        let form = SpecForm { image: "demo/hello:2".to_owned(), ..SpecForm::of(&spec) };
        let base = serde_json::to_value(&spec).expect("JSON");
        let changed = form.over(base, "web").expect("a specification");
        let mut expected = spec;
        expected.template.containers[0].image = "demo/hello:2".to_owned();
        assert_eq!(changed, expected);
    }

    #[test]
    fn faults_name_the_fields_of_the_form() {
        let wrong = SpecForm { replicas: "-1".to_owned(), ..SpecForm::fresh() };
        let error = wrong.over(Value::Null, "web").expect_err("refused");
        assert_eq!(error.fields()[0].field, "replicas");
        let wrong = SpecForm { memory_limit: "50x".to_owned(), ..SpecForm::fresh() };
        let error = at_fields(wrong.over(Value::Null, "web").expect_err("refused"));
        assert_eq!(error.fields()[0].field, "memory_limit");
        let path = "template.containers[0].resources.limits.memory";
        assert_eq!(at_fields(Error::invalid(path, "x")).fields()[0].field, "memory_limit");
    }
}

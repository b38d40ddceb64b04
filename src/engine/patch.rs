//! Merges a partial spec into a whole one.
//!
//! Objects merge, `null` removes, `containers` and `env` merge by `name`, `ports` by
//! `containerPort`; every other list is replaced. `{"image": …}` is shorthand for the image of
//! the only container.

use serde_json::{Map, Value};

use super::spec::DeploymentSpec;
use crate::base::{Error, ErrorKind, Result};

/// The spec after `patch`; it is parsed as strictly as a whole one, but not validated yet.
pub fn apply(present: &DeploymentSpec, mut patch: Value) -> Result<DeploymentSpec> {
    let Value::Object(fields) = &mut patch else {
        return Err(Error::malformed("a patch is a JSON object such as {\"replicas\": 5}"));
    };
    let image = fields.remove("image");
    let mut whole = serde_json::to_value(present)
        .map_err(|e| Error::internal("writing a deployment's spec", e))?;
    merge(&mut whole, patch);
    if let Some(image) = image {
        set_image(&mut whole, image)?;
    }
    serde_path_to_error::deserialize(whole).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        Error::invalid(path, error.into_inner().to_string())
    })
}

fn set_image(whole: &mut Value, image: Value) -> Result<()> {
    match whole
        .pointer_mut("/template/containers")
        .and_then(Value::as_array_mut)
        .map(Vec::as_mut_slice)
    {
        Some([Value::Object(container)]) => {
            container.insert("image".to_owned(), image);
            Ok(())
        }
        _ => Err(Error::new(
            ErrorKind::Invalid,
            "invalid",
            "image: the shorthand needs exactly one container; patch template.containers instead",
        )),
    }
}

fn merge(present: &mut Value, patch: Value) {
    match (present, patch) {
        (Value::Object(present), Value::Object(patch)) => merge_objects(present, patch),
        (present, patch) => *present = without_nulls(patch),
    }
}

fn merge_objects(present: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        if value.is_null() {
            present.remove(&key);
            continue;
        }
        match (list_key(&key), present.get_mut(&key), value) {
            (Some(id), Some(Value::Array(present)), Value::Array(patch)) => {
                merge_lists(present, patch, id);
            }
            (_, Some(present), value) => merge(present, value),
            (_, None, value) => {
                present.insert(key, without_nulls(value));
            }
        }
    }
}

/// The field that identifies the entries of a list that merges.
fn list_key(field: &str) -> Option<&'static str> {
    match field {
        "containers" | "env" => Some("name"),
        "ports" => Some("containerPort"),
        _ => None,
    }
}

fn merge_lists(present: &mut Vec<Value>, patch: Vec<Value>, id: &str) {
    for entry in patch {
        let same = entry
            .get(id)
            .and_then(|key| present.iter_mut().find(|other| other.get(id) == Some(key)));
        match same {
            Some(other) => merge(other, entry),
            None => present.push(without_nulls(entry)),
        }
    }
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, v| !v.is_null());
        for field in fields.values_mut() {
            *field = without_nulls(field.take());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn present() -> DeploymentSpec {
        serde_json::from_value(json!({"replicas": 3, "template": {"containers": [{
            "name": "hello", "image": "demo/hello:1",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"port": 8080}}}]}}))
        .expect("valid")
    }

    #[test]
    fn lists_merge_by_their_keys_and_null_removes() {
        let after = apply(
            &present(),
            json!({"replicas": 5, "template": {"containers": [{"name": "hello",
                "env": [{"name": "B", "value": "3"}, {"name": "C"}],
                "ports": [{"containerPort": 8080, "name": "web"}],
                "readinessProbe": null}]}}),
        )
        .expect("applies");
        let container = &after.template.containers[0];
        assert_eq!(after.replicas, 5);
        assert_eq!(container.image, "demo/hello:1");
        let env: Vec<_> = container.env.iter().map(|e| format!("{}={}", e.name, e.value)).collect();
        assert_eq!(env, ["A=1", "B=3", "C="]);
        assert_eq!(container.ports.len(), 1);
        assert_eq!(container.ports[0].name.as_deref(), Some("web"));
        assert!(container.readiness_probe.is_none());
    }

    #[test]
    fn image_is_shorthand_for_the_only_container() {
        let after = apply(&present(), json!({"image": "demo/hello:2"})).expect("applies");
        assert_eq!(after.template.containers[0].image, "demo/hello:2");
    }

    #[test]
    fn a_patch_is_parsed_as_strictly_as_a_whole_spec() {
        for (patch, field) in [
            (json!({"replica": 5}), ""),
            (json!({"replicas": -1}), "replicas"),
            (
                json!({"template": {"containers": [{"name": "hello",
                    "resources": {"limits": {"cpu": "50x"}}}]}}),
                "template.containers[0].resources.limits.cpu",
            ),
            (json!({"template": null}), ""),
        ] {
            let error = apply(&present(), patch.clone()).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{patch}");
            assert!(error.fields().iter().all(|f| f.field.starts_with(field)), "{error:?}");
        }
        assert!(apply(&present(), json!([1])).is_err());
    }
}

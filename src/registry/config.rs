//! What an image's config blob says, kept beside the manifest so that pages need no blob read.
//! All of it is hostile text: cut, bounded and without NUL.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::clean;
use super::{Descriptor, HistoryStep, ImageConfig};
use crate::base::Timestamp;

/// Largest config that is read, bytes; a larger one is stored but not shown.
pub(crate) const MAX_CONFIG: u64 = 4 * 1024 * 1024;
const MAX_TEXT: usize = 4096;
const MAX_ITEMS: usize = 1000;

/// What is stored with a manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredConfig {
    pub config: ImageConfig,
    pub history: Vec<StoredStep>,
}

/// One step of the history, as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredStep {
    pub created: Option<Timestamp>,
    pub created_by: String,
    pub empty: bool,
}

#[derive(Deserialize)]
struct RawConfig {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    created: Option<String>,
    config: Option<RawRuntime>,
    history: Option<Vec<RawStep>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RawRuntime {
    user: Option<String>,
    working_dir: Option<String>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    exposed_ports: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawStep {
    created: Option<String>,
    created_by: Option<String>,
    #[serde(default)]
    empty_layer: bool,
}

/// Reads a config; `None` when it is not the JSON of an image config.
pub(crate) fn parse(bytes: &[u8]) -> Option<StoredConfig> {
    let raw: RawConfig = serde_json::from_slice(bytes).ok()?;
    let runtime = raw.config.unwrap_or_default();
    let text = |t: Option<String>| clean(&t.unwrap_or_default(), MAX_TEXT);
    let list = |l: Option<Vec<String>>| -> Vec<String> {
        l.unwrap_or_default().iter().take(MAX_ITEMS).map(|t| clean(t, MAX_TEXT)).collect()
    };
    let mut architecture = text(raw.architecture);
    if let Some(variant) = raw.variant.filter(|v| !v.is_empty()) {
        architecture = clean(&format!("{architecture}/{variant}"), MAX_TEXT);
    }
    let config = ImageConfig {
        os: text(raw.os),
        architecture,
        created: time(raw.created),
        user: text(runtime.user),
        working_dir: text(runtime.working_dir),
        entrypoint: list(runtime.entrypoint),
        cmd: list(runtime.cmd),
        env: list(runtime.env),
        exposed_ports: list(runtime.exposed_ports.map(|ports| ports.into_keys().collect())),
        labels: runtime
            .labels
            .unwrap_or_default()
            .iter()
            .take(MAX_ITEMS)
            .map(|(k, v)| (clean(k, MAX_TEXT), clean(v, MAX_TEXT)))
            .collect(),
    };
    let history = raw
        .history
        .unwrap_or_default()
        .into_iter()
        .take(MAX_ITEMS)
        .map(|step| StoredStep {
            created: time(step.created),
            created_by: text(step.created_by),
            empty: step.empty_layer,
        })
        .collect();
    Some(StoredConfig { config, history })
}

/// Times outside what PostgreSQL and pages can show count as absent.
fn time(text: Option<String>) -> Option<Timestamp> {
    let time = chrono::DateTime::parse_from_rfc3339(&text?).ok()?.to_utc();
    (0..=253_402_300_799).contains(&time.timestamp()).then_some(time)
}

/// Joins the history with the layers it made, oldest first.
pub(crate) fn history(steps: Vec<StoredStep>, layers: &[Descriptor]) -> Vec<HistoryStep> {
    let mut layers = layers.iter();
    steps
        .into_iter()
        .map(|step| HistoryStep {
            created: step.created,
            created_by: step.created_by,
            layer: if step.empty { None } else { layers.next().cloned() },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_docker_writes_and_survives_what_it_does_not() {
        let stored = parse(
            br#"{"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05.123456789Z",
                "config":{"Env":["PATH=/bin","NUL=\u0000"],"Cmd":["httpd"],"Entrypoint":null,
                "ExposedPorts":{"8080/tcp":{}},"Labels":null},
                "history":[{"created_by":"ADD","created":"nonsense"},{"empty_layer":true}]}"#,
        )
        .expect("a config");
        assert_eq!(stored.config.architecture, "amd64");
        assert_eq!(stored.config.exposed_ports, ["8080/tcp"]);
        assert_eq!(stored.config.env[1], "NUL=\u{fffd}");
        assert!(stored.config.created.is_some());
        assert_eq!(stored.history.len(), 2);
        assert!(stored.history[0].created.is_none());
        assert!(stored.history[1].empty);
        assert!(parse(b"[]").is_none());
        assert!(parse(b"\xff").is_none());
    }
}

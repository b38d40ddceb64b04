//! Structured logs on standard error, and the metrics recorder.

use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::base::{Error, Result};

/// Starts logging: lines for people when standard error is a terminal, JSON otherwise. `filter` is
/// in the syntax of `RUST_LOG`. Control characters in fields are escaped by both formats.
pub fn start_logs(filter: &str, json: Option<bool>) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let json = json.unwrap_or_else(|| !std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        let layer = tracing_subscriber::fmt::layer().json().flatten_event(true);
        let _ = registry.with(layer.with_writer(std::io::stderr)).try_init();
    } else {
        let layer = tracing_subscriber::fmt::layer().with_target(false);
        let _ = registry.with(layer.with_writer(std::io::stderr)).try_init();
    }
}

/// Starts collecting metrics; the handle renders them.
pub fn start_metrics() -> Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets(&[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
        .and_then(|builder| builder.install_recorder())
        .map_err(|e| Error::internal("starting metrics", e))
}

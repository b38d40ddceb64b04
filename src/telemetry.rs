//! Structured logs and the metrics recorder.

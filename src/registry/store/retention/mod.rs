//! SQL of retention: rules, facts, plans, runs and removals.

pub(in crate::registry) mod facts;
pub(in crate::registry) mod leader;
pub(in crate::registry) mod plans;
pub(in crate::registry) mod policies;
pub(in crate::registry) mod removal;
pub(in crate::registry) mod runs;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::{Error, Result};

fn json<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|e| Error::internal("writing a retention row", e))
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|e| Error::internal("reading a retention row", e))
}

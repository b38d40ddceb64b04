//! `portolan openapi`: the description of the JSON API, for generators of clients.

use std::io::Write as _;

use crate::base::{Error, Result};

pub(super) fn run() -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", crate::api::openapi())
        .map_err(|e| Error::internal("writing the description", e))
}

//! How the registry's store is kept clean, as flags and environment.

use clap::Args;

use crate::base::{Error, Result};
use crate::config;

/// Shortest grace: a push relies on what it saw up to ten minutes ago.
const SHORTEST: chrono::Duration = chrono::Duration::minutes(30);

/// Upkeep of the registry's store.
#[derive(Debug, Clone, Args)]
pub(super) struct Upkeep {
    /// How long a blob that nothing needs is kept after it was last used, such as `90m`, `24h` or
    /// `7d`; at least 30m.
    #[arg(long, env = "PORTOLAN_COLLECTION_GRACE", default_value = "24h", value_name = "TIME")]
    collection_grace: String,
    /// Bytes per second at which stored blobs are read again in the background to find damage;
    /// 0 reads them only when asked to.
    #[arg(long, env = "PORTOLAN_SCRUB_RATE", default_value_t = config::Upkeep::default().scrub_rate, value_name = "BYTES")]
    scrub_rate: u64,
}

impl Upkeep {
    pub(super) fn read(&self) -> Result<config::Upkeep> {
        let text = self.collection_grace.trim();
        let grace = span(text).filter(|span| *span >= SHORTEST).ok_or_else(|| {
            Error::invalid(
                "PORTOLAN_COLLECTION_GRACE",
                format!("is \"{text}\"; write a time of 30m to 365d, such as 24h"),
            )
        })?;
        Ok(config::Upkeep { grace, scrub_rate: self.scrub_rate })
    }
}

fn span(text: &str) -> Option<chrono::Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return None,
    };
    let minutes = number.parse::<u32>().ok()?.checked_mul(minutes)?;
    (minutes <= 365 * 24 * 60).then(|| chrono::Duration::minutes(i64::from(minutes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        assert_eq!(span("90m"), Some(chrono::Duration::minutes(90)));
        assert_eq!(span("24h"), Some(chrono::Duration::hours(24)));
        assert_eq!(span("7d"), Some(chrono::Duration::days(7)));
        for bad in ["", "h", "24", "-1h", "1w", "400d", "4294967295d", "é"] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }
}

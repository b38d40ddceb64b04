//! `portolan quota`: compares the counted use of projects with what they store.
//!
//! Exit codes: 0 every count is right (or was made right), 1 it could not be done, 4 counts are
//! wrong and were left so.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::database::Place;
use super::gc::{operator, print, registry};
use super::upkeep::Upkeep;
use crate::base::Result;

/// Compare the counted use of projects with what they store.
#[derive(Debug, Args)]
pub(super) struct Quota {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say which counts are wrong; change nothing. Exits with 4 when one is.
    Verify(Installation),
    /// Count again and mend what is wrong; pushes may go on meanwhile.
    Recalculate(Installation),
}

/// Whose projects.
#[derive(Debug, Args)]
struct Installation {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    upkeep: Upkeep,
}

impl Quota {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let (mend, Installation { place, upkeep }) = match self.action {
            Action::Verify(installation) => (false, installation),
            Action::Recalculate(installation) => (true, installation),
        };
        let data = place.data()?;
        let opened = place.open(&data).await?;
        let done = async {
            let registry = registry(&place, &upkeep, &opened).await?;
            registry.verify_quotas(&operator(), mend).await
        };
        let done = done.await;
        opened.close().await;
        let (looked, wrong) = done?;
        for (project, drift) in &wrong {
            print(&format!(
                "{project}: counted {} bytes and {} artifacts, stores {} and {}; {} blobs counted wrong{}\n",
                drift.counted_bytes,
                drift.counted_artifacts,
                drift.bytes,
                drift.artifacts,
                drift.blobs,
                if mend { "; mended" } else { "" },
            ))?;
        }
        print(&format!("{looked} projects, {} counted wrong\n", wrong.len()))?;
        Ok(if wrong.is_empty() || mend { ExitCode::SUCCESS } else { ExitCode::from(4) })
    }
}

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
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    upkeep: Upkeep,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Say which counts are wrong; change nothing. Exits with 4 when one is.
    Verify,
    /// Count again and mend what is wrong; pushes may go on meanwhile.
    Recalculate,
}

impl Quota {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let data = self.place.data()?;
        let opened = self.place.open(&data).await?;
        let mend = matches!(self.action, Action::Recalculate);
        let done = async {
            let registry = registry(&self.place, &self.upkeep, &opened).await?;
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

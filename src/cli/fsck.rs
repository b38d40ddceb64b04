//! `portolan fsck`: compares what is stored with what is recorded, and says what to do.
//!
//! Exit codes: 0 everything agrees, 1 the check could not run, 3 differences were found and all
//! repaired, 4 differences are left.

use std::process::ExitCode;

use clap::Args;

use super::database::Place;
use super::gc::{print, registry};
use super::upkeep::Upkeep;
use crate::base::Result;
use crate::registry::check::{Checked, How};

/// Check that rows and files agree and that every blob is intact.
///
/// Exit codes: 0 everything agrees, 1 the check could not run, 3 differences were found and all
/// repaired, 4 differences are left.
#[derive(Debug, Args)]
pub(super) struct Fsck {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    upkeep: Upkeep,
    /// Look only whether blobs are there and how long they are; do not read them.
    #[arg(long)]
    quick: bool,
    /// Repair what can be repaired without losing anything.
    #[arg(long)]
    repair: bool,
    /// Read at most this many bytes per second; 0: as fast as possible.
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    rate: u64,
}

impl Fsck {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let data = self.place.data()?;
        self.upkeep.read()?;
        let opened = self.place.open(&data).await?;
        let how = How { quick: self.quick, repair: self.repair, rate: self.rate };
        let checked =
            async { registry(&self.place, &self.upkeep, &opened).await?.check(how).await };
        let checked = checked.await;
        opened.close().await;
        let checked = checked?;
        print(&text(&checked))?;
        Ok(exit_code(&checked))
    }
}

fn text(checked: &Checked) -> String {
    let mut text = String::new();
    for found in &checked.differences {
        let state = if found.repaired { "repaired" } else { "left" };
        text.push_str(&format!(
            "{} {}: {}. [{state}] {}\n",
            found.what.as_str(),
            found.subject,
            found.meaning,
            found.remedy
        ));
    }
    text.push_str(&format!(
        "{} blobs ({} bytes), {} manifests, {} projects: {} differences, {} repaired\n",
        checked.blobs,
        checked.bytes,
        checked.manifests,
        checked.projects,
        checked.differences.len(),
        checked.differences.iter().filter(|found| found.repaired).count(),
    ));
    text
}

fn exit_code(checked: &Checked) -> ExitCode {
    if checked.differences.is_empty() {
        return ExitCode::SUCCESS;
    }
    let all = checked.differences.iter().all(|found| found.repaired);
    ExitCode::from(if all { 3 } else { 4 })
}

//! `portolan fsck`: reads every blob and says what is broken and what to do.

use std::io::Write as _;

use clap::Args;

use super::database::Place;
use crate::base::{Error, Result};

/// Check that every blob is there and intact.
#[derive(Debug, Args)]
pub(super) struct Fsck {
    #[command(flatten)]
    place: Place,
    /// Look only whether blobs are there and how long they are; do not read them.
    #[arg(long)]
    quick: bool,
}

impl Fsck {
    pub(super) async fn run(self) -> Result<()> {
        let data = self.place.data()?;
        let opened = self.place.open(&data).await?;
        let checked =
            async { super::gc::registry(&self.place, &opened).await?.check(self.quick).await }
                .await;
        opened.close().await;
        let checked = checked?;
        let mut out = std::io::stdout().lock();
        let mut text = String::new();
        for fault in &checked.faults {
            let places = match fault.repositories.as_slice() {
                [] => "no repository needs it".to_owned(),
                some => format!("push it again to {}", some.join(", ")),
            };
            text.push_str(&format!("{}: {}; {places}\n", fault.digest, fault.what));
        }
        text.push_str(&format!(
            "{} blobs, {} bytes, {} faults\n",
            checked.blobs,
            checked.bytes,
            checked.faults.len()
        ));
        out.write_all(text.as_bytes()).map_err(|e| Error::internal("writing the result", e))?;
        if checked.faults.is_empty() {
            Ok(())
        } else {
            Err(Error::unavailable("the blob store has faults"))
        }
    }
}

//! `portolan gc`: removes what no manifest needs; the server does the same every ten minutes.

use std::io::Write as _;
use std::sync::Arc;

use clap::Args;

use super::database::Place;
use crate::base::{Error, Result, SystemClock};
use crate::catalog::Catalog;
use crate::registry::Registry;

/// Remove stored blobs that nothing refers to.
#[derive(Debug, Args)]
pub(super) struct Gc {
    #[command(flatten)]
    place: Place,
}

/// The registry over a place, for the commands that maintain it.
pub(super) async fn registry(place: &Place, opened: &super::database::Opened) -> Result<Registry> {
    let clock = Arc::new(SystemClock);
    let catalog = Catalog::new(opened.db.clone(), clock.clone());
    Registry::open(opened.db.clone(), clock, catalog, place.data()?.blobs()).await
}

impl Gc {
    pub(super) async fn run(self) -> Result<()> {
        let data = self.place.data()?;
        let opened = self.place.open(&data).await?;
        let collected = async { registry(&self.place, &opened).await?.collect().await }.await;
        opened.close().await;
        let c = collected?;
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "removed {} blobs ({} bytes), {} links and {} idle uploads; blobs are kept for 24 h after they were last used",
            c.blobs, c.bytes, c.links, c.uploads
        )
        .map_err(|e| Error::internal("writing the result", e))
    }
}

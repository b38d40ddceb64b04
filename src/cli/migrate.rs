//! `portolan migrate`: brings a database up to date without starting a server.

use clap::Args;

use super::database::Place;
use crate::base::Result;

/// Bring an external database up to date.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    place: Place,
}

impl Migrate {
    pub(super) async fn run(self) -> Result<()> {
        let data = self.place.data()?;
        let opened = self.place.open(&data).await?;
        tracing::info!("the database is up to date");
        opened.close().await;
        Ok(())
    }
}

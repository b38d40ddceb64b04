//! `portolan gc`: removes what no manifest needs; the server does the same every ten minutes.

use std::io::Write as _;
use std::sync::Arc;

use clap::Args;

use super::database::Place;
use super::upkeep::Upkeep;
use crate::base::actor::PlatformRole;
use crate::base::quantity::size;
use crate::base::{Actor, Error, PageRequest, Result, SystemClock};
use crate::catalog::Catalog;
use crate::registry::Registry;

/// Remove stored blobs that nothing refers to.
#[derive(Debug, Args)]
pub(super) struct Gc {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    upkeep: Upkeep,
    /// Remove nothing; print the blobs that would go.
    #[arg(long)]
    dry_run: bool,
}

/// The registry over a place, for the commands that maintain it.
pub(super) async fn registry(
    place: &Place,
    upkeep: &Upkeep,
    opened: &super::database::Opened,
) -> Result<Registry> {
    let clock = Arc::new(SystemClock);
    let catalog = Catalog::new(opened.db.clone(), clock.clone());
    let registry = Registry::open(opened.db.clone(), clock, catalog, place.data()?.blobs()).await?;
    Ok(registry.with_upkeep(upkeep.read()?))
}

/// Whoever may run commands on the server's machine may do everything.
pub(super) fn operator() -> Actor {
    Actor { platform_role: PlatformRole::Admin, ..Actor::system() }
}

pub(super) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).map_err(|e| Error::internal("writing the result", e))
}

impl Gc {
    pub(super) async fn run(self) -> Result<()> {
        let data = self.place.data()?;
        self.upkeep.read()?;
        let opened = self.place.open(&data).await?;
        let done = async {
            let registry = registry(&self.place, &self.upkeep, &opened).await?;
            if self.dry_run { dry_run(&registry).await } else { collect(&registry).await }
        };
        let done = done.await;
        opened.close().await;
        done
    }
}

async fn collect(registry: &Registry) -> Result<()> {
    let c = registry.collect().await?;
    print(&format!(
        "removed {} blobs ({} bytes), {} links and {} idle uploads\n",
        c.blobs, c.bytes, c.links, c.uploads
    ))?;
    let state = registry.store_state(&operator()).await?;
    if state.pending.blobs > 0 {
        print(&format!(
            "{} blobs ({}) are not needed but were used in the last {} h; they go until {}\n",
            state.pending.blobs,
            size(state.pending.bytes),
            state.grace.num_hours(),
            state.pending_until.map(|at| at.to_rfc3339()).unwrap_or_default(),
        ))?;
    }
    Ok(())
}

async fn dry_run(registry: &Registry) -> Result<()> {
    let (mut page, mut blobs, mut bytes) = (PageRequest::first(1000), 0u64, 0i64);
    loop {
        let found = registry.reclaimable(&operator(), false, &page).await?;
        for blob in &found.items {
            blobs += 1;
            bytes += blob.size;
            let places = blob.repositories.join(", ");
            print(&format!("{} {} bytes {places}\n", blob.digest, blob.size))?;
        }
        match found.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    print(&format!("{blobs} blobs, {bytes} bytes would be removed\n"))
}

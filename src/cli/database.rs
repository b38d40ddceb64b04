//! Which database a command works on: an external one, or the one in the data directory.

use std::path::PathBuf;

use clap::Args;

use crate::app::DataDir;
use crate::base::Result;
use crate::db::embedded::EmbeddedPostgres;
use crate::db::{Db, PoolLimits};

/// Where everything is kept.
#[derive(Debug, Clone, Args)]
pub(super) struct Place {
    /// Directory of everything that is kept on disk.
    #[arg(long, env = "PORTOLAN_DATA_DIR", default_value = "data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// An external PostgreSQL, 15 or newer, e.g. postgres://portolan@db/portolan; without it, a
    /// private one in the data directory.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
}

/// An open database, and the PostgreSQL that we started for it.
pub(super) struct Opened {
    pub db: Db,
    embedded: Option<EmbeddedPostgres>,
}

impl Place {
    pub(super) fn data(&self) -> Result<DataDir> {
        DataDir::open(&self.data_dir)
    }

    /// Opens and migrates the database.
    pub(super) async fn open(&self, data: &DataDir) -> Result<Opened> {
        let limits = PoolLimits::default();
        if let Some(url) = self.database_url.as_deref().filter(|url| !url.is_empty()) {
            let db = Db::connect_url(url, limits).await?;
            db.migrate().await?;
            return Ok(Opened { db, embedded: None });
        }
        let embedded = EmbeddedPostgres::start(data.path()).await?;
        let opened = async {
            let db = Db::connect(embedded.options(), limits).await?;
            db.migrate().await?;
            Ok(db)
        };
        match opened.await {
            Ok(db) => Ok(Opened { db, embedded: Some(embedded) }),
            Err(error) => {
                stop(embedded).await;
                Err(error)
            }
        }
    }
}

impl Opened {
    /// Closes the database and stops the PostgreSQL that we started.
    pub(super) async fn close(self) {
        self.db.close().await;
        if let Some(embedded) = self.embedded {
            stop(embedded).await;
        }
    }
}

/// A PostgreSQL that does not stop in order is found and taken over by the next start.
async fn stop(embedded: EmbeddedPostgres) {
    if let Err(error) = embedded.stop().await {
        tracing::warn!(error = %error.chain(), "the embedded PostgreSQL did not stop in order");
    }
}

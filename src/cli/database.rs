//! Which database a command works on: an external one, or the one in the data directory.

use std::path::PathBuf;
use std::str::FromStr as _;

use clap::Args;


use crate::app::DataDir;
use crate::base::{Error, Result};
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
        let (options, embedded) = match &self.database_url {
            Some(url) => {
                let options = PgConnectOptions::from_str(url).map_err(|e| {
                    Error::invalid("DATABASE_URL", "is not a PostgreSQL URL; write postgres://USER:PASSWORD@HOST/DATABASE")
                        .with_source(e)
                })?;
                (options, None)
            }
            None => {
                let embedded = EmbeddedPostgres::start(data.path()).await?;
                (embedded.options(), Some(embedded))
            }
        };
        let opened = async {
            let db = Db::connect(options, PoolLimits::default()).await?;
            db.migrate().await?;
            Ok(db)
        };
        match opened.await {
            Ok(db) => Ok(Opened { db, embedded }),
            Err(error) => {
                if let Some(embedded) = embedded {
                    embedded.stop().await;
                }
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
            embedded.stop().await;
        }
    }
}

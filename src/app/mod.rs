//! The composition root: configuration in, services and routers out.

mod operations;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::accounts::{self, Accounts};
use crate::base::{Error, Result, Secret, SharedClock};
use crate::catalog::Catalog;
use crate::config::{Config, Start};
use crate::db::Db;
use crate::engine::balance::client::GatewayClient;
use crate::engine::runtime::docker::DockerRuntime;
use crate::engine::{self, Engine};
use crate::events;
use crate::http::limits::Limits;
use crate::http::{Services, layers};
use crate::import::{self, Imports};
use crate::lifecycle::Lifecycle;
use crate::registry::Registry;
use crate::tasks::{Activator, drive};
use crate::{api, oci, web};

/// Names in the data directory.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// Makes the directory, if it is missing; nobody else may look into it.
    pub fn open(path: &Path) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o711).create(path);
        made.map_err(|e| {
            Error::unavailable(format!(
                "the data directory {} cannot be made; choose another with --data-dir",
                path.display()
            ))
            .with_source(e)
        })?;
        let path =
            path.canonicalize().map_err(|e| Error::internal("reading the data directory", e))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }
    pub fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }
    pub fn lock(&self) -> PathBuf {
        self.0.join("server.lock")
    }
    pub fn master_key(&self) -> PathBuf {
        self.0.join("master.key")
    }
    pub fn gateway_log(&self) -> PathBuf {
        self.0.join("gateway.log")
    }
    pub fn gateway_state(&self) -> PathBuf {
        self.0.join("gateway.json")
    }

    /// The gateway's control socket. Addresses of unix sockets are short (108 bytes), so a deep
    /// data directory's socket lies in the temporary directory, under a name made from its path.
    pub fn gateway_socket(&self) -> PathBuf {
        let near = self.0.join("gateway.sock");
        if near.as_os_str().len() < 100 {
            return near;
        }
        let digest = crate::base::Digest::sha256(near.as_os_str().as_encoded_bytes());
        std::env::temp_dir().join(format!("portolan-{}.sock", digest.short()))
    }

    /// The key that encrypts the installation's secrets: the one given, else the one kept here,
    /// which is made at the first start.
    pub fn ensure_master_key(&self, given: Option<Secret<[u8; 32]>>) -> Result<Secret<[u8; 32]>> {
        given.map_or_else(|| self.kept_key(), Ok)
    }

    fn kept_key(&self) -> Result<Secret<[u8; 32]>> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.master_key();
        let failed = |e: std::io::Error| Error::internal("keeping the master key", e);
        if !path.exists() {
            let mut key = [0u8; 32];
            aws_lc_rs::rand::fill(&mut key)
                .map_err(|e| Error::internal("making the master key", e.to_string()))?;
            let temporary = path.with_extension("new");
            let mut file = std::fs::File::options()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&temporary)
                .map_err(failed)?;
            file.write_all(hex::encode(key).as_bytes()).map_err(failed)?;
            file.sync_all().map_err(failed)?;
            std::fs::rename(&temporary, &path).map_err(failed)?;
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let mut key = [0u8; 32];
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| {
            Error::unavailable(format!(
                "{} does not hold a key (64 hexadecimal characters); restore it from a backup",
                path.display()
            ))
        })?;
        Ok(Secret::new(key))
    }
}

/// Everything a server is made of.
pub struct App {
    pub services: Services,
    pub router: Router,
}

/// Opens all services on a migrated database and plugs them together.
pub async fn build(
    config: Config,
    start: &Start,
    data: &DataDir,
    db: Db,
    clock: SharedClock,
    metrics: PrometheusHandle,
    limits: &Limits,
) -> Result<App> {
    events::maintain(&db, &*clock).await?;
    let settings = accounts::Settings {
        master_key: data.ensure_master_key(start.secret_key.clone())?,
        issuer: config.external_url.clone(),
        audience: config.registry_host().to_owned(),
    };
    let accounts = Accounts::open(db.clone(), clock.clone(), settings).await?;
    let catalog = Catalog::new(db.clone(), clock.clone());
    let undelete = chrono::Duration::days(i64::from(config.undelete_days));
    let registry = Registry::open(db.clone(), clock.clone(), catalog.clone(), data.blobs())
        .await?
        .with_undelete_window(undelete)
        .accepting_sparse_images(config.accept_sparse_images)
        .with_upkeep(config.upkeep);
    let seal = accounts.installation_secret("container-seal").await?;
    let runtime =
        DockerRuntime::new(config.docker_host.as_deref(), config.registry_host().to_owned(), seal)?;
    let engine = Engine::new(engine::Parts {
        db: db.clone(),
        clock: clock.clone(),
        accounts: accounts.clone(),
        catalog: catalog.clone(),
        registry: registry.clone(),
        runtime: Arc::new(runtime),
        balancer: Arc::new(GatewayClient::new(data.gateway_socket())),
        node_address: config.node_address(),
    });
    let imports = Imports::open(
        db.clone(),
        clock.clone(),
        accounts.clone(),
        catalog.clone(),
        registry.clone(),
        import::Settings { allowed: start.import_allow.clone(), ..import::Settings::default() },
    )?;
    let secure = config.is_secure();
    let services = Services {
        db,
        clock: clock.clone(),
        config: Arc::new(config),
        accounts,
        catalog,
        registry,
        imports,
        engine,
    };
    let operations = operations::router(operations::Operations {
        metrics,
        metrics_token: start.metrics_token.clone(),
    });
    let routes = Router::new()
        .merge(oci::router())
        .merge(api::router())
        .merge(operations)
        .merge(web::with_error_pages(web::router(), &services))
        .with_state(services.clone());
    let router = layers::wrap(routes, clock, limits, secure);
    Ok(App { services, router })
}

/// Starts the loops that are not requests.
pub fn start_loops(services: &Services, lifecycle: &Lifecycle) {
    let db = services.db.clone();
    lifecycle.spawn("event notifications out", |stop| events::listen::send(db, stop));
    let db = services.db.clone();
    lifecycle.spawn("event notifications in", |stop| events::listen::receive(db, stop));
    let registry = services.registry.clone();
    lifecycle.spawn("registry", |stop| async move { registry.run(stop).await });
    let imports = services.imports.clone();
    lifecycle.spawn("imports", |stop| async move { imports.run(stop).await });
    let engine = services.engine.clone();
    lifecycle.spawn("engine", |stop| async move { engine.run(stop).await });
    let accounts = services.accounts.clone();
    lifecycle.spawn("accounts", |stop| {
        drive("accounts", Duration::from_secs(300), Activator::default(), stop, move || {
            let accounts = accounts.clone();
            async move { accounts.maintain().await }
        })
    });
    let (db, clock) = (services.db.clone(), services.clock.clone());
    lifecycle.spawn("event log", |stop| {
        drive("event log", Duration::from_secs(6 * 3600), Activator::default(), stop, move || {
            let (db, clock) = (db.clone(), clock.clone());
            async move { events::maintain(&db, &*clock).await }
        })
    });
}

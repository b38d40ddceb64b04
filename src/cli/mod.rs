//! The commands of the binary, one file each.

mod database;
mod fsck;
mod gateway;
mod gc;
mod healthcheck;
mod migrate;
mod openapi;
mod quota;
mod serve;
mod upkeep;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::base::Result;
use crate::telemetry;

/// Registry, application catalog and deployment engine in one binary.
#[derive(Debug, Parser)]
#[command(name = "portolan", version, about, max_term_width = 100)]
struct Cli {
    /// What to log, in the syntax of `RUST_LOG`.
    #[arg(long, env = "PORTOLAN_LOG", global = true, default_value = "info")]
    log: String,
    /// Log as JSON; by default when standard error is not a terminal.
    #[arg(long, env = "PORTOLAN_LOG_JSON", global = true)]
    log_json: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(Box<serve::Serve>),
    /// Carry the traffic of services; `serve` starts one by itself.
    Gateway(gateway::Gateway),
    /// Bring an external database up to date.
    Migrate(migrate::Migrate),
    /// Remove stored blobs that nothing refers to.
    Gc(gc::Gc),
    /// Check that rows and files agree and that every blob is intact.
    Fsck(fsck::Fsck),
    /// Compare the counted use of projects with what they store.
    Quota(quota::Quota),
    /// Ask a running server whether it is healthy.
    Healthcheck(healthcheck::Healthcheck),
    /// Print the description of the JSON API.
    Openapi,
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    telemetry::start_logs(&cli.log, cli.log_json);
    // One provider for TLS everywhere; a second call would only say that it is there already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match execute(cli.command) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(error = %error.chain(), "portolan ends");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| crate::base::Error::internal("starting the runtime", e))?;
    runtime.block_on(async {
        match command {
            Command::Serve(command) => command.run().await?,
            Command::Gateway(command) => command.run().await?,
            Command::Migrate(command) => command.run().await?,
            Command::Gc(command) => command.run().await?,
            Command::Fsck(command) => return command.run().await,
            Command::Quota(command) => return command.run().await,
            Command::Healthcheck(command) => command.run().await?,
            Command::Openapi => openapi::run()?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

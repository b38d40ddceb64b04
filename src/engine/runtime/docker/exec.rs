//! Commands in a container: no shell, no privileges, bounded in time and output.

use std::time::Duration;

use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::StreamExt as _;

use super::super::{ExecOutput, clean, exec_timed_out, not_running};
use super::client::{Client, status};
use super::gone;
use crate::base::Result;

/// Most bytes kept of the output.
const OUTPUT_LIMIT: usize = 4096;
/// Pause before asking for an exit code again that came later than the end of the output.
const PAUSE: Duration = Duration::from_millis(5);

/// Runs `command` as the container's own user. After `timeout` nobody waits for it any more; the
/// Docker Engine cannot end it, so it goes on within the container's limits.
pub(super) async fn run(
    client: &Client,
    id: &str,
    command: &[String],
    timeout: Duration,
) -> Result<ExecOutput> {
    let work = tokio::time::timeout(timeout, execute(client, id, command));
    work.await.map_err(|_| exec_timed_out(timeout))?
}

async fn execute(client: &Client, id: &str, command: &[String]) -> Result<ExecOutput> {
    let docker = client.docker()?;
    let failed = |error| match status(&error) {
        Some(404) => gone(id),
        Some(409) => not_running(id),
        _ => client.failed("run the command", error),
    };
    let config = ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        privileged: Some(false),
        cmd: Some(command.to_vec()),
        ..ExecConfig::default()
    };
    let exec = docker.create_exec(id, config).await.map_err(failed)?;
    let started = docker.start_exec(&exec.id, None::<StartExecOptions>).await.map_err(failed)?;
    let mut kept = Vec::new();
    if let StartExecResults::Attached { mut output, .. } = started {
        // Read to the end even when enough is kept, or the command would stall.
        while let Some(part) = output.next().await {
            let part = part.map_err(failed)?.into_bytes();
            let room = OUTPUT_LIMIT - kept.len();
            kept.extend_from_slice(&part[..part.len().min(room)]);
        }
    }
    loop {
        let state = docker.inspect_exec(&exec.id).await.map_err(failed)?;
        if let (Some(code), Some(false)) = (state.exit_code, state.running) {
            let output = clean::visible_lines(&String::from_utf8_lossy(&kept));
            return Ok(ExecOutput { code, output });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

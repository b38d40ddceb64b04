//! The README's commands, run as they stand there.

use std::process::{Command, Stdio};

use crate::support::server::{ADMIN_PASSWORD, Server, ServerSettings, free_address};

/// The `sh` blocks of the section `heading`, one script.
fn commands(readme: &str, heading: &str) -> String {
    let (_, section) = readme.split_once(heading).expect("the section is there");
    let section = section.split("\n## ").next().expect("a section");
    section
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().expect("a block ends"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journey_of_the_readme_runs_as_it_stands() {
    let server = Server::start(ServerSettings { database_url: None, env: vec![] }).await;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))
        .expect("the README is readable");
    // Its ports may be in use by a server that somebody runs; nothing else is changed.
    let script = commands(&readme, "\n## The journey\n")
        .replace("127.0.0.1:8080", &server.listen.to_string())
        .replace("30080", &free_address().port().to_string());
    assert!(script.contains("docker push"), "the blocks were found");
    let config = tempfile::tempdir().expect("temporary directory");
    let output = tokio::task::spawn_blocking({
        let config = config.path().to_owned();
        move || {
            Command::new("timeout")
                .args(["240", "bash", "-euo", "pipefail", "-c", &script])
                .env("DOCKER_CONFIG", config)
                .env("PORTOLAN_ADMIN_PASSWORD", ADMIN_PASSWORD)
                .stdin(Stdio::null())
                .output()
                .expect("bash runs")
        }
    })
    .await
    .expect("joined");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.trim_end().ends_with("version 2"), "the good release serves: {stdout}");
    remove_deployment(&server).await;
}

/// Removes the journey's deployment and waits until its containers are gone.
pub(super) async fn remove_deployment(server: &Server) {
    let admin = server.admin();
    let _ = admin.delete("/api/v1/environments/demo/services/hello").await;
    let path = "/api/v1/environments/demo/deployments/hello";
    let _ = admin.delete(path).await;
    crate::support::server::eventually(60, "the deployment is gone", || async {
        (admin.get(path).await.status == 404).then_some(())
    })
    .await;
}

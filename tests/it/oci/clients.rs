//! The clients people use, against a real socket: docker, podman, skopeo, the oci-client crate.

use std::path::Path;

use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;
use tokio::process::Command;

use crate::support::images::{hello, tiny};
use crate::support::oci::{PASSWORD, TestFace};

struct Run {
    ok: bool,
    out: String,
    err: String,
}

async fn run(program: &str, args: &[&str]) -> Run {
    let output = Command::new(program).args(args).output().await.expect("the program runs");
    Run {
        ok: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        err: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    }
}

async fn must(program: &str, args: &[&str]) -> String {
    let done = run(program, args).await;
    assert!(done.ok, "{program} {args:?}\n{}\n{}", done.out, done.err);
    done.out
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_logs_in_pushes_and_pulls() {
    let (_face, host) = TestFace::serve().await;
    let dir = tempfile::tempdir().expect("tempdir");
    let config = |name: &str| text(&dir.path().join(name)).to_owned();
    let (ada, eve) = (config("ada"), config("eve"));
    for (home, user) in [(&ada, "ada"), (&eve, "eve")] {
        must("docker", &["--config", home, "login", &host, "-u", user, "-p", PASSWORD]).await;
    }
    let wrong = ["--config", &config("x"), "login", &host, "-u", "ada", "-p", "wrong"];
    assert!(!run("docker", &wrong).await.ok);
    let image = format!("{host}/ta/hello:1");
    hello("docker").load_into_docker(&image);
    let refused = run("docker", &["--config", &eve, "push", "-q", &image]).await;
    assert!(!refused.ok, "eve pushed: {}", refused.out);
    must("docker", &["--config", &ada, "push", "-q", &image]).await;
    // Everything is there already.
    must("docker", &["--config", &ada, "push", "-q", &image]).await;
    must("docker", &["rmi", &image]).await;
    let refused = run("docker", &["--config", &eve, "pull", "-q", &image]).await;
    assert!(!refused.ok, "eve pulled");
    assert!(refused.err.contains("denied") || refused.err.contains("not found"), "{}", refused.err);
    must("docker", &["--config", &ada, "pull", "-q", &image]).await;
    let seen = must("docker", &["run", "--rm", "--entrypoint", "cat", &image, "/start"]).await;
    assert!(seen.contains("docker"), "{seen}");
    must("docker", &["rmi", &image]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_copies_inspects_lists_and_deletes() {
    let (_face, host) = TestFace::serve().await;
    let dir = tempfile::tempdir().expect("tempdir");
    let image = hello("skopeo");
    image.write_oci_layout(dir.path(), "1");
    let source = format!("oci:{}:1", text(dir.path()));
    let target = format!("docker://{host}/ta/hello:1");
    let second = format!("docker://{host}/ta/hello:2");
    let creds = |user: &str| format!("{user}:{PASSWORD}");
    let (ada, mia, eve) = (creds("ada"), creds("mia"), creds("eve"));
    let push = ["copy", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", &ada];
    must("skopeo", &[&push[..], &[&source, &target]].concat()).await;
    let copy = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let copy = [&copy[..], &["--src-creds", &ada, "--dest-creds", &ada, &target, &second]].concat();
    must("skopeo", &copy).await;
    let inspect =
        ["inspect", "--tls-verify=false", "--creds", &ada, "--format", "{{.Digest}}", &second];
    assert_eq!(must("skopeo", &inspect).await, image.digest().to_string());
    let repository = format!("docker://{host}/ta/hello");
    let list = ["list-tags", "--tls-verify=false", "--creds", &ada, &repository];
    let listed: serde_json::Value =
        serde_json::from_str(&must("skopeo", &list).await).expect("JSON");
    assert_eq!(listed["Tags"], serde_json::json!(["1", "2"]));
    let delete = |creds: &str| {
        ["delete", "--tls-verify=false", "--creds", creds, &second].map(str::to_owned)
    };
    for (creds, allowed) in [(&eve, false), (&ada, false), (&mia, true)] {
        let args = delete(creds);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let done = run("skopeo", &args).await;
        assert_eq!(done.ok, allowed, "{creds}: {}", done.err);
    }
    assert!(!run("skopeo", &inspect).await.ok, "it is deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn podman_pushes_and_pulls() {
    let (_face, host) = TestFace::serve().await;
    // Podman makes a name of the path, so it must be in lower case.
    let lower = format!("portolan-podman-{}", host.rsplit(':').next().unwrap_or_default());
    let dir = tempfile::Builder::new().prefix(&lower).rand_bytes(0).tempdir().expect("tempdir");
    let layout = dir.path().join("layout");
    hello("podman").write_oci_layout(&layout, "1");
    let (root, state) = (dir.path().join("root"), dir.path().join("state"));
    let own = ["--root", text(&root), "--runroot", text(&state), "--storage-driver", "vfs"];
    let podman = |args: &[&str]| {
        let args: Vec<String> = own.iter().chain(args).map(|a| (*a).to_owned()).collect();
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            must("podman", &args).await
        }
    };
    let id = podman(&["pull", "-q", &format!("oci:{}:1", text(&layout))]).await;
    let image = format!("{host}/ta/hello:1");
    let creds = format!("ada:{PASSWORD}");
    podman(&["push", "-q", "--tls-verify=false", "--creds", &creds, &id, &image]).await;
    podman(&["rmi", "-f", &id]).await;
    podman(&["pull", "-q", "--tls-verify=false", "--creds", &creds, &image]).await;
    assert!(podman(&["images", "-n", "--format", "{{.Repository}}"]).await.contains("ta/hello"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oci_client_crate_pushes_and_pulls() {
    let (_face, host) = TestFace::serve().await;
    let config = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
    let client = oci_client::Client::new(config);
    let auth = RegistryAuth::Basic("ada".to_owned(), PASSWORD.to_owned());
    let reference: oci_client::Reference =
        format!("{host}/ta/tiny:1").parse().expect("a reference");
    let image = tiny("crate");
    let media_type = "application/vnd.oci.image.layer.v1.tar";
    let layers = [ImageLayer::new(image.layers[0].clone(), media_type.to_owned(), None)];
    let config = Config::oci_v1(image.config.clone(), None);
    client.push(&reference, &layers, config, &auth, None).await.expect("pushed");
    let pulled = client.pull(&reference, &auth, vec![media_type]).await.expect("pulled");
    assert_eq!(pulled.layers[0].data, image.layers[0]);
    assert_eq!(client.list_tags(&reference, &auth, None, None).await.expect("tags").tags, ["1"]);
}

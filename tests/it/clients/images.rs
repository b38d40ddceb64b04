//! Clients of container images: docker, podman, buildah, skopeo, crane, containerd, and the
//! oci-client crate.

use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;

use super::{Desk, must, run, text};
use crate::support::images::{hello, tiny};
use crate::support::oci::{PASSWORD, TestFace};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buildah_pushes_what_it_built_and_pulls_it_again() {
    let (_face, host) = TestFace::serve().await;
    let desk = Desk::new(&host);
    std::fs::write(desk.path("a.txt"), "built").expect("written");
    let (root, state) = (desk.path("root"), desk.path("state"));
    let buildah = |args: &[&str]| {
        let own = ["--root", text(&root), "--runroot", text(&state), "--storage-driver", "vfs"];
        let args: Vec<String> = own.iter().chain(args).map(|a| (*a).to_owned()).collect();
        let desk = &desk;
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            desk.must("buildah", &args).await
        }
    };
    let container = buildah(&["from", "scratch"]).await;
    buildah(&["copy", "-q", &container, "a.txt", "/a.txt"]).await;
    buildah(&["config", "--label", "org.example=yes", &container]).await;
    buildah(&["commit", "-q", &container, "built"]).await;
    let image = format!("docker://{host}/ta/built:1");
    let creds = format!("ada:{PASSWORD}");
    let wire = ["--tls-verify=false", "--creds", &creds];
    buildah(&[&["push", "-q"], &wire[..], &["built", &image]].concat()).await;
    buildah(&["rmi", "-f", "built"]).await;
    buildah(&[&["pull", "-q"], &wire[..], &[&image]].concat()).await;
    let name = format!("{host}/ta/built:1");
    let format = "{{index .OCIv1.Config.Labels \"org.example\"}}";
    assert_eq!(buildah(&["inspect", "--type", "image", "--format", format, &name]).await, "yes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crane_copies_tags_indexes_validates_and_deletes() {
    let (_face, host) = TestFace::serve().await;
    let desk = Desk::new(&host).logged_in("mia").await;
    let layout = desk.path("layout");
    let image = hello("crane");
    image.write_oci_layout(&layout, "1");
    let tag = |tag: &str| format!("{host}/ta/hello:{tag}");
    let crane = |args: &[&str]| {
        let args: Vec<String> =
            args.iter().copied().chain(["--insecure"]).map(str::to_owned).collect();
        let desk = &desk;
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            desk.must("crane", &args).await
        }
    };
    crane(&["push", text(&layout), &tag("1")]).await;
    assert_eq!(crane(&["digest", &tag("1")]).await, image.digest().to_string());
    std::fs::write(desk.path("layer.tar"), crate::support::images::layer("appended"))
        .expect("written");
    let appended = format!("{host}/ta/appended:1");
    crane(&["append", "--oci-empty-base", "-f", "layer.tar", "-t", &appended]).await;
    crane(&["validate", "--remote", &appended]).await;
    crane(&["cp", &tag("1"), &format!("{host}/ta/copy:1")]).await;
    crane(&["tag", &tag("1"), "two"]).await;
    crane(&["index", "append", "-m", &tag("1"), "-m", &tag("two"), "-t", &tag("multi")]).await;
    let repository = format!("{host}/ta/hello");
    assert_eq!(crane(&["ls", &repository]).await, "1\nmulti\ntwo");
    let index: serde_json::Value =
        serde_json::from_str(&crane(&["manifest", &tag("multi")]).await).expect("JSON");
    assert_eq!(index["manifests"][0]["digest"], image.digest().to_string());
    assert_eq!(crane(&["catalog", &host]).await, "ta/appended\nta/copy\nta/hello");
    // The tag goes, what it named stays.
    crane(&["delete", &tag("two")]).await;
    assert_eq!(crane(&["ls", &repository]).await, "1\nmulti");
    crane(&["pull", "--format", "oci", &tag("1"), text(&desk.path("pulled"))]).await;
    let refused = desk.run("crane", &["digest", "--insecure", &format!("{host}/tb/x:1")]).await;
    assert!(!refused.ok, "of another tenant: {}", refused.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containerd_pulls_and_pushes() {
    let (face, host) = TestFace::serve().await;
    let desk = Desk::new(&host);
    let image = hello("containerd");
    face.client_of("ada", "ta/hello").await.push("ta/hello", "1", &image).await;
    let daemon = desk.containerd().await;
    let user = format!("ada:{PASSWORD}");
    let (first, second) = (format!("{host}/ta/hello:1"), format!("{host}/ta/again:1"));
    let pull = ["images", "pull", "--plain-http", "--snapshotter", "native", "-u", &user, &first];
    daemon.ctr(&desk, &pull).await;
    daemon.ctr(&desk, &["images", "tag", &first, &second]).await;
    daemon.ctr(&desk, &["images", "push", "--plain-http", "-u", &user, &second]).await;
    let ada = face.client_of("ada", "ta/again").await;
    let pushed = ada.head("/v2/ta/again/manifests/1").await.expect(200);
    assert_eq!(pushed.header("docker-content-digest"), image.digest().to_string());
    let stranger = format!("eve:{PASSWORD}");
    let refused = ["images", "pull", "--plain-http", "-u", &stranger, &first];
    assert!(!daemon.try_ctr(&desk, &refused).await.ok, "eve pulled");
}

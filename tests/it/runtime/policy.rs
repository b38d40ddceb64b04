//! The container policy as the Docker Engine sees it, and whose containers are ours.

use std::process::Command;

use portolan::base::{Cpu, Secret};
use portolan::engine::runtime::Runtime as _;
use serde_json::{Value, json};

use crate::support::docker::{TOKEN, TestDocker, docker, docker_inspect, runtime_with_key, suffix};
use crate::support::images::{self, TestImage};

async fn prepared(image: TestImage) -> TestDocker {
    let docker = TestDocker::with_image(image).await;
    let token = Secret::new(TOKEN.to_owned());
    docker.runtime.pull(&docker.image, &token).await.expect("pull");
    docker.runtime.ensure_network(&docker.network).await.expect("a network");
    docker
}

/// The web server's layers under another config.
fn hello_with(config: Value) -> TestImage {
    TestImage::new(images::hello("1").layers, config)
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(n) => n.as_i64() == Some(0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_container_is_held_to_the_policy() {
    let test = prepared(hello_with(json!({
        "Entrypoint": ["/start"],
        "Env": ["PATH=/bin"],
        "Healthcheck": { "Test": ["CMD", "/bin/true"], "Interval": 1_000_000_000 },
    })))
    .await;
    let id = test.runtime.create(&test.spec()).await.expect("create");
    test.runtime.start(&id).await.expect("start");
    let seen = docker_inspect(&id);
    let host = &seen["HostConfig"];
    let fixed = [
        ("CapDrop", json!(["ALL"])),
        ("SecurityOpt", json!(["no-new-privileges:true"])),
        ("Privileged", json!(false)),
        ("Memory", json!(32 << 20)),
        ("MemorySwap", json!(32 << 20)),
        ("NanoCpus", json!(500_000_000)),
        ("CpuShares", json!(51)),
        ("PidsLimit", json!(64)),
        ("ReadonlyRootfs", json!(false)),
        ("NetworkMode", json!(test.runtime.network_name(&test.network))),
        ("IpcMode", json!("private")),
        ("CgroupnsMode", json!("private")),
        ("Init", json!(true)),
        ("AutoRemove", json!(false)),
        ("PublishAllPorts", json!(false)),
        ("RestartPolicy", json!({ "Name": "no", "MaximumRetryCount": 0 })),
        (
            "LogConfig",
            json!({ "Type": "json-file", "Config": { "max-size": "10m", "max-file": "2" } }),
        ),
        ("ShmSize", json!(64 << 20)),
        ("Runtime", json!("runc")),
    ];
    for (field, expected) in fixed {
        assert_eq!(host[field], expected, "{field}");
    }
    let unset = [
        "CapAdd",
        "Binds",
        "Mounts",
        "VolumesFrom",
        "VolumeDriver",
        "PidMode",
        "UTSMode",
        "UsernsMode",
        "CgroupParent",
        "Cgroup",
        "Devices",
        "DeviceCgroupRules",
        "DeviceRequests",
        "Sysctls",
        "OomKillDisable",
        "OomScoreAdj",
        "Ulimits",
        "StorageOpt",
        "Tmpfs",
        "PortBindings",
        "ExtraHosts",
        "Dns",
        "DnsOptions",
        "DnsSearch",
        "Links",
        "GroupAdd",
    ];
    for field in unset {
        assert!(is_unset(&host[field]), "{field}: {}", host[field]);
    }
    for field in ["MaskedPaths", "ReadonlyPaths"] {
        assert!(host[field].as_array().is_some_and(|paths| paths.len() > 3), "{field}");
    }
    assert_eq!(seen["Config"]["Healthcheck"]["Test"], json!(["NONE"]));
    assert!(is_unset(&seen["NetworkSettings"]["Ports"]));
    let networks = seen["NetworkSettings"]["Networks"].as_object().expect("networks");
    assert_eq!(networks.keys().collect::<Vec<_>>(), [&test.runtime.network_name(&test.network)]);

    let network = docker_inspect(&test.runtime.network_name(&test.network));
    assert_eq!(network["Options"]["com.docker.network.bridge.enable_icc"], "false");
    assert_eq!(network["Driver"], "bridge");

    // What the kernel says: no capability, seccomp on, no new privileges.
    let status = docker(&["exec", &id, "cat", "/proc/1/status"]);
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line} in {status}");
    }
    assert!(status.contains("Seccomp:\t2"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tenant_may_ask_for_is_all_that_changes() {
    let test = prepared(images::hello("1")).await;
    let mut spec = test.spec();
    spec.user = Some(1000);
    spec.read_only_root = true;
    spec.bind_low_ports = true;
    spec.cpu_limit = Cpu::from_millis(1_000_000);
    spec.command = vec!["/bin/sleep".to_owned()];
    spec.args = vec!["600".to_owned()];
    test.runtime.info().await.expect("info");
    let id = test.runtime.create(&spec).await.expect("a limit above the node is no obstacle");
    test.runtime.start(&id).await.expect("start");
    let seen = docker_inspect(&id);
    assert_eq!(seen["HostConfig"]["CapAdd"], json!(["NET_BIND_SERVICE"]));
    assert_eq!(seen["HostConfig"]["ReadonlyRootfs"], json!(true));
    assert_eq!(seen["Config"]["User"], "1000");
    assert_eq!(seen["Path"], "/bin/sleep");
    assert_eq!(seen["Args"], json!(["600"]));
    assert_eq!(seen["Config"]["Hostname"], "hello");
    let env = seen["Config"]["Env"].as_array().expect("environment");
    assert!(env.contains(&json!("GREETING=hello")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_of_one_network_do_not_reach_each_other() {
    let test = prepared(images::hello("1")).await;
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let id = test.runtime.create(&test.spec()).await.expect("create");
        let address = test.runtime.start(&id).await.expect("start").expect("an address");
        addresses.push((id, address));
    }
    let (client, (_, server)) = (&addresses[0].0, &addresses[1]);
    // The host reaches the server, its neighbour does not.
    crate::support::docker::eventually("the server answers", || async {
        tokio::net::TcpStream::connect((*server, 8080)).await.is_ok()
    })
    .await;
    let url = format!("http://{server}:8080/");
    let asked = Command::new("docker")
        .args(["exec", client, "wget", "-q", "-T", "2", "-O", "-", &url])
        .output()
        .expect("docker runs");
    assert!(!asked.status.success(), "{}", String::from_utf8_lossy(&asked.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_of_an_image_make_no_container_ours() {
    let test = prepared(images::hello("1")).await;
    let id = test.runtime.create(&test.spec()).await.expect("create");
    let labels = docker_inspect(&id)["Config"]["Labels"].clone();
    // A foreign container with every label of ours, seal included.
    let name = format!("portolan-forged-{}", suffix());
    let mut args = vec!["create".to_owned(), "--name".to_owned(), name.clone()];
    for (key, value) in labels.as_object().expect("labels") {
        args.push("--label".to_owned());
        args.push(format!("{key}={}", value.as_str().expect("text")));
    }
    args.push(test.reference());
    let forged = docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let listed = test.runtime.list().await.expect("list");
    assert_eq!(listed.iter().map(|c| &c.id).collect::<Vec<_>>(), [&id]);
    assert_eq!(test.runtime.inspect(&forged).await.expect("inspect"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_cannot_say_whose_its_container_is() {
    let stolen = "01890000-0000-7000-8000-000000000000";
    let test = prepared(hello_with(json!({
        "Entrypoint": ["/start"],
        "Env": ["PATH=/bin"],
        "Labels": {
            "portolan.replica": stolen,
            "portolan.deployment": stolen,
            "portolan.attempt": "7",
            "portolan.seal": "00",
            "test": "none",
        },
    })))
    .await;
    let spec = test.spec();
    let id = test.runtime.create(&spec).await.expect("create");
    let seen = test.runtime.inspect(&id).await.expect("inspect").expect("ours");
    assert_eq!((seen.replica, seen.attempt), (spec.replica, 0));
    let labels = docker_inspect(&id)["Config"]["Labels"].clone();
    assert_eq!(labels["portolan.deployment"], spec.deployment.to_string());
    assert_eq!(labels["test"], test.suffix);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_of_another_installation_are_not_ours() {
    let test = prepared(images::hello("1")).await;
    let id = test.runtime.create(&test.spec()).await.expect("create");
    let other = runtime_with_key("another key", &test.registry.address.to_string());
    assert!(other.list().await.expect("list").iter().all(|c| c.id != id));
    assert_eq!(other.inspect(&id).await.expect("inspect"), None);
    // Each has its own network, and takes no other for it.
    let theirs = other.network_name(&test.network);
    assert_ne!(theirs, test.runtime.network_name(&test.network));
    docker(&["network", "create", &theirs]);
    let error = other.ensure_network(&test.network).await.expect_err("a foreign network");
    assert_eq!(error.code(), "network_taken");
    docker(&["network", "rm", &theirs]);
    let error = other.create(&test.spec()).await;
    assert!(error.is_ok(), "another replica's name is free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volumes_of_an_image_go_with_the_container() {
    let test = prepared(hello_with(json!({
        "Entrypoint": ["/start"],
        "Env": ["PATH=/bin"],
        "Volumes": { "/data": {} },
    })))
    .await;
    let id = test.runtime.create(&test.spec()).await.expect("create");
    let volume = docker_inspect(&id)["Mounts"][0]["Name"].as_str().expect("a volume").to_owned();
    test.runtime.remove(&id).await.expect("remove");
    let left = docker(&["volume", "ls", "-q", "--filter", &format!("name={volume}")]);
    assert_eq!(left, "");
}

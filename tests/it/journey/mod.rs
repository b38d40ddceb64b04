//! The main job, end to end: from `docker push` to a release that undoes itself, with the real
//! binary, the real Docker Engine and the real `docker` client.

mod docker;
mod load;
mod readme;
mod refusals;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::server::{ApiClient, Server, ServerSettings, eventually, free_address};
use docker::DockerClient;
use load::Load;

const ADA: &str = "a long enough password";
const DEPLOYMENT: &str = "/api/v1/environments/demo/deployments/hello";

fn template(image: &str) -> Value {
    json!({"containers": [{
        "name": "hello",
        "image": image,
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "resources": {
            "requests": {"cpu": "50m", "memory": "16Mi"},
            "limits": {"cpu": "200m", "memory": "64Mi"},
        },
    }]})
}

/// A server with project `demo`, user `ada` (developer), team `core`, and a stranger.
async fn prepare(server: &Server) -> (ApiClient, ApiClient) {
    let admin = server.admin();
    let project = json!({"name": "demo", "visibility": "private"});
    let created = admin.post("/api/v1/projects", project).await.expect(201);
    assert_eq!(created.location.as_deref(), Some("/api/v1/projects/demo"));
    for name in ["ada", "stranger"] {
        let email = format!("{name}@example.org");
        let user = json!({"name": name, "email": email, "password": ADA});
        admin.post("/api/v1/users", user).await.expect(201);
    }
    let member = json!({"role": "developer"});
    admin.put("/api/v1/projects/demo/members/ada", member).await.expect(200);
    admin.post("/api/v1/teams", json!({"name": "core"})).await.expect(201);
    let joined = admin.put("/api/v1/teams/core/members/ada", json!({})).await;
    assert!((200..300).contains(&joined.status), "{}", joined.text);
    (server.client("ada", ADA), server.client("stranger", ADA))
}

/// Ready replicas of the deployment, once it is healthy with exactly `replicas` of `revision`.
async fn healthy(client: &ApiClient, revision: i64, replicas: u64) -> Vec<Value> {
    eventually(60, &format!("revision {revision} is healthy with {replicas} replicas"), || async {
        let view = client.get(DEPLOYMENT).await.expect(200).json();
        let settled = view["revision"] == revision
            && view["status"]["phase"] == "healthy"
            && view["status"]["replicas"] == replicas
            && view["status"]["readyReplicas"] == replicas;
        settled.then_some(())
    })
    .await;
    replicas_of(client).await
}

async fn replicas_of(client: &ApiClient) -> Vec<Value> {
    let list = client.get(&format!("{DEPLOYMENT}/replicas")).await.expect(200).json();
    list["items"].as_array().expect("items").clone()
}

fn containers(replicas: &[Value]) -> BTreeSet<String> {
    replicas.iter().filter_map(|r| r["containerId"].as_str()).map(str::to_owned).collect()
}

async fn events_of(client: &ApiClient, action: &str) -> Vec<Value> {
    let path = format!("/api/v1/events?project=demo&action={action}");
    let list = client.get(&path).await.expect(200).json();
    list["items"].as_array().expect("items").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn push_deploy_heal_scale_roll_undo_and_survive_a_crash() {
    let mut server = Server::start(ServerSettings { database_url: None, env: vec![] }).await;
    let (ada, stranger) = prepare(&server).await;
    let docker = DockerClient::new(server.listen);

    // Push. The stranger gets nowhere.
    docker.login("ada", ADA);
    let hello = |version: &str| docker.image("demo/hello", version);
    docker.build(&hello("1"), "1", docker::Kind::Serves);
    docker.push(&hello("1"));
    let outsider = DockerClient::new(server.listen);
    outsider.login("stranger", ADA);
    outsider.refused(&["pull", &hello("1")]);
    outsider.refused(&["push", &hello("1")]);
    refusals::registry(&server, "stranger", ADA).await;

    // Application.
    let application = json!({"name": "hello", "team": "core"});
    ada.post("/api/v1/projects/demo/applications", application).await.expect(201);
    let found = ada.get("/api/v1/applications?q=hello").await.expect(200).json();
    assert_eq!(found["items"][0]["team"], "core");
    stranger.get("/api/v1/projects/demo/applications/hello").await.expect(404);

    // Deploy; the same again changes nothing.
    let spec = json!({"application": "hello", "replicas": 3, "template": template("demo/hello:1")});
    ada.put(DEPLOYMENT, spec.clone()).await.expect(201);
    let first = healthy(&ada, 1, 3).await;
    let again = ada.put(DEPLOYMENT, spec).await.expect(200).json();
    assert_eq!(again["revision"], 1);
    assert_eq!(containers(&replicas_of(&ada).await), containers(&first));
    stranger.get(DEPLOYMENT).await.expect(404);

    // Service.
    let node_port = free_address().port();
    let ports = json!([{"port": 80, "targetPort": 8080, "nodePort": node_port}]);
    let service = json!({"deployment": "hello", "ports": ports});
    ada.put("/api/v1/environments/demo/services/hello", service).await.expect(201);
    let url = format!("http://127.0.0.1:{node_port}/");
    let names = eventually(20, "the service answers from all three", || async {
        load::names(&url, 60).await.filter(|names| names.len() == 3)
    })
    .await;
    assert!(names.iter().all(|line| line.ends_with(" version 1")), "{names:?}");

    refusals::engine(&ada, DEPLOYMENT, node_port).await;

    // Heal.
    let load = Load::start(&url);
    let victim = first[0]["containerId"].as_str().expect("a container").to_owned();
    docker.run(&["kill", &victim]);
    eventually(10, "the killed container is replaced", || async {
        let now = replicas_of(&ada).await;
        let ready = now.iter().filter(|r| r["ready"] == true).count();
        (ready == 3 && !containers(&now).contains(&victim)).then_some(())
    })
    .await;
    let report = load.stop().await;
    // Only requests in flight in the killed container may break; there are at most as many as
    // the load has workers.
    assert!(report.failed <= Load::WORKERS, "{report:?}");
    let restarts = events_of(&ada, "replica.").await;
    assert!(
        restarts.iter().any(|e| e["message"].as_str().is_some_and(|m| m.contains("signal 9"))),
        "no event says why: {restarts:?}"
    );

    // Scale.
    ada.patch(DEPLOYMENT, json!({"replicas": 5})).await.expect(200);
    healthy(&ada, 1, 5).await;
    ada.patch(DEPLOYMENT, json!({"replicas": 2})).await.expect(200);
    healthy(&ada, 1, 2).await;

    // Roll, under load.
    docker.build(&hello("2"), "2", docker::Kind::Serves);
    docker.push(&hello("2"));
    let load = Load::start(&url);
    ada.patch(DEPLOYMENT, json!({"image": "demo/hello:2"})).await.expect(200);
    healthy(&ada, 2, 2).await;
    let report = load.stop().await;
    assert_eq!(report.failed, 0, "{report:?}");
    assert!(report.answered > 100, "{report:?}");

    // A bad release undoes itself, revision 2 serves throughout.
    docker.build(&hello("3"), "3", docker::Kind::NeverReady);
    docker.push(&hello("3"));
    let load = Load::start(&url);
    let bad = json!({"image": "demo/hello:3", "progressDeadlineSeconds": 20});
    ada.patch(DEPLOYMENT, bad).await.expect(200);
    let failed = eventually(60, "revision 3 is marked failed", || async {
        let revisions = ada.get(&format!("{DEPLOYMENT}/revisions")).await.expect(200).json();
        let items = revisions["items"].as_array().expect("items").clone();
        items.into_iter().find(|r| r["number"] == 3 && r["outcome"] == "failed")
    })
    .await;
    let failure = &failed["failure"];
    assert_eq!(failure["restoredRevision"], 2, "{failure}");
    assert!(
        failure["logLines"].to_string().contains("cannot reach the database"),
        "no log lines: {failure}"
    );
    assert!(!failure["probeAnswers"].as_array().expect("answers").is_empty(), "{failure}");
    eventually(60, "the last good template runs again", || async {
        let view = ada.get(DEPLOYMENT).await.expect(200).json();
        let image = &view["spec"]["template"]["containers"][0]["image"];
        (view["status"]["phase"] == "healthy" && image == "demo/hello:2").then_some(())
    })
    .await;
    let report = load.stop().await;
    assert_eq!(report.failed, 0, "{report:?}");
    assert!(report.bodies.iter().all(|b| b.ends_with(" version 2")), "{:?}", report.bodies);
    assert!(!events_of(&ada, "deployment.undo").await.is_empty());

    // kill -9 in the middle of a rollout: traffic goes on, the rollout finishes, and what runs
    // well is left alone.
    let load = Load::start(&url);
    let roll = json!({"image": "demo/hello:1", "replicas": 4, "progressDeadlineSeconds": 120});
    let rolling = ada.patch(DEPLOYMENT, roll).await.expect(200).json();
    let revision = rolling["revision"].as_i64().expect("a number");
    eventually(20, "a replica of the new revision is ready", || async {
        let now = replicas_of(&ada).await;
        now.iter().any(|r| r["revision"] == revision && r["ready"] == true).then_some(())
    })
    .await;
    server.kill();
    let before: BTreeSet<String> = docker.running().into_iter().collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.spawn().await;
    let after = healthy(&ada, revision, 4).await;
    let report = load.stop().await;
    assert_eq!(report.failed, 0, "{report:?}");
    let kept = containers(&after).intersection(&before).count();
    assert!(kept >= 1, "containers that were ready before the crash were replaced");
    let restarted = after.iter().filter(|r| r["restarts"].as_i64() != Some(0)).count();
    assert_eq!(restarted, 0, "{after:?}");

    // Nothing is left behind.
    readme::remove_deployment(&server).await;
    for id in containers(&after) {
        assert!(!docker.exists(&id), "container {id} was left behind");
    }
}

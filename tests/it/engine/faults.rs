//! Crashes, lost leaders, missing parts and broken rows.

use portolan::base::Actor;
use portolan::base::id::{DeploymentId, ReplicaId};
use portolan::base::{Cpu, Memory};
use portolan::engine::runtime::{ContainerSpec, PinnedImage};
use portolan::engine::view::DeploymentPhase;
use serde_json::json;

use crate::support::engine::{TestEngine, digest_of, spec};
use crate::support::machine::now;
use crate::support::server::eventually;

fn starts(t: &TestEngine) -> usize {
    t.machine.calls().iter().filter(|c| c.starts_with("start")).count()
}

#[tokio::test]
async fn a_new_server_adopts_what_runs_and_takes_no_traffic_away() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(3, "demo/hello:1")).await;
    t.serve("hello", 30080).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    eventually(5, "three endpoints", || async {
        let table = t.machine.tables().pop()?;
        (table.listeners.first()?.endpoints.len() == 3).then_some(())
    })
    .await;
    driving.stop().await;
    let (before, tables) = (starts(&t), t.machine.tables().len());
    let second = t.twin().await;
    let driving = t.drive_with(&second);
    eventually(5, "the new server sends its table", || async {
        (t.machine.tables().len() > tables).then_some(())
    })
    .await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    driving.stop().await;
    assert_eq!(starts(&t), before, "no container was started");
    let newer = &t.machine.tables()[tables..];
    assert!(newer.iter().all(|table| table.listeners[0].endpoints.len() == 3), "{newer:?}");
    assert!(newer[0].generation > t.machine.tables()[tables - 1].generation);
}

#[tokio::test]
async fn a_change_while_a_new_server_still_lists_makes_no_replica_lost() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(3, "demo/hello:1")).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    driving.stop().await;
    let before = starts(&t);
    let lists = t.machine.slow_lists(std::time::Duration::from_millis(300));
    let second = t.twin().await;
    let driving = t.drive_with(&second);
    eventually(5, "the list begins", || async { (t.machine.lists_begun() > lists).then_some(()) })
        .await;
    t.patch("hello", json!({"replicas": 4})).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    driving.stop().await;
    assert_eq!(starts(&t), before + 1, "{:?}", t.messages("replica.").await);
}

#[tokio::test]
async fn a_rollout_goes_on_after_a_crash_wherever_it_happens() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(4, "demo/hello:1")).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    driving.stop().await;
    t.patch("hello", json!({"image": "demo/hello:2"})).await;
    // Each round is cut off after a few more acts than the one before.
    for acts in 1..12 {
        let engine = t.twin().await;
        let goal = t.machine.calls().len() + acts;
        let driving = t.drive_with(&engine);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(400), async {
            while t.machine.calls().len() < goal {
                tokio::task::yield_now().await;
            }
        })
        .await;
        driving.abort().await;
    }
    let driving = t.drive();
    let view = t.settles("hello", DeploymentPhase::Healthy).await;
    assert_eq!(view.revision, 2);
    eventually(15, "exactly four containers are left", || async {
        (t.machine.count() == 4 && t.machine.running().len() == 4).then_some(())
    })
    .await;
    assert!(t.machine.running().iter().all(|(s, _)| s.image.digest == digest_of("2")));
    driving.stop().await;
}

#[tokio::test]
async fn a_container_of_ours_without_a_row_is_removed() {
    let t = TestEngine::new().await;
    t.machine.plant(ContainerSpec {
        replica: ReplicaId::new(now()),
        deployment: DeploymentId::new(now()),
        attempt: 0,
        name: "portolan-demo-ghost-0".to_owned(),
        hostname: "ghost".to_owned(),
        image: PinnedImage {
            repository: "demo/hello".parse().expect("a name"),
            digest: digest_of("1"),
        },
        command: Vec::new(),
        args: Vec::new(),
        working_dir: None,
        env: Vec::new(),
        user: None,
        cpu_limit: Cpu::from_millis(100),
        memory_limit: Memory::from_bytes(1 << 24),
        cpu_request: Cpu::from_millis(1),
        pids_limit: 10,
        read_only_root: false,
        bind_low_ports: false,
        network: "portolan-demo".to_owned(),
        labels: Vec::new(),
    });
    let driving = t.drive();
    eventually(5, "the ghost is gone", || async { (t.machine.count() == 0).then_some(()) }).await;
    driving.stop().await;
}

#[tokio::test]
async fn without_docker_replicas_wait_and_say_what_is_missing() {
    let t = TestEngine::new().await;
    t.machine.set_down(Some("Docker does not answer; start dockerd"));
    let driving = t.drive();
    t.apply("hello", spec(2, "demo/hello:1")).await;
    eventually(5, "the status says why", || async {
        t.view("hello").await.status.reason.contains("start dockerd").then_some(())
    })
    .await;
    let node = t.engine.nodes(&Actor::system()).await.expect("nodes").remove(0);
    assert!(!node.ready && node.reason.expect("why").contains("start dockerd"));
    assert!(t.replicas("hello").await.iter().all(|r| r.reason.contains("start dockerd")));
    t.machine.set_down(None);
    t.settles("hello", DeploymentPhase::Healthy).await;
    driving.stop().await;
}

#[tokio::test]
async fn a_leader_whose_token_is_old_can_do_nothing() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(1, "demo/hello:1")).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    let before = starts(&t);
    // A newer leader appears while this one believes it still leads.
    let mut other = t.registry.db.read().await.expect("a connection");
    let held = "select pg_terminate_backend(pid) from pg_locks
                where locktype = 'advisory' and granted
                  and database = (select oid from pg_database where datname = current_database());
                select pg_advisory_lock(7041777);
                update leases set token = token + 1, holder = 'other'";
    sqlx::raw_sql(held).execute(&mut *other).await.expect("leads");
    t.patch("hello", json!({"replicas": 3})).await;
    eventually(10, "the old leader gives up", || async { (!t.machine.is_watched()).then_some(()) })
        .await;
    assert_eq!(starts(&t), before, "the old leader started nothing");
    driving.stop().await;
    other.close_on_drop();
}

#[tokio::test]
async fn two_servers_do_the_work_of_one() {
    let t = TestEngine::new().await;
    let twin = t.twin().await;
    let (one, two) = (t.drive(), t.drive_with(&twin));
    t.apply("hello", spec(3, "demo/hello:1")).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    assert_eq!(starts(&t), 3);
    // The leader ends; the other takes over and starts nothing anew.
    one.stop().await;
    t.patch("hello", json!({"replicas": 4})).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    two.stop().await;
    assert_eq!(starts(&t), 4);
}

#[tokio::test]
async fn a_broken_row_stops_nothing_but_itself() {
    let t = TestEngine::new().await;
    t.apply("bad", spec(1, "demo/hello:1")).await;
    t.sql("update revisions set template = '{\"containers\": 7}'").await;
    let driving = t.drive();
    t.apply("good", spec(1, "demo/hello:1")).await;
    t.settles("good", DeploymentPhase::Healthy).await;
    driving.stop().await;
    let driving = t.drive();
    t.patch("good", json!({"replicas": 2})).await;
    t.settles("good", DeploymentPhase::Healthy).await;
    driving.stop().await;
}

//! Driving replicas: deploy, heal, scale, roll, undo, delete.

use portolan::accounts::rbac::Role;
use portolan::engine::balance::EndpointState;
use portolan::engine::view::{DeploymentPhase, ReplicaPhase, RevisionOutcome};
use serde_json::json;

use crate::support::engine::{TestEngine, deployment, digest_of, environment, spec};
use crate::support::server::eventually;

#[tokio::test]
async fn declared_replicas_become_ready_and_reach_the_balancer() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(3, "demo/hello:1")).await;
    t.serve("hello", 30080).await;
    let view = t.settles("hello", DeploymentPhase::Healthy).await;
    assert_eq!(view.status.available_replicas, 3);
    assert_eq!(view.stable_revision, Some(1));
    eventually(5, "three endpoints", || async {
        let table = t.machine.tables().pop()?;
        (table.listeners.len() == 1 && table.listeners[0].endpoints.len() == 3).then_some(())
    })
    .await;
    assert!(t.machine.running().iter().all(|(spec, _)| spec.memory_limit.bytes() > 0));
    driving.stop().await;
    assert_eq!(t.machine.running().len(), 3, "stopping the server stops no replica");
}

#[tokio::test]
async fn a_killed_container_is_replaced_at_once_and_the_event_says_why() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(2, "demo/hello:1")).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    let victim = t.machine.running()[0].1.clone();
    t.machine.kill(&victim.id, 137);
    let healed = eventually(5, "the replica is ready again", || async {
        let replicas = t.replicas("hello").await;
        replicas.into_iter().find(|r| r.restarts == 1 && r.ready)
    })
    .await;
    assert_ne!(healed.container_id.as_deref(), Some(victim.id.as_str()));
    let messages = t.messages("replica.restart").await;
    assert!(messages[0].contains("killed by signal 9"), "{messages:?}");
    // A second failure soon after waits, and only this replica does.
    let again = t.machine.running().into_iter().find(|(s, _)| s.attempt == 1).expect("attempt 1");
    t.machine.kill(&again.1.id, 1);
    eventually(5, "it backs off", || async {
        let replicas = t.replicas("hello").await;
        replicas.into_iter().find(|r| r.phase == ReplicaPhase::BackingOff)
    })
    .await;
    t.settles("hello", DeploymentPhase::Degraded).await;
    t.advance(11);
    t.settles("hello", DeploymentPhase::Healthy).await;
    driving.stop().await;
}

#[tokio::test]
async fn a_container_removed_by_hand_is_made_again() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(1, "demo/hello:1")).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    t.machine.snatch(&t.machine.running()[0].1.id.clone());
    eventually(5, "it runs again", || async {
        t.replicas("hello").await.into_iter().find(|r| r.restarts == 1 && r.ready)
    })
    .await;
    assert!(t.messages("replica.restart").await[0].contains("removed from outside"));
    driving.stop().await;
}

#[tokio::test]
async fn scaling_down_drains_before_it_stops() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(5, "demo/hello:1")).await;
    t.serve("hello", 30080).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    eventually(5, "five endpoints", || async {
        let table = t.machine.tables().pop()?;
        (table.listeners.first()?.endpoints.len() == 5).then_some(())
    })
    .await;
    t.patch("hello", json!({"replicas": 2})).await;
    eventually(5, "two are left", || async { (t.machine.count() == 2).then_some(()) }).await;
    let stops: Vec<_> = t.machine.calls().into_iter().filter(|c| c.starts_with("stop")).collect();
    assert_eq!(stops.len(), 3);
    assert!(stops.iter().all(|c| !c.ends_with("while active")), "{stops:?}");
    let drained = t.machine.tables().iter().any(|table| {
        table
            .listeners
            .iter()
            .flat_map(|l| &l.endpoints)
            .any(|e| e.state == EndpointState::Draining)
    });
    assert!(drained, "draining replicas were shown to the balancer");
    driving.stop().await;
}

#[tokio::test]
async fn a_draining_replica_is_kept_while_requests_are_in_flight() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(1, "demo/hello:1")).await;
    t.serve("hello", 30080).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    let replica = t.machine.running()[0].1.replica;
    t.machine.set_in_flight(replica, 1);
    t.patch("hello", json!({"replicas": 0})).await;
    eventually(5, "it drains", || async {
        t.replicas("hello").await.into_iter().find(|r| r.phase == ReplicaPhase::Draining)
    })
    .await;
    assert!(t.machine.calls().iter().all(|c| !c.starts_with("stop")));
    t.machine.set_in_flight(replica, 0);
    t.settles("hello", DeploymentPhase::ScaledToZero).await;
    driving.stop().await;
}

#[tokio::test]
async fn a_rollout_replaces_every_replica_and_stops_none_that_still_serves() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(4, "demo/hello:1")).await;
    t.serve("hello", 30080).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    t.patch("hello", json!({"image": "demo/hello:2"})).await;
    let view = t.settles("hello", DeploymentPhase::Healthy).await;
    assert_eq!((view.revision, view.stable_revision), (2, Some(2)));
    eventually(5, "the old are gone", || async { (t.machine.count() == 4).then_some(()) }).await;
    assert!(t.machine.running().iter().all(|(s, _)| s.image.digest == digest_of("2")));
    let calls = t.machine.calls();
    assert!(calls.iter().all(|c| !c.ends_with("while active")), "{calls:?}");
    driving.stop().await;
}

#[tokio::test]
async fn a_failed_rollout_is_undone_with_its_evidence_and_restarts_nothing() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(3, "demo/hello:1")).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    t.patch("hello", json!({"image": "demo/hello:broken"})).await;
    eventually(5, "the new replica is probed", || async {
        let replicas = t.replicas("hello").await;
        replicas.into_iter().find(|r| r.revision == 2 && r.probe_answers.len() > 1)
    })
    .await;
    t.advance(21);
    let view = eventually(10, "it is undone", || async {
        let view = t.view("hello").await;
        (view.revision == 1 && view.status.phase == DeploymentPhase::Healthy).then_some(view)
    })
    .await;
    assert_eq!(view.stable_revision, Some(1));
    let revisions =
        t.engine.revisions(&t.ada, &environment(), &deployment("hello")).await.expect("revisions");
    let failed = &revisions[0];
    assert_eq!((failed.number, failed.outcome), (2, RevisionOutcome::Failed));
    let failure = failed.failure.as_ref().expect("why");
    assert_eq!(failure.restored_revision, Some(1));
    assert!(failure.probe_answers.iter().any(|a| !a.success));
    assert!(failure.log_lines[0].contains("says"), "{:?}", failure.log_lines);
    assert!(!failure.log_lines[0].contains('\u{1b}'), "no terminal is steered");
    assert!(t.replicas("hello").await.iter().filter(|r| r.revision == 1).all(|r| r.restarts == 0));
    assert_eq!(t.messages("deployment.undo").await.len(), 1);
    driving.stop().await;
}

#[tokio::test]
async fn without_automatic_rollback_a_failed_rollout_stays() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(1, "demo/hello:1")).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    t.patch("hello", json!({"rollback": "manual", "image": "demo/hello:broken"})).await;
    eventually(5, "the rollout begins", || async {
        (t.messages("rollout.start").await.len() == 2).then_some(())
    })
    .await;
    t.advance(21);
    eventually(10, "it fails", || async {
        (t.view("hello").await.status.phase == DeploymentPhase::Failed).then_some(())
    })
    .await;
    let old = t.machine.running().into_iter().filter(|(s, _)| s.image.digest == digest_of("1"));
    assert_eq!(old.count(), 1, "the old revision goes on");
    driving.stop().await;
}

#[tokio::test]
async fn a_failing_liveness_probe_restarts_the_replica() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    let mut wanted = spec(1, "demo/hello:1");
    wanted["template"]["containers"][0]["livenessProbe"] =
        json!({"exec": {"command": ["alive"]}, "periodSeconds": 1, "failureThreshold": 1});
    t.apply("hello", wanted).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    t.machine.make_unwell(&t.machine.running()[0].1.id.clone());
    eventually(10, "it is restarted", || async {
        t.replicas("hello").await.into_iter().find(|r| r.restarts == 1 && r.ready)
    })
    .await;
    let messages = t.messages("replica.restart").await;
    assert!(messages[0].contains("liveness probe failed"), "{messages:?}");
    driving.stop().await;
}

#[tokio::test]
async fn deleting_removes_every_container_and_then_the_deployment() {
    let t = TestEngine::new().await;
    let driving = t.drive();
    t.apply("hello", spec(2, "demo/hello:1")).await;
    t.settles("hello", DeploymentPhase::Healthy).await;
    let maintainer = t.registry.user("max").await;
    t.registry.member("demo", &maintainer, Role::Maintainer).await;
    let (environment, name) = (environment(), deployment("hello"));
    t.engine.delete_deployment(&maintainer, &environment, &name).await.expect("deletes");
    eventually(10, "it is gone", || async {
        let found = t.engine.deployment(&t.ada, &environment, &name).await;
        found.is_err_and(|e| e.is_not_found()).then_some(())
    })
    .await;
    assert_eq!(t.machine.count(), 0);
    driving.stop().await;
}

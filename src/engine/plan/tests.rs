//! Properties of the planner, over random snapshots and over simulated lives.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use proptest::prelude::*;

use super::heal::back_off;
use super::*;
use crate::base::id::NodeId;
use crate::engine::view::{DeploymentPhase, ReplicaPhase, RevisionOutcome};

fn start() -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::days(20_000)
}

fn node() -> Node {
    let capacity = Request { cpu_millis: 100_000, memory_bytes: 1 << 40 };
    Node {
        id: NodeId::from(uuid::Uuid::from_u128(1)),
        name: "local".to_owned(),
        trouble: None,
        cordoned: false,
        labels: BTreeMap::new(),
        capacity,
        free: capacity,
    }
}

fn desired(replicas: u32) -> Desired {
    Desired {
        replicas,
        deleting: false,
        paused: false,
        rolling: Rolling::Bounds { surge: 1, unavailable: 0 },
        min_ready: Duration::zero(),
        deadline: Duration::seconds(600),
        undo: true,
        revision: 2,
        stable: Some(1),
        outcome: RevisionOutcome::Progressing,
        started_at: Some(start()),
        progressed_at: Some(start()),
        progress: Progress { revision: 2, available: 0, old: 1000 },
        request: Request { cpu_millis: 50, memory_bytes: 1 << 20 },
        selector: BTreeMap::new(),
    }
}

/// A replica number `n` that runs and is ready.
fn serving(n: u128, revision: i64) -> Member {
    let create = Create { node: Some(node().id), reason: String::new() };
    let mut replica = Replica::new("hello", revision, &create, start());
    replica.id = uuid::Uuid::from_u128(n).into();
    replica.name = format!("hello-{n}");
    replica.phase = ReplicaPhase::Running;
    replica.container = Some(format!("c{n}"));
    replica.ready = true;
    replica.ready_since = Some(start());
    replica.started_at = Some(start());
    let live =
        Live { found: running(n), any: true, ready: true, off_balancer: false, ..Live::default() };
    Member {
        replica,
        live,
        request: Request { cpu_millis: 50, memory_bytes: 1 << 20 },
        selector: BTreeMap::new(),
        grace: Duration::seconds(30),
    }
}

fn running(n: u128) -> Found {
    Found::Running { id: format!("c{n}"), address: None, started_at: Some(start()) }
}

fn exited(code: i64) -> Found {
    Found::Exited { code, oom_killed: false, at: Some(start()) }
}

fn snapshot(desired: Desired, members: Vec<Member>) -> Snapshot {
    Snapshot { desired, members, nodes: vec![node()] }
}

fn alive_after(snapshot: &Snapshot, plan: &Plan) -> usize {
    let rows: BTreeMap<_, _> = plan.rows.iter().map(|r| (r.id, r)).collect();
    let kept = snapshot.members.iter().filter(|m| {
        !plan.forgets.contains(&m.replica.id)
            && !rows.get(&m.replica.id).copied().unwrap_or(&m.replica).is_leaving()
    });
    kept.count() + plan.creates.len()
}

fn is_available(member: &Member, desired: &Desired, now: Timestamp) -> bool {
    let row = &member.replica;
    // What a probe or an end took away is not taken away by the plan.
    let still = matches!(member.live.found, Found::Running { .. })
        && member.live.ready
        && member.live.dead.is_none();
    row.phase == ReplicaPhase::Running
        && still
        && row.ready
        && row.ready_since.is_some_and(|at| now - at >= desired.min_ready)
}

prop_compose! {
    fn any_desired()(
        replicas in 0u32..8, deleting in prop::bool::weighted(0.1), paused in prop::bool::weighted(0.2),
        surge in 0u32..4, unavailable in 0u32..4, recreate in prop::bool::weighted(0.2),
        min_ready in 0i64..3, outcome in 0usize..4, undo: bool,
    ) -> Desired {
        let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable };
        Desired {
            deleting, paused, undo,
            rolling: if recreate { Rolling::Recreate } else { Rolling::Bounds { surge, unavailable } },
            min_ready: Duration::seconds(min_ready),
            outcome: [RevisionOutcome::Pending, RevisionOutcome::Progressing,
                      RevisionOutcome::Complete, RevisionOutcome::Failed][outcome],
            ..desired(replicas)
        }
    }
}

prop_compose! {
    fn any_member(n: u128)(
        revision in 1i64..3, phase in 0usize..6, found in 0usize..4, work in 0usize..4,
        ready: bool, row_ready: bool, dead in prop::bool::weighted(0.1), streak in 0u32..8,
        off: bool, in_flight in 0u32..2, age in 0i64..100,
    ) -> Member {
        let mut m = serving(n + 100, revision);
        let row = &mut m.replica;
        row.phase = [ReplicaPhase::Pending, ReplicaPhase::Starting, ReplicaPhase::Running,
                     ReplicaPhase::BackingOff, ReplicaPhase::Draining, ReplicaPhase::Stopping][phase];
        row.created_at = start() - Duration::seconds(age);
        row.crash_streak = streak;
        row.ready = row.phase == ReplicaPhase::Running && row_ready;
        row.ready_since = row.ready.then(|| start() - Duration::seconds(age));
        if row.phase == ReplicaPhase::Pending { row.node = None; }
        if row.phase == ReplicaPhase::BackingOff { row.retry_at = Some(start() + Duration::seconds(age - 50)); }
        m.live.found = [Found::Nothing, Found::Created, running(n + 100), exited(1)][found].clone();
        m.live.any = found > 0;
        m.live.work = [Work::Idle, Work::Starting, Work::Ending,
                       Work::Failed { reason: "no".to_owned(), at: start() - Duration::seconds(age) }][work].clone();
        m.live.ready = ready;
        m.live.dead = dead.then(|| "liveness probe failed".to_owned());
        m.live.off_balancer = off;
        m.live.in_flight = in_flight;
        m
    }
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    (any_desired(), 0usize..10).prop_flat_map(|(desired, count)| {
        let members: Vec<_> = (0..count as u128).map(any_member).collect();
        (Just(desired), members).prop_map(|(desired, members)| snapshot(desired, members))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn bounds_hold_whatever_is_found(snapshot in any_snapshot()) {
        let now = start() + Duration::seconds(5);
        let plan = plan(&snapshot, now);
        prop_assert_eq!(&plan, &super::plan(&snapshot, now), "same input, same plan");
        let desired = &snapshot.desired;
        let surge = match desired.rolling { Rolling::Bounds { surge, .. } => surge, Rolling::Recreate => 0 };
        let alive = snapshot.members.iter().filter(|m| !m.replica.is_leaving()).count();
        let most = (desired.replicas + surge) as usize;
        prop_assert!(alive_after(&snapshot, &plan) <= most.max(alive));
        if desired.paused || desired.deleting || desired.replicas == 0 {
            prop_assert!(plan.creates.is_empty(), "nothing placed");
        }
        if let Rolling::Bounds { unavailable, .. } = desired.rolling
            && !desired.deleting && !desired.paused
        {
            let rows: BTreeMap<_, _> = plan.rows.iter().map(|r| (r.id, r)).collect();
            // A replica that this very pass found ready serves too, and lets another one go.
            let after = |m: &Member| rows.get(&m.replica.id).copied().unwrap_or(&m.replica).clone();
            let is_taken =
                |m: &&Member| is_available(m, desired, now) && after(m).is_leaving();
            let serves = |m: &&Member| {
                is_available(&Member { replica: after(m), ..(*m).clone() }, desired, now)
            };
            let taken = snapshot.members.iter().filter(is_taken).count();
            let left = snapshot.members.iter().filter(serves).count();
            let least = (desired.replicas.saturating_sub(unavailable)) as usize;
            prop_assert!(taken == 0 || left >= least.min(left + taken),
                "{left} left of {least}, {taken} taken");
        }
    }

    #[test]
    fn every_replica_gets_at_most_one_act_and_only_empty_rows_go(snapshot in any_snapshot()) {
        let plan = plan(&snapshot, start() + Duration::seconds(5));
        let mut seen = BTreeSet::new();
        for act in &plan.acts {
            let (Act::Start(id) | Act::Cancel(id) | Act::Kill(id, _) | Act::Remove(id, _)) = act;
            prop_assert!(seen.insert(*id), "two acts for one replica");
            prop_assert!(!plan.forgets.contains(id), "an act for a forgotten replica");
        }
        for id in &plan.forgets {
            let member = snapshot.members.iter().find(|m| m.replica.id == *id).expect("a member");
            prop_assert!(!member.live.any, "forgotten with a container");
            prop_assert!(plan.rows.iter().all(|r| r.id != *id));
        }
    }

    #[test]
    fn one_broken_replica_changes_nothing_for_the_others(
        snapshot in any_snapshot(), broken in any_member(77),
    ) {
        // Steps of life depend on nothing but the replica itself.
        let now = start() + Duration::seconds(5);
        let mut with = snapshot.clone();
        with.desired.deleting = false;
        with.desired.paused = true;
        with.desired.replicas = 1000;
        let mut without = with.clone();
        with.members.push(broken.clone());
        without.members.retain(|m| m.replica.id != broken.replica.id);
        let rows = |plan: Plan| -> Vec<Replica> {
            plan.rows.into_iter().filter(|r| r.id != broken.replica.id).collect()
        };
        prop_assert_eq!(rows(super::plan(&with, now)), rows(super::plan(&without, now)));
    }

    #[test]
    fn repeating_plan_and_apply_ends_in_what_is_wanted(desired in any_desired(), old in 0usize..8) {
        let mut desired = desired;
        desired.outcome = RevisionOutcome::Pending;
        desired.paused = false;
        let members = (0..old as u128).map(|n| serving(n + 100, 1)).collect();
        let mut world = Simulation { snapshot: snapshot(desired, members), now: start(), next: 1000 };
        world.run_until_quiet()?;
        let alive: Vec<_> = world.snapshot.members.iter().collect();
        if world.snapshot.desired.deleting {
            prop_assert!(alive.is_empty());
        } else {
            prop_assert_eq!(alive.len(), world.snapshot.desired.replicas as usize);
            prop_assert!(alive.iter().all(|m| m.replica.revision == 2 && m.replica.ready));
            prop_assert_eq!(world.snapshot.desired.outcome, RevisionOutcome::Complete);
        }
    }
}

/// A world in which everything that is started becomes ready.
struct Simulation {
    snapshot: Snapshot,
    now: Timestamp,
    next: u128,
}

impl Simulation {
    fn run_until_quiet(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..200 {
            let plan = plan(&self.snapshot, self.now);
            let quiet = plan.rows.is_empty()
                && plan.creates.is_empty()
                && plan.acts.is_empty()
                && plan.forgets.is_empty()
                && plan.verdict.is_none();
            if quiet && plan.wake_at.is_none_or(|at| at > self.now + Duration::seconds(500)) {
                return Ok(());
            }
            self.check(&plan)?;
            self.apply(&plan);
            self.now += Duration::seconds(1);
        }
        Err(TestCaseError::fail("no fixpoint within 200 steps"))
    }

    fn check(&self, plan: &Plan) -> Result<(), TestCaseError> {
        let desired = &self.snapshot.desired;
        if let Rolling::Bounds { surge, .. } = desired.rolling {
            let before = self.snapshot.members.iter().filter(|m| !m.replica.is_leaving()).count();
            let most = (desired.replicas + surge) as usize;
            prop_assert!(alive_after(&self.snapshot, plan) <= most.max(before));
        }
        Ok(())
    }

    fn apply(&mut self, plan: &Plan) {
        for row in &plan.rows {
            let member = self.snapshot.members.iter_mut().find(|m| m.replica.id == row.id);
            member.expect("a member").replica = row.clone();
        }
        self.snapshot.members.retain(|m| !plan.forgets.contains(&m.replica.id));
        for create in &plan.creates {
            self.next += 1;
            let mut member = serving(self.next, self.snapshot.desired.revision);
            let id = member.replica.id;
            member.replica = Replica::new("hello", member.replica.revision, create, self.now);
            member.replica.id = id;
            self.snapshot.members.push(member);
        }
        for act in &plan.acts {
            let (Act::Start(id) | Act::Cancel(id) | Act::Kill(id, _) | Act::Remove(id, _)) = act;
            let members = &mut self.snapshot.members;
            let member = members.iter_mut().find(|m| m.replica.id == *id).expect("a member");
            match act {
                Act::Start(_) => member.live.found = running(self.next),
                Act::Cancel(_) => {}
                Act::Kill(..) => member.live.found = exited(137),
                Act::Remove(..) => {
                    member.live.found = Found::Nothing;
                    member.live.any = false;
                }
            }
        }
        for member in &mut self.snapshot.members {
            member.live.off_balancer = member.replica.is_leaving();
        }
        let desired = &mut self.snapshot.desired;
        desired.progress = plan.progress;
        match &plan.verdict {
            Some(Verdict::Started | Verdict::Progressed) => {
                desired.outcome = RevisionOutcome::Progressing;
                desired.progressed_at = Some(self.now);
            }
            Some(Verdict::Completed) => desired.outcome = RevisionOutcome::Complete,
            Some(Verdict::Failed { .. }) => desired.outcome = RevisionOutcome::Failed,
            None => {}
        }
    }
}

#[test]
fn back_off_doubles_from_ten_seconds_to_five_minutes() {
    let waits: Vec<_> = (0..9).map(|n| back_off(n).num_seconds()).collect();
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
}

#[test]
fn a_killed_replica_is_restarted_at_once_and_a_crash_loop_waits() {
    let now = start() + Duration::seconds(5);
    let mut member = serving(1, 2);
    member.live.found = exited(137);
    let settled = Desired { outcome: RevisionOutcome::Complete, ..desired(1) };
    let first = plan(&snapshot(settled.clone(), vec![member.clone()]), now);
    assert_eq!(first.acts, [Act::Start(member.replica.id)]);
    assert_eq!(first.rows[0].restarts, 1);
    assert!(first.decisions[0].message.contains("killed by signal 9"), "{:?}", first.decisions);
    member.replica = first.rows[0].clone();
    let again = plan(&snapshot(settled, vec![member]), now);
    assert!(again.acts.is_empty());
    assert_eq!(again.rows[0].phase, ReplicaPhase::BackingOff);
    assert_eq!(again.wake_at, Some(now + Duration::seconds(10)));
    assert_eq!(again.status.phase, DeploymentPhase::Degraded);
}

#[test]
fn ten_healthy_minutes_reset_the_back_off() {
    let now = start() + Duration::minutes(11);
    let mut member = serving(1, 2);
    member.replica.crash_streak = 5;
    member.live.found = Found::Exited { code: 1, oom_killed: false, at: Some(now) };
    let plan = plan(&snapshot(desired(1), vec![member]), now);
    assert_eq!(plan.acts.len(), 1);
    assert_eq!(plan.rows[0].crash_streak, 1);
}

#[test]
fn ends_are_told_apart() {
    let reason = |found: Found, dead: Option<&str>| {
        let mut member = serving(1, 2);
        member.live.found = found;
        member.live.dead = dead.map(str::to_owned);
        let plan = plan(&snapshot(desired(1), vec![member]), start());
        plan.rows[0].last_exit.clone().expect("an exit").reason
    };
    assert_eq!(reason(exited(3), None), "exit code 3");
    assert_eq!(reason(exited(143), None), "killed by signal 15");
    assert!(reason(exited(0), None).contains("ended by itself"));
    let oom = Found::Exited { code: 137, oom_killed: true, at: None };
    assert!(reason(oom, None).contains("out of memory"));
    assert!(reason(Found::Nothing, None).contains("removed from outside"));
    assert_eq!(
        reason(exited(143), Some("liveness probe failed: timeout")),
        "liveness probe failed: timeout"
    );
}

#[test]
fn a_rollout_without_progress_fails_and_is_undone() {
    let mut bad = serving(2, 2);
    bad.replica.ready = false;
    bad.replica.ready_since = None;
    bad.live.ready = false;
    bad.live.answer = Some("readiness probe: connection refused".to_owned());
    let members = vec![serving(1, 1), bad.clone()];
    let mut wanted = desired(1);
    wanted.deadline = Duration::seconds(20);
    wanted.progress = Progress { revision: 2, available: 0, old: 1 };
    let early = plan(&snapshot(wanted.clone(), members.clone()), start() + Duration::seconds(19));
    assert_eq!(early.verdict, None);
    assert_eq!(early.wake_at, Some(start() + Duration::seconds(20)));
    let late = plan(&snapshot(wanted.clone(), members.clone()), start() + Duration::seconds(20));
    let Some(Verdict::Failed { reason, witness, undo_to }) = late.verdict else { panic!("fails") };
    assert!(reason.contains("connection refused"), "{reason}");
    assert_eq!((witness, undo_to), (Some(bad.replica.id), Some(1)));
    wanted.undo = false;
    let kept = plan(&snapshot(wanted, members), start() + Duration::seconds(20));
    assert!(matches!(kept.verdict, Some(Verdict::Failed { undo_to: None, .. })));
    assert_eq!(kept.status.phase, DeploymentPhase::Failed);
}

#[test]
fn a_replica_that_comes_and_goes_buys_no_time() {
    let members = vec![serving(1, 1), serving(2, 2)];
    let mut wanted = desired(3);
    wanted.progress = Progress { revision: 2, available: 1, old: 1 };
    wanted.rolling = Rolling::Bounds { surge: 0, unavailable: 3 };
    let plan = plan(&snapshot(wanted, members), start() + Duration::seconds(1));
    assert_ne!(plan.verdict, Some(Verdict::Completed));
    assert!(!matches!(plan.verdict, Some(Verdict::Progressed)) || plan.progress.old < 1);
}

#[test]
fn draining_waits_for_the_balancer_then_for_requests_then_for_nothing() {
    let mut member = serving(1, 1);
    member.replica.phase = ReplicaPhase::Draining;
    member.replica.ready = false;
    member.replica.phase_since = start();
    member.live.in_flight = 1;
    let acts = |member: &Member, at: i64| {
        let now = start() + Duration::seconds(at);
        plan(&snapshot(desired(0), vec![member.clone()]), now).acts.len()
    };
    assert_eq!(acts(&member, 1), 0, "still on the balancer");
    member.live.off_balancer = true;
    assert_eq!(acts(&member, 1), 0, "one request in flight");
    assert_eq!(acts(&member, 30), 1, "out of patience");
    member.live.in_flight = 0;
    assert_eq!(acts(&member, 1), 1, "idle");
}

#[test]
fn without_room_a_replica_waits_and_says_why() {
    let mut small = snapshot(desired(2), Vec::new());
    small.nodes[0].free = Request { cpu_millis: 60, memory_bytes: 1 << 30 };
    let plan = plan(&small, start());
    let placed: Vec<_> = plan.creates.iter().map(|c| c.node.is_some()).collect();
    assert_eq!(placed, [true, false]);
    assert_eq!(plan.creates[1].reason, "node local lacks CPU: 50m requested, 10m of 100000m free");
    assert!(plan.status.reason.contains("lacks CPU"), "{}", plan.status.reason);
}

#[test]
fn a_node_that_does_not_answer_heals_nothing_and_is_named() {
    let mut member = serving(1, 2);
    member.live = Live::default();
    let mut down = snapshot(desired(2), vec![member]);
    down.nodes[0].trouble = Some("Docker does not answer; start dockerd".to_owned());
    let plan = plan(&down, start());
    assert!(plan.acts.is_empty() && plan.rows.is_empty());
    assert!(plan.creates.iter().all(|c| c.node.is_none()));
    assert!(plan.status.reason.contains("start dockerd"), "{}", plan.status.reason);
}

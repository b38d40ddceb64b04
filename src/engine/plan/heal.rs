//! The life of one replica, a step at a time: started, running, ready, ended, started again.
//!
//! A first failure is mended at once; each further one without ten healthy minutes between waits
//! 10, 20, 40 … at most 300 seconds. Ends are told apart: exit code, signal, out of memory, given
//! up by a probe, removed by hand, impossible to start.

use chrono::Duration;
use serde_json::json;

use super::place::Room;
use super::{Act, Draft, Found, Member, Work};
use crate::base::Timestamp;
use crate::engine::view::{ExitView, ReplicaPhase};

/// A replica that was ready for this long has earned a fresh start.
const HEALTHY: Duration = Duration::minutes(10);
/// Pause before an end that failed is tried again.
const PAUSE: Duration = Duration::seconds(5);

/// Wait before the restart after `streak` earlier failures.
pub(super) fn back_off(streak: u32) -> Duration {
    match streak {
        0 => Duration::zero(),
        n => Duration::seconds((10i64 << (n - 1).min(5)).min(300)),
    }
}

/// How a container ended, in words.
fn describe_exit(code: i64, oom_killed: bool) -> String {
    match code {
        _ if oom_killed => "out of memory: it reached its memory limit".to_owned(),
        0 => "its process ended by itself (exit code 0)".to_owned(),
        129..=159 => format!("killed by signal {}", code - 128),
        _ => format!("exit code {code}"),
    }
}

/// Moves every replica one step.
pub(super) fn advance(draft: &mut Draft<'_>, room: &Room) {
    for index in 0..draft.members.len() {
        let mut member = draft.members[index].clone();
        // A node that does not answer tells nothing about its containers.
        if member.replica.node.is_none_or(|node| room.is_ready(node)) {
            step(draft, &mut member);
        }
        draft.members[index] = member;
    }
}

fn step(draft: &mut Draft<'_>, member: &mut Member) {
    match member.replica.phase {
        ReplicaPhase::Pending => {}
        ReplicaPhase::Starting => starting(draft, member),
        ReplicaPhase::Running => running(draft, member),
        ReplicaPhase::BackingOff => backing_off(draft, member),
        ReplicaPhase::Draining => draining(draft, member),
        ReplicaPhase::Stopping => stopping(draft, member),
    }
}

fn starting(draft: &mut Draft<'_>, member: &mut Member) {
    match (&member.live.work, &member.live.found) {
        (_, Found::Running { .. }) => runs(draft, member),
        (Work::Starting | Work::Ending, _) => {}
        (Work::Failed { reason, .. }, _) => {
            let reason = reason.clone();
            wait(draft, member, "cannot start", &reason);
        }
        (Work::Idle, Found::Exited { .. }) => ended(draft, member),
        (Work::Idle, Found::Nothing | Found::Created) => {
            draft.plan.acts.push(Act::Start(member.replica.id));
        }
    }
}

/// The container runs: take note of it.
fn runs(draft: &mut Draft<'_>, member: &mut Member) {
    let Found::Running { id, address, started_at } = &member.live.found else { return };
    let row = &mut member.replica;
    row.container = Some(id.clone());
    row.address = *address;
    row.started_at = started_at.or(Some(draft.now));
    row.retry_at = None;
    row.enter(ReplicaPhase::Running, String::new(), draft.now);
    readiness(draft, member);
}

fn running(draft: &mut Draft<'_>, member: &mut Member) {
    match &member.live.found {
        Found::Running { .. } => {
            if let Some(reason) = member.live.dead.clone() {
                give_up(draft, member, &reason);
            } else {
                runs(draft, member);
            }
        }
        // Being stopped by us: its end will be seen when that is done.
        // Whatever its row said, it does not serve now.
        _ if member.live.work == Work::Ending => member.replica.ready = false,
        Found::Exited { .. } => ended(draft, member),
        Found::Nothing | Found::Created => {
            let exit = exit_of(draft.now, -1, false, "its container was removed from outside");
            mend(draft, member, exit);
        }
    }
}

/// Brings the row's readiness in line with the probes.
fn readiness(draft: &mut Draft<'_>, member: &mut Member) {
    let (row, live) = (&mut member.replica, &member.live);
    if live.ready == row.ready {
        if !row.ready {
            row.reason = match &live.answer {
                Some(answer) => format!("not ready: {answer}"),
                None => "waiting for its first probe".to_owned(),
            };
        } else if let Some(since) = row.ready_since {
            let available = since + draft.desired.min_ready;
            if available > draft.now {
                draft.wake(available);
            }
        }
        return;
    }
    row.ready = live.ready;
    let name = row.name.clone();
    if live.ready {
        row.ready_since = Some(draft.now);
        row.reason.clear();
        let waited = row.started_at.map(|at| (draft.now - at).num_milliseconds().max(0));
        let message = match waited {
            Some(ms) => format!("{name} is ready, {} after its start", seconds(ms)),
            None => format!("{name} is ready"),
        };
        if !draft.desired.min_ready.is_zero() {
            draft.wake(draft.now + draft.desired.min_ready);
        }
        draft.decide("replica.ready", Some(&name), message, json!({ "afterStartMs": waited }));
    } else {
        let answer = live.answer.clone().unwrap_or_else(|| "no answer yet".to_owned());
        row.ready_since = None;
        row.reason = format!("not ready: {answer}");
        let message = format!("{name} is not ready any more and gets no traffic: {answer}");
        draft.decide("replica.unready", Some(&name), message, json!({ "answer": answer }));
    }
}

fn seconds(ms: i64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// A probe says that waiting will not help: stop it, its end is mended like any other.
fn give_up(draft: &mut Draft<'_>, member: &mut Member, reason: &str) {
    // Given up means no traffic and no count, also while its end is under way or is retried.
    member.replica.ready = false;
    match &member.live.work {
        Work::Ending => return,
        Work::Failed { at, .. } if draft.now - *at < PAUSE => return draft.wake(*at + PAUSE),
        _ => {}
    }
    let row = &mut member.replica;
    row.reason = format!("being stopped: {reason}");
    let name = row.name.clone();
    draft.plan.acts.push(Act::Kill(row.id, member.grace));
    draft.decide("replica.kill", Some(&name), format!("{name} is stopped: {reason}"), json!({}));
}

fn exit_of(at: Timestamp, code: i64, oom_killed: bool, reason: impl Into<String>) -> ExitView {
    ExitView { at, code, oom_killed, reason: reason.into() }
}

/// The container ended.
fn ended(draft: &mut Draft<'_>, member: &mut Member) {
    let Found::Exited { code, oom_killed, at } = member.live.found else { return };
    let reason = member.live.dead.clone().unwrap_or_else(|| describe_exit(code, oom_killed));
    let exit = exit_of(at.unwrap_or(draft.now).min(draft.now), code, oom_killed, reason);
    mend(draft, member, exit);
}

/// Starts the replica again, at once or after its back-off.
fn mend(draft: &mut Draft<'_>, member: &mut Member, exit: ExitView) {
    let row = &mut member.replica;
    let healthy = row.ready_since.is_some_and(|since| exit.at - since >= HEALTHY);
    let streak = if healthy { 0 } else { row.crash_streak };
    let delay = back_off(streak);
    let name = row.name.clone();
    let detail = json!({
        "exitCode": exit.code,
        "outOfMemory": exit.oom_killed,
        "earlierFailures": streak,
        "formula": "0 s, then min(10 s × 2^(failures − 1), 300 s); reset after 10 healthy minutes",
        "delaySeconds": delay.num_seconds(),
    });
    let reason = exit.reason.clone();
    row.crash_streak = streak + 1;
    row.last_exit = Some(exit);
    ends(row);
    if delay.is_zero() {
        row.restarts += 1;
        row.enter(ReplicaPhase::Starting, format!("replacing its container: {reason}"), draft.now);
        draft.plan.acts.push(Act::Start(row.id));
        let message = format!("{name} is restarted at once: {reason}");
        draft.decide("replica.restart", Some(&name), message, detail);
    } else {
        let at = draft.now + delay;
        row.retry_at = Some(at);
        let wait = delay.num_seconds();
        row.enter(ReplicaPhase::BackingOff, format!("{reason}; restart in {wait} s"), draft.now);
        draft.wake(at);
        let message =
            format!("{name} waits {wait} s before restart {}: {reason}", row.restarts + 1);
        draft.decide("replica.back_off", Some(&name), message, detail);
    }
}

fn ends(row: &mut super::Replica) {
    row.ready = false;
    row.ready_since = None;
    row.address = None;
}

/// It could not even be started: wait and try the same again.
fn wait(draft: &mut Draft<'_>, member: &mut Member, what: &str, reason: &str) {
    let row = &mut member.replica;
    let delay = back_off(row.crash_streak.max(1));
    row.crash_streak = row.crash_streak.max(1) + 1;
    let at = draft.now + delay;
    row.retry_at = Some(at);
    ends(row);
    let name = row.name.clone();
    let text = format!("{what}: {reason}; next try in {} s", delay.num_seconds());
    row.enter(ReplicaPhase::BackingOff, text.clone(), draft.now);
    draft.wake(at);
    draft.decide(
        "replica.back_off",
        Some(&name),
        format!("{name} {text}"),
        json!({ "delaySeconds": delay.num_seconds() }),
    );
    if let Some(decision) = draft.plan.decisions.last_mut() {
        decision.failure = true;
    }
}

fn backing_off(draft: &mut Draft<'_>, member: &mut Member) {
    if matches!(member.live.found, Found::Running { .. }) {
        // Somebody started it by hand: it is what is wanted.
        return runs(draft, member);
    }
    let row = &mut member.replica;
    match row.retry_at {
        Some(at) if at > draft.now => draft.wake(at),
        _ => {
            if !matches!(member.live.found, Found::Nothing | Found::Created) {
                row.restarts += 1;
            }
            row.retry_at = None;
            row.enter(ReplicaPhase::Starting, "starting again".to_owned(), draft.now);
            draft.plan.acts.push(Act::Start(row.id));
            let name = row.name.clone();
            let message = format!("{name} is started again after its back-off");
            draft.decide("replica.restart", Some(&name), message, json!({}));
        }
    }
}

/// Off the balancer first, then idle or out of patience, then stopped.
fn draining(draft: &mut Draft<'_>, member: &mut Member) {
    let row = &mut member.replica;
    let deadline = row.phase_since + member.grace;
    let runs = matches!(member.live.found, Found::Running { .. });
    let idle = member.live.off_balancer && member.live.in_flight == 0;
    if !runs || idle || draft.now >= deadline {
        let left = (deadline - draft.now).max(Duration::seconds(1)).min(member.grace);
        row.enter(ReplicaPhase::Stopping, row.reason.clone(), draft.now);
        end(draft, member, left);
    } else {
        draft.wake(deadline);
    }
}

fn stopping(draft: &mut Draft<'_>, member: &mut Member) {
    let grace = member.grace;
    end(draft, member, grace);
}

/// Ends a replica that is leaving: gives its start up, removes its containers, forgets its row.
pub(super) fn end(draft: &mut Draft<'_>, member: &mut Member, grace: Duration) {
    let id = member.replica.id;
    match &member.live.work {
        Work::Ending => {}
        Work::Starting => draft.plan.acts.push(Act::Cancel(id)),
        Work::Failed { at, .. } if member.live.any && draft.now - *at < PAUSE => {
            draft.wake(*at + PAUSE);
        }
        Work::Idle | Work::Failed { .. } => {
            if member.live.any {
                draft.plan.acts.push(Act::Remove(id, grace));
            } else {
                draft.plan.forgets.push(id);
            }
        }
    }
}

//! How many replicas of which revision: creates what is missing, retires what is too much.
//!
//! The arithmetic is Kubernetes': at most `replicas + maxSurge` alive, at least
//! `replicas − maxUnavailable` available, the broken of the old revision go first.

use serde_json::json;

use super::place::Room;
use super::{Create, Draft, Member, Rolling};
use crate::base::Timestamp;
use crate::engine::view::{ReplicaPhase, RevisionOutcome};

pub(super) fn compare(draft: &mut Draft<'_>, room: &mut Room) {
    let wanted = draft.desired.replicas;
    if draft.desired.deleting {
        retire(draft, u32::MAX, "the deployment is being deleted", |_, _| true);
        return;
    }
    if wanted == 0 {
        retire(draft, u32::MAX, "scaled to zero", |_, _| true);
        return;
    }
    let surplus = draft.alive_current().saturating_sub(wanted);
    retire(draft, surplus, "more replicas than wanted", |d, m| d.is_current(m));
    if draft.desired.paused {
        let surplus = draft.alive().saturating_sub(wanted);
        retire(draft, surplus, "more replicas than wanted while paused", |_, _| true);
        return;
    }
    if draft.desired.outcome == RevisionOutcome::Failed && draft.alive_old() > 0 {
        // Stays as it is until somebody acts.
        return;
    }
    match draft.desired.rolling {
        Rolling::Recreate => recreate(draft, room),
        Rolling::Bounds { surge, unavailable } => roll(draft, room, surge, unavailable),
    }
}

fn recreate(draft: &mut Draft<'_>, room: &mut Room) {
    let reason = format!("revision {} replaces it (strategy Recreate)", draft.desired.revision);
    retire(draft, u32::MAX, &reason, |d, m| !d.is_current(m));
    if draft.count(|d, m| !d.is_current(m)) == 0 {
        let missing = draft.desired.replicas.saturating_sub(draft.alive_current());
        create(draft, room, missing, json!({ "strategy": "Recreate" }));
    }
}

fn roll(draft: &mut Draft<'_>, room: &mut Room, surge: u32, unavailable: u32) {
    let wanted = draft.desired.replicas;
    let (current, old) = (draft.alive_current(), draft.alive_old());
    let most = wanted.saturating_add(surge);
    let missing = wanted.saturating_sub(current).min(most.saturating_sub(current + old));
    let least = wanted.saturating_sub(unavailable);
    let detail = json!({
        "replicas": wanted, "maxSurge": surge, "maxUnavailable": unavailable,
        "current": current, "old": old,
        "formula": "create min(replicas − current, replicas + maxSurge − current − old)",
        "result": missing,
    });
    create(draft, room, missing, detail);
    if old == 0 {
        return;
    }
    let reason = format!("revision {} replaces it", draft.desired.revision);
    let current_unavailable = current.saturating_sub(draft.available_current());
    let spare = (current + old).saturating_sub(least).saturating_sub(current_unavailable);
    retire(draft, spare, &reason, |d, m| !d.is_current(m) && !d.is_available(m));
    let spare = draft.available().saturating_sub(least);
    retire(draft, spare, &reason, |d, m| !d.is_current(m) && d.is_available(m));
}

fn create(draft: &mut Draft<'_>, room: &mut Room, count: u32, detail: serde_json::Value) {
    if count == 0 {
        return;
    }
    let mut placed = 0;
    for _ in 0..count {
        let create = match room.take(draft.desired.request, &draft.desired.selector) {
            Ok(node) => {
                placed += 1;
                Create { node: Some(node), reason: String::new() }
            }
            Err(reason) => Create { node: None, reason },
        };
        draft.plan.creates.push(create);
    }
    let revision = draft.desired.revision;
    let mut message = format!("{count} new {} of revision {revision}", replicas(count));
    if placed < count {
        let why = draft.plan.creates.last().map(|c| c.reason.clone()).unwrap_or_default();
        message.push_str(&format!("; {} must wait: {why}", count - placed));
    }
    draft.decide("replica.create", None, message, detail);
}

fn replicas(count: u32) -> &'static str {
    if count == 1 { "replica" } else { "replicas" }
}

/// Which goes first: not ready before ready, old before current, young before aged.
fn order(draft: &Draft<'_>, member: &Member) -> (u8, bool, std::cmp::Reverse<Timestamp>) {
    let row = &member.replica;
    let health = match row.phase {
        ReplicaPhase::Pending => 0,
        ReplicaPhase::BackingOff => 1,
        ReplicaPhase::Starting => 2,
        _ if !row.ready => 3,
        _ if !draft.is_available(member) => 4,
        _ => 5,
    };
    (health, draft.is_current(member), std::cmp::Reverse(row.created_at))
}

/// Sends up to `count` alive replicas that match away.
fn retire(
    draft: &mut Draft<'_>,
    count: u32,
    reason: &str,
    matches: impl Fn(&Draft<'_>, &Member) -> bool,
) {
    let mut chosen: Vec<usize> = (0..draft.members.len())
        .filter(|i| {
            let member = &draft.members[*i];
            !member.replica.is_leaving() && matches(draft, member)
        })
        .collect();
    chosen.sort_by_key(|i| (order(draft, &draft.members[*i]), draft.members[*i].replica.id));
    chosen.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    if chosen.is_empty() {
        return;
    }
    let mut names = Vec::new();
    for index in chosen {
        let mut member = draft.members[index].clone();
        names.push(member.replica.name.clone());
        leave(draft, &mut member, reason);
        draft.members[index] = member;
    }
    let message = format!("{} sent away: {reason}", names.join(", "));
    draft.decide("replica.remove", None, message, json!({ "replicas": names, "reason": reason }));
}

/// A running replica drains first; any other is ended right away.
fn leave(draft: &mut Draft<'_>, member: &mut Member, reason: &str) {
    let now = draft.now;
    let row = &mut member.replica;
    let serves = row.phase == ReplicaPhase::Running;
    row.ready = false;
    row.ready_since = None;
    // Acts decided earlier in this pass for a replica that now leaves are void.
    let id = row.id;
    draft.plan.acts.retain(|act| !matches!(act, super::Act::Start(other) if *other == id));
    if serves {
        row.enter(ReplicaPhase::Draining, reason.to_owned(), now);
        draft.wake(now + member.grace);
    } else {
        row.enter(ReplicaPhase::Stopping, reason.to_owned(), now);
        let grace = member.grace;
        super::heal::end(draft, member, grace);
    }
}

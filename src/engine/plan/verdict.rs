//! The rollout's fate: begun, moving, complete, or failed for want of progress.
//!
//! Progress is a new high water of available replicas of the revision, or a new low water of
//! others left, so a replica that comes and goes buys no time. A failed rollout is undone to the
//! last complete revision: the very replicas that still run become current again.

use serde_json::json;

use super::{Draft, Progress, Verdict};
use crate::engine::view::RevisionOutcome;

pub(super) fn judge(draft: &mut Draft<'_>) {
    let desired = draft.desired;
    if desired.deleting {
        return;
    }
    let seen = Progress {
        revision: desired.revision,
        available: draft.available_current(),
        old: draft.alive_old(),
    };
    match desired.outcome {
        RevisionOutcome::Pending | RevisionOutcome::Superseded if !desired.paused => {
            draft.plan.progress = seen;
            draft.plan.verdict = Some(Verdict::Started);
            let message = match desired.stable {
                Some(stable) if stable != desired.revision => {
                    format!("rollout of revision {} begins; it replaces {stable}", desired.revision)
                }
                _ => format!("rollout of revision {} begins", desired.revision),
            };
            let deadline = desired.deadline.num_seconds();
            let detail = json!({ "progressDeadlineSeconds": deadline });
            draft.decide("rollout.start", None, message, detail);
            draft.wake(draft.now + desired.deadline);
        }
        RevisionOutcome::Progressing | RevisionOutcome::Failed if is_complete(draft) => {
            draft.plan.progress = seen;
            draft.plan.verdict = Some(Verdict::Completed);
            let took = desired.started_at.map(|at| (draft.now - at).num_milliseconds());
            let message = format!(
                "revision {} is complete: {} of {} replicas available",
                desired.revision, seen.available, desired.replicas
            );
            draft.decide("rollout.complete", None, message, json!({ "tookMs": took }));
        }
        RevisionOutcome::Progressing if !desired.paused => follow(draft, seen),
        _ => {}
    }
}

fn is_complete(draft: &Draft<'_>) -> bool {
    let wanted = draft.desired.replicas;
    draft.alive_old() == 0
        && draft.plan.creates.is_empty()
        && draft.alive_current() == wanted
        && draft.available_current() == wanted
}

fn follow(draft: &mut Draft<'_>, seen: Progress) {
    let desired = draft.desired;
    let best = desired.progress;
    if best.revision != desired.revision {
        draft.plan.progress = seen;
        return follow_deadline(draft, seen);
    }
    if seen.available > best.available || seen.old < best.old {
        draft.plan.progress = Progress {
            revision: desired.revision,
            available: seen.available.max(best.available),
            old: seen.old.min(best.old),
        };
        draft.plan.verdict = Some(Verdict::Progressed);
        draft.wake(draft.now + desired.deadline);
        return;
    }
    follow_deadline(draft, seen);
}

fn follow_deadline(draft: &mut Draft<'_>, seen: Progress) {
    let desired = draft.desired;
    let Some(since) = desired.progressed_at.or(desired.started_at) else { return };
    let deadline = since + desired.deadline;
    if draft.now < deadline {
        return draft.wake(deadline);
    }
    let witness = draft
        .members
        .iter()
        .filter(|m| draft.is_current(m) && !draft.is_available(m) && !m.replica.is_leaving())
        .max_by_key(|m| (m.live.answer.is_some(), m.replica.restarts, m.live.any, m.replica.id));
    let mut reason = format!(
        "revision {}: {} of {} replicas available, no progress for {} s",
        desired.revision,
        seen.available,
        desired.replicas,
        desired.deadline.num_seconds()
    );
    if let Some(member) = witness
        && !member.replica.reason.is_empty()
    {
        reason.push_str(&format!("; {}: {}", member.replica.name, member.replica.reason));
    }
    let witness = witness.map(|m| m.replica.id);
    let undo_to = desired.stable.filter(|stable| desired.undo && *stable != desired.revision);
    let mut fail = |action, message: String, detail| {
        draft.decide(action, None, message, detail);
        if let Some(decision) = draft.plan.decisions.last_mut() {
            decision.failure = action == "rollout.fail";
        }
    };
    let detail = json!({
        "available": seen.available, "wanted": desired.replicas,
        "progressDeadlineSeconds": desired.deadline.num_seconds(), "lastProgressAt": since,
    });
    fail("rollout.fail", format!("rollout failed: {reason}"), detail);
    if let Some(stable) = undo_to {
        let message = format!(
            "revision {stable} is restored, because the rollout of {} failed",
            desired.revision
        );
        fail("deployment.undo", message, json!({ "from": desired.revision, "to": stable }));
    }
    draft.plan.verdict = Some(Verdict::Failed { reason, witness, undo_to });
}

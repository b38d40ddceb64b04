//! The deployment's status: phase, counts, and one sentence that says what it waits for.

use super::place::Room;
use super::{Draft, Member, Verdict};
use crate::engine::view::{DeploymentPhase, DeploymentStatus, ReplicaPhase, RevisionOutcome};

pub(super) fn tell(draft: &mut Draft<'_>, room: &Room) {
    let created = u32::try_from(draft.plan.creates.len()).unwrap_or(u32::MAX);
    let replicas = u32::try_from(draft.members.len().saturating_sub(draft.plan.forgets.len()))
        .unwrap_or(u32::MAX)
        .saturating_add(created);
    let (phase, reason) = phase(draft, room);
    draft.plan.status = DeploymentStatus {
        phase,
        reason,
        replicas,
        updated_replicas: draft.alive_current().saturating_add(created),
        ready_replicas: draft.count(|_, m| m.replica.ready),
        available_replicas: draft.available(),
    };
}

fn phase(draft: &Draft<'_>, room: &Room) -> (DeploymentPhase, String) {
    let desired = draft.desired;
    let left = draft.members.len().saturating_sub(draft.plan.forgets.len());
    if desired.deleting {
        return (DeploymentPhase::Deleting, format!("{left} replicas left to remove"));
    }
    let outcome = match &draft.plan.verdict {
        Some(Verdict::Started | Verdict::Progressed) => RevisionOutcome::Progressing,
        Some(Verdict::Completed) => RevisionOutcome::Complete,
        // After an undo the restored revision is the current one at the next pass.
        Some(Verdict::Failed { undo_to: Some(_), .. }) => RevisionOutcome::Progressing,
        Some(Verdict::Failed { .. }) => RevisionOutcome::Failed,
        None => desired.outcome,
    };
    if desired.replicas == 0 && left == 0 && outcome != RevisionOutcome::Failed {
        return (DeploymentPhase::ScaledToZero, "no replicas wanted".to_owned());
    }
    if let Some(Verdict::Failed { reason, .. }) = &draft.plan.verdict {
        let phase = if outcome == RevisionOutcome::Failed {
            DeploymentPhase::Failed
        } else {
            DeploymentPhase::Progressing
        };
        return (phase, reason.clone());
    }
    let sentence = waits_for(draft, room);
    match outcome {
        RevisionOutcome::Failed => (DeploymentPhase::Failed, sentence),
        RevisionOutcome::Complete => settled(draft, sentence),
        _ if desired.paused => {
            (DeploymentPhase::Progressing, format!("the rollout is paused; {sentence}"))
        }
        _ => (DeploymentPhase::Progressing, sentence),
    }
}

/// No rollout is in progress.
fn settled(draft: &Draft<'_>, sentence: String) -> (DeploymentPhase, String) {
    let desired = draft.desired;
    if draft.available_current() == desired.replicas && draft.alive_old() == 0 {
        let n = desired.replicas;
        return (DeploymentPhase::Healthy, format!("{n} of {n} replicas available"));
    }
    let struggles = |m: &Member| {
        let row = &m.replica;
        match row.phase {
            ReplicaPhase::BackingOff | ReplicaPhase::Pending => true,
            ReplicaPhase::Starting => row.restarts > 0,
            ReplicaPhase::Running => !row.ready && (row.restarts > 0 || m.live.answer.is_some()),
            ReplicaPhase::Draining | ReplicaPhase::Stopping => false,
        }
    };
    let waiting = draft.plan.creates.iter().any(|c| c.node.is_none());
    let degraded = waiting || draft.members.iter().any(struggles);
    let phase = if degraded { DeploymentPhase::Degraded } else { DeploymentPhase::Progressing };
    (phase, sentence)
}

fn waits_for(draft: &Draft<'_>, room: &Room) -> String {
    let desired = draft.desired;
    let available = draft.available_current();
    let mut sentence = format!(
        "{available} of {} replicas of revision {} available",
        desired.replicas, desired.revision
    );
    let old = draft.alive_old();
    if old > 0 {
        sentence.push_str(&format!(", {old} of older revisions left"));
    }
    let held = draft
        .members
        .iter()
        .filter(|m| draft.is_current(m) && !m.replica.is_leaving() && !draft.is_available(m))
        .max_by_key(|m| (!m.replica.reason.is_empty(), m.replica.restarts));
    if let Some(trouble) = room.trouble() {
        sentence.push_str(&format!("; {trouble}"));
    } else if let Some(create) = draft.plan.creates.iter().find(|c| c.node.is_none()) {
        sentence.push_str(&format!("; waiting for room: {}", create.reason));
    } else if let Some(member) = held
        && !member.replica.reason.is_empty()
    {
        sentence.push_str(&format!("; {}: {}", member.replica.name, member.replica.reason));
    }
    sentence
}

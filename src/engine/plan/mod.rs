//! The planner: `plan(snapshot, now)` decides, without I/O, and explains itself.
//!
//! # Words
//!
//! A replica is *current* if it runs the current revision, else *old*; *leaving* once it drains
//! or stops; *alive* otherwise; *available* when it has been ready for `minReadySeconds`.
//!
//! # Design notes
//!
//! Rows are the only memory. Each pass moves every replica one step along its life
//! (`heal`), places what waits (`place`), compares alive replicas with the wanted number
//! (`rollout`) and judges the rollout (`verdict`). A pass is cheap, so no pass does two things
//! that depend on each other's outcome: the next one, a moment later, sees the result.
//!
//! Replicas that leave do not count against `maxSurge`, as in Kubernetes: a process that ignores
//! its stop signal would hold the whole rollout up for its grace period.

mod heal;
mod model;
mod place;
mod rollout;
mod status;
mod verdict;

#[cfg(test)]
mod tests;

pub(super) use model::*;

use crate::base::Timestamp;

/// A plan under construction.
struct Draft<'a> {
    desired: &'a Desired,
    now: Timestamp,
    members: Vec<Member>,
    plan: Plan,
}

impl Draft<'_> {
    fn decide(
        &mut self,
        action: &'static str,
        replica: Option<&str>,
        message: String,
        detail: serde_json::Value,
    ) {
        self.plan.decisions.push(Decision {
            action,
            replica: replica.map(str::to_owned),
            message,
            failure: false,
            detail,
        });
    }

    /// Looks again at `at` at the latest.
    fn wake(&mut self, at: Timestamp) {
        let at = at.max(self.now);
        self.plan.wake_at = Some(self.plan.wake_at.map_or(at, |other| other.min(at)));
    }

    /// Ready for long enough.
    fn is_available(&self, member: &Member) -> bool {
        let row = &member.replica;
        !row.is_leaving()
            && row.ready
            && row.ready_since.is_some_and(|since| self.now - since >= self.desired.min_ready)
    }

    fn is_current(&self, member: &Member) -> bool {
        member.replica.revision == self.desired.revision
    }

    fn count(&self, matches: impl Fn(&Self, &Member) -> bool) -> u32 {
        let count = self.members.iter().filter(|m| matches(self, m)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn alive(&self) -> u32 {
        self.count(|_, m| !m.replica.is_leaving())
    }

    fn alive_current(&self) -> u32 {
        self.count(|d, m| !m.replica.is_leaving() && d.is_current(m))
    }

    fn alive_old(&self) -> u32 {
        self.count(|d, m| !m.replica.is_leaving() && !d.is_current(m))
    }

    fn available(&self) -> u32 {
        self.count(|d, m| d.is_available(m))
    }

    fn available_current(&self) -> u32 {
        self.count(|d, m| d.is_available(m) && d.is_current(m))
    }
}

/// Decides what to do about one deployment.
pub(super) fn plan(snapshot: &Snapshot, now: Timestamp) -> Plan {
    let mut draft = Draft {
        desired: &snapshot.desired,
        now,
        members: snapshot.members.clone(),
        plan: Plan {
            rows: Vec::new(),
            creates: Vec::new(),
            forgets: Vec::new(),
            acts: Vec::new(),
            verdict: None,
            progress: snapshot.desired.progress,
            status: crate::engine::view::DeploymentStatus::default(),
            decisions: Vec::new(),
            gone: false,
            wake_at: None,
        },
    };
    let mut room = place::Room::new(&snapshot.nodes);
    heal::advance(&mut draft, &room);
    place::place(&mut draft, &mut room);
    rollout::compare(&mut draft, &mut room);
    verdict::judge(&mut draft);
    status::tell(&mut draft, &room);
    let before = snapshot.members.iter().map(|m| &m.replica);
    let changed = draft.members.iter().map(|m| &m.replica).zip(before);
    draft.plan.rows = changed
        .filter(|(after, before)| after != before && !draft.plan.forgets.contains(&after.id))
        .map(|(after, _)| after.clone())
        .collect();
    draft.plan.gone = snapshot.desired.deleting
        && draft.members.iter().all(|m| draft.plan.forgets.contains(&m.replica.id));
    draft.plan
}

//! What the rules say about one repository: a pure function.
//!
//! An *attachment* follows another image of its repository: a child its index, a referrer (a
//! signature, an SBOM) its subject, a tag of the `sha256-<hex>` schemes what it names. What an
//! attachment follows decides about it: kept with any of them, removed when all of them go.
//!
//! Everything is kept unless a removing rule reaches it and nothing holds it; so a mistake in
//! the facts can only keep too much.

use std::collections::{HashMap, HashSet, VecDeque};

use chrono::Duration;

use super::rule::{Kind, Rule};
use super::{Reason, Use};
use crate::base::{Digest, Timestamp};

/// A tag of the repository.
#[derive(Debug, Clone)]
pub(crate) struct TagFact {
    pub(crate) name: String,
    /// Index of its manifest.
    pub(crate) manifest: usize,
    pub(crate) pushed_at: Timestamp,
}

/// A manifest of the repository.
#[derive(Debug, Clone)]
pub(crate) struct ManifestFact {
    pub(crate) digest: Digest,
    pub(crate) pushed_at: Timestamp,
    pub(crate) pulled_at: Option<Timestamp>,
    pub(crate) subject: Option<Digest>,
    /// Of an index.
    pub(crate) children: Vec<Digest>,
}

/// A repository as it was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// Below the project.
    pub(crate) path: String,
    pub(crate) manifests: Vec<ManifestFact>,
    pub(crate) tags: Vec<TagFact>,
    /// Images that deployments may need.
    pub(crate) used: HashMap<Digest, Use>,
    /// Tags that deployments name now, wherever they point.
    pub(crate) named: HashMap<String, Use>,
    /// Tags that a rule about tags makes immutable or protects, with that rule.
    pub(crate) protected: HashMap<String, String>,
}

/// What is decided about a tag or a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) removes: bool,
    pub(crate) reason: Reason,
}

fn keep(reason: Reason) -> Verdict {
    Verdict { removes: false, reason }
}

fn remove(reason: Reason) -> Verdict {
    Verdict { removes: true, reason }
}

/// One verdict for each tag and each manifest.
#[derive(Debug, Clone)]
pub(crate) struct Decided {
    pub(crate) tags: Vec<Verdict>,
    pub(crate) manifests: Vec<Verdict>,
    /// Manifests to remove, each after all that it follows.
    pub(crate) order: Vec<usize>,
    /// Whether there were tags of people and all of them go.
    pub(crate) empties: bool,
}

/// The image that a tag of the `sha256-<hex>`, `.sig`, `.att`, `.sbom` schemes belongs to.
pub(crate) fn attached_to(tag: &str) -> Option<Digest> {
    let (algorithm, rest) = tag.split_once('-')?;
    let hex = ["", ".sig", ".att", ".sbom"].iter().find_map(|suffix| {
        let hex = rest.strip_suffix(suffix)?;
        (!hex.contains('.')).then_some(hex)
    })?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// Repositories that some removing rule covers.
pub(crate) fn is_covered(rules: &[Rule], path: &str) -> bool {
    rules.iter().any(|rule| rule.kind.removes() && rule.repositories.matches(path))
}

/// Decides about everything in a repository, as of `now`.
pub(crate) fn evaluate(rules: &[Rule], facts: &Facts, now: Timestamp) -> Decided {
    let mut work = Work::of(rules, facts, now);
    work.judge_tags();
    work.keep_what_hangs_on_kept();
    work.remove_from_the_top();
    work.finish()
}

struct Work<'a> {
    /// Rules about this repository, with their numbers.
    rules: Vec<(u32, &'a Rule)>,
    facts: &'a Facts,
    now: Timestamp,
    tags: Vec<Option<Verdict>>,
    manifests: Vec<Option<Verdict>>,
    /// Tags of each manifest.
    tags_of: Vec<Vec<usize>>,
    /// The manifest that a tag is attached to.
    attached: Vec<Option<usize>>,
    /// What follows each manifest, and what each follows.
    followers: Vec<Vec<(usize, Edge)>>,
    leaders: Vec<usize>,
    order: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Edge {
    Child,
    Referrer,
    /// Through the tag of this index.
    Tag(usize),
}

impl<'a> Work<'a> {
    fn of(rules: &'a [Rule], facts: &'a Facts, now: Timestamp) -> Self {
        let by_digest: HashMap<&Digest, usize> =
            facts.manifests.iter().enumerate().map(|(i, m)| (&m.digest, i)).collect();
        let count = facts.manifests.len();
        let mut followers = vec![Vec::new(); count];
        let mut tags_of = vec![Vec::new(); count];
        for (i, manifest) in facts.manifests.iter().enumerate() {
            let children: HashSet<&Digest> = manifest.children.iter().collect();
            for child in children.into_iter().filter_map(|digest| by_digest.get(digest)) {
                if *child != i {
                    followers[i].push((*child, Edge::Child));
                }
            }
            let subject = manifest.subject.as_ref().and_then(|digest| by_digest.get(digest));
            if let Some(subject) = subject.filter(|subject| **subject != i) {
                followers[*subject].push((i, Edge::Referrer));
            }
        }
        let mut attached = Vec::with_capacity(facts.tags.len());
        for (t, tag) in facts.tags.iter().enumerate() {
            tags_of[tag.manifest].push(t);
            let to = attached_to(&tag.name).and_then(|digest| by_digest.get(&digest).copied());
            let to = to.filter(|to| *to != tag.manifest);
            if let Some(to) = to {
                followers[to].push((tag.manifest, Edge::Tag(t)));
            }
            attached.push(to);
        }
        let mut leaders = vec![0; count];
        for (follower, _) in followers.iter().flatten() {
            leaders[*follower] += 1;
        }
        let about = |rule: &Rule| rule.repositories.matches(&facts.path);
        let rules = (1..).zip(rules).filter(|(_, rule)| about(rule)).collect();
        Self {
            rules,
            facts,
            now,
            tags: vec![None; facts.tags.len()],
            manifests: vec![None; count],
            tags_of,
            attached,
            followers,
            leaders,
            order: Vec::new(),
        }
    }

    /// Whether something pushed or pulled `at` falls in the last `days`.
    fn is_recent(&self, at: Timestamp, days: u32) -> bool {
        at > self.now - Duration::days(i64::from(days))
    }

    /// Tags that each counting rule keeps, by the rule's number.
    fn latest(&self) -> HashMap<u32, HashSet<usize>> {
        let mut found = HashMap::new();
        for (number, rule) in &self.rules {
            let Kind::KeepLatest { count } = rule.kind else { continue };
            let mut matching: Vec<usize> = (0..self.facts.tags.len())
                .filter(|t| self.attached[*t].is_none())
                .filter(|t| rule.tags.matches(&self.facts.tags[*t].name))
                .collect();
            matching.sort_by_key(|t| {
                let tag = &self.facts.tags[*t];
                std::cmp::Reverse((tag.pushed_at, &tag.name))
            });
            matching.truncate(count as usize);
            found.insert(*number, matching.into_iter().collect());
        }
        found
    }

    fn judge_tags(&mut self) {
        let latest = self.latest();
        for t in 0..self.facts.tags.len() {
            let verdict = self.judge_tag(t, &latest);
            self.tags[t] = verdict;
        }
    }

    /// The verdict on a tag by itself; none for a tag that follows another image.
    fn judge_tag(&self, t: usize, latest: &HashMap<u32, HashSet<usize>>) -> Option<Verdict> {
        let tag = &self.facts.tags[t];
        let manifest = &self.facts.manifests[tag.manifest];
        let used = self.facts.used.get(&manifest.digest).or(self.facts.named.get(&tag.name));
        if let Some(used) = used {
            return Some(keep(Reason::InUse(used.clone())));
        }
        if let Some(by) = self.facts.protected.get(&tag.name) {
            return Some(keep(Reason::Protected { by: by.clone() }));
        }
        let matching = || self.rules.iter().filter(|(_, rule)| rule.tags.matches(&tag.name));
        if self.attached[t].is_some() {
            // Recent pushes and pulls of a signature say nothing about what it signs.
            let kept =
                matching().find(|(_, rule)| rule.kind == Kind::KeepTags && !rule.tags.is_any_tag());
            return kept.map(|(number, _)| keep(Reason::Rule { rule: *number }));
        }
        let kept = matching().find(|(number, rule)| match rule.kind {
            Kind::KeepLatest { .. } => latest.get(number).is_some_and(|kept| kept.contains(&t)),
            Kind::KeepPulled { days } => {
                manifest.pulled_at.is_some_and(|at| self.is_recent(at, days))
            }
            Kind::KeepPushed { days } => self.is_recent(tag.pushed_at, days),
            Kind::KeepTags => true,
            Kind::RemoveTags | Kind::RemoveUntagged { .. } => false,
        });
        if let Some((number, _)) = kept {
            return Some(keep(Reason::Rule { rule: *number }));
        }
        let removed = matching().find(|(_, rule)| rule.kind == Kind::RemoveTags);
        Some(match removed {
            Some((number, _)) => remove(Reason::Rule { rule: *number }),
            None => keep(Reason::NoRule),
        })
    }

    /// The verdict on an image that has no tag and follows nothing.
    fn judge_untagged(&self, m: usize) -> Verdict {
        let manifest = &self.facts.manifests[m];
        let kept = self.rules.iter().find(|(_, rule)| match rule.kind {
            Kind::KeepPulled { days } => {
                rule.tags.is_any_tag()
                    && manifest.pulled_at.is_some_and(|at| self.is_recent(at, days))
            }
            Kind::KeepPushed { days } => {
                rule.tags.is_any_tag() && self.is_recent(manifest.pushed_at, days)
            }
            _ => false,
        });
        if let Some((number, _)) = kept {
            return keep(Reason::Rule { rule: *number });
        }
        let removed = self.rules.iter().find(|(_, rule)| match rule.kind {
            Kind::RemoveUntagged { days } => !self.is_recent(manifest.pushed_at, days),
            _ => false,
        });
        match removed {
            Some((number, _)) => remove(Reason::Rule { rule: *number }),
            None => keep(Reason::NoRule),
        }
    }

    /// Keeps what is kept for its own sake, and from there all that follows it.
    fn keep_what_hangs_on_kept(&mut self) {
        let mut queue = VecDeque::new();
        for (m, manifest) in self.facts.manifests.iter().enumerate() {
            let kept_tag = self.tags_of[m]
                .iter()
                .filter_map(|t| self.tags[*t].as_ref())
                .find(|verdict| !verdict.removes);
            let own = match (self.facts.used.get(&manifest.digest), kept_tag) {
                (Some(used), _) => Some(keep(Reason::InUse(used.clone()))),
                (None, Some(verdict)) => Some(verdict.clone()),
                (None, None) if self.leaders[m] == 0 && self.tags_of[m].is_empty() => {
                    Some(self.judge_untagged(m)).filter(|verdict| !verdict.removes)
                }
                (None, None) => None,
            };
            if own.is_some() {
                self.manifests[m] = own;
                queue.push_back(m);
            }
        }
        while let Some(m) = queue.pop_front() {
            for (follower, edge) in self.followers[m].clone() {
                let reason = self.reason(m, edge);
                if let Edge::Tag(t) = edge {
                    self.tags[t].get_or_insert_with(|| keep(reason.clone()));
                }
                if self.manifests[follower].is_none() {
                    self.manifests[follower] = Some(keep(reason));
                    queue.push_back(follower);
                }
            }
        }
    }

    fn reason(&self, leader: usize, edge: Edge) -> Reason {
        let digest = self.facts.manifests[leader].digest.clone();
        match edge {
            Edge::Child => Reason::Index { digest },
            Edge::Referrer | Edge::Tag(_) => Reason::Subject { digest },
        }
    }

    /// Removes what a rule removes, and then what followed only such images.
    fn remove_from_the_top(&mut self) {
        let mut waiting = self.leaders.clone();
        let mut queue = VecDeque::new();
        for (m, leaders) in self.leaders.iter().enumerate() {
            if self.manifests[m].is_some() || *leaders > 0 {
                continue;
            }
            let verdict = match self.tags_of[m].iter().find_map(|t| self.tags[*t].clone()) {
                // None of its tags is kept, or it would be.
                Some(verdict) => match verdict.reason {
                    Reason::Rule { rule } => remove(Reason::LastTag { rule }),
                    _ => continue,
                },
                None => self.judge_untagged(m),
            };
            if verdict.removes {
                self.manifests[m] = Some(verdict);
                queue.push_back(m);
            }
        }
        while let Some(m) = queue.pop_front() {
            self.order.push(m);
            for (follower, edge) in self.followers[m].clone() {
                let reason = self.reason(m, edge);
                if let Edge::Tag(t) = edge {
                    self.tags[t].get_or_insert_with(|| remove(reason.clone()));
                }
                waiting[follower] -= 1;
                if waiting[follower] == 0 && self.manifests[follower].is_none() {
                    self.manifests[follower] = Some(remove(reason));
                    queue.push_back(follower);
                }
            }
        }
    }

    /// What nothing has reached stays.
    fn finish(self) -> Decided {
        let own: Vec<usize> =
            (0..self.tags.len()).filter(|t| self.attached[*t].is_none()).collect();
        let settle = |verdicts: Vec<Option<Verdict>>| -> Vec<Verdict> {
            verdicts.into_iter().map(|v| v.unwrap_or_else(|| keep(Reason::NoRule))).collect()
        };
        let tags = settle(self.tags);
        let empties = !own.is_empty() && own.iter().all(|t| tags[*t].removes);
        Decided { tags, manifests: settle(self.manifests), order: self.order, empties }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

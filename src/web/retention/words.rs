//! Rules, reasons and states of retention in the reader's language.

use crate::base::{Digest, Timestamp};
use crate::registry::retention::{
    Item, Kind, Outcome, Reason, Rule, Run, Skip, Status, Trigger, Use, UseRole,
};
use crate::web::image::image_href;
use crate::web::text::Text;

/// A rule as a sentence.
pub(super) fn sentence(t: &Text, rule: &Rule) -> String {
    let place = if rule.repositories.is_any_repository() {
        t.get("retention-everywhere")
    } else {
        t.fmt("retention-place").a("pattern", &rule.repositories).to_string()
    };
    let all = rule.tags.is_any_tag();
    let (key, n) = match (rule.kind, all) {
        (Kind::KeepLatest { count }, true) => ("retention-keep-latest", count),
        (Kind::KeepLatest { count }, false) => ("retention-keep-latest-tags", count),
        (Kind::KeepPulled { days }, true) => ("retention-keep-pulled", days),
        (Kind::KeepPulled { days }, false) => ("retention-keep-pulled-tags", days),
        (Kind::KeepPushed { days }, true) => ("retention-keep-pushed", days),
        (Kind::KeepPushed { days }, false) => ("retention-keep-pushed-tags", days),
        (Kind::KeepTags, true) => ("retention-keep-tags", 0),
        (Kind::KeepTags, false) => ("retention-keep-tags-tags", 0),
        (Kind::RemoveTags, true) => ("retention-remove-tags", 0),
        (Kind::RemoveTags, false) => ("retention-remove-tags-tags", 0),
        (Kind::RemoveUntagged { days }, _) => ("retention-remove-untagged", days),
    };
    t.fmt(key).a("place", place).a("tags", &rule.tags).n("n", n).to_string()
}

/// Key of a kind's name in the editor.
pub(super) fn kind_key(word: &str) -> &'static str {
    match word {
        "keepLatest" => "retention-kind-latest",
        "keepPulled" => "retention-kind-pulled",
        "keepPushed" => "retention-kind-pushed",
        "keepTags" => "retention-kind-tags",
        "removeTags" => "retention-kind-remove",
        _ => "retention-kind-untagged",
    }
}

fn in_use(t: &Text, used: &Use) -> String {
    let place = used.deployment.clone().unwrap_or_else(|| t.get("retention-use-elsewhere"));
    let key = match used.role {
        UseRole::Current => "retention-use-current",
        UseRole::Stable => "retention-use-stable",
        UseRole::Earlier => "retention-use-earlier",
    };
    t.fmt(key).a("place", place).n("revision", used.revision).to_string()
}

fn with_image(t: &Text, key: &str, digest: &Digest) -> String {
    t.fmt(key).a("digest", digest.short()).to_string()
}

/// Why something goes or stays.
pub(super) fn reason(t: &Text, reason: &Reason, removes: bool) -> String {
    match (reason, removes) {
        (Reason::InUse(used), _) => in_use(t, used),
        (Reason::Protected { by }, _) => t.fmt("retention-locked").a("rule", by).to_string(),
        (Reason::Rule { rule }, true) => t.num("retention-why-removed", *rule).to_string(),
        (Reason::Rule { rule }, false) => t.num("retention-why-kept", *rule).to_string(),
        (Reason::NoRule, _) => t.get("retention-why-none"),
        (Reason::Index { digest }, true) => with_image(t, "retention-why-index-goes", digest),
        (Reason::Index { digest }, false) => with_image(t, "retention-why-index", digest),
        (Reason::Subject { digest }, true) => with_image(t, "retention-why-subject-goes", digest),
        (Reason::Subject { digest }, false) => with_image(t, "retention-why-subject", digest),
        (Reason::LastTag { rule }, _) => t.num("retention-why-last-tag", *rule).to_string(),
    }
}

/// Why a run left something.
pub(super) fn skip(t: &Text, skip: &Skip) -> String {
    match skip {
        Skip::Gone => t.get("retention-skip-gone"),
        Skip::Moved { digest } => with_image(t, "retention-skip-moved", digest),
        Skip::Pushed => t.get("retention-skip-pushed"),
        Skip::Pulled => t.get("retention-skip-pulled"),
        Skip::InUse(used) => in_use(t, used),
        Skip::Protected { by } => t.fmt("retention-locked").a("rule", by).to_string(),
        Skip::Tagged => t.get("retention-skip-tagged"),
        Skip::Index { digest } => with_image(t, "retention-skip-index", digest),
        Skip::Subject { digest } => with_image(t, "retention-skip-subject", digest),
        Skip::Referrer { digest } => with_image(t, "retention-skip-referrer", digest),
        Skip::Refused { message } => t.fmt("retention-skip-refused").a("why", message).to_string(),
        Skip::RulesChanged => t.get("retention-skip-rules"),
    }
}

/// `data-s` and the word of a run's state.
pub(super) fn status(t: &Text, status: Status) -> (&'static str, String) {
    let (kind, key) = match status {
        Status::Planning => ("prog", "retention-status-planning"),
        Status::Running => ("prog", "retention-status-running"),
        Status::Done => ("ok", "retention-status-done"),
        Status::Refused => ("bad", "retention-status-refused"),
        Status::Stopped => ("warn", "retention-status-stopped"),
    };
    (kind, t.get(key))
}

/// Who or what started a run.
pub(super) fn started_by(t: &Text, run: &Run) -> String {
    match run.trigger {
        Trigger::Manual => run.started_by.clone(),
        Trigger::Schedule => t.get("retention-by-schedule"),
    }
}

/// One row of a preview or a report.
pub(super) struct Row {
    pub(super) repository: String,
    pub(super) name: String,
    /// Empty when there is nothing to look at any more.
    pub(super) href: String,
    pub(super) is_image: bool,
    pub(super) size: i64,
    pub(super) pushed_at: Timestamp,
    pub(super) pulled_at: Option<Timestamp>,
    /// `data-s` and word of what becomes, or became, of it.
    pub(super) kind: &'static str,
    pub(super) verdict: String,
    pub(super) why: String,
}

impl Row {
    pub(super) fn of(t: &Text, item: &Item) -> Self {
        let removed = item.outcome.as_ref().is_some_and(Outcome::is_removed);
        let (kind, key) = match (&item.outcome, item.removes) {
            (Some(Outcome::Removed), _) => ("idle", "retention-removed"),
            (Some(Outcome::Skipped(_)), _) => ("warn", "retention-skipped"),
            (None, true) => ("bad", "retention-goes"),
            (None, false) => ("ok", "retention-stays"),
        };
        let why = match &item.outcome {
            Some(Outcome::Skipped(why)) => skip(t, why),
            _ => reason(t, &item.reason, item.removes),
        };
        let reference = match item.tag.as_deref().map(str::parse) {
            Some(Ok(tag)) => Some(crate::base::Reference::Tag(tag)),
            Some(Err(_)) => None,
            None => Some(crate::base::Reference::Digest(item.digest.clone())),
        };
        let href = reference
            .filter(|_| !removed)
            .map_or_else(String::new, |reference| image_href(&item.repository, &reference));
        Self {
            repository: item.repository.path().to_owned(),
            name: item.tag.clone().unwrap_or_else(|| item.digest.short().to_owned()),
            href,
            is_image: item.tag.is_none(),
            size: item.size,
            pushed_at: item.pushed_at,
            pulled_at: item.pulled_at,
            kind,
            verdict: t.get(key),
            why,
        }
    }
}

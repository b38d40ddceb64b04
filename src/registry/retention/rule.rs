//! A rule: what it keeps or removes, where; as it is written, checked and said.
//!
//! *Keep* rules only ever save something; *remove* rules only ever name candidates. What a keep
//! rule keeps stays whatever the others say, and what no remove rule names is not touched. So
//! another keep rule can never remove more, and rules that only keep remove nothing.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pattern::Pattern;
use crate::base::error::FieldError;
use crate::base::{Error, Result};

/// Most rules of a project.
pub const MAX_RULES: usize = 20;
/// Most images that a rule may count.
const MAX_COUNT: u32 = 10_000;
/// Most days that a rule may look back.
const MAX_DAYS: u32 = 3_650;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Keeps the `count` tags of each repository that were pushed last.
    KeepLatest { count: u32 },
    /// Keeps what was pulled in the last `days`.
    KeepPulled { days: u32 },
    /// Keeps what was pushed in the last `days`.
    KeepPushed { days: u32 },
    /// Keeps these tags.
    KeepTags,
    /// Removes these tags, unless a rule keeps them.
    RemoveTags,
    /// Removes images without a tag that were pushed more than `days` ago.
    RemoveUntagged { days: u32 },
}

impl Kind {
    /// All words, keep rules first.
    pub const WORDS: [&'static str; 6] =
        ["keepLatest", "keepPulled", "keepPushed", "keepTags", "removeTags", "removeUntagged"];

    /// The word used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeepLatest { .. } => "keepLatest",
            Self::KeepPulled { .. } => "keepPulled",
            Self::KeepPushed { .. } => "keepPushed",
            Self::KeepTags => "keepTags",
            Self::RemoveTags => "removeTags",
            Self::RemoveUntagged { .. } => "removeUntagged",
        }
    }

    /// Whether it removes; the others keep.
    pub fn removes(self) -> bool {
        matches!(self, Self::RemoveTags | Self::RemoveUntagged { .. })
    }
}

/// A rule that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub kind: Kind,
    /// Over the path below the project.
    pub repositories: Pattern,
    pub tags: Pattern,
}

/// A rule as it is written in the API and stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleText {
    /// `keepLatest`, `keepPulled`, `keepPushed`, `keepTags`, `removeTags` or `removeUntagged`.
    pub kind: String,
    /// Pattern over the path below the project; `**`, every repository, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repositories: Option<String>,
    /// Pattern over tags; `*`, every tag, when absent. Not for `removeUntagged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// How many tags `keepLatest` keeps, 1 to 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// How many days `keepPulled`, `keepPushed` and `removeUntagged` look back, 1 to 3650.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

impl RuleText {
    /// Checks a rule; faults are named below `field`.
    pub fn check(&self, field: &str) -> Result<Rule, Vec<FieldError>> {
        let mut faults = Vec::new();
        let mut fault = |name: &str, message: String| {
            let field = if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
            faults.push(FieldError { field, message });
        };
        let mut number = |name: &str, given: Option<u32>, wanted: bool, most: u32| match given {
            Some(n) if wanted && (1..=most).contains(&n) => n,
            Some(_) if wanted => {
                fault(name, format!("must be between 1 and {most}"));
                1
            }
            None if wanted => {
                fault(name, format!("is required for {}", self.kind));
                1
            }
            Some(_) => {
                fault(name, format!("is not for {}; leave it out", self.kind));
                1
            }
            None => 1,
        };
        let kind = self.kind.as_str();
        let counts = kind == "keepLatest";
        let looks_back = matches!(kind, "keepPulled" | "keepPushed" | "removeUntagged");
        let known = Kind::WORDS.contains(&kind);
        let (mut count, mut days) = (1, 1);
        if known {
            count = number("count", self.count, counts, MAX_COUNT);
            days = number("days", self.days, looks_back, MAX_DAYS);
        }
        let mut pattern = |name: &str, given: Option<&String>| {
            let Some(text) = given.map(|text| text.trim()).filter(|text| !text.is_empty()) else {
                return Pattern::any();
            };
            text.parse().unwrap_or_else(|error: Error| {
                let message = error.fields().first().map(|f| f.message.clone());
                fault(name, message.unwrap_or_default());
                Pattern::any()
            })
        };
        let repositories = pattern("repositories", self.repositories.as_ref());
        let mut tags = pattern("tags", self.tags.as_ref());
        if tags.is_any_tag() {
            tags = Pattern::any_tag();
        }
        if kind == "removeUntagged" && !tags.is_any_tag() {
            fault("tags", "is not for removeUntagged; leave it out".to_owned());
        }
        let kind = match kind {
            "keepLatest" => Kind::KeepLatest { count },
            "keepPulled" => Kind::KeepPulled { days },
            "keepPushed" => Kind::KeepPushed { days },
            "keepTags" => Kind::KeepTags,
            "removeTags" => Kind::RemoveTags,
            "removeUntagged" => Kind::RemoveUntagged { days },
            _ => {
                fault("kind", format!("must be one of {}", Kind::WORDS.join(", ")));
                Kind::KeepTags
            }
        };
        if faults.is_empty() { Ok(Rule { kind, repositories, tags }) } else { Err(faults) }
    }
}

impl Rule {
    /// As it is written.
    pub fn text(&self) -> RuleText {
        let (count, days) = match self.kind {
            Kind::KeepLatest { count } => (Some(count), None),
            Kind::KeepPulled { days }
            | Kind::KeepPushed { days }
            | Kind::RemoveUntagged { days } => (None, Some(days)),
            Kind::KeepTags | Kind::RemoveTags => (None, None),
        };
        let untagged = matches!(self.kind, Kind::RemoveUntagged { .. });
        RuleText {
            kind: self.kind.as_str().to_owned(),
            repositories: Some(self.repositories.to_string()),
            tags: (!untagged).then(|| self.tags.to_string()),
            count,
            days,
        }
    }

    /// The rule as an English sentence.
    pub fn sentence(&self) -> String {
        let place = if self.repositories.is_any_repository() {
            "In every repository".to_owned()
        } else {
            format!("In repositories matching {}", self.repositories)
        };
        let tags =
            if self.tags.is_any_tag() { String::new() } else { format!(" matching {}", self.tags) };
        let days = |n: u32| if n == 1 { "day".to_owned() } else { format!("{n} days") };
        match self.kind {
            Kind::KeepLatest { count: 1 } => {
                format!("{place}, keep the most recently pushed tag{tags}")
            }
            Kind::KeepLatest { count } => {
                format!("{place}, keep the {count} most recently pushed tags{tags}")
            }
            Kind::KeepPulled { days: n } => {
                let what =
                    if tags.is_empty() { "what".to_owned() } else { format!("tags{tags} that") };
                let verb = if tags.is_empty() { "was" } else { "were" };
                format!("{place}, keep {what} {verb} pulled in the last {}", days(n))
            }
            Kind::KeepPushed { days: n } => {
                let what =
                    if tags.is_empty() { "what".to_owned() } else { format!("tags{tags} that") };
                let verb = if tags.is_empty() { "was" } else { "were" };
                format!("{place}, keep {what} {verb} pushed in the last {}", days(n))
            }
            Kind::KeepTags if tags.is_empty() => format!("{place}, keep all tags"),
            Kind::KeepTags => format!("{place}, keep tags{tags}"),
            Kind::RemoveTags if tags.is_empty() => {
                format!("{place}, remove tags that no rule keeps")
            }
            Kind::RemoveTags => format!("{place}, remove tags{tags} that no rule keeps"),
            Kind::RemoveUntagged { days: n } => {
                let days = if n == 1 { "1 day".to_owned() } else { format!("{n} days") };
                format!("{place}, remove untagged images pushed more than {days} ago")
            }
        }
    }
}

/// Checks rules in their order; all faults are told at once, as `rules[0].count`.
pub fn check_rules(texts: &[RuleText]) -> Result<Vec<Rule>> {
    if texts.len() > MAX_RULES {
        return Err(Error::invalid("rules", format!("must be at most {MAX_RULES}")));
    }
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    for (index, text) in texts.iter().enumerate() {
        match text.check(&format!("rules[{index}]")) {
            Ok(rule) => rules.push(rule),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(rules) } else { Err(Error::invalid_fields(faults)) }
}

/// Whether these rules name tags for removal and keep none of them, whatever is pushed: no keep
/// rule could speak about a repository that a rule removes from.
pub fn keeps_nothing(rules: &[Rule]) -> bool {
    let saves = |at: &Pattern| {
        rules.iter().any(|rule| {
            !rule.kind.removes()
                && (rule.repositories.is_any_repository() || rule.repositories == *at)
        })
    };
    rules.iter().any(|rule| match rule.kind {
        // A rule for some tags leaves the others.
        Kind::RemoveTags if rule.tags.is_any_tag() => {
            let saved = if rule.repositories.is_any_repository() {
                rules.iter().any(|rule| !rule.kind.removes())
            } else {
                saves(&rule.repositories)
            };
            !saved
        }
        _ => false,
    })
}

/// The rules a new project is offered.
pub fn recommended() -> Vec<Rule> {
    let everywhere = |kind| Rule { kind, repositories: Pattern::any(), tags: Pattern::any_tag() };
    vec![
        everywhere(Kind::KeepLatest { count: 10 }),
        everywhere(Kind::KeepPulled { days: 30 }),
        everywhere(Kind::KeepPushed { days: 14 }),
        everywhere(Kind::RemoveTags),
        everywhere(Kind::RemoveUntagged { days: 7 }),
    ]
}

pub(crate) fn stored(rules: &[Rule]) -> Value {
    rules.iter().map(|rule| serde_json::json!(rule.text())).collect()
}

/// Rules as they were stored. They were checked then, so a fault is a broken row.
pub(crate) fn read(stored: Value) -> Result<Vec<Rule>> {
    let texts: Vec<RuleText> = serde_json::from_value(stored)
        .map_err(|e| Error::internal("reading stored retention rules", e))?;
    check_rules(&texts)
        .map_err(|e| Error::internal("reading stored retention rules", e.to_string()))
}

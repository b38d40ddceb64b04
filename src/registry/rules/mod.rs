//! Rules that lock tags of a project: *immutable* tags stay where they are, *protected* tags are
//! pushed, moved and removed only by some roles.
//!
//! A rule is a pattern of repositories, a pattern of tags, and the weakest role it does not bind.
//! An immutable rule without such a role binds everybody, platform admins included: whoever may
//! edit rules removes the rule first, and the event log says so. [`protects`] decides; every way
//! a tag can move asks it in the transaction that moves the tag.

mod pattern;

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::{Registry, store};
use crate::accounts::rbac::{Action, Permission, Resource, Role};
use crate::base::id::TagRuleId;
use crate::base::{Actor, Error, ErrorKind, ProjectName, RepositoryName, Result, Timestamp};
use crate::catalog::Project;
use crate::db::Tx;
use crate::events::{self, NewEvent, Outcome, Target};

/// Rules of one project.
pub const MAX_RULES: i64 = 100;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// A tag that exists is neither moved nor removed.
    Immutable,
    /// Only some roles make, move and remove such tags.
    Protected,
}

impl RuleKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Immutable, Self::Protected];

    /// The word stored and used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Immutable => "immutable",
            Self::Protected => "protected",
        }
    }
}

impl FromStr for RuleKind {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == s)
            .ok_or_else(|| Error::invalid("kind", "must be immutable or protected"))
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRule {
    pub id: TagRuleId,
    pub kind: RuleKind,
    /// Pattern of the repository's path in the project.
    pub repository: String,
    /// Pattern of the tag.
    pub tag: String,
    /// The weakest role it does not bind; `None`: it binds everybody.
    pub exempt: Option<Role>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl fmt::Display for TagRule {
    /// How people name it: `immutable v* in team/**`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in {}", self.kind.as_str(), self.tag, self.repository)
    }
}

/// Every one of `tags` with the same change.
pub(super) fn all(tags: &[String], change: Change) -> Vec<(&str, Change)> {
    tags.iter().map(|tag| (tag.as_str(), change)).collect()
}

/// What happens to a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It did not exist before.
    Create,
    /// It points at another manifest afterwards.
    Move,
    /// It goes, alone or with its manifest.
    Remove,
}

/// On whose behalf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The role in the project.
    pub role: Option<Role>,
    /// A platform admin has every role.
    pub is_admin: bool,
}

impl Standing {
    /// Retention and other automatic work: every rule binds it.
    pub const AUTOMATIC: Self = Self { role: None, is_admin: false };

    /// Of a caller in a project.
    pub fn of(actor: &Actor, project: &Project) -> Self {
        Self { role: project.role, is_admin: actor.is_admin() }
    }
}

impl TagRule {
    /// Whether the rule is about this tag, whoever asks.
    pub fn covers(&self, repository: &RepositoryName, tag: &str) -> bool {
        pattern::matches(&self.repository, repository.path()) && pattern::matches(&self.tag, tag)
    }

    fn binds(&self, who: Standing) -> bool {
        match self.exempt {
            None => true,
            Some(least) => !who.is_admin && who.role.is_none_or(|role| role < least),
        }
    }
}

/// The first rule that forbids `who` this change of a tag.
pub fn protects<'r>(
    rules: &'r [TagRule],
    repository: &RepositoryName,
    tag: &str,
    who: Standing,
    change: Change,
) -> Option<&'r TagRule> {
    rules.iter().find(|rule| {
        let concerns = rule.kind == RuleKind::Protected || change != Change::Create;
        concerns && rule.binds(who) && rule.covers(repository, tag)
    })
}

fn refusal(rule: &TagRule, repository: &RepositoryName, tag: &str) -> Error {
    let who = rule.exempt.map_or_else(
        || "nobody may move or remove it".to_owned(),
        |role| match rule.kind {
            RuleKind::Immutable => format!("it is moved or removed only by a {role} or above"),
            RuleKind::Protected => {
                format!("it is pushed, moved or removed only by a {role} or above")
            }
        },
    );
    Error::new(
        ErrorKind::Denied,
        "tag_locked",
        format!("tag {repository}:{tag} is locked by the rule \"{rule}\": {who}"),
    )
    .with_detail(json!({
        "rule": rule.id,
        "ruleName": rule.to_string(),
        "tag": format!("{repository}:{tag}"),
    }))
}

/// A rule to make, or what one becomes.
#[derive(Debug, Clone)]
pub struct RuleInput {
    pub kind: RuleKind,
    pub repository: String,
    pub tag: String,
    pub exempt: Option<Role>,
}

impl RuleInput {
    fn check(&self) -> Result<()> {
        pattern::check("repository", &self.repository)?;
        pattern::check("tag", &self.tag)?;
        if self.tag.contains('/') {
            return Err(Error::invalid("tag", "must hold no slash; tags have none"));
        }
        if self.kind == RuleKind::Protected && self.exempt.is_none() {
            return Err(Error::invalid("exempt", "must name a role for a protected rule"));
        }
        Ok(())
    }
}

fn permission(action: Action) -> Permission {
    Permission(Resource::TagRule, action)
}

fn facts(rule: &TagRule) -> Value {
    json!({
        "kind": rule.kind,
        "repository": rule.repository,
        "tag": rule.tag,
        "exempt": rule.exempt,
    })
}

fn unknown(id: TagRuleId) -> Error {
    Error::not_found("rule", id)
}

impl Registry {
    /// Rules of a project, oldest first.
    pub async fn tag_rules(&self, actor: &Actor, project: &ProjectName) -> Result<Vec<TagRule>> {
        let project = self.catalog.project(actor, project, permission(Action::List)).await?;
        store::rules::list(&mut *self.db.read().await?, project.id).await
    }

    /// The rules that hold in a project whose artifacts the caller may see; pages show which of
    /// them lock a tag.
    pub async fn rules_over(&self, project: &Project) -> Result<Vec<TagRule>> {
        store::rules::list(&mut *self.db.read().await?, project.id).await
    }

    /// One rule.
    pub async fn tag_rule(
        &self,
        actor: &Actor,
        project: &ProjectName,
        id: TagRuleId,
    ) -> Result<TagRule> {
        let project = self.catalog.project(actor, project, permission(Action::Read)).await?;
        let rules = store::rules::list(&mut *self.db.read().await?, project.id).await?;
        rules.into_iter().find(|rule| rule.id == id).ok_or_else(|| unknown(id))
    }

    /// Makes a rule.
    pub async fn create_tag_rule(
        &self,
        actor: &Actor,
        project: &ProjectName,
        input: RuleInput,
    ) -> Result<TagRule> {
        let project = self.catalog.project(actor, project, permission(Action::Create)).await?;
        input.check()?;
        let now = self.now();
        let rule = TagRule {
            id: TagRuleId::new(now),
            kind: input.kind,
            repository: input.repository,
            tag: input.tag,
            exempt: input.exempt,
            created_by: actor.name.clone(),
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.db.begin().await?;
        if store::rules::count(tx.conn(), project.id).await? >= MAX_RULES {
            let message = format!("a project has at most {MAX_RULES} rules; remove one first");
            return Err(Error::conflict("too_many_rules", message));
        }
        store::rules::insert(tx.conn(), project.id, &rule).await?;
        let message = format!("Made the rule \"{rule}\".");
        self.rule_event(&mut tx, actor, &project, "tag_rule.create", &rule, message, Value::Null)
            .await?;
        tx.commit().await?;
        Ok(rule)
    }

    /// Changes a rule; a change to what it already is does nothing.
    pub async fn update_tag_rule(
        &self,
        actor: &Actor,
        project: &ProjectName,
        id: TagRuleId,
        input: RuleInput,
    ) -> Result<TagRule> {
        let project = self.catalog.project(actor, project, permission(Action::Update)).await?;
        input.check()?;
        let mut tx = self.db.begin().await?;
        let mut rule =
            store::rules::lock(tx.conn(), project.id, id).await?.ok_or_else(|| unknown(id))?;
        let before = facts(&rule);
        rule.kind = input.kind;
        rule.repository = input.repository;
        rule.tag = input.tag;
        rule.exempt = input.exempt;
        if before == facts(&rule) {
            return Ok(rule);
        }
        rule.updated_at = self.now();
        store::rules::update(tx.conn(), &rule).await?;
        let message = format!("Changed a rule; it is now \"{rule}\".");
        self.rule_event(&mut tx, actor, &project, "tag_rule.update", &rule, message, before)
            .await?;
        tx.commit().await?;
        Ok(rule)
    }

    /// Removes a rule; the tags it locked are free at once.
    pub async fn delete_tag_rule(
        &self,
        actor: &Actor,
        project: &ProjectName,
        id: TagRuleId,
    ) -> Result<()> {
        let project = self.catalog.project(actor, project, permission(Action::Delete)).await?;
        let mut tx = self.db.begin().await?;
        let rule =
            store::rules::lock(tx.conn(), project.id, id).await?.ok_or_else(|| unknown(id))?;
        store::rules::delete(tx.conn(), id).await?;
        let message = format!("Removed the rule \"{rule}\".");
        let before = facts(&rule);
        self.rule_event(&mut tx, actor, &project, "tag_rule.delete", &rule, message, before)
            .await?;
        tx.commit().await
    }

    #[expect(clippy::too_many_arguments, reason = "one event's worth of facts")]
    async fn rule_event(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        project: &Project,
        action: &'static str,
        rule: &TagRule,
        message: String,
        before: Value,
    ) -> Result<()> {
        let after = if action == "tag_rule.delete" { Value::Null } else { facts(rule) };
        let event = NewEvent::new(action, Target::new("tag_rule", rule.id, rule), message)
            .in_project(project.id)
            .detail(json!({ "before": before, "after": after }));
        events::append(tx, &*self.clock.0, actor, event).await
    }

    /// Refuses changes of tags that a rule forbids the caller. Asked after the change, in its
    /// transaction: the tags' rows are locked then, so nothing can slip in between.
    pub(super) async fn check_rules(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        project: &Project,
        name: &RepositoryName,
        changes: &[(&str, Change)],
    ) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let rules = store::rules::list(tx.conn(), project.id).await?;
        let who = Standing::of(actor, project);
        for (tag, change) in changes {
            if let Some(rule) = protects(&rules, name, tag, who, *change) {
                return Err(refusal(rule, name, tag));
            }
        }
        Ok(())
    }

    /// Ends a transaction as its work ended: commits it, or records why it was refused.
    pub(super) async fn conclude<T>(
        &self,
        tx: Tx,
        actor: &Actor,
        project: &Project,
        done: Result<T>,
    ) -> Result<T> {
        match done {
            Ok(value) => tx.commit().await.map(|()| value),
            Err(error) => Err(self.refused(tx, actor, project, error).await),
        }
    }

    /// Ends a refused transaction and records a refusal by a rule, which the rollback would have
    /// taken along.
    pub(super) async fn refused(
        &self,
        tx: Tx,
        actor: &Actor,
        project: &Project,
        error: Error,
    ) -> Error {
        drop(tx);
        if error.code() != "tag_locked" {
            return error;
        }
        let detail = error.detail().cloned().unwrap_or_default();
        let tag = detail["tag"].as_str().unwrap_or_default().to_owned();
        let event = NewEvent::new("tag.refuse", Target::named("tag", tag), error.public_message())
            .in_project(project.id)
            .outcome(Outcome::Denied)
            .detail(detail);
        match events::append_alone(&self.db, &*self.clock.0, actor, event).await {
            Ok(()) => error,
            Err(failed) => failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: RuleKind, tag: &str, exempt: Option<Role>) -> TagRule {
        let at = Timestamp::UNIX_EPOCH;
        TagRule {
            id: TagRuleId::new(at),
            kind,
            repository: "**".to_owned(),
            tag: tag.to_owned(),
            exempt,
            created_by: String::new(),
            created_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn a_rule_binds_by_kind_role_and_change() {
        use Change::{Create, Move, Remove};
        let name: RepositoryName = "demo/api".parse().expect("valid");
        let admin = Standing { role: None, is_admin: true };
        let developer = Standing { role: Some(Role::Developer), is_admin: false };
        let maintainer = Standing { role: Some(Role::Maintainer), is_admin: false };
        let fixed = [rule(RuleKind::Immutable, "v*", None)];
        let guarded = [rule(RuleKind::Protected, "v*", Some(Role::Maintainer))];
        let soft = [rule(RuleKind::Immutable, "v*", Some(Role::Maintainer))];
        for (rules, who, change, forbidden) in [
            (&fixed, developer, Create, false),
            (&fixed, developer, Move, true),
            (&fixed, admin, Remove, true),
            (&fixed, Standing::AUTOMATIC, Remove, true),
            (&guarded, developer, Create, true),
            (&guarded, maintainer, Create, false),
            (&guarded, admin, Remove, false),
            (&guarded, Standing::AUTOMATIC, Remove, true),
            (&soft, developer, Move, true),
            (&soft, maintainer, Move, false),
            (&soft, admin, Move, false),
            (&soft, developer, Create, false),
        ] {
            let found = protects(rules, &name, "v1", who, change).is_some();
            assert_eq!(found, forbidden, "{} {who:?} {change:?}", rules[0]);
            assert!(protects(rules, &name, "edge", who, change).is_none());
        }
    }
}

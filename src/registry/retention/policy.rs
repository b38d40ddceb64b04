//! The rules of a project: reading them, and replacing them whole.

use serde_json::json;

use super::rule::{self, Rule, RuleText, check_rules, keeps_nothing};
use super::{Every, Schedule};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::ProjectId;
use crate::base::{Actor, Error, ErrorKind, ProjectName, Result, Timestamp};
use crate::events::{self, NewEvent, Target};
use crate::registry::Registry;
use crate::registry::store::retention::policies::{self, PolicyRow};

pub(super) const READ: Permission = Permission(Resource::Retention, Action::Read);
const UPDATE: Permission = Permission(Resource::Retention, Action::Update);

/// The rules of a project and when they are applied by themselves.
#[derive(Debug, Clone)]
pub struct Policy {
    pub project_id: ProjectId,
    pub rules: Vec<Rule>,
    pub schedule: Schedule,
    /// Somebody allowed that a repository is left without tags.
    pub accepts_empty: bool,
    /// 0: there are no rules yet.
    pub generation: i64,
    pub next_run_at: Option<Timestamp>,
    pub updated_by: String,
    pub updated_at: Option<Timestamp>,
}

/// Rules to set.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    pub rules: Vec<RuleText>,
    pub schedule: Schedule,
    /// That a repository may be left without tags is meant.
    pub confirm: bool,
}

impl Policy {
    fn none(project_id: ProjectId) -> Self {
        Self {
            project_id,
            rules: Vec::new(),
            schedule: Schedule::default(),
            accepts_empty: false,
            generation: 0,
            next_run_at: None,
            updated_by: String::new(),
            updated_at: None,
        }
    }

    pub(super) fn of(row: PolicyRow) -> Result<Self> {
        let every = row.schedule.parse().unwrap_or(Every::Off);
        Ok(Self {
            project_id: row.project_id,
            rules: rule::read(row.rules)?,
            schedule: Schedule::new(every, row.hour.into(), row.weekday.into())?,
            accepts_empty: row.accepts_empty,
            generation: row.generation,
            next_run_at: row.next_run_at,
            updated_by: row.updated_by,
            updated_at: Some(row.updated_at),
        })
    }
}

fn facts(rules: &[Rule], schedule: Schedule) -> serde_json::Value {
    json!({
        "rules": rules.iter().map(Rule::sentence).collect::<Vec<_>>(),
        "schedule": {
            "every": schedule.every.as_str(),
            "hour": schedule.hour,
            "weekday": schedule.weekday.num_days_from_monday(),
        },
    })
}

impl Registry {
    /// The rules of a project; none at generation 0 when nobody has set any.
    pub async fn retention(&self, actor: &Actor, project: &ProjectName) -> Result<Policy> {
        let project = self.catalog.project(actor, project, READ).await?;
        self.policy(project.id).await
    }

    pub(super) async fn policy(&self, project: ProjectId) -> Result<Policy> {
        let row = policies::find(&mut *self.db.read().await?, project).await?;
        row.map_or_else(|| Ok(Policy::none(project)), Policy::of)
    }

    /// Replaces the rules. Plans made from the rules before are void from then on. Rules that
    /// would keep no tag at all are a conflict, `retention_keeps_nothing`, unless that is
    /// confirmed.
    pub async fn set_retention(
        &self,
        actor: &Actor,
        project: &ProjectName,
        new: NewPolicy,
        only_if: Option<i64>,
    ) -> Result<Policy> {
        let project = self.catalog.project(actor, project, UPDATE).await?;
        let rules = check_rules(&new.rules)?;
        if keeps_nothing(&rules) && !new.confirm {
            return Err(Error::conflict(
                "retention_keeps_nothing",
                "these rules remove every tag and keep none; add a rule that keeps some, or confirm that this is meant",
            ));
        }
        let now = self.now();
        let mut tx = self.db.begin().await?;
        let before = policies::find(tx.conn(), project.id).await?;
        let before = before.map_or_else(|| Ok(Policy::none(project.id)), Policy::of)?;
        let stale = |at: i64| {
            let message = format!("the rules are at generation {at} now; read them again");
            Error::new(ErrorKind::Stale, "stale", message)
        };
        if only_if.is_some_and(|wanted| wanted != before.generation) {
            return Err(stale(before.generation));
        }
        let unchanged = before.rules == rules
            && before.schedule == new.schedule
            && before.accepts_empty == new.confirm
            && before.generation > 0;
        if unchanged {
            return Ok(before);
        }
        let row = PolicyRow {
            project_id: project.id,
            rules: rule::stored(&rules),
            schedule: new.schedule.every.as_str().to_owned(),
            hour: new.schedule.hour.into(),
            weekday: i16::try_from(new.schedule.weekday.num_days_from_monday()).unwrap_or(0),
            accepts_empty: new.confirm,
            generation: before.generation + 1,
            next_run_at: new.schedule.next(now),
            updated_by: actor.name.clone(),
            updated_at: now,
        };
        if !policies::put(tx.conn(), &row).await? {
            return Err(stale(before.generation + 1));
        }
        let message = match rules.len() {
            0 => format!("{} removed the retention rules of {}", actor.name, project.name),
            1 => format!("{} set one retention rule for {}", actor.name, project.name),
            n => format!("{} set {n} retention rules for {}", actor.name, project.name),
        };
        let target = Target::new("retention", project.id, &project.name);
        let event = NewEvent::new("retention.update", target, message)
            .in_project(project.id)
            .detail(json!({
                "from": facts(&before.rules, before.schedule),
                "to": facts(&rules, new.schedule),
                "acceptsEmpty": new.confirm,
            }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        Policy::of(row)
    }
}

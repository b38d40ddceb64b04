//! The rules: read as sentences, changed one at a time; when they run; what ran.

use askama::Template;
use axum::http::StatusCode;

use super::{OPERATE, READ, UPDATE, base, words};
use crate::base::{Error, ErrorKind, PageRequest, ProjectName, Result, Timestamp};
use crate::registry::retention::{
    Every, Kind, NewPolicy, Policy, Rule, RuleText, Run, Schedule, rule,
};
use crate::web::cookies;
use crate::web::form::{Choice, Form};
use crate::web::frame::{Frame, Section};
use crate::web::session::Posted;
use crate::web::shell::{At, PageResult, Shell};
use crate::web::text::Text;

/// Runs listed.
const RUNS: u32 = 10;

/// One rule of the list.
struct RuleRow {
    index: usize,
    number: usize,
    sentence: String,
    removes: bool,
    form: Form,
    /// The form is shown, because something in it is wrong.
    open: bool,
}

pub(super) struct RunRow {
    href: String,
    at: Timestamp,
    started_by: String,
    kind: &'static str,
    status: String,
    removed: i64,
    skipped: i64,
    freed: i64,
}

#[derive(Template)]
#[template(path = "retention/rules.html")]
struct RulesPage {
    frame: Frame,
    base: String,
    generation: i64,
    rules: Vec<RuleRow>,
    recommended: Vec<String>,
    /// Some rule removes something.
    removes: bool,
    kinds: Vec<Choice>,
    new: Form,
    /// What was wrong needs a confirmation.
    asks: bool,
    schedule: Form,
    everies: Vec<Choice>,
    weekdays: Vec<Choice>,
    accepts_empty: bool,
    next_run_at: Option<Timestamp>,
    runs: Vec<RunRow>,
    may_update: bool,
    may_operate: bool,
}

fn form_of(rule: &Rule) -> Form {
    let text = rule.text();
    let number = text.count.or(text.days).map(|n| n.to_string()).unwrap_or_default();
    Form::of([
        ("kind", text.kind),
        ("repositories", text.repositories.unwrap_or_default()),
        ("tags", text.tags.unwrap_or_else(|| "*".to_owned())),
        ("number", number),
    ])
}

fn blank() -> Form {
    Form::of([("kind", "keepLatest"), ("repositories", "**"), ("tags", "*"), ("number", "10")])
}

fn kinds(t: &Text) -> Vec<Choice> {
    let choice = |word: &'static str| Choice { value: word, label: t.get(words::kind_key(word)) };
    Kind::WORDS.into_iter().map(choice).collect()
}

fn weekdays(t: &Text) -> Vec<Choice> {
    [
        ("0", "weekday-monday"),
        ("1", "weekday-tuesday"),
        ("2", "weekday-wednesday"),
        ("3", "weekday-thursday"),
        ("4", "weekday-friday"),
        ("5", "weekday-saturday"),
        ("6", "weekday-sunday"),
    ]
    .map(|(value, key)| Choice { value, label: t.get(key) })
    .into()
}

fn everies(t: &Text) -> Vec<Choice> {
    [
        ("off", "retention-every-off"),
        ("daily", "retention-every-day"),
        ("weekly", "retention-every-week"),
    ]
    .map(|(value, key)| Choice { value, label: t.get(key) })
    .into()
}

fn schedule_form(schedule: Schedule) -> Form {
    Form::of([
        ("every", schedule.every.as_str().to_owned()),
        ("hour", schedule.hour.to_string()),
        ("weekday", schedule.weekday.num_days_from_monday().to_string()),
    ])
}

impl RunRow {
    fn of(t: &Text, base: &str, run: &Run) -> Self {
        let (kind, status) = words::status(t, run.status);
        Self {
            href: format!("{base}/runs/{}", run.id),
            at: run.created_at,
            started_by: words::started_by(t, run),
            kind,
            status,
            removed: run.removed_tags + run.removed_images,
            skipped: run.skipped,
            freed: run.freed_bytes,
        }
    }
}

/// A form that was refused: which, and how it looks now.
enum Refused {
    None,
    New(Form, bool),
    Change(usize, Form),
    Schedule(Form),
}

async fn page_of(shell: &Shell, name: &ProjectName, refused: Refused) -> Result<RulesPage> {
    let t = shell.t;
    let services = &shell.services;
    let project = services.catalog.project(&shell.actor, name, READ).await?;
    let policy = services.registry.retention(&shell.actor, name).await?;
    let runs =
        services.registry.retention_runs(&shell.actor, name, &PageRequest::first(RUNS)).await?;
    let moving = runs.items.iter().any(|run| run.status.is_open());
    let frame = shell
        .project_frame(&project, Section::Retention, t.get("nav-retention"))
        .await?
        .json(format!("/api/v1/projects/{name}/retention"))
        .moving(moving);
    let base = base(name);
    let mut rules: Vec<RuleRow> = (0..)
        .zip(&policy.rules)
        .map(|(index, rule)| RuleRow {
            index,
            number: index + 1,
            sentence: words::sentence(&t, rule),
            removes: rule.kind.removes(),
            form: form_of(rule),
            open: false,
        })
        .collect();
    let (mut new, mut asks, mut schedule) = (blank(), false, schedule_form(policy.schedule));
    match refused {
        Refused::None => {}
        Refused::New(form, confirm) => (new, asks) = (form, confirm),
        Refused::Schedule(form) => schedule = form,
        Refused::Change(index, form) => {
            if let Some(row) = rules.get_mut(index) {
                (row.form, row.open) = (form, true);
            } else {
                new = form;
            }
        }
    }
    Ok(RulesPage {
        frame,
        generation: policy.generation,
        removes: policy.rules.iter().any(|rule| rule.kind.removes()),
        recommended: rule::recommended().iter().map(|rule| words::sentence(&t, rule)).collect(),
        rules,
        kinds: kinds(&t),
        new,
        asks,
        schedule,
        everies: everies(&t),
        weekdays: weekdays(&t),
        accepts_empty: policy.accepts_empty,
        next_run_at: policy.next_run_at,
        runs: runs.items.iter().map(|run| RunRow::of(&t, &base, run)).collect(),
        base,
        may_update: shell.may(&project, UPDATE),
        may_operate: shell.may(&project, OPERATE),
    })
}

/// `GET /p/{project}/retention`
pub(super) async fn page(shell: Shell, At(name): At<ProjectName>) -> PageResult {
    let mut response = shell.render(&page_of(&shell, &name, Refused::None).await?)?;
    cookies::keep(response.headers_mut(), cookies::PROJECT, name.as_str());
    Ok(response)
}

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct RulesForm {
    /// `add`, `change`, `remove`, `up`, `recommended` or `schedule`.
    #[serde(default)]
    action: String,
    /// Of the rules that the page showed.
    #[serde(default)]
    generation: String,
    /// Which rule, from 0.
    #[serde(default)]
    index: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    repositories: String,
    #[serde(default)]
    tags: String,
    /// Tags to keep, or days.
    #[serde(default)]
    number: String,
    #[serde(default)]
    confirm: String,
    #[serde(default)]
    every: String,
    #[serde(default)]
    hour: String,
    #[serde(default)]
    weekday: String,
}

impl RulesForm {
    /// The rule that was typed.
    fn rule(&self) -> Result<RuleText> {
        let kind = self.kind.trim().to_owned();
        let number = match self.number.trim() {
            "" => None,
            text => Some(text.parse().map_err(|_| Error::invalid("number", "must be a number"))?),
        };
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let counts = kind == "keepLatest";
        let looks_back = matches!(kind.as_str(), "keepPulled" | "keepPushed" | "removeUntagged");
        let text = RuleText {
            repositories: given(&self.repositories),
            tags: given(&self.tags),
            // A number left over from another kind is not meant.
            count: number.filter(|_| counts),
            days: number.filter(|_| looks_back),
            kind,
        };
        let rule = text.check("").map_err(|mut faults| {
            for fault in &mut faults {
                if matches!(fault.field.as_str(), "count" | "days") {
                    fault.field = "number".to_owned();
                }
            }
            Error::invalid_fields(faults)
        })?;
        Ok(rule.text())
    }

    fn rule_form(&self) -> Form {
        Form::of([
            ("kind", &self.kind),
            ("repositories", &self.repositories),
            ("tags", &self.tags),
            ("number", &self.number),
        ])
    }

    fn schedule_form(&self) -> Form {
        Form::of([("every", &self.every), ("hour", &self.hour), ("weekday", &self.weekday)])
    }

    fn parse_schedule(&self) -> Result<Schedule> {
        let every: Every = self.every.parse()?;
        let number = |text: &str, field: &str| -> Result<i64> {
            text.trim().parse().map_err(|_| Error::invalid(field, "must be a number"))
        };
        let hour = number(&self.hour, "schedule.hour")?;
        Schedule::new(every, hour, number(&self.weekday, "schedule.weekday")?)
    }

    fn index(&self, rules: &[RuleText]) -> Result<usize> {
        let index = self.index.parse::<usize>().ok().filter(|index| *index < rules.len());
        index.ok_or_else(|| Error::not_found("rule", &self.index))
    }

    /// The rules after what the form asks for.
    fn changed(&self, policy: &Policy) -> Result<NewPolicy> {
        let mut rules: Vec<RuleText> = policy.rules.iter().map(Rule::text).collect();
        let (mut schedule, mut confirm) = (policy.schedule, policy.accepts_empty);
        match self.action.as_str() {
            "add" => rules.push(self.rule()?),
            "change" => {
                let index = self.index(&rules)?;
                rules[index] = self.rule()?;
            }
            "remove" => {
                rules.remove(self.index(&rules)?);
            }
            "up" => {
                let index = self.index(&rules)?;
                if index > 0 {
                    rules.swap(index, index - 1);
                }
            }
            "recommended" => rules = rule::recommended().iter().map(Rule::text).collect(),
            "schedule" => {
                schedule = self.parse_schedule()?;
                confirm = false;
            }
            _ => return Err(Error::invalid("action", "is not known")),
        }
        Ok(NewPolicy { rules, schedule, confirm: confirm || !self.confirm.is_empty() })
    }
}

/// `POST /p/{project}/retention`: one change of the rules or of the schedule.
pub(super) async fn save(
    At(name): At<ProjectName>,
    Posted(shell, form): Posted<RulesForm>,
) -> PageResult {
    let services = &shell.services;
    services.catalog.project(&shell.actor, &name, UPDATE).await?;
    let policy = services.registry.retention(&shell.actor, &name).await?;
    let only_if = form.generation.parse().ok();
    let done = match form.changed(&policy) {
        Ok(new) => services.registry.set_retention(&shell.actor, &name, new, only_if).await,
        Err(error) => Err(error),
    };
    let error = match done {
        Ok(_) => return Ok(shell.done(&base(&name), "flash-retention-saved", &name)),
        Err(error) => error,
    };
    let t = &shell.t;
    let asks = error.code() == "retention_keeps_nothing";
    let status = match error.kind() {
        ErrorKind::Conflict => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let refused = match (form.action.as_str(), form.index.parse()) {
        ("schedule", _) => {
            let of_schedule = |field: &str| field.trim_start_matches("schedule.").to_owned();
            let error = match error.fields().first() {
                Some(fault) => Error::invalid(of_schedule(&fault.field), fault.message.clone()),
                None => error,
            };
            Refused::Schedule(form.schedule_form().refused(t, error)?)
        }
        ("change", Ok(index)) => Refused::Change(index, form.rule_form().refused(t, error)?),
        ("add", _) => Refused::New(form.rule_form().refused(t, error)?, asks),
        _ => Refused::New(blank().refused(t, error)?, asks),
    };
    shell.render_as(status, &page_of(&shell, &name, refused).await?)
}

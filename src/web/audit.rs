//! `/audit`: the event log as an explorer, with before and after of each change, and as a file.

use askama::Template;
use axum::extract::Query;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;

use super::frame::{Frame, Section};
use super::shell::{PageResult, Shell};
use super::text::Text;
use super::view::Pager;
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::{Cursor, Error, PageRequest, ProjectName, Result, Timestamp};
use crate::events::{self, Event, Filter, Outcome};

const ROWS: u32 = 50;
/// Rows of an exported file; a longer range is exported in parts, by date.
const MOST_EXPORTED: u32 = 1000;

/// One row of the log.
pub(super) struct Entry {
    pub id: String,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub target: String,
    pub message: String,
    /// `ok`, `warn` or `bad`.
    pub kind: &'static str,
    pub outcome: String,
    pub channel: String,
    pub address: String,
    pub request_id: String,
    /// Empty when there is nothing more to say.
    pub detail: String,
}

/// An event as a row.
pub(super) fn entry_of(t: &Text, event: &Event) -> Entry {
    let (kind, key) = match event.outcome.as_str() {
        "success" => ("ok", "outcome-success"),
        "denied" => ("warn", "outcome-denied"),
        _ => ("bad", "outcome-failure"),
    };
    let empty = event.detail.as_object().is_some_and(serde_json::Map::is_empty);
    Entry {
        id: event.id.to_string(),
        at: event.created_at,
        actor: if event.actor_name.is_empty() {
            t.get("audit-nobody")
        } else {
            event.actor_name.clone()
        },
        action: event.action.clone(),
        target: event.target_name.clone(),
        message: event.message.clone(),
        kind,
        outcome: t.get(key),
        channel: event.channel.clone(),
        address: event.address.clone().unwrap_or_default(),
        request_id: event.request_id.clone().unwrap_or_default(),
        detail: if empty {
            String::new()
        } else {
            serde_json::to_string_pretty(&event.detail).unwrap_or_default()
        },
    }
}

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct AuditQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    actor: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    project: String,
    #[serde(default)]
    outcome: String,
    /// Days, `YYYY-MM-DD`, UTC, both inclusive.
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    after: Option<String>,
}

impl AuditQuery {
    fn pairs(&self) -> [(&'static str, &str); 7] {
        [
            ("q", self.q.trim()),
            ("actor", self.actor.trim()),
            ("action", self.action.trim()),
            ("project", self.project.trim()),
            ("outcome", self.outcome.trim()),
            ("from", self.from.trim()),
            ("to", self.to.trim()),
        ]
    }

    fn day(field: &'static str, text: &str) -> Result<Option<Timestamp>> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        chrono::NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d")
            .ok()
            .and_then(|day| day.and_hms_opt(0, 0, 0))
            .map(|moment| Some(moment.and_utc()))
            .ok_or_else(|| Error::invalid(field, "must be a day such as 2026-11-24"))
    }

    async fn filter(&self, shell: &Shell) -> Result<Filter> {
        let optional = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let projects = match optional(&self.project) {
            None => None,
            Some(name) => {
                let name: ProjectName = name.parse()?;
                let permission = Permission(Resource::Event, Action::List);
                let project =
                    shell.services.catalog.project(&shell.actor, &name, permission).await?;
                Some(vec![project.id])
            }
        };
        Ok(Filter {
            projects,
            deployment: None,
            actor: optional(&self.actor),
            action: optional(&self.action),
            outcome: match self.outcome.as_str() {
                "success" => Some(Outcome::Success),
                "failure" => Some(Outcome::Failure),
                "denied" => Some(Outcome::Denied),
                _ => None,
            },
            text: optional(&self.q),
            from: Self::day("from", &self.from)?,
            to: Self::day("to", &self.to)?.map(|day| day + chrono::Duration::days(1)),
        })
    }
}

#[derive(Template)]
#[template(path = "audit/page.html")]
struct AuditPage {
    frame: Frame,
    query: AuditQuery,
    rows: Vec<Entry>,
    trouble: Option<String>,
    pager: Pager,
    export_href: String,
}

/// `GET /audit`
pub(super) async fn page(shell: Shell, Query(query): Query<AuditQuery>) -> PageResult {
    require_platform(&shell.actor, Permission(Resource::AuditLog, Action::List))?;
    let request =
        PageRequest { after: query.after.clone().map(Cursor::from_text), limit: Some(ROWS) };
    let found = async {
        let filter = query.filter(&shell).await?;
        events::list(&shell.services.db, &filter, &request).await
    };
    let (rows, trouble, pager) = match found.await {
        Ok(page) => {
            let pager = Pager::of("/audit", &query.pairs(), query.after.as_deref(), &page);
            (page.items.iter().map(|event| entry_of(&shell.t, event)).collect(), None, pager)
        }
        Err(error) if error.kind() == crate::base::ErrorKind::Internal => return Err(error.into()),
        Err(error) => (Vec::new(), Some(shell.t.error(&error)), Pager::default()),
    };
    let set: Vec<_> = query.pairs().into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let pairs = serde_urlencoded::to_string(set).unwrap_or_default();
    let frame = shell.frame(Section::Audit, shell.t.get("nav-audit")).await?.json("/api/v1/events");
    let export_href = format!("/audit/export?{pairs}");
    shell.render(&AuditPage { frame, query, rows, trouble, pager, export_href })
}

/// `GET /audit/export`: the newest rows of the filter, one JSON object a line.
pub(super) async fn export(shell: Shell, Query(query): Query<AuditQuery>) -> PageResult {
    require_platform(&shell.actor, Permission(Resource::AuditLog, Action::List))?;
    let filter = query.filter(&shell).await?;
    let request = PageRequest {
        after: query.after.clone().map(Cursor::from_text),
        limit: Some(MOST_EXPORTED),
    };
    let page = events::list(&shell.services.db, &filter, &request).await?;
    let mut text = String::new();
    for event in &page.items {
        text.push_str(
            &serde_json::to_string(event).map_err(|e| Error::internal("writing an event", e))?,
        );
        text.push('\n');
    }
    let mut response = text.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/x-ndjson; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"portolan-events.jsonl\""),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

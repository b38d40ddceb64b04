//! `/p/{project}/quota` and `/admin/quotas`: what projects store, and how much they may.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;

use super::form::Form;
use super::frame::{Frame, Section};
use super::login::Nothing;
use super::projects::ListQuery;
use super::session::Posted;
use super::shell::{At, PageResult, Shell};
use super::text::Text;
use super::view::Pager;
use super::{cookies, repositories};
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::{Error, Memory, ProjectName, Result};
use crate::registry::quota::{Limits, Quota};

/// One measure beside its limit.
pub(super) struct Gauge {
    pub label: String,
    /// What is used, of what.
    pub text: String,
    /// Percent of the limit, at most 100; `None`: no limit.
    pub percent: Option<u8>,
    /// `accent`, `warn` from 80 %, `bad` from 95 %.
    pub color: &'static str,
}

impl Gauge {
    fn of(t: &Text, key: &str, used: i64, max: Option<i64>, show: impl Fn(i64) -> String) -> Self {
        let percent = max.map(|max| {
            let percent = if max <= 0 { 100 } else { used.saturating_mul(100) / max };
            u8::try_from(percent.clamp(0, 100)).unwrap_or(100)
        });
        let text = match max {
            Some(max) => t.fmt("quota-of").a("used", show(used)).a("limit", show(max)).to_string(),
            None => t.fmt("quota-unlimited").a("used", show(used)).to_string(),
        };
        let color = match percent {
            Some(95..) => "bad",
            Some(80..) => "warn",
            _ => "accent",
        };
        Self { label: t.get(key), text, percent, color }
    }

    /// Bytes, then artifacts.
    pub(super) fn both(t: &Text, quota: &Quota) -> [Self; 2] {
        let limits = quota.limits;
        [
            Self::of(t, "quota-storage", quota.used_bytes, limits.bytes, |n| t.size(n)),
            Self::of(t, "quota-artifacts", quota.used_artifacts, limits.artifacts, |n| t.count(n)),
        ]
    }
}

struct LargeRow {
    name: String,
    href: String,
    size: String,
    percent: u8,
    artifacts: i64,
}

#[derive(Template)]
#[template(path = "quotas/project.html")]
struct ProjectPage {
    frame: Frame,
    project: String,
    gauges: [Gauge; 2],
    rows: Vec<LargeRow>,
    may_change: bool,
    is_full: bool,
    form: Form,
}

/// Bytes as the form shows them: exact, and readable where they are round.
fn typed(bytes: Option<i64>) -> String {
    let Some(bytes) = bytes else { return String::new() };
    for (unit, size) in [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000)] {
        if bytes > 0 && bytes % size == 0 {
            return format!("{} {unit}", bytes / size);
        }
    }
    bytes.to_string()
}

fn filled(limits: Limits) -> Form {
    let artifacts = limits.artifacts.map(|n| n.to_string()).unwrap_or_default();
    Form::of([("maxBytes", typed(limits.bytes)), ("maxArtifacts", artifacts)])
}

async fn project_page(
    shell: &Shell,
    name: &ProjectName,
    form: impl FnOnce(Limits) -> Form,
) -> Result<ProjectPage> {
    let (services, t) = (&shell.services, shell.t);
    let read = Permission(Resource::Quota, Action::Read);
    let project = services.catalog.project(&shell.actor, name, read).await?;
    let quota = services.registry.quota_in(&project).await?;
    let largest = services.registry.largest_repositories(&shell.actor, name).await?;
    let most = largest.first().map_or(1, |row| row.bytes.max(1));
    let frame = shell
        .project_frame(&project, Section::Quota, t.get("nav-quota"))
        .await?
        .json(format!("/api/v1/projects/{name}/quota"));
    let gauges = Gauge::both(&t, &quota);
    Ok(ProjectPage {
        frame,
        project: name.to_string(),
        is_full: gauges.iter().any(|gauge| gauge.percent == Some(100)),
        gauges,
        rows: largest
            .iter()
            .map(|row| LargeRow {
                name: row.name.path().to_owned(),
                href: repositories::href(name.as_str(), row.name.path()),
                size: t.size(row.bytes),
                percent: u8::try_from(row.bytes.saturating_mul(100) / most).unwrap_or(100),
                artifacts: row.artifacts,
            })
            .collect(),
        may_change: shell.may(&project, Permission(Resource::Quota, Action::Update)),
        form: form(quota.limits),
    })
}

/// `GET /p/{project}/quota`
pub(super) async fn project(shell: Shell, At(name): At<ProjectName>) -> PageResult {
    let mut response = shell.render(&project_page(&shell, &name, filled).await?)?;
    cookies::keep(response.headers_mut(), cookies::PROJECT, name.as_str());
    Ok(response)
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QuotaForm {
    #[serde(default)]
    max_bytes: String,
    #[serde(default)]
    max_artifacts: String,
}

/// "10 GB", "512 MiB", "1000000"; nothing: no limit.
fn parse_bytes(text: &str) -> Result<Option<i64>> {
    let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != ',').collect();
    if text.is_empty() {
        return Ok(None);
    }
    let plain = text.strip_suffix(['B', 'b']).unwrap_or(&text).replace('K', "k");
    let plain = plain.replace("ki", "Ki");
    let bytes: Memory = plain
        .parse()
        .map_err(|_| Error::invalid("maxBytes", "write a size, for example 10 GB or 512 MiB"))?;
    Ok(i64::try_from(bytes.bytes()).ok())
}

fn parse_count(text: &str) -> Result<Option<i64>> {
    let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != ',').collect();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_| Error::invalid("maxArtifacts", "write a number, for example 500");
    text.parse().map(Some).map_err(wrong)
}

async fn set(shell: &Shell, name: &ProjectName, form: &QuotaForm) -> Result<Quota> {
    let limits = Limits {
        bytes: parse_bytes(&form.max_bytes)?,
        artifacts: parse_count(&form.max_artifacts)?,
    };
    shell.services.registry.set_quota(&shell.actor, name, limits, None).await
}

/// `POST /p/{project}/quota`: sets the limits.
pub(super) async fn save(
    At(name): At<ProjectName>,
    Posted(shell, form): Posted<QuotaForm>,
) -> PageResult {
    match set(&shell, &name, &form).await {
        Ok(_) => Ok(shell.done(&format!("/p/{name}/quota"), "flash-quota-saved", &name)),
        Err(error) => {
            let kept = [("maxBytes", &form.max_bytes), ("maxArtifacts", &form.max_artifacts)];
            let form = Form::of(kept).refused(&shell.t, error)?;
            let page = project_page(&shell, &name, |_| form).await?;
            shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// `POST /p/{project}/quota/recalculate`
pub(super) async fn recalculate(
    At(name): At<ProjectName>,
    Posted(shell, Nothing {}): Posted<Nothing>,
) -> PageResult {
    let drift = shell.services.registry.recalculate_quota(&shell.actor, &name).await?;
    let flash = if drift.is_none() { "flash-quota-right" } else { "flash-quota-mended" };
    Ok(shell.done(&format!("/p/{name}/quota"), flash, &name))
}

struct AdminRow {
    project: String,
    gauges: [Gauge; 2],
}

#[derive(Template)]
#[template(path = "quotas/admin.html")]
struct AdminPage {
    frame: Frame,
    rows: Vec<AdminRow>,
    pager: Pager,
    query: String,
    may_change: bool,
}

/// `GET /admin/quotas`
pub(super) async fn admin(shell: Shell, Query(query): Query<ListQuery>) -> PageResult {
    let t = shell.t;
    let registry = &shell.services.registry;
    let page = registry.quotas(&shell.actor, query.text(), &query.request()).await?;
    let frame = shell.frame(Section::Quotas, t.get("nav-quotas")).await?.json("/api/v1/quotas");
    shell.render(&AdminPage {
        frame,
        pager: query.pager("/admin/quotas", &page),
        rows: page
            .items
            .iter()
            .map(|quota| AdminRow {
                project: quota.project.to_string(),
                gauges: Gauge::both(&t, quota),
            })
            .collect(),
        query: query.q,
        may_change: shell.may_platform(Permission(Resource::System, Action::Update)),
    })
}

/// `POST /admin/quotas/recalculate`: all projects, in the background.
pub(super) async fn recalculate_all(Posted(shell, Nothing {}): Posted<Nothing>) -> PageResult {
    require_platform(&shell.actor, Permission(Resource::System, Action::Update))?;
    shell.services.registry.request_run(&shell.actor, crate::registry::upkeep::Kind::Quota).await?;
    Ok(shell.done("/admin/cleanup", "flash-run-requested", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("", None),
            (" 10 GB ", Some(10_000_000_000)),
            ("512MiB", Some(512 << 20)),
            ("1.5 MB", Some(1_500_000)),
            ("1,000", Some(1000)),
            ("4 KB", Some(4000)),
            ("4 KiB", Some(4096)),
            ("0", Some(0)),
        ] {
            assert_eq!(parse_bytes(text).expect(text), bytes, "{text}");
        }
        for bad in ["-1", "ten", "1 XB", "1e999", "99999999999999999999"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        assert!(parse_count("1.5").is_err() && parse_count("x").is_err());
    }

    #[test]
    fn the_form_shows_what_reads_back() {
        for bytes in [10_000_000_000, 1_500_000, 1_000_000, 999, 0] {
            assert_eq!(parse_bytes(&typed(Some(bytes))).expect("reads"), Some(bytes));
        }
    }
}

//! Retention: the rules of a project, previews of what they would remove, and runs.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::answer::{Result, accepted, created, page};
use super::retention_views::{ItemView, PlanView, PolicyView, RunView};
use super::route::{self, Route, get, in_project, put};
use crate::accounts::rbac::{Action, Resource};
use crate::base::{Error, Page, SharedClock};
use crate::http::caller::ApiCaller;
use crate::http::etag;
use crate::http::json::{Input, OptionalInput};
use crate::http::query::{self, NoQuery, PageQuery, PathNames, Query};
use crate::registry::Registry;
use crate::registry::retention::{Every, ItemFilter, NewPolicy, RuleText, Schedule};

const POLICY: &str = "/api/v1/projects/{project}/retention";
const PREVIEWS: &str = "/api/v1/projects/{project}/retention/previews";
const PREVIEW: &str = "/api/v1/projects/{project}/retention/previews/{preview}";
const RUNS: &str = "/api/v1/projects/{project}/retention/runs";
const RUN: &str = "/api/v1/projects/{project}/retention/runs/{run}";

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| in_project(Resource::Retention, action);
    vec![
        get(POLICY, read, "getRetention", "The retention rules of a project", needs(Action::Read))
            .answers::<PolicyView>(200)
            .notes("The ETag is for If-Match. A project without rules is at generation 0."),
        put(POLICY, set, "setRetention", "Replace the retention rules", needs(Action::Update))
            .body::<PolicyInput>()
            .answers::<PolicyView>(200)
            .notes(
                "Keep rules save what they match, whatever other rules say; remove rules name what goes otherwise. Previews made from the rules before are void.",
            ),
        route::create(
            PREVIEWS,
            preview,
            "previewRetention",
            "List what the rules would remove now, and why",
            needs(Action::Operate),
        )
        .optional_body::<PreviewInput>()
        .answers::<PlanView>(201)
        .notes("Nothing is removed. A preview can be applied for 15 minutes, or until the rules change."),
        get(PREVIEW, show_preview, "getRetentionPreview", "One preview", needs(Action::Read))
            .answers::<PlanView>(200),
        get(
            "/api/v1/projects/{project}/retention/previews/{preview}/items",
            items,
            "listRetentionPreviewItems",
            "Every tag and image of a preview: kept or removed, and why",
            needs(Action::Read),
        )
        .query::<ItemQuery>()
        .lists::<ItemView>(),
        get(RUNS, list_runs, "listRetentionRuns", "Runs, newest first", needs(Action::List))
            .query::<PageQuery>()
            .lists::<RunView>(),
        route::create(
            RUNS,
            apply,
            "applyRetention",
            "Apply a preview: remove exactly what it lists and what is still as it was",
            needs(Action::Operate),
        )
        .body::<RunInput>()
        .answers::<RunView>(202)
        .notes("Applying a preview again answers with the run it has."),
        get(RUN, show_run, "getRetentionRun", "One run and how far it is", needs(Action::Read))
            .answers::<RunView>(200),
        get(
            "/api/v1/projects/{project}/retention/runs/{run}/items",
            report,
            "listRetentionRunItems",
            "What a run removed or skipped, and why",
            needs(Action::Read),
        )
        .query::<ReportQuery>()
        .lists::<ItemView>(),
    ]
}

/// Rules to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PolicyInput {
    /// At most 20, in the order in which they are shown and counted.
    rules: Vec<RuleText>,
    #[serde(default)]
    schedule: ScheduleView,
    /// Says that a repository may be left without any tag.
    #[serde(default)]
    confirm: bool,
}

/// When the rules are applied by themselves, UTC.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ScheduleView {
    /// `off` (the default), `daily` or `weekly`.
    pub(super) every: String,
    /// 0 to 23.
    pub(super) hour: i64,
    /// 0, Monday, to 6, Sunday; for `weekly`.
    pub(super) weekday: i64,
}

impl Default for ScheduleView {
    fn default() -> Self {
        Self::from(Schedule::default())
    }
}

impl From<Schedule> for ScheduleView {
    fn from(schedule: Schedule) -> Self {
        Self {
            every: schedule.every.as_str().to_owned(),
            hour: schedule.hour.into(),
            weekday: schedule.weekday.num_days_from_monday().into(),
        }
    }
}

impl ScheduleView {
    fn parse(&self) -> Result<Schedule, Error> {
        let every: Every = self.every.parse()?;
        Schedule::new(every, self.hour, self.weekday)
    }
}

/// Nothing can be said about a preview; it is of the rules as they are.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PreviewInput {}

/// What to apply.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RunInput {
    /// Id of the preview.
    preview: Uuid,
    /// Says that a repository may be left without any tag.
    #[serde(default)]
    confirm: bool,
}

/// Which rows of a preview.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ItemQuery {
    /// `keep` or `remove`; both when absent.
    verdict: Option<String>,
    /// Part of `project/path:tag` or of the digest.
    q: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows wanted, 1 to 1000; 50 when absent.
    limit: Option<u32>,
}

/// Which rows of a report.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ReportQuery {
    /// `removed` or `skipped`; everything the run is about when absent.
    outcome: Option<String>,
    /// Part of `project/path:tag` or of the digest.
    q: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows wanted, 1 to 1000; 50 when absent.
    limit: Option<u32>,
}

fn tagged(generation: i64, view: PolicyView) -> Response {
    let mut response = Json(view).into_response();
    response.headers_mut().insert(header::ETAG, etag::of(generation));
    response
}

async fn read(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Response> {
    let found = registry.retention(&caller.actor, &names.find("project")?).await?;
    Ok(tagged(found.generation, PolicyView::from(found)))
}

async fn set(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    headers: HeaderMap,
    Input(input): Input<PolicyInput>,
) -> Result<Response> {
    let project = names.find("project")?;
    let only_if = etag::precondition(&headers)?.generation;
    let schedule = input.schedule.parse()?;
    let new = NewPolicy { rules: input.rules, schedule, confirm: input.confirm };
    let set = registry.set_retention(&caller.actor, &project, new, only_if).await?;
    Ok(tagged(set.generation, PolicyView::from(set)))
}

async fn preview(
    State(registry): State<Registry>,
    State(clock): State<SharedClock>,
    caller: ApiCaller,
    names: PathNames,
    _: OptionalInput<PreviewInput>,
) -> Result<Response> {
    let project = names.find("project")?;
    let plan = registry.preview_retention(&caller.actor, &project).await?;
    let location = format!("/api/v1/projects/{project}/retention/previews/{}", plan.id);
    Ok(created(&location, PlanView::of(plan, clock.now(), registry.retention_frees_after())))
}

async fn show_preview(
    State(registry): State<Registry>,
    State(clock): State<SharedClock>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<PlanView>> {
    let (project, id) = (names.find("project")?, names.find("preview")?);
    let plan = registry.retention_plan(&caller.actor, &project, id).await?;
    Ok(Json(PlanView::of(plan, clock.now(), registry.retention_frees_after())))
}

async fn items(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    Query(query): Query<ItemQuery>,
) -> Result<Json<Page<ItemView>>> {
    let (project, id) = (names.find("project")?, names.find("preview")?);
    let removes = match query.verdict.as_deref() {
        None => None,
        Some("remove") => Some(true),
        Some("keep") => Some(false),
        Some(_) => return Err(Error::invalid("verdict", "must be keep or remove").into()),
    };
    let filter = ItemFilter {
        removes,
        outcome: None,
        text: query::text(query.q.as_deref())?.map(str::to_owned),
    };
    let wanted = query::page(query.after.as_deref(), query.limit);
    let found = registry.retention_items(&caller.actor, &project, id, &filter, &wanted).await?;
    Ok(page(found, ItemView::from))
}

async fn list_runs(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RunView>>> {
    let wanted = query.page();
    let project = names.find("project")?;
    let found = registry.retention_runs(&caller.actor, &project, &wanted).await?;
    Ok(page(found, RunView::from))
}

async fn apply(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<RunInput>,
) -> Result<Response> {
    let project = names.find("project")?;
    let (plan, confirm) = (input.preview.into(), input.confirm);
    let run = registry.apply_retention(&caller.actor, &project, plan, confirm).await?;
    let location = format!("/api/v1/projects/{project}/retention/runs/{}", run.id);
    Ok(accepted(&location, RunView::from(run)))
}

async fn show_run(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<RunView>> {
    let (project, id) = (names.find("project")?, names.find("run")?);
    Ok(Json(registry.retention_run(&caller.actor, &project, id).await?.into()))
}

async fn report(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    Query(query): Query<ReportQuery>,
) -> Result<Json<Page<ItemView>>> {
    let (project, id) = (names.find("project")?, names.find("run")?);
    let outcome = match query.outcome.as_deref() {
        None => None,
        Some("removed") => Some("removed"),
        Some("skipped") => Some("skipped"),
        Some(_) => return Err(Error::invalid("outcome", "must be removed or skipped").into()),
    };
    let filter = ItemFilter {
        removes: None,
        outcome,
        text: query::text(query.q.as_deref())?.map(str::to_owned),
    };
    let wanted = query::page(query.after.as_deref(), query.limit);
    let found = registry.retention_report(&caller.actor, &project, id, &filter, &wanted).await?;
    Ok(page(found, ItemView::from))
}

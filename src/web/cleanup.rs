//! `/admin/cleanup`: how clean the store is, what would go, and what runs did.

use askama::Template;
use axum::extract::Query;

use super::frame::{Frame, Section};
use super::session::Posted;
use super::shell::{PageResult, Shell};
use super::text::Text;
use super::view::Pager;
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::{Cursor, PageRequest, Result, Timestamp};
use crate::registry::upkeep::{Cause, Kind, Run, State};
use crate::registry::{Corrupt, Reclaimable, StoreState};

/// Runs shown on one page, and corrupt blobs shown on the first.
const MOST: u32 = 20;

fn kind_name(t: &Text, kind: Kind) -> String {
    t.get(match kind {
        Kind::Collection => "run-collection",
        Kind::Sweep => "run-sweep",
        Kind::Scrub => "run-scrub",
        Kind::Check => "run-check",
        Kind::Quota => "run-quota",
    })
}

struct RunRow {
    kind: String,
    cause: String,
    mark: &'static str,
    state: String,
    at: Timestamp,
    seconds: Option<i64>,
    what: String,
}

impl RunRow {
    fn of(t: &Text, run: &Run) -> Self {
        let counts = run.counts;
        let sized = |key: &str| t.fmt(key).a("size", t.size(counts.bytes)).n("blobs", counts.blobs);
        let what = match run.kind {
            _ if run.state == State::Failed => run.message.clone(),
            Kind::Collection => {
                sized("run-freed").n("links", counts.links).n("uploads", counts.uploads).to_string()
            }
            Kind::Sweep => {
                t.fmt("run-swept").n("blobs", counts.blobs).n("uploads", counts.uploads).to_string()
            }
            Kind::Scrub | Kind::Check => sized("run-read").n("faults", counts.faults).to_string(),
            Kind::Quota => t.fmt("run-counted").n("n", counts.faults).to_string(),
        };
        let (mark, state) = match run.state {
            State::Waiting => ("hold", "run-waiting"),
            State::Running => ("prog", "run-running"),
            State::Interrupted => ("warn", "run-interrupted"),
            State::Failed => ("bad", "run-failed"),
            State::Done if counts.faults > 0 => ("warn", "run-done"),
            State::Done => ("ok", "run-done"),
        };
        let cause = match run.cause {
            Cause::Schedule => t.get("run-by-schedule"),
            Cause::Request => run.actor_name.clone(),
            Cause::Command => t.get("run-by-command"),
        };
        Self {
            kind: kind_name(t, run.kind),
            cause,
            mark,
            state: t.get(state),
            at: run.started_at.unwrap_or(run.created_at),
            seconds: run.finished_at.zip(run.started_at).map(|(end, at)| (end - at).num_seconds()),
            what,
        }
    }
}

#[derive(Template)]
#[template(path = "cleanup/page.html")]
struct CleanupPage {
    frame: Frame,
    state: StoreState,
    grace: String,
    last: Option<Timestamp>,
    corrupt: Vec<Corrupt>,
    more_corrupt: bool,
    rows: Vec<RunRow>,
    pager: Pager,
    may_run: bool,
}

#[derive(serde::Deserialize)]
pub(super) struct CleanupQuery {
    after: Option<String>,
}

fn request(after: Option<&str>) -> PageRequest {
    let after = after.filter(|after| !after.is_empty()).map(Cursor::from_text);
    PageRequest { after, limit: Some(MOST) }
}

/// `GET /admin/cleanup`
pub(super) async fn page(shell: Shell, Query(query): Query<CleanupQuery>) -> PageResult {
    let (t, registry, actor) = (shell.t, &shell.services.registry, &shell.actor);
    let state = registry.store_state(actor).await?;
    let corrupt = registry.corrupt_blobs(actor, &PageRequest::first(MOST)).await?;
    let runs = registry.runs(actor, None, &request(query.after.as_deref())).await?;
    let running = |run: &&Run| matches!(run.state, State::Waiting | State::Running);
    let frame = shell
        .frame(Section::Cleanup, t.get("nav-cleanup"))
        .await?
        .json("/api/v1/collection")
        .moving(state.last.iter().any(|run| running(&run) && run.kind != Kind::Scrub));
    let last = state.last.iter().find(|run| run.kind == Kind::Collection);
    shell.render(&CleanupPage {
        frame,
        grace: t.span(state.grace.num_seconds()),
        last: last.and_then(|run| run.finished_at),
        more_corrupt: corrupt.next.is_some(),
        corrupt: corrupt.items,
        pager: Pager::of("/admin/cleanup", &[], query.after.as_deref(), &runs),
        rows: runs.items.iter().map(|run| RunRow::of(&t, run)).collect(),
        may_run: shell.may_platform(Permission(Resource::Collection, Action::Operate)),
        state,
    })
}

#[derive(serde::Deserialize)]
pub(super) struct RunForm {
    #[serde(default)]
    kind: String,
}

async fn ask(shell: &Shell, form: &RunForm) -> Result<Run> {
    require_platform(&shell.actor, Permission(Resource::Collection, Action::Operate))?;
    shell.services.registry.request_run(&shell.actor, form.kind.parse()?).await
}

/// `POST /admin/cleanup`: asks for a run.
pub(super) async fn run(Posted(shell, form): Posted<RunForm>) -> PageResult {
    let run = ask(&shell, &form).await?;
    Ok(shell.done("/admin/cleanup", "flash-run-requested", kind_name(&shell.t, run.kind)))
}

#[derive(Template)]
#[template(path = "cleanup/blobs.html")]
struct BlobsPage {
    frame: Frame,
    rows: Vec<Reclaimable>,
    pager: Pager,
    pending: bool,
    state: StoreState,
    may_run: bool,
}

#[derive(serde::Deserialize)]
pub(super) struct BlobsQuery {
    after: Option<String>,
    #[serde(default)]
    show: String,
}

/// `GET /admin/cleanup/blobs`: the dry run.
pub(super) async fn blobs(shell: Shell, Query(query): Query<BlobsQuery>) -> PageResult {
    let (t, registry, actor) = (shell.t, &shell.services.registry, &shell.actor);
    let pending = query.show == "pending";
    let wanted = PageRequest { limit: Some(50), ..request(query.after.as_deref()) };
    let found = registry.reclaimable(actor, pending, &wanted).await?;
    let state = registry.store_state(actor).await?;
    let frame = shell
        .frame(Section::Cleanup, t.get("cleanup-dry-run"))
        .await?
        .crumb("/admin/cleanup", t.get("nav-cleanup"))
        .json("/api/v1/collection/blobs");
    let show = [("show", if pending { "pending" } else { "" })];
    shell.render(&BlobsPage {
        frame,
        pager: Pager::of("/admin/cleanup/blobs", &show, query.after.as_deref(), &found),
        rows: found.items,
        pending,
        state,
        may_run: shell.may_platform(Permission(Resource::Collection, Action::Operate)),
    })
}

//! Upkeep of the store: what could be freed, what runs did, what is corrupt.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::answer::{Result, accepted, page};
use super::route::{Route, get, platform, post};
use crate::accounts::rbac::{Action, Resource};
use crate::base::Page;
use crate::base::id::RunId;
use crate::http::caller::ApiCaller;
use crate::http::json::OptionalInput;
use crate::http::query::{self, NoQuery, PageQuery, PathNames, Query};
use crate::registry::upkeep::{Counts, Kind, Run};
use crate::registry::{Corrupt, Heap, Reclaimable, Registry, StoreState};

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| platform(Resource::Collection, action);
    vec![
        get(
            "/api/v1/collection",
            state,
            "getCollection",
            "How clean the store is",
            needs(Action::Read),
        )
        .answers::<StateView>(200),
        get(
            "/api/v1/collection/blobs",
            blobs,
            "listReclaimableBlobs",
            "Blobs that nobody needs, by digest",
            needs(Action::Read),
        )
        .query::<BlobsQuery>()
        .lists::<ReclaimableView>()
        .notes("A dry run: exactly the blobs that a collection would remove now."),
        get(
            "/api/v1/collection/corrupt",
            corrupt,
            "listCorruptBlobs",
            "Blobs that are out of service, by digest",
            needs(Action::Read),
        )
        .query::<PageQuery>()
        .lists::<CorruptView>(),
        get(
            "/api/v1/collection/runs",
            runs,
            "listCollectionRuns",
            "Runs, newest first",
            needs(Action::List),
        )
        .query::<RunsQuery>()
        .lists::<RunView>(),
        post(
            "/api/v1/collection/runs",
            request,
            "requestCollectionRun",
            "Ask for a run soon, in the background",
            needs(Action::Operate),
        )
        .optional_body::<RunInput>()
        .answers::<RunView>(202)
        .notes("Pushes and pulls go on meanwhile. A run that already waits is the answer again."),
        get(
            "/api/v1/collection/runs/{run}",
            run,
            "getCollectionRun",
            "One run",
            needs(Action::Read),
        )
        .answers::<RunView>(200),
    ]
}

/// Blobs and their bytes.
#[derive(Debug, Serialize, ToSchema)]
struct HeapView {
    blobs: i64,
    bytes: i64,
}

impl From<Heap> for HeapView {
    fn from(heap: Heap) -> Self {
        Self { blobs: heap.blobs, bytes: heap.bytes }
    }
}

/// How clean the store is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StateView {
    stored: HeapView,
    /// What the next collection removes.
    ready: HeapView,
    /// What nobody needs but the grace still protects.
    pending: HeapView,
    /// When the first of those becomes free.
    pending_from: Option<DateTime<Utc>>,
    /// When the last of those becomes free.
    pending_until: Option<DateTime<Utc>>,
    open_uploads: i64,
    /// Blobs out of service.
    corrupt: i64,
    grace_seconds: i64,
    /// 0: scrubs run only when asked for.
    scrub_bytes_per_second: u64,
    /// Percent of the running scrub.
    scrubbed: Option<u8>,
    /// When the next scheduled collection is due.
    next_at: DateTime<Utc>,
    /// The newest run of each kind.
    last: Vec<RunView>,
}

impl From<StoreState> for StateView {
    fn from(state: StoreState) -> Self {
        Self {
            stored: state.stored.into(),
            ready: state.ready.into(),
            pending: state.pending.into(),
            pending_from: state.pending_from,
            pending_until: state.pending_until,
            open_uploads: state.open_uploads,
            corrupt: state.corrupt,
            grace_seconds: state.grace.num_seconds(),
            scrub_bytes_per_second: state.scrub_rate,
            scrubbed: state.scrubbed,
            next_at: state.next_at,
            last: state.last.into_iter().map(RunView::from).collect(),
        }
    }
}

/// A blob that nobody needs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReclaimableView {
    digest: String,
    size: i64,
    /// When it was last used.
    touched_at: DateTime<Utc>,
    /// When a collection may remove it.
    free_at: DateTime<Utc>,
    /// Repositories that have it without needing it, at most 20.
    repositories: Vec<String>,
}

impl From<Reclaimable> for ReclaimableView {
    fn from(blob: Reclaimable) -> Self {
        Self {
            digest: blob.digest.to_string(),
            size: blob.size,
            touched_at: blob.touched_at,
            free_at: blob.free_at,
            repositories: blob.repositories,
        }
    }
}

/// A blob that is out of service.
#[derive(Debug, Serialize, ToSchema)]
struct CorruptView {
    digest: String,
    size: i64,
    /// `missing`, `wrong size`, `wrong content`.
    fault: String,
    since: DateTime<Utc>,
    /// Repositories that have it, at most 20. A push to one of them heals it.
    repositories: Vec<String>,
}

impl From<Corrupt> for CorruptView {
    fn from(blob: Corrupt) -> Self {
        Self {
            digest: blob.digest.to_string(),
            size: blob.size,
            fault: blob.fault,
            since: blob.since,
            repositories: blob.repositories,
        }
    }
}

/// What a run removed or looked at.
#[derive(Debug, Serialize, ToSchema)]
struct CountsView {
    uploads: i64,
    links: i64,
    blobs: i64,
    bytes: i64,
    faults: i64,
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        let Counts { uploads, links, blobs, bytes, faults } = counts;
        Self { uploads, links, blobs, bytes, faults }
    }
}

/// A run.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RunView {
    id: Uuid,
    /// `collection`, `sweep`, `scrub`, `check` or `quota`.
    kind: &'static str,
    /// `schedule`, `request` or `command`.
    cause: &'static str,
    actor: String,
    /// `waiting`, `running`, `interrupted`, `done` or `failed`.
    status: &'static str,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    counts: CountsView,
    /// One sentence, once it ended.
    message: String,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        Self {
            id: run.id.uuid(),
            kind: run.kind.as_str(),
            cause: run.cause.as_str(),
            actor: run.actor_name,
            status: run.state.as_str(),
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            counts: run.counts.into(),
            message: run.message,
        }
    }
}

/// What to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RunInput {
    /// `collection` (the default), `sweep`, `scrub` or `quota`.
    #[serde(default = "collection")]
    kind: String,
}

fn collection() -> String {
    Kind::Collection.as_str().to_owned()
}

/// Which blobs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct BlobsQuery {
    /// Also those that the grace still protects.
    #[serde(default)]
    pending: bool,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows wanted, 1 to 1000; 50 when absent.
    limit: Option<u32>,
}

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct RunsQuery {
    /// Only of this kind.
    kind: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows wanted, 1 to 1000; 50 when absent.
    limit: Option<u32>,
}

async fn state(
    State(registry): State<Registry>,
    caller: ApiCaller,
    _: Query<NoQuery>,
) -> Result<Json<StateView>> {
    Ok(Json(registry.store_state(&caller.actor).await?.into()))
}

async fn blobs(
    State(registry): State<Registry>,
    caller: ApiCaller,
    Query(query): Query<BlobsQuery>,
) -> Result<Json<Page<ReclaimableView>>> {
    let wanted = query::page(query.after.as_deref(), query.limit);
    let found = registry.reclaimable(&caller.actor, query.pending, &wanted).await?;
    Ok(page(found, ReclaimableView::from))
}

async fn corrupt(
    State(registry): State<Registry>,
    caller: ApiCaller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<CorruptView>>> {
    let wanted = query.page();
    Ok(page(registry.corrupt_blobs(&caller.actor, &wanted).await?, CorruptView::from))
}

async fn runs(
    State(registry): State<Registry>,
    caller: ApiCaller,
    Query(query): Query<RunsQuery>,
) -> Result<Json<Page<RunView>>> {
    let kind = query.kind.as_deref().map(str::parse).transpose()?;
    let wanted = query::page(query.after.as_deref(), query.limit);
    Ok(page(registry.runs(&caller.actor, kind, &wanted).await?, RunView::from))
}

async fn request(
    State(registry): State<Registry>,
    caller: ApiCaller,
    OptionalInput(input): OptionalInput<RunInput>,
) -> Result<Response> {
    let run = registry.request_run(&caller.actor, input.kind.parse()?).await?;
    let location = format!("/api/v1/collection/runs/{}", run.id);
    Ok(accepted(&location, RunView::from(run)))
}

async fn run(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<RunView>> {
    let id: RunId = names.find("run")?;
    Ok(Json(registry.run_record(&caller.actor, id).await?.into()))
}

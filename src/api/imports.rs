//! Imports: images of other registries, copied by jobs.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Result, accepted, page};
use super::route::{self, Route, get, in_project, post};
use crate::accounts::rbac::{Action, Resource};
use crate::base::{Page, SourceName};
use crate::http::caller::ApiCaller;
use crate::http::json::Input;
use crate::http::query::{NoQuery, PageQuery, PathNames, Query};
use crate::import::{Import, Imports, NewImport, Progress, Scope};

const ALL: &str = "/api/v1/projects/{project}/imports";
const ONE: &str = "/api/v1/projects/{project}/imports/{import}";

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| in_project(Resource::Import, action);
    vec![
        get(ALL, list, "listImports", "Imports, newest first", needs(Action::List))
            .query::<PageQuery>()
            .lists::<ImportView>(),
        route::create(
            ALL,
            create,
            "createImport",
            "Import an image or a repository from another registry",
            needs(Action::Create),
        )
        .body::<ImportInput>()
        .answers::<ImportView>(202)
        .notes("A job does the work, with your rights; follow it at its Location."),
        get(ONE, read, "getImport", "One import and how far it is", needs(Action::Read))
            .answers::<ImportView>(200),
        post(
            "/api/v1/projects/{project}/imports/{import}/cancel",
            cancel,
            "cancelImport",
            "Ask for the end of an import",
            needs(Action::Operate),
        )
        .answers::<ImportView>(202),
        post(
            "/api/v1/projects/{project}/imports/{import}/retry",
            retry,
            "retryImport",
            "Run a failed or cancelled import again, from where it ended",
            needs(Action::Operate),
        )
        .answers::<ImportView>(202),
    ]
}

/// How far an import is. Bytes are those of layers and configs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ImportProgress {
    manifests: i64,
    manifests_done: i64,
    blobs: i64,
    /// Copied or already here.
    blobs_done: i64,
    /// Already here, so not copied.
    blobs_present: i64,
    bytes: i64,
    /// Arrived or already here.
    bytes_done: i64,
    bytes_present: i64,
    tags: i64,
}

impl From<Progress> for ImportProgress {
    fn from(p: Progress) -> Self {
        Self {
            manifests: p.manifests,
            manifests_done: p.manifests_done,
            blobs: p.blobs,
            blobs_done: p.blobs_done,
            blobs_present: p.blobs_present,
            bytes: p.bytes,
            bytes_done: p.bytes_done,
            bytes_present: p.bytes_present,
            tags: p.tags,
        }
    }
}

/// Why an import failed, or why it is tried again.
#[derive(Debug, Serialize, ToSchema)]
struct ImportFault {
    code: String,
    message: String,
}

/// An import.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ImportView {
    id: Uuid,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    status: &'static str,
    /// What is copied: `HOST/REPOSITORY:TAG`.
    from: String,
    /// The stored source it uses.
    source: Option<String>,
    /// `image` or `repository`.
    scope: &'static str,
    /// Only tags that match.
    tags: Option<String>,
    referrers: bool,
    /// Full name of the repository it goes to.
    repository: String,
    /// What is to be copied is known; before, the progress counts nothing.
    planned: bool,
    progress: ImportProgress,
    cancel_requested: bool,
    /// Runs since it last got further, and how many there may be.
    attempt: i32,
    max_attempts: i32,
    /// When a waiting import is tried again.
    next_attempt_at: Option<DateTime<Utc>>,
    error: Option<ImportFault>,
    requested_by: String,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Import> for ImportView {
    fn from(import: Import) -> Self {
        let waits = import.status == crate::jobs::Status::Queued && import.attempt > 0;
        Self {
            id: import.id.uuid(),
            status: import.status.as_str(),
            from: import.from,
            source: import.source,
            scope: import.scope.as_str(),
            tags: import.tag_pattern,
            referrers: import.with_referrers,
            repository: import.repository.to_string(),
            planned: import.planned,
            progress: import.progress.into(),
            cancel_requested: import.cancel_requested,
            attempt: import.attempt,
            max_attempts: import.max_attempts,
            next_attempt_at: waits.then_some(import.run_at),
            error: import
                .error_code
                .zip(import.error)
                .map(|(code, message)| ImportFault { code, message }),
            requested_by: import.requested_by,
            created_at: import.created_at,
            started_at: import.started_at,
            finished_at: import.finished_at,
        }
    }
}

/// How much is imported: one image or index, or all tags.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ScopeInput {
    #[default]
    Image,
    Repository,
}

/// An import to ask for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ImportInput {
    /// `HOST/REPOSITORY:TAG` or `HOST/REPOSITORY@DIGEST`; with a source, without the host.
    from: String,
    /// Name of a stored source.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    source: Option<SourceName>,
    /// `image` (the default) or `repository`: all tags.
    #[serde(default)]
    scope: ScopeInput,
    /// For a repository: only tags that match, with `*` and `?`.
    #[serde(default)]
    tags: Option<String>,
    /// Also signatures, attestations and whatever else refers to the images; true when absent.
    #[serde(default = "yes")]
    referrers: bool,
    /// Where to, below the project; as at the source when absent.
    #[serde(default)]
    repository: Option<String>,
}

fn yes() -> bool {
    true
}

fn shown(project: &str, import: Import) -> Response {
    let location = format!("/api/v1/projects/{project}/imports/{}", import.id);
    accepted(&location, ImportView::from(import))
}

async fn list(
    State(imports): State<Imports>,
    caller: ApiCaller,
    names: PathNames,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ImportView>>> {
    let project = names.find("project")?;
    let found = imports.list_imports(&caller.actor, &project, &query.page()).await?;
    Ok(page(found, ImportView::from))
}

async fn create(
    State(imports): State<Imports>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<ImportInput>,
) -> Result<Response> {
    let new = NewImport {
        from: input.from,
        source: input.source,
        scope: match input.scope {
            ScopeInput::Image => Scope::Image,
            ScopeInput::Repository => Scope::Repository,
        },
        tags: input.tags,
        referrers: input.referrers,
        repository: input.repository,
    };
    let project = names.find("project")?;
    let import = imports.create_import(&caller.actor, &project, new).await?;
    Ok(shown(project.as_str(), import))
}

async fn read(
    State(imports): State<Imports>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<ImportView>> {
    let (project, id) = (names.find("project")?, names.find("import")?);
    Ok(Json(imports.import(&caller.actor, &project, id).await?.into()))
}

async fn cancel(
    State(imports): State<Imports>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<Response> {
    let (project, id) = (names.find("project")?, names.find("import")?);
    Ok(shown(names.text("project"), imports.cancel_import(&caller.actor, &project, id).await?))
}

async fn retry(
    State(imports): State<Imports>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<Response> {
    let (project, id) = (names.find("project")?, names.find("import")?);
    Ok(shown(names.text("project"), imports.retry_import(&caller.actor, &project, id).await?))
}

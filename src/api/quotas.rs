//! Quotas: what projects store, and how much they may.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Result, page, whole};
use super::route::{Route, get, in_project, platform, post, put};
use crate::accounts::rbac::{Action, Resource};
use crate::base::Page;
use crate::http::caller::ApiCaller;
use crate::http::etag;
use crate::http::json::Input;
use crate::http::query::{ListQuery, NoQuery, PathNames, Query};
use crate::registry::Registry;
use crate::registry::quota::{Drift, Limits, Quota, RepositoryUse};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get(
            "/api/v1/quotas",
            list,
            "listQuotas",
            "Use and limits of all projects, by name",
            platform(Resource::System, Action::Read),
        )
        .query::<ListQuery>()
        .lists::<QuotaView>(),
        get(
            "/api/v1/projects/{project}/quota",
            read,
            "getQuota",
            "Use and limits of a project",
            in_project(Resource::Quota, Action::Read),
        )
        .answers::<QuotaView>(200)
        .notes("The ETag names the limits, not the use."),
        put(
            "/api/v1/projects/{project}/quota",
            set,
            "setQuota",
            "Set what a project may store",
            in_project(Resource::Quota, Action::Update),
        )
        .body::<QuotaInput>()
        .answers::<QuotaView>(200)
        .notes(
            "Only administrators. Takes If-Match. A limit below the use removes nothing; the \
             project cannot grow until it is below.",
        ),
        get(
            "/api/v1/projects/{project}/quota/repositories",
            largest,
            "listLargestRepositories",
            "The ten repositories that hold the most bytes",
            in_project(Resource::Quota, Action::Read),
        )
        .lists::<RepositoryUseView>()
        .notes("Repositories that share blobs each show them; the project is charged once."),
        post(
            "/api/v1/projects/{project}/quota/recalculate",
            recalculate,
            "recalculateQuota",
            "Compare the count with what is stored, and mend it",
            in_project(Resource::Quota, Action::Update),
        )
        .answers::<DriftView>(200)
        .notes("Only administrators. Pushes go on meanwhile."),
    ]
}

/// An amount of storage.
#[derive(Debug, Serialize, ToSchema)]
struct AmountView {
    /// Bytes of distinct blobs and of manifests.
    bytes: i64,
    /// Manifests in all repositories.
    artifacts: i64,
}

/// What may be stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LimitsView {
    /// Null: no limit.
    max_bytes: Option<i64>,
    /// Null: no limit.
    max_artifacts: Option<i64>,
}

/// A project's use and limits.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QuotaView {
    project: String,
    used: AmountView,
    limits: LimitsView,
    /// When the limits were last set.
    updated_at: Option<DateTime<Utc>>,
}

impl From<Quota> for QuotaView {
    fn from(quota: Quota) -> Self {
        Self {
            project: quota.project.to_string(),
            used: AmountView { bytes: quota.used_bytes, artifacts: quota.used_artifacts },
            limits: LimitsView {
                max_bytes: quota.limits.bytes,
                max_artifacts: quota.limits.artifacts,
            },
            updated_at: quota.updated_at,
        }
    }
}

/// The limits to set; what is absent or null has no limit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct QuotaInput {
    #[serde(default)]
    max_bytes: Option<i64>,
    #[serde(default)]
    max_artifacts: Option<i64>,
}

/// A repository's share.
#[derive(Debug, Serialize, ToSchema)]
struct RepositoryUseView {
    name: String,
    /// Bytes of its blobs.
    bytes: i64,
    artifacts: i64,
}

impl From<RepositoryUse> for RepositoryUseView {
    fn from(repository: RepositoryUse) -> Self {
        Self {
            name: repository.name.to_string(),
            bytes: repository.bytes,
            artifacts: repository.artifacts,
        }
    }
}

/// What a comparison found.
#[derive(Debug, Serialize, ToSchema)]
struct DriftView {
    /// As it was counted before.
    counted: AmountView,
    /// As it is stored, and as it is counted now.
    stored: AmountView,
    /// Blobs whose links were counted wrong.
    blobs: i64,
}

impl From<Drift> for DriftView {
    fn from(drift: Drift) -> Self {
        Self {
            counted: AmountView { bytes: drift.counted_bytes, artifacts: drift.counted_artifacts },
            stored: AmountView { bytes: drift.bytes, artifacts: drift.artifacts },
            blobs: drift.blobs,
        }
    }
}

fn tagged(quota: Quota) -> Response {
    let tag = etag::of(quota.generation);
    let mut response = Json(QuotaView::from(quota)).into_response();
    response.headers_mut().insert(header::ETAG, tag);
    response
}

async fn list(
    State(registry): State<Registry>,
    caller: ApiCaller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<QuotaView>>> {
    let found = registry.quotas(&caller.actor, query.text()?, &query.page()).await?;
    Ok(page(found, QuotaView::from))
}

async fn read(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Response> {
    Ok(tagged(registry.quota(&caller.actor, &names.find("project")?).await?))
}

async fn set(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    headers: HeaderMap,
    Input(input): Input<QuotaInput>,
) -> Result<Response> {
    let generation = etag::precondition(&headers)?.generation;
    let limits = Limits { bytes: input.max_bytes, artifacts: input.max_artifacts };
    let project = names.find("project")?;
    Ok(tagged(registry.set_quota(&caller.actor, &project, limits, generation).await?))
}

async fn largest(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<Page<RepositoryUseView>>> {
    let found = registry.largest_repositories(&caller.actor, &names.find("project")?).await?;
    Ok(whole(found, RepositoryUseView::from))
}

async fn recalculate(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<Json<DriftView>> {
    let drift = registry.recalculate_quota(&caller.actor, &names.find("project")?).await?;
    Ok(Json(drift.into()))
}

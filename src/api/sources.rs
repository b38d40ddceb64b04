//! Stored sources of a project: other registries to import from. Secrets are written, never read.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Result, created, page};
use super::route::{self, Route, delete, get, in_project, patch};
use crate::accounts::rbac::{Action, Resource};
use crate::base::{Page, Secret, SourceName};
use crate::http::caller::ApiCaller;
use crate::http::etag;
use crate::http::json::{Input, given};
use crate::http::query::{NoQuery, PageQuery, PathNames, Query};
use crate::import::{Imports, NewSource, Source, SourceChange};

const ONE: &str = "/api/v1/projects/{project}/sources/{source}";

pub(super) fn routes() -> Vec<Route> {
    let needs = |action| in_project(Resource::Import, action);
    vec![
        get(
            "/api/v1/projects/{project}/sources",
            list,
            "listSources",
            "Stored sources, by name",
            needs(Action::List),
        )
        .query::<PageQuery>()
        .lists::<SourceView>(),
        route::create(
            "/api/v1/projects/{project}/sources",
            create,
            "createSource",
            "Store a registry and credentials for it",
            needs(Action::Create),
        )
        .body::<SourceInput>()
        .answers::<SourceView>(201)
        .notes("The secret is encrypted and never given back."),
        get(ONE, read, "getSource", "One stored source", needs(Action::List))
            .answers::<SourceView>(200),
        patch(ONE, change, "changeSource", "Change a stored source", needs(Action::Operate))
            .body::<SourcePatch>()
            .answers::<SourceView>(200)
            .notes("Takes If-Match. Where the secret goes (url, tokenHost) can only be changed together with the secret."),
        delete(ONE, remove, "deleteSource", "Remove a stored source", needs(Action::Operate))
            .notes("Imports that still need it fail."),
    ]
}

/// A stored source.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SourceView {
    name: String,
    /// Address of the registry.
    url: String,
    /// A token service on another host that may be sent the secret.
    token_host: Option<String>,
    username: String,
    has_secret: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Source> for SourceView {
    fn from(source: Source) -> Self {
        Self {
            name: source.name.to_string(),
            url: source.url,
            token_host: source.token_host,
            username: source.username,
            has_secret: source.has_secret,
            created_at: source.created_at,
            updated_at: source.updated_at,
        }
    }
}

/// A source to store.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SourceInput {
    #[schema(value_type = String)]
    name: SourceName,
    /// `https://HOST[:PORT]`.
    url: String,
    /// A token service on another host that may be sent the secret.
    #[serde(default)]
    token_host: Option<String>,
    #[serde(default)]
    username: String,
    /// A password or a token.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    secret: Option<Secret>,
}

/// What to change of a source.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SourcePatch {
    #[serde(default, deserialize_with = "given")]
    url: Option<String>,
    /// Empty: none.
    #[serde(default, deserialize_with = "given")]
    token_host: Option<String>,
    #[serde(default, deserialize_with = "given")]
    username: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    secret: Option<Secret>,
}

fn tagged(generation: i64, mut response: Response) -> Response {
    response.headers_mut().insert(header::ETAG, etag::of(generation));
    response
}

fn shown(source: Source) -> Response {
    tagged(source.generation, Json(SourceView::from(source)).into_response())
}

async fn list(
    State(imports): State<Imports>,
    caller: ApiCaller,
    names: PathNames,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<SourceView>>> {
    let project = names.find("project")?;
    let sources = imports.list_sources(&caller.actor, &project, &query.page()).await?;
    Ok(page(sources, SourceView::from))
}

async fn create(
    State(imports): State<Imports>,
    caller: ApiCaller,
    names: PathNames,
    Input(input): Input<SourceInput>,
) -> Result<Response> {
    let project = names.find("project")?;
    let new = NewSource {
        url: input.url,
        token_host: input.token_host,
        username: input.username,
        secret: input.secret,
    };
    let source = imports.create_source(&caller.actor, &project, &input.name, new).await?;
    let location = format!("/api/v1/projects/{project}/sources/{}", source.name);
    Ok(tagged(source.generation, created(&location, SourceView::from(source))))
}

async fn read(
    State(imports): State<Imports>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Response> {
    let (project, name) = (names.find("project")?, names.find("source")?);
    Ok(shown(imports.source(&caller.actor, &project, &name).await?))
}

async fn change(
    State(imports): State<Imports>,
    caller: ApiCaller,
    names: PathNames,
    headers: HeaderMap,
    Input(input): Input<SourcePatch>,
) -> Result<Response> {
    let (project, name) = (names.find("project")?, names.find("source")?);
    let change = SourceChange {
        url: input.url,
        token_host: input.token_host.map(|host| Some(host).filter(|host| !host.is_empty())),
        username: input.username,
        secret: input.secret,
        generation: etag::precondition(&headers)?.generation,
    };
    Ok(shown(imports.update_source(&caller.actor, &project, &name, change).await?))
}

async fn remove(
    State(imports): State<Imports>,
    caller: ApiCaller,
    names: PathNames,
) -> Result<StatusCode> {
    let (project, name) = (names.find("project")?, names.find("source")?);
    imports.delete_source(&caller.actor, &project, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Repositories, tags and images as people see them; bytes are served under `/v2/`.
//!
//! A repository's name has slashes, so one wildcard route serves them all: `/-/` ends the name,
//! because no component of a name may be a hyphen.

use axum::Json;
use axum::extract::{FromRequestParts, OriginalUri, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{Result, page, whole};
use super::images::{ImageView, RepositoryView, RunningView, TagMoveView, TagView, UploadView};
use super::route::{Route, get, in_project};
use super::versions;
use crate::accounts::rbac::{Action, Resource};
use crate::base::{Digest, Error, Page, Reference, RepositoryName, TagName};
use crate::engine::Engine;
use crate::http::caller::ApiCaller;
use crate::http::query::{self, ListQuery, NoQuery, PathNames, Query, not_found};
use crate::http::{Access, Services};
use crate::registry::{Registry, TagFilter, TagOrder};

/// The wildcard route.
pub(super) const WILDCARD: &str = "/api/v1/repositories/{*path}";

pub(super) fn routes() -> Vec<Route> {
    let doc = Route::documented;
    let needs = in_project;
    vec![
        get(
            "/api/v1/projects/{project}/repositories",
            list,
            "listRepositories",
            "Repositories of a project, by name",
            needs(Resource::Repository, Action::List),
        )
        .query::<ListQuery>()
        .lists::<RepositoryView>(),
        get(
            "/api/v1/projects/{project}/uploads",
            uploads,
            "listUploads",
            "Uploads in progress, newest first",
            needs(Resource::Repository, Action::List),
        )
        .lists::<UploadView>(),
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}",
            "getRepository",
            "One repository",
            needs(Resource::Repository, Action::Read),
        )
        .answers::<RepositoryView>(200)
        .notes("The name is written with its slashes, e.g. /api/v1/repositories/demo/hello."),
        doc(
            Method::DELETE,
            "/api/v1/repositories/{repository}",
            "deleteRepository",
            "Delete a repository with its tags and images",
            needs(Resource::Repository, Action::Delete),
        ),
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}/-/tags",
            "listTags",
            "Tags, newest move first",
            needs(Resource::Tag, Action::List),
        )
        .query::<TagsQuery>()
        .lists::<TagView>(),
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}/-/tags/{tag}",
            "getTag",
            "The image of a tag",
            needs(Resource::Tag, Action::Read),
        )
        .answers::<ImageView>(200),
        doc(
            Method::DELETE,
            "/api/v1/repositories/{repository}/-/tags/{tag}",
            "deleteTag",
            "Remove a tag; the image stays",
            needs(Resource::Tag, Action::Delete),
        ),
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}/-/manifests/{digest}",
            "getImage",
            "An image by its digest",
            needs(Resource::Artifact, Action::Read),
        )
        .answers::<ImageView>(200),
        doc(
            Method::DELETE,
            "/api/v1/repositories/{repository}/-/manifests/{digest}",
            "deleteImage",
            "Delete an image and its tags",
            needs(Resource::Artifact, Action::Delete),
        ),
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}/-/history",
            "listTagMoves",
            "Moves of tags, newest first",
            needs(Resource::Tag, Action::List),
        )
        .query::<HistoryQuery>()
        .lists::<TagMoveView>(),
        doc(
            Method::GET,
            "/api/v1/repositories/{repository}/-/deployments",
            "listRunningImages",
            "Deployments that run an image of this repository",
            Access::PerObject,
        )
        .lists::<RunningView>(),
    ]
}

/// Which moves.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    /// Only this tag's.
    #[param(value_type = Option<String>)]
    tag: Option<TagName>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows wanted, 1 to 1000; 50 when absent.
    limit: Option<u32>,
}

async fn list(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<RepositoryView>>> {
    let (project, text) = (names.find("project")?, query.text()?);
    let found = registry.list_repositories(&caller.actor, &project, text, &query.page()).await?;
    Ok(page(found, RepositoryView::from))
}

async fn uploads(
    State(registry): State<Registry>,
    caller: ApiCaller,
    names: PathNames,
    _: Query<NoQuery>,
) -> Result<Json<Page<UploadView>>> {
    let found = registry.uploads(&caller.actor, &names.find("project")?).await?;
    Ok(whole(found, UploadView::from))
}

/// Which tags.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct TagsQuery {
    /// Part of the name.
    q: Option<String>,
    /// Only those whose image carries this label.
    label: Option<String>,
    /// `-pushed`: newest move first (the default); `-version`: `latest`, then newest version first.
    sort: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows wanted, 1 to 1000; 50 when absent.
    limit: Option<u32>,
}

impl TagsQuery {
    fn order(&self) -> Result<TagOrder, Error> {
        match self.sort.as_deref() {
            None | Some("-pushed") => Ok(TagOrder::Pushed),
            Some("-version") => Ok(TagOrder::Version),
            Some(_) => Err(Error::invalid("sort", "must be -pushed or -version")),
        }
    }
}

/// What a path below `/api/v1/repositories/` names.
enum Place {
    Repository,
    Tags,
    Tag(String),
    Manifest(String),
    History,
    Deployments,
    /// What `versions` serves.
    Version(versions::Place),
}

fn place(path: &str) -> Option<(&str, Place)> {
    let Some((name, rest)) = path.split_once("/-/") else { return Some((path, Place::Repository)) };
    let parts: Vec<&str> = rest.split('/').collect();
    let place = match parts.as_slice() {
        ["tags"] => Place::Tags,
        ["history"] => Place::History,
        ["deployments"] => Place::Deployments,
        ["tags", tag] => Place::Tag((*tag).to_owned()),
        ["manifests", digest] => Place::Manifest((*digest).to_owned()),
        parts => Place::Version(versions::Place::parse(parts)?),
    };
    Some((name, place))
}

/// Handles the wildcard route.
pub(super) async fn dispatch(
    State(services): State<Services>,
    caller: ApiCaller,
    names: PathNames,
    OriginalUri(uri): OriginalUri,
    mut request: Request,
) -> Result<Response> {
    let absent = || not_found("path", uri.path());
    let (name, place) = place(names.text("path")).ok_or_else(absent)?;
    let name: RepositoryName = name.parse().map_err(|_| not_found("repository", name))?;
    let at = At { registry: &services.registry, engine: &services.engine, caller: &caller, name };
    let method = request.method().clone();
    match (method.as_str(), place) {
        (_, Place::Version(place)) => match at.version(request, place).await? {
            Some(response) => Ok(response),
            None => at.not_allowed().await,
        },
        ("GET" | "HEAD", Place::Tags) => at.tags(query(&mut request).await?).await,
        ("GET" | "HEAD", Place::History) => at.history(query(&mut request).await?).await,
        ("GET" | "HEAD", place) => {
            query::<NoQuery>(&mut request).await?;
            at.read(place).await
        }
        ("DELETE", place) => match at.delete(place).await? {
            Some(response) => Ok(response),
            None => at.not_allowed().await,
        },
        _ => at.not_allowed().await,
    }
}

/// The query, read strictly.
pub(super) async fn query<T: serde::de::DeserializeOwned>(request: &mut Request) -> Result<T> {
    let mut parts = axum::http::Request::new(()).into_parts().0;
    parts.uri = request.uri().clone();
    Query::<T>::from_request_parts(&mut parts, &()).await.map(|Query(query)| query)
}

/// A repository, and who asks.
pub(super) struct At<'a> {
    pub(super) registry: &'a Registry,
    engine: &'a Engine,
    pub(super) caller: &'a ApiCaller,
    pub(super) name: RepositoryName,
}

pub(super) fn tag(text: &str) -> Result<TagName, Error> {
    text.parse().map_err(|_| not_found("tag", text))
}

pub(super) fn digest(text: &str) -> Result<Digest, Error> {
    text.parse().map_err(|_| not_found("manifest", text))
}

impl At<'_> {
    /// The place is there, if the caller sees the repository; the method is not.
    async fn not_allowed(&self) -> Result<Response> {
        self.registry.repository(&self.caller.actor, &self.name).await?;
        let allow = [(axum::http::header::ALLOW, "GET,HEAD")];
        let problem = super::not_allowed_problem();
        Ok((StatusCode::METHOD_NOT_ALLOWED, allow, problem).into_response())
    }

    async fn tags(&self, query: TagsQuery) -> Result<Response> {
        let wanted = query::page(query.after.as_deref(), query.limit);
        let list = ListQuery { q: query.q.clone(), after: None, limit: None };
        let order = query.order()?;
        let filter = TagFilter { text: list.text()?, label: query.label.as_deref(), order };
        let found =
            self.registry.versions(&self.caller.actor, &self.name, &filter, &wanted).await?;
        Ok(page(found, TagView::from).into_response())
    }

    async fn history(&self, query: HistoryQuery) -> Result<Response> {
        let wanted = query::page(query.after.as_deref(), query.limit);
        let (actor, tag) = (&self.caller.actor, query.tag.as_ref());
        let found = self.registry.tag_history(actor, &self.name, tag, &wanted).await?;
        Ok(page(found, TagMoveView::from).into_response())
    }

    async fn read(&self, place: Place) -> Result<Response> {
        let actor = &self.caller.actor;
        let reference = match place {
            Place::Tag(text) => Reference::Tag(tag(&text)?),
            Place::Manifest(text) => Reference::Digest(digest(&text)?),
            Place::Deployments => {
                // The registry decides whether the repository may be seen at all.
                self.registry.repository(actor, &self.name).await?;
                let found = self.engine.running_images(actor, &self.name).await?;
                return Ok(whole(found, RunningView::from).into_response());
            }
            Place::Repository | Place::Tags | Place::History | Place::Version(_) => {
                let found = self.registry.repository(actor, &self.name).await?;
                return Ok(Json(RepositoryView::from(found)).into_response());
            }
        };
        let image = self.registry.image(actor, &self.name, &reference).await?;
        Ok(Json(ImageView::from(image)).into_response())
    }

    /// `None`: the place cannot be deleted.
    async fn delete(&self, place: Place) -> Result<Option<Response>> {
        let (actor, client) = (&self.caller.actor, self.caller.client.as_str());
        match place {
            Place::Repository => self.registry.delete_repository(actor, &self.name).await?,
            Place::Tag(text) => {
                self.registry.delete_tag_with(actor, &self.name, &tag(&text)?, client).await?;
            }
            Place::Manifest(text) => {
                let digest = digest(&text)?;
                self.registry.delete_image_with(actor, &self.name, &digest, client).await?;
            }
            Place::Tags | Place::History | Place::Deployments | Place::Version(_) => {
                return Ok(None);
            }
        }
        Ok(Some(StatusCode::NO_CONTENT.into_response()))
    }
}

//! A repository and one image of it: tags on the left, the image on the right; and removing
//! tags, images and repositories.
//!
//! Repository names hold slashes, so what follows a repository in an address comes after `/-/`.

mod accessories;
pub(in crate::web) mod delete;
mod detail;
mod ways;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::Query;

use super::cookies;
use super::frame::{Frame, Section};
use super::repositories::href;
use super::session::Posted;
use super::shell::{At, PageResult, Shell};
use super::stream::{Fragment, Rendered, Topic};
use super::text::Text;
use super::view::Pager;
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{
    Cursor, Digest, Error, PageRequest, ProjectName, Reference, RepositoryName, Result, TagName,
    Timestamp,
};
use crate::catalog::Project;
use crate::registry::{Repository, Tag};
use detail::Detail;

/// Tags shown at once.
const TAGS: u32 = 50;

/// What an address below a project's `/r/` names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Repository(RepositoryName),
    Image(RepositoryName, Reference),
    DeleteRepository(RepositoryName),
    Delete(RepositoryName, Reference),
}

impl Place {
    fn parse(project: &ProjectName, rest: &str) -> Result<Self> {
        let absent = || Error::not_found("page", rest);
        let (path, tail) = rest.split_once("/-/").unwrap_or((rest, ""));
        let repository =
            RepositoryName::join(project, path.trim_end_matches('/')).map_err(|_| absent())?;
        let parts: Vec<_> = tail.split('/').filter(|part| !part.is_empty()).collect();
        let tag = |word: &str| word.parse::<TagName>().map(Reference::Tag).map_err(|_| absent());
        let digest =
            |word: &str| word.parse::<Digest>().map(Reference::Digest).map_err(|_| absent());
        match parts.as_slice() {
            [] => Ok(Self::Repository(repository)),
            ["delete"] => Ok(Self::DeleteRepository(repository)),
            ["tags", name] => Ok(Self::Image(repository, tag(name)?)),
            ["digest", name] => Ok(Self::Image(repository, digest(name)?)),
            ["tags", name, "delete"] => Ok(Self::Delete(repository, tag(name)?)),
            ["digest", name, "delete"] => Ok(Self::Delete(repository, digest(name)?)),
            _ => Err(absent()),
        }
    }
}

/// The page of an image.
pub(super) fn image_href(repository: &RepositoryName, reference: &Reference) -> String {
    let base = href(repository.project().as_str(), repository.path());
    match reference {
        Reference::Tag(tag) => format!("{base}/-/tags/{tag}"),
        Reference::Digest(digest) => format!("{base}/-/digest/{digest}"),
    }
}

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct ImageQuery {
    #[serde(default)]
    q: String,
    after: Option<String>,
    #[serde(default)]
    tab: String,
    #[serde(default)]
    pull: String,
}

/// One tag of the rail.
struct TagRow {
    name: String,
    href: String,
    aliases: String,
    updated_at: Timestamp,
    size: i64,
    running: bool,
}

/// The rail of tags; also a fragment.
#[derive(Template)]
#[template(path = "image/tags.html")]
struct Tags {
    t: Text,
    rows: Vec<TagRow>,
    /// Address of the tag that is open.
    current: String,
    pager: Pager,
    filtered: bool,
}
impl HtmlSafe for Tags {}

#[derive(Template)]
#[template(path = "image/page.html")]
struct ImagePage {
    frame: Frame,
    repository: Repository,
    base: String,
    public: bool,
    tags: Tags,
    query: String,
    detail: Option<Detail>,
    may_delete: bool,
    may_push: bool,
    push_commands: Vec<String>,
}

/// Digests that run now, with where.
type Running = Vec<(String, Digest)>;

async fn running(shell: &Shell, project: &Project, name: &RepositoryName) -> Result<Running> {
    if !shell.may(project, Permission(Resource::Deployment, Action::List)) {
        return Ok(Vec::new());
    }
    shell.part_or_default(shell.services.engine.running_images(&shell.actor, name).await)
}

fn tag_rows(tags: &[Tag], name: &RepositoryName, running: &Running) -> Vec<TagRow> {
    tags.iter()
        .map(|tag| TagRow {
            name: tag.name.to_string(),
            href: image_href(name, &Reference::Tag(tag.name.clone())),
            aliases: tag.aliases.iter().take(3).map(TagName::as_str).collect::<Vec<_>>().join(", "),
            updated_at: tag.updated_at,
            size: tag.total_size,
            running: running.iter().any(|(_, digest)| *digest == tag.digest),
        })
        .collect()
}

/// `GET /p/{project}/r/{*rest}`
pub(super) async fn page(
    shell: Shell,
    At((project, rest)): At<(ProjectName, String)>,
    Query(query): Query<ImageQuery>,
) -> PageResult {
    match Place::parse(&project, &rest)? {
        Place::Repository(name) => show(&shell, &name, None, query).await,
        Place::Image(name, reference) => show(&shell, &name, Some(reference), query).await,
        Place::DeleteRepository(name) => delete::ask(&shell, &name, None).await,
        Place::Delete(name, reference) => delete::ask(&shell, &name, Some(reference)).await,
    }
}

/// `POST /p/{project}/r/{*rest}`
pub(super) async fn submit(
    At((project, rest)): At<(ProjectName, String)>,
    Posted(shell, form): Posted<delete::ConfirmForm>,
) -> PageResult {
    match Place::parse(&project, &rest)? {
        Place::DeleteRepository(name) => delete::confirm(&shell, &name, None, &form).await,
        Place::Delete(name, reference) => {
            delete::confirm(&shell, &name, Some(reference), &form).await
        }
        _ => Err(Error::not_found("page", rest).into()),
    }
}

async fn show(
    shell: &Shell,
    name: &RepositoryName,
    reference: Option<Reference>,
    query: ImageQuery,
) -> PageResult {
    let services = &shell.services;
    let list = Permission(Resource::Repository, Action::List);
    let project = services.catalog.project(&shell.actor, &name.project(), list).await?;
    let repository = services.registry.repository(&shell.actor, name).await?;
    let text = Some(query.q.trim()).filter(|q| !q.is_empty());
    let request =
        PageRequest { after: query.after.clone().map(Cursor::from_text), limit: Some(TAGS) };
    let tags = services.registry.list_tags(&shell.actor, name, text, &request).await?;
    let running = running(shell, &project, name).await?;
    let base = href(name.project().as_str(), name.path());
    let chosen = reference
        .clone()
        .or_else(|| tags.items.first().map(|tag| Reference::Tag(tag.name.clone())));
    let detail = match &chosen {
        Some(chosen) => Some(Detail::load(shell, &project, name, chosen, &running, &query).await?),
        None => None,
    };
    let mut frame = shell
        .project_frame(&project, Section::Repositories, name.path())
        .await?
        .crumb(format!("/p/{}/r", project.name), shell.t.get("nav-repositories"))
        .json(format!("/api/v1/projects/{}/repositories/{}", project.name, name.path()));
    if let Some(reference) = &reference {
        frame = frame.crumb(&base, name.path());
        frame.title = match reference {
            Reference::Tag(tag) => tag.to_string(),
            Reference::Digest(digest) => digest.short().to_owned(),
        };
    }
    if text.is_none() && query.after.is_none() {
        frame = frame.live(Topic::Repository(name.clone()));
    }
    let host = services.config.registry_host();
    let page = ImagePage {
        tags: Tags {
            t: shell.t,
            rows: tag_rows(&tags.items, name, &running),
            current: chosen.as_ref().map(|chosen| image_href(name, chosen)).unwrap_or_default(),
            pager: Pager::of(&base, &[("q", query.q.trim())], query.after.as_deref(), &tags),
            filtered: text.is_some(),
        },
        may_delete: shell.may(&project, Permission(Resource::Repository, Action::Delete)),
        may_push: shell.may(&project, Permission(Resource::Repository, Action::Push)),
        push_commands: vec![
            format!("docker tag {} {host}/{name}:1", name.path()),
            format!("docker push {host}/{name}:1"),
        ],
        public: project.visibility == crate::accounts::rbac::Visibility::Public,
        query: query.q,
        frame,
        repository,
        base,
        detail,
    };
    let mut response = shell.render(&page)?;
    cookies::keep(response.headers_mut(), cookies::PROJECT, project.name.as_str());
    Ok(response)
}

/// Fragments of [`Topic::Repository`]. Which tag is open is the page's knowledge; the script
/// marks it.
pub(super) async fn fragments(shell: &Shell, name: &RepositoryName) -> Result<Rendered> {
    let services = &shell.services;
    let list = Permission(Resource::Repository, Action::List);
    let project = services.catalog.project(&shell.actor, &name.project(), list).await?;
    let tags =
        services.registry.list_tags(&shell.actor, name, None, &PageRequest::first(TAGS)).await?;
    let running = running(shell, &project, name).await?;
    let base = href(name.project().as_str(), name.path());
    let rail = Tags {
        t: shell.t,
        rows: tag_rows(&tags.items, name, &running),
        current: String::new(),
        pager: Pager::of(&base, &[], None, &tags),
        filtered: false,
    };
    Ok((vec![Fragment::of("tags", &rail)?], false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_repositories_tags_and_digests() {
        let project: ProjectName = "demo".parse().expect("valid");
        let place = |rest: &str| Place::parse(&project, rest);
        let name: RepositoryName = "demo/team/api".parse().expect("valid");
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(place("team/api").expect("a repository"), Place::Repository(name.clone()));
        assert_eq!(
            place("team/api/-/tags/1.0").expect("a tag"),
            Place::Image(name.clone(), Reference::Tag("1.0".parse().expect("valid")))
        );
        assert_eq!(
            place(&format!("team/api/-/digest/{digest}/delete")).expect("a digest"),
            Place::Delete(name.clone(), Reference::Digest(digest.parse().expect("valid")))
        );
        assert_eq!(place("team/api/-/delete").expect("a page"), Place::DeleteRepository(name));
        for bad in ["", "A", "x/-/tags/", "x/-/tags/a b", "x/-/digest/sha256:1", "x/-/y"] {
            let absent = matches!(place(bad), Err(error) if error.is_not_found());
            assert!(absent || bad == "x/-/tags/", "{bad}");
        }
    }
}

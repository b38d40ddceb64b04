//! A repository and one image of it: tags on the left, the image on the right; and removing
//! tags, images and repositories.
//!
//! Repository names hold slashes, so what follows a repository in an address comes after `/-/`.

mod accessories;
mod compare;
pub(in crate::web) mod delete;
mod deleted;
mod detail;
mod extras;
mod history;
mod place;
mod ways;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::Query;

use super::cookies;
use super::form::Form;
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
use crate::registry::{Chip, Repository, Tag, TagFilter, TagOrder};
use detail::{Around, Detail, TabLink};
use extras::Known;
use place::Place;
pub(super) use place::image_href;

/// Tags shown at once.
const TAGS: u32 = 50;

/// How the history names what was done on a page.
const CLIENT: &str = "portal";

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct ImageQuery {
    #[serde(default)]
    q: String,
    /// A label of the image.
    #[serde(default)]
    label: String,
    /// `-pushed`; anything else is the order of versions.
    #[serde(default)]
    sort: String,
    /// The two versions to compare, and whether what is the same is shown, too.
    #[serde(default)]
    a: String,
    #[serde(default)]
    b: String,
    #[serde(default)]
    all: String,
    after: Option<String>,
    #[serde(default)]
    tab: String,
    #[serde(default)]
    pull: String,
}

impl ImageQuery {
    fn by_push(&self) -> bool {
        self.sort == "-pushed"
    }

    fn filter(&self) -> TagFilter<'_> {
        let given = |text| Some(str::trim(text)).filter(|text| !text.is_empty());
        TagFilter {
            text: given(&self.q),
            label: given(&self.label),
            order: if self.by_push() { TagOrder::Pushed } else { TagOrder::Version },
        }
    }

    /// What the rail's address holds.
    fn pairs(&self) -> [(&'static str, &str); 3] {
        let sort = if self.by_push() { "-pushed" } else { "" };
        [("q", self.q.trim()), ("label", self.label.trim()), ("sort", sort)]
    }

    fn is_plain(&self) -> bool {
        self.after.is_none() && self.pairs().iter().all(|(_, value)| value.is_empty())
    }
}

/// One tag of the rail.
struct TagRow {
    name: String,
    href: String,
    aliases: String,
    updated_at: Timestamp,
    size: i64,
    running: bool,
    labels: Vec<Chip>,
    /// The rule that locks it.
    lock: Option<String>,
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
    sorts: Vec<TabLink>,
    /// Labels to filter by, and the one chosen.
    labels: Vec<String>,
    label: String,
    sort: &'static str,
    sees_deleted: bool,
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

fn tag_rows(tags: &[Tag], name: &RepositoryName, running: &Running, known: &Known) -> Vec<TagRow> {
    tags.iter()
        .map(|tag| TagRow {
            name: tag.name.to_string(),
            href: image_href(name, &Reference::Tag(tag.name.clone())),
            aliases: tag.aliases.iter().take(3).map(TagName::as_str).collect::<Vec<_>>().join(", "),
            updated_at: tag.updated_at,
            size: tag.total_size,
            running: running.iter().any(|(_, digest)| *digest == tag.digest),
            labels: tag.labels.clone(),
            lock: known.lock(name, tag.name.as_str()),
        })
        .collect()
}

impl Shell {
    /// The frame of a page about a repository.
    async fn repository_frame(
        &self,
        project: &Project,
        name: &RepositoryName,
        title: impl ToString,
    ) -> Result<Frame> {
        let base = href(name.project().as_str(), name.path());
        let frame = self.project_frame(project, Section::Repositories, title).await?;
        Ok(frame
            .crumb(format!("/p/{}/r", project.name), self.t.get("nav-repositories"))
            .crumb(base, name.path()))
    }
}

/// A refusal as a page shows it above its list.
fn kept(shell: &Shell, error: Error) -> Result<Form> {
    Form::default().refused(&shell.t, error)
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
        Place::History(name, tag) => {
            history::show(&shell, &name, tag.as_ref(), query.after.as_deref()).await
        }
        Place::Deleted(name) => deleted::show(&shell, &name, query.after.as_deref()).await,
        Place::Purge(name, digest) => deleted::ask(&shell, &name, &digest).await,
        Place::Compare(name, a, b) => {
            compare::show(&shell, &name, &a, &b, !query.all.is_empty()).await
        }
        Place::Choose(name) => compare::choose(&name, &query.a, &query.b),
        Place::RestoreTag(..) | Place::Restore(..) | Place::Labels(..) => {
            Err(Error::not_found("page", rest).into())
        }
    }
}

/// What the forms of a repository's pages send; each its own part.
#[derive(serde::Deserialize)]
pub(super) struct ActionForm {
    #[serde(flatten)]
    confirm: delete::ConfirmForm,
    #[serde(default)]
    digest: String,
    /// A label to put on.
    #[serde(default)]
    add: String,
    /// A label to take off.
    #[serde(default)]
    remove: String,
}

/// `POST /p/{project}/r/{*rest}`
pub(super) async fn submit(
    At((project, rest)): At<(ProjectName, String)>,
    Posted(shell, form): Posted<ActionForm>,
) -> PageResult {
    match Place::parse(&project, &rest)? {
        Place::DeleteRepository(name) => delete::confirm(&shell, &name, None, &form.confirm).await,
        Place::Delete(name, reference) => {
            delete::confirm(&shell, &name, Some(reference), &form.confirm).await
        }
        Place::RestoreTag(name, tag) => history::restore(&shell, &name, &tag, &form.digest).await,
        Place::Restore(name, digest) => deleted::restore(&shell, &name, &digest).await,
        Place::Purge(name, digest) => deleted::purge(&shell, &name, &digest, &form.confirm).await,
        Place::Labels(name, digest) => label(&shell, &name, &digest, &form).await,
        _ => Err(Error::not_found("page", rest).into()),
    }
}

/// Puts a label on an image or takes one off.
async fn label(
    shell: &Shell,
    name: &RepositoryName,
    digest: &Digest,
    form: &ActionForm,
) -> PageResult {
    let registry = &shell.services.registry;
    let page = image_href(name, &Reference::Digest(digest.clone()));
    if form.remove.is_empty() {
        registry.add_label(&shell.actor, name, digest, form.add.trim()).await?;
        return Ok(shell.done(&page, "flash-label-on", form.add.trim()));
    }
    registry.remove_label(&shell.actor, name, digest, &form.remove).await?;
    Ok(shell.done(&page, "flash-label-off", &form.remove))
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
    let request =
        PageRequest { after: query.after.clone().map(Cursor::from_text), limit: Some(TAGS) };
    let tags = services.registry.versions(&shell.actor, name, &query.filter(), &request).await?;
    let base = href(name.project().as_str(), name.path());
    let chosen = reference
        .clone()
        .or_else(|| tags.items.first().map(|tag| Reference::Tag(tag.name.clone())));
    let image = match &chosen {
        Some(chosen) => match services.registry.image(&shell.actor, name, chosen).await {
            Ok(image) => Some(image),
            Err(error) => return deleted::explain(shell, &project, name, chosen, error).await,
        },
        None => None,
    };
    let known = Known::load(shell, &project).await?;
    let running = running(shell, &project, name).await?;
    let detail = match chosen.as_ref().zip(image) {
        Some((chosen, image)) => {
            let around = Around { known: &known, tags: &tags.items, running: &running };
            Some(Detail::load(shell, &project, name, chosen, image, &query, around).await?)
        }
        None => None,
    };
    let mut frame = shell
        .project_frame(&project, Section::Repositories, name.path())
        .await?
        .crumb(format!("/p/{}/r", project.name), shell.t.get("nav-repositories"))
        .json(format!("/api/v1/repositories/{name}"));
    if let Some(reference) = &reference {
        frame = frame.crumb(&base, name.path());
        frame.title = match reference {
            Reference::Tag(tag) => tag.to_string(),
            Reference::Digest(digest) => digest.short().to_owned(),
        };
    }
    // A filtered, sorted or later page stays as it is: the stream knows only the first.
    if query.is_plain() {
        frame = frame.live(Topic::Repository(name.clone()));
    }
    let host = services.config.registry_host();
    let page = ImagePage {
        tags: Tags {
            t: shell.t,
            rows: tag_rows(&tags.items, name, &running, &known),
            current: chosen.as_ref().map(|chosen| image_href(name, chosen)).unwrap_or_default(),
            pager: Pager::of(&base, &query.pairs(), query.after.as_deref(), &tags),
            filtered: !query.q.trim().is_empty() || !query.label.trim().is_empty(),
        },
        sorts: sorts(shell, &base, &query),
        labels: known.labels.iter().map(|label| label.name.clone()).collect(),
        label: query.label.trim().to_owned(),
        sort: if query.by_push() { "-pushed" } else { "" },
        sees_deleted: shell.may(&project, Permission(Resource::Event, Action::List)),
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

/// The ways to order the rail.
fn sorts(shell: &Shell, base: &str, query: &ImageQuery) -> Vec<TabLink> {
    let link = |sort: &'static str, key: &str, current: bool| {
        let [q, label, _] = query.pairs();
        let pairs: Vec<_> =
            [q, label, ("sort", sort)].into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let text = serde_urlencoded::to_string(pairs).unwrap_or_default();
        let href = if text.is_empty() { base.to_owned() } else { format!("{base}?{text}") };
        TabLink { href, label: shell.t.get(key), count: None, current }
    };
    vec![
        link("", "sort-version", !query.by_push()),
        link("-pushed", "sort-pushed", query.by_push()),
    ]
}

/// Fragments of [`Topic::Repository`]. Which tag is open is the page's knowledge; the script
/// marks it.
pub(super) async fn fragments(shell: &Shell, name: &RepositoryName) -> Result<Rendered> {
    let services = &shell.services;
    let list = Permission(Resource::Repository, Action::List);
    let project = services.catalog.project(&shell.actor, &name.project(), list).await?;
    let (filter, first) = (ImageQuery::default(), PageRequest::first(TAGS));
    let tags = services.registry.versions(&shell.actor, name, &filter.filter(), &first).await?;
    let running = running(shell, &project, name).await?;
    let known = Known { rules: services.registry.rules_over(&project).await?, labels: Vec::new() };
    let base = href(name.project().as_str(), name.path());
    let rail = Tags {
        t: shell.t,
        rows: tag_rows(&tags.items, name, &running, &known),
        current: String::new(),
        pager: Pager::of(&base, &[], None, &tags),
        filtered: false,
    };
    Ok((vec![Fragment::of("tags", &rail)?], false))
}

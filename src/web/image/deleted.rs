//! What was deleted lately: brought back, given up, or explained where its page was.

use askama::Template;
use axum::http::StatusCode;

use super::delete::{ConfirmForm, ConfirmPage};
use super::{CLIENT, image_href, kept};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{
    Cursor, Digest, Error, PageRequest, Reference, RepositoryName, Result, Timestamp,
};
use crate::catalog::Project;
use crate::registry::{Chip, DeletedImage};
use crate::web::form::Form;
use crate::web::frame::Frame;
use crate::web::repositories::href;
use crate::web::shell::{PageResult, Shell};
use crate::web::view::Pager;

/// Images shown at once.
const ROWS: u32 = 50;

/// A deleted image.
struct Row {
    short: String,
    digest: String,
    tags: Vec<String>,
    labels: Vec<Chip>,
    size: i64,
    deleted_by: String,
    client: String,
    deleted_at: Timestamp,
    until: Timestamp,
    missing: Option<String>,
    restore: String,
    purge: Option<String>,
}

impl Row {
    fn of(name: &RepositoryName, image: DeletedImage, may_purge: bool) -> Self {
        let base = href(name.project().as_str(), name.path());
        let at = format!("{base}/-/deleted/{}", image.digest);
        Self {
            short: image.digest.short().to_owned(),
            digest: image.digest.to_string(),
            tags: image.tags.iter().map(ToString::to_string).collect(),
            labels: image.labels,
            size: image.total_size,
            deleted_by: image.deleted_by,
            client: image.client,
            deleted_at: image.deleted_at,
            until: image.restorable_until,
            missing: image.missing.map(|digest| digest.short().to_owned()),
            restore: format!("{at}/restore"),
            purge: may_purge.then(|| format!("{at}/purge")),
        }
    }
}

/// A removed tag.
struct TagRow {
    tag: String,
    short: String,
    digest: String,
    image: String,
    deleted_by: String,
    client: String,
    deleted_at: Timestamp,
    restore: String,
}

#[derive(Template)]
#[template(path = "image/deleted.html")]
struct DeletedPage {
    frame: Frame,
    form: Form,
    rows: Vec<Row>,
    tags: Vec<TagRow>,
    more_tags: bool,
    pager: Pager,
    may_restore: bool,
    /// Days that deleted images are kept here; 0: not at all.
    days: i64,
}

async fn project(shell: &Shell, name: &RepositoryName) -> Result<Project> {
    let list = Permission(Resource::Event, Action::List);
    shell.services.catalog.project(&shell.actor, &name.project(), list).await
}

/// `GET /p/{project}/r/{repository}/-/deleted`
pub(super) async fn show(shell: &Shell, name: &RepositoryName, after: Option<&str>) -> PageResult {
    shell.render(&page(shell, name, after, Form::default()).await?)
}

async fn page(
    shell: &Shell,
    name: &RepositoryName,
    after: Option<&str>,
    form: Form,
) -> Result<DeletedPage> {
    let registry = &shell.services.registry;
    let project = project(shell, name).await?;
    let request = PageRequest { after: after.map(Cursor::from_text), limit: Some(ROWS) };
    let images = registry.deleted_images(&shell.actor, name, &request).await?;
    let tags = registry.deleted_tags(&shell.actor, name, &PageRequest::first(ROWS)).await?;
    let base = href(name.project().as_str(), name.path());
    let pager = Pager::of(&format!("{base}/-/deleted"), &[], after, &images);
    let may_purge = shell.may(&project, Permission(Resource::Artifact, Action::Delete));
    let frame = shell
        .repository_frame(&project, name, shell.t.get("deleted-title"))
        .await?
        .json(format!("/api/v1/repositories/{name}/-/deleted"));
    Ok(DeletedPage {
        frame,
        form,
        rows: images.items.into_iter().map(|image| Row::of(name, image, may_purge)).collect(),
        more_tags: tags.next.is_some(),
        tags: tags
            .items
            .into_iter()
            .map(|tag| TagRow {
                tag: tag.tag.to_string(),
                short: tag.digest.short().to_owned(),
                digest: tag.digest.to_string(),
                image: image_href(name, &Reference::Digest(tag.digest)),
                deleted_by: tag.deleted_by,
                client: tag.client,
                deleted_at: tag.deleted_at,
                restore: format!("{base}/-/tags/{}/restore", tag.tag),
            })
            .collect(),
        pager,
        may_restore: shell.may(&project, Permission(Resource::Repository, Action::Push)),
        days: registry
            .restorable_until()
            .map_or(0, |until| (until - shell.t.now).num_days().max(1)),
    })
}

/// `POST /p/{project}/r/{repository}/-/deleted/{digest}/restore`
pub(super) async fn restore(shell: &Shell, name: &RepositoryName, digest: &Digest) -> PageResult {
    let registry = &shell.services.registry;
    match registry.restore_image(&shell.actor, name, digest, CLIENT).await {
        Ok(_) => {
            let image = image_href(name, &Reference::Digest(digest.clone()));
            Ok(shell.done(&image, "flash-image-restored", digest.short()))
        }
        Err(error) => {
            let form = kept(shell, error)?;
            shell.render_as(StatusCode::CONFLICT, &page(shell, name, None, form).await?)
        }
    }
}

async fn purge_page(
    shell: &Shell,
    name: &RepositoryName,
    digest: &Digest,
    form: Form,
) -> Result<ConfirmPage> {
    let t = shell.t;
    let project = project(shell, name).await?;
    let reference = Reference::Digest(digest.clone());
    let image = shell.services.registry.deleted_image(&shell.actor, name, &reference).await?;
    let back = format!("{}/-/deleted", href(name.project().as_str(), name.path()));
    let frame = shell
        .repository_frame(&project, name, t.get("purge"))
        .await?
        .crumb(&back, t.get("deleted-title"));
    let size = t.size(image.total_size);
    Ok(ConfirmPage {
        frame,
        form,
        heading: t.fmt("purge-title").a("digest", digest.short()).a("name", name).to_string(),
        costs: vec![
            t.get("purge-cost-final"),
            t.fmt("delete-cost-size").a("size", size).to_string(),
        ],
        name: digest.short().to_owned(),
        button: t.get("purge"),
        back,
        blocked: None,
    })
}

/// `GET /p/{project}/r/{repository}/-/deleted/{digest}/purge`
pub(super) async fn ask(shell: &Shell, name: &RepositoryName, digest: &Digest) -> PageResult {
    shell.render(&purge_page(shell, name, digest, Form::default()).await?)
}

/// `POST /p/{project}/r/{repository}/-/deleted/{digest}/purge`
pub(super) async fn purge(
    shell: &Shell,
    name: &RepositoryName,
    digest: &Digest,
    form: &ConfirmForm,
) -> PageResult {
    if !form.names(digest.short()) {
        let page = purge_page(shell, name, digest, form.mistyped(shell)).await?;
        return shell.render_as(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    shell.services.registry.purge_image(&shell.actor, name, digest).await?;
    let back = format!("{}/-/deleted", href(name.project().as_str(), name.path()));
    Ok(shell.done(&back, "flash-image-purged", digest.short()))
}

/// What stands where the page of an image or a tag was.
#[derive(Template)]
#[template(path = "image/tombstone.html")]
struct Tombstone {
    frame: Frame,
    heading: String,
    deleted_by: String,
    client: String,
    deleted_at: Timestamp,
    /// Of an image; a tag alone can come back as long as its image is there.
    until: Option<Timestamp>,
    missing: Option<String>,
    digest: Digest,
    restore: Option<String>,
    base: String,
}

/// The page of something that is not here: says who deleted it, if that can be told; otherwise
/// `error` stands.
pub(super) async fn explain(
    shell: &Shell,
    project: &Project,
    name: &RepositoryName,
    reference: &Reference,
    error: Error,
) -> PageResult {
    if !error.is_not_found() {
        return Err(error.into());
    }
    let registry = &shell.services.registry;
    let t = shell.t;
    let base = href(name.project().as_str(), name.path());
    let shown = match reference {
        Reference::Tag(tag) => tag.to_string(),
        Reference::Digest(digest) => digest.short().to_owned(),
    };
    let may = shell.may(project, Permission(Resource::Repository, Action::Push));
    let image = match registry.deleted_image(&shell.actor, name, reference).await {
        Ok(image) => Some(image),
        Err(e) if crate::web::shell::is_refusal(&e) => None,
        Err(e) => return Err(e.into()),
    };
    let found = match (image, reference) {
        (Some(image), _) => {
            let row = Row::of(name, image.clone(), false);
            Some((
                row.deleted_by,
                row.client,
                row.deleted_at,
                Some(row.until),
                row.missing,
                image.digest,
                row.restore,
            ))
        }
        (None, Reference::Tag(tag)) => {
            let first = PageRequest::first(1);
            let moves = registry.tag_history(&shell.actor, name, Some(tag), &first).await?;
            moves.items.into_iter().next().filter(|m| m.to.is_none()).and_then(|m| {
                let restore = format!("{base}/-/tags/{tag}/restore");
                Some((m.actor_name, m.client, m.at, None, None, m.from?, restore))
            })
        }
        (None, Reference::Digest(_)) => None,
    };
    let Some((deleted_by, client, deleted_at, until, missing, digest, restore)) = found else {
        return Err(error.into());
    };
    let fates = registry.fates(&shell.actor, name, std::slice::from_ref(&digest)).await?;
    let restorable = may && missing.is_none() && fates.contains_key(&digest);
    let page = Tombstone {
        frame: shell.repository_frame(project, name, &shown).await?,
        heading: t.fmt("tombstone-title").a("name", &shown).to_string(),
        deleted_by,
        client,
        deleted_at,
        until,
        missing,
        digest,
        restore: restorable.then_some(restore),
        base,
    };
    shell.render_as(StatusCode::NOT_FOUND, &page)
}

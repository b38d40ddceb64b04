//! Where tags were: every move with who, when and by which client, and the way back.

use std::collections::HashMap;

use askama::Template;

use super::image_href;
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Cursor, Digest, PageRequest, Reference, RepositoryName, TagName, Timestamp};
use crate::registry::Fate;
use crate::web::form::Form;
use crate::web::frame::Frame;
use crate::web::repositories::href;
use crate::web::shell::{PageResult, Shell};
use crate::web::view::Pager;

/// Moves shown at once.
const MOVES: u32 = 50;

/// A digest as a history names it.
struct Point {
    short: String,
    digest: String,
    /// Empty: the image is no longer here.
    href: String,
}

/// One move.
struct Row {
    tag: String,
    tag_href: String,
    from: Option<Point>,
    to: Option<Point>,
    actor: String,
    client: String,
    at: Timestamp,
    /// The digest a button moves the tag back to.
    back: Option<String>,
    /// It is where the tag is now.
    current: bool,
    /// Deleted, but the button brings it back.
    deleted: bool,
    gone: bool,
}

#[derive(Template)]
#[template(path = "image/history.html")]
struct HistoryPage {
    frame: Frame,
    form: Form,
    /// Of one tag.
    tag: Option<String>,
    action: String,
    /// The rule that locks the tag.
    lock: Option<String>,
    rows: Vec<Row>,
    pager: Pager,
}

/// `GET /p/{project}/r/{repository}/-/history`, `…/-/tags/{tag}/history`
pub(super) async fn show(
    shell: &Shell,
    name: &RepositoryName,
    tag: Option<&TagName>,
    after: Option<&str>,
) -> PageResult {
    shell.render(&page(shell, name, tag, after, Form::default()).await?)
}

async fn page(
    shell: &Shell,
    name: &RepositoryName,
    tag: Option<&TagName>,
    after: Option<&str>,
    form: Form,
) -> crate::base::Result<HistoryPage> {
    let registry = &shell.services.registry;
    let list = Permission(Resource::Tag, Action::List);
    let project = shell.services.catalog.project(&shell.actor, &name.project(), list).await?;
    let request = PageRequest { after: after.map(Cursor::from_text), limit: Some(MOVES) };
    let moves = registry.tag_history(&shell.actor, name, tag, &request).await?;
    let digests: Vec<Digest> =
        moves.items.iter().flat_map(|m| m.from.iter().chain(&m.to)).cloned().collect();
    let fates = registry.fates(&shell.actor, name, &digests).await?;
    let now = match (tag, after) {
        (Some(_), None) => moves.items.first().and_then(|m| m.to.clone()),
        (Some(tag), Some(_)) => {
            let first = PageRequest::first(1);
            let newest = registry.tag_history(&shell.actor, name, Some(tag), &first).await?;
            newest.items.into_iter().next().and_then(|m| m.to)
        }
        (None, _) => None,
    };
    let may_push = shell.may(&project, Permission(Resource::Repository, Action::Push));
    let rules = match tag {
        Some(_) => registry.rules_over(&project).await?,
        None => Vec::new(),
    };
    let lock = tag.and_then(|tag| rules.iter().find(|rule| rule.covers(name, tag.as_str())));
    let rows = moves
        .items
        .iter()
        .map(|m| {
            let fate = m.to.as_ref().and_then(|digest| fates.get(digest));
            let current = tag.is_some() && m.to.is_some() && m.to == now;
            let may = tag.is_some() && may_push && !current && fate.is_some();
            Row {
                tag: m.tag.to_string(),
                tag_href: format!("{}/history", image_href(name, &Reference::Tag(m.tag.clone()))),
                from: m.from.as_ref().map(|digest| point(name, digest, &fates)),
                to: m.to.as_ref().map(|digest| point(name, digest, &fates)),
                actor: m.actor_name.clone(),
                client: m.client.clone(),
                at: m.at,
                back: m.to.as_ref().filter(|_| may).map(Digest::to_string),
                current,
                deleted: fate == Some(&Fate::Deleted),
                gone: m.to.is_some() && fate.is_none(),
            }
        })
        .collect();
    let base = href(name.project().as_str(), name.path());
    let api = format!("/api/v1/repositories/{name}/-");
    let (here, json) = match tag {
        None => (format!("{base}/-/history"), format!("{api}/history")),
        Some(tag) => (format!("{base}/-/tags/{tag}/history"), format!("{api}/tags/{tag}/history")),
    };
    let mut frame = shell.repository_frame(&project, name, shell.t.get("tag-history")).await?;
    if let Some(tag) = tag {
        let image = image_href(name, &Reference::Tag(tag.clone()));
        frame = frame.crumb(image, tag);
    }
    Ok(HistoryPage {
        frame: frame.json(json),
        form,
        tag: tag.map(ToString::to_string),
        action: tag.map(|tag| format!("{base}/-/tags/{tag}/restore")).unwrap_or_default(),
        lock: lock.map(ToString::to_string),
        pager: Pager::of(&here, &[], after, &moves),
        rows,
    })
}

fn point(name: &RepositoryName, digest: &Digest, fates: &HashMap<Digest, Fate>) -> Point {
    let here = fates.get(digest) == Some(&Fate::Here);
    let reference = Reference::Digest(digest.clone());
    Point {
        short: digest.short().to_owned(),
        digest: digest.to_string(),
        href: if here { image_href(name, &reference) } else { String::new() },
    }
}

/// `POST /p/{project}/r/{repository}/-/tags/{tag}/restore`
pub(super) async fn restore(
    shell: &Shell,
    name: &RepositoryName,
    tag: &TagName,
    digest: &str,
) -> PageResult {
    let registry = &shell.services.registry;
    let moved = match digest.parse::<Digest>() {
        Ok(digest) => {
            registry.restore_tag(&shell.actor, name, tag, &digest, super::CLIENT).await.map(|_| ())
        }
        Err(error) => Err(error),
    };
    match moved {
        Ok(()) => {
            let image = image_href(name, &Reference::Tag(tag.clone()));
            Ok(shell.done(&image, "flash-tag-restored", tag))
        }
        Err(error) => {
            let form = super::kept(shell, error)?;
            let page = page(shell, name, Some(tag), None, form).await?;
            shell.render_as(axum::http::StatusCode::CONFLICT, &page)
        }
    }
}

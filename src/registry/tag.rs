//! Tags: movable names of manifests, with the history of their moves.

use super::repository::cut;
use super::rules::Change;
use super::store::tags::{Mover, Only};
use super::{Registry, Tag, TagMove, store, version};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Actor, Error, Page, PageRequest, RepositoryName, Result, TagName};
use crate::catalog::Project;
use crate::db::Tx;
use crate::events::{self, NewEvent, Target};

const LIST: Permission = Permission(Resource::Tag, Action::List);
const DELETE: Permission = Permission(Resource::Tag, Action::Delete);

/// How a list of tags is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagOrder {
    /// Newest move first.
    #[default]
    Pushed,
    /// `latest` first, then newest version first, then names.
    Version,
}

/// Which tags, and in which order.
#[derive(Debug, Clone, Copy, Default)]
pub struct TagFilter<'a> {
    /// Part of the name.
    pub text: Option<&'a str>,
    /// A label that the image carries.
    pub label: Option<&'a str>,
    pub order: TagOrder,
}

impl Registry {
    /// Tags, newest move first.
    pub async fn list_tags(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Tag>> {
        let wanted = TagFilter { text: query, ..TagFilter::default() };
        self.versions(actor, name, &wanted, page).await
    }

    /// Tags that fit a filter, in its order.
    pub async fn versions(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        wanted: &TagFilter<'_>,
        page: &PageRequest,
    ) -> Result<Page<Tag>> {
        self.authorize(actor, name, LIST).await?;
        let repository = self.repository_id(name).await?;
        let limit = page.limit()?;
        let only = Only { text: wanted.text, label: wanted.label };
        match wanted.order {
            TagOrder::Pushed => {
                let after = page.after_key()?;
                let mut conn = self.db.read().await?;
                let rows = store::tags::list(&mut conn, repository, only, after, limit).await?;
                Ok(Page::from_rows(rows, limit, |t| (t.updated_at, t.name.clone())))
            }
            TagOrder::Version => {
                let after = page.after_key()?;
                let mut conn = self.db.read().await?;
                let rows =
                    store::tags::list_versions(&mut conn, repository, only, after, limit).await?;
                Ok(Page::from_rows(rows, limit, |t| {
                    (version::key(t.name.as_str()), t.name.clone())
                }))
            }
        }
    }

    /// Moves of one tag or of all, newest first.
    pub async fn tag_history(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        tag: Option<&TagName>,
        page: &PageRequest,
    ) -> Result<Page<TagMove>> {
        self.authorize(actor, name, LIST).await?;
        let repository = self.repository_id(name).await?;
        let limit = page.limit()?;
        let after = page.after_key()?;
        let mut conn = self.db.read().await?;
        let rows = store::tags::history(&mut conn, repository, tag, after, limit).await?;
        Ok(Page::from_rows(rows, limit, |(id, _)| *id).map(|(_, moved)| moved))
    }

    /// Tag names in byte order after `last`; the bool says whether there are more.
    pub async fn tag_names(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        last: Option<&str>,
        n: usize,
    ) -> Result<(Vec<String>, bool)> {
        self.authorize(actor, name, super::access::PULL).await?;
        let repository = self.repository_id(name).await?;
        let n = n.min(super::repository::MAX_NAMES);
        let limit = i64::try_from(n).unwrap_or(0) + 1;
        let names =
            store::tags::names(&mut *self.db.read().await?, repository, last, limit).await?;
        Ok(cut(names, n))
    }

    /// Removes a tag; the manifest stays.
    pub async fn delete_tag(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        tag: &TagName,
    ) -> Result<()> {
        self.delete_tag_with(actor, name, tag, "").await
    }

    /// The same, noting the client's name for itself.
    pub async fn delete_tag_with(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        tag: &TagName,
        client: &str,
    ) -> Result<()> {
        let project = self.authorize(actor, name, DELETE).await?;
        let mut tx = self.db.begin().await?;
        let done = self.remove_tag(&mut tx, actor, &project, name, tag, client).await;
        self.conclude(tx, actor, &project, done).await
    }

    /// Removes a tag in this transaction.
    pub(super) async fn remove_tag(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        project: &Project,
        name: &RepositoryName,
        tag: &TagName,
        client: &str,
    ) -> Result<()> {
        let unknown = || Error::not_found("tag", tag).with_code("manifest_unknown");
        let (repository, _) =
            store::repositories::hold(tx.conn(), name).await?.ok_or_else(unknown)?;
        if !store::tags::delete(tx.conn(), repository, tag).await? {
            return Err(unknown());
        }
        let names = [tag.to_string()];
        let mover = Mover { name: &actor.name, client };
        let moves =
            store::tags::record_moves(tx.conn(), repository, &names, None, mover, self.now())
                .await?;
        let change = [(tag.as_str(), Change::Remove)];
        self.check_rules(tx, actor, project, name, &change).await?;
        let from = moves.into_iter().find_map(|(_, from)| from);
        let event = NewEvent::new(
            "tag.delete",
            Target::named("tag", format!("{name}:{tag}")),
            format!("Tag {name}:{tag} was removed"),
        )
        .in_project(project.id)
        .detail(serde_json::json!({ "from": from, "client": client }));
        events::append(tx, &*self.clock.0, actor, event).await
    }
}

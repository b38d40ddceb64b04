//! Bringing back: deleted images with their tags and labels, and tags to where they were.

use std::collections::{BTreeSet, VecDeque};

use serde_json::json;

use super::access::{PUSH, unknown_repository};
use super::deleted::unknown;
use super::quota::{Amount, no_room};
use super::rules::{self, Change};
use super::store::deleted::Tombstone;
use super::store::tags::Mover;
use super::{Registry, document, manifest, store};
use crate::base::id::RepositoryId;
use crate::base::{Actor, Digest, Error, RepositoryName, Result, TagName, Timestamp};
use crate::catalog::Project;
use crate::db::Tx;
use crate::events::{self, NewEvent, Target};

/// Images that one restore brings back: an index and what is below it.
const MAX_RESTORED: usize = 2000;

/// What a restore brought back.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// The image and, of an index, the deleted images below it.
    pub images: Vec<Digest>,
    pub tags: Vec<String>,
    /// Tags that point elsewhere by now and were left there.
    pub kept: Vec<String>,
    /// What the images cost.
    pub(super) grown: Amount,
}

impl Registry {
    /// Brings a deleted image back with the tags and labels it had; tags that exist again stay
    /// where they are. Of an index, deleted images below it come back, too.
    pub async fn restore_image(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
        client: &str,
    ) -> Result<Restored> {
        let project = self.authorize(actor, name, PUSH).await?;
        let repository = self.repository_id(name).await.map_err(|_| unknown(digest))?;
        let mut tx = self.db.begin().await?;
        let mover = Mover { name: &actor.name, client };
        let done =
            self.restore_into(&mut tx, actor, &project, name, repository, digest, mover).await;
        self.conclude(tx, actor, &project, done).await
    }

    /// The same within a transaction.
    #[expect(clippy::too_many_arguments, reason = "one transaction's worth of facts")]
    pub(super) async fn restore_into(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        project: &Project,
        name: &RepositoryName,
        repository: RepositoryId,
        digest: &Digest,
        mover: Mover<'_>,
    ) -> Result<Restored> {
        let now = self.now();
        let mut done = Restored::default();
        let mut seen = BTreeSet::from([digest.clone()]);
        let mut queue = VecDeque::from([digest.clone()]);
        while let Some(next) = queue.pop_front() {
            let found = store::deleted::lock(tx.conn(), repository, &next, now).await?;
            let Some(tombstone) = found else {
                if next == *digest {
                    return Err(unknown(digest));
                }
                continue;
            };
            let document = document::parse(&tombstone.content, Some(&tombstone.media_type))?;
            self.lock_blobs(tx, repository, &document)
                .await
                .map_err(|e| unrestorable(&next, &e))?;
            let Some(size) = store::deleted::unearth(tx.conn(), tombstone.id).await? else {
                return Err(Error::conflict(
                    "image_exists",
                    format!("image {} is here again; there is nothing to restore", next.short()),
                ));
            };
            done.grown.bytes += size;
            done.grown.manifests += 1;
            let references = manifest::references(&document);
            store::manifests::insert_references(tx.conn(), tombstone.id, &references).await?;
            store::deleted::relabel(tx.conn(), &tombstone, &actor.name, now).await?;
            let tags = self
                .retag(tx, actor, project, name, repository, &tombstone, &next, mover, now)
                .await?;
            store::deleted::forget(tx.conn(), tombstone.id).await?;
            let kept: Vec<_> =
                tombstone.tags.iter().filter(|tag| !tags.contains(tag)).cloned().collect();
            self.restore_event(tx, actor, project, name, &next, &tombstone, &tags, mover).await?;
            for child in document.children {
                if seen.len() < MAX_RESTORED && seen.insert(child.digest.clone()) {
                    queue.push_back(child.digest);
                }
            }
            done.images.push(next);
            done.tags.extend(tags);
            done.kept.extend(kept);
        }
        if !self.fits(tx, project.id, done.grown).await? {
            return Err(no_room(u64::try_from(done.grown.bytes).unwrap_or(0)));
        }
        Ok(done)
    }

    /// Gives a restored image those of its tags that do not exist; their names.
    #[expect(clippy::too_many_arguments, reason = "one transaction's worth of facts")]
    async fn retag(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        project: &Project,
        name: &RepositoryName,
        repository: RepositoryId,
        tombstone: &Tombstone,
        digest: &Digest,
        mover: Mover<'_>,
        now: Timestamp,
    ) -> Result<Vec<String>> {
        if tombstone.tags.is_empty() {
            return Ok(Vec::new());
        }
        let tags =
            store::tags::add(tx.conn(), repository, &tombstone.tags, tombstone.id, now).await?;
        if !tags.is_empty() {
            store::tags::record_moves(tx.conn(), repository, &tags, Some(digest), mover, now)
                .await?;
        }
        let changes = rules::all(&tags, Change::Create);
        self.check_rules(tx, actor, project, name, &changes).await?;
        Ok(tags)
    }

    #[expect(clippy::too_many_arguments, reason = "one event's worth of facts")]
    async fn restore_event(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        project: &Project,
        name: &RepositoryName,
        digest: &Digest,
        tombstone: &Tombstone,
        tags: &[String],
        mover: Mover<'_>,
    ) -> Result<()> {
        let with = match tags.len() {
            0 => String::new(),
            1 => " with 1 tag".to_owned(),
            n => format!(" with {n} tags"),
        };
        let event = NewEvent::new(
            "image.restore",
            Target::new("image", tombstone.id, format!("{name}@{digest}")),
            format!(
                "Image {name}@{} was restored{with}; {} had deleted it",
                digest.short(),
                tombstone.deleted_by
            ),
        )
        .in_project(project.id)
        .detail(json!({ "digest": digest, "tags": tags, "client": mover.client }));
        events::append(tx, &*self.clock.0, actor, event).await
    }

    /// Moves a tag back to a digest it had before. Brings the image back, if it is deleted.
    /// `false`: the tag is there already.
    pub async fn restore_tag(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        tag: &TagName,
        digest: &Digest,
        client: &str,
    ) -> Result<bool> {
        let project = self.authorize(actor, name, PUSH).await?;
        let repository =
            self.find_repository_id(name).await?.ok_or_else(|| unknown_repository(name))?;
        let mut tx = self.db.begin().await?;
        if !store::tags::was_at(tx.conn(), repository, tag, digest).await? {
            return Err(Error::invalid(
                "digest",
                format!("must be one that tag {tag} had before; its history lists them"),
            ));
        }
        let mover = Mover { name: &actor.name, client };
        let done = self
            .restore_tag_into(&mut tx, actor, &project, name, repository, tag, digest, mover)
            .await;
        self.conclude(tx, actor, &project, done).await
    }

    #[expect(clippy::too_many_arguments, reason = "one transaction's worth of facts")]
    async fn restore_tag_into(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        project: &Project,
        name: &RepositoryName,
        repository: RepositoryId,
        tag: &TagName,
        digest: &Digest,
        mover: Mover<'_>,
    ) -> Result<bool> {
        let now = self.now();
        let mut found = store::manifests::lock(tx.conn(), name, digest).await?;
        let mut restored = Restored::default();
        if found.is_none() {
            let gone = |e: Error| if e.is_not_found() { no_longer(digest) } else { e };
            restored = self
                .restore_into(tx, actor, project, name, repository, digest, mover)
                .await
                .map_err(gone)?;
            found = store::manifests::lock(tx.conn(), name, digest).await?;
        }
        let (manifest, _) = found.ok_or_else(|| no_longer(digest))?;
        if restored.tags.iter().any(|other| other == tag.as_str()) {
            return Ok(true);
        }
        let names = [tag.to_string()];
        store::tags::set(tx.conn(), repository, &names, manifest, now).await?;
        let moves =
            store::tags::record_moves(tx.conn(), repository, &names, Some(digest), mover, now)
                .await?;
        let Some((_, from)) = moves.into_iter().next() else { return Ok(false) };
        let change = if from.is_some() { Change::Move } else { Change::Create };
        self.check_rules(tx, actor, project, name, &[(tag.as_str(), change)]).await?;
        let event = NewEvent::new(
            "tag.restore",
            Target::named("tag", format!("{name}:{tag}")),
            match &from {
                None => format!("Tag {name}:{tag} was brought back, to {}", digest.short()),
                Some(from) => format!(
                    "Tag {name}:{tag} was moved back from {} to {}",
                    from.short(),
                    digest.short()
                ),
            },
        )
        .in_project(project.id)
        .detail(json!({ "digest": digest, "from": from, "client": mover.client }));
        events::append(tx, &*self.clock.0, actor, event).await?;
        Ok(true)
    }
}

fn no_longer(digest: &Digest) -> Error {
    Error::conflict(
        "image_gone",
        format!("image {} no longer exists and cannot be restored; push it again", digest.short()),
    )
}

/// A blob of a deleted image is gone.
fn unrestorable(digest: &Digest, error: &Error) -> Error {
    if !error.is_not_found() {
        return Error::internal("locking the blobs of a deleted image", error.chain().to_string());
    }
    let detail = error.detail().cloned().unwrap_or_default();
    Error::conflict(
        "image_unrestorable",
        format!(
            "image {} cannot be restored: its blob {} was deleted; push the image again",
            digest.short(),
            detail["digest"].as_str().unwrap_or_default()
        ),
    )
    .with_detail(detail)
}

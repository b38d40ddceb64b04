//! Manifests: stored and served byte for byte; pushed in one short transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::access::{DELETE, PULL, PUSH};
use super::config::{self, MAX_CONFIG};
use super::document::{self, Document, Part, clean};
use super::media_type::{self, Shape};
use super::quota::Amount;
use super::rules::{self, Change};
use super::store::blobs::Wanted;
use super::store::manifests::{NewManifest, NewReference};
use super::store::tags::Mover;
use super::{Descriptor, Registry, ResolvedImage, store};
use crate::base::id::{ManifestId, RepositoryId};
use crate::base::{
    Actor, Digest, Error, ErrorKind, ImageRef, Reference, RepositoryName, Result, TagName,
    Timestamp,
};
use crate::catalog::Project;
use crate::db::Tx;
use crate::events::{self, NewEvent, Target};

/// Tags that one push may set.
pub const MAX_TAGS: usize = 32;

/// Missing blobs that one refusal names.
const MAX_MISSING: usize = 20;

/// A manifest as it is served.
#[derive(Debug)]
pub struct Manifest {
    pub digest: Digest,
    pub media_type: String,
    pub content: Bytes,
    id: ManifestId,
    repository: RepositoryId,
}

/// A manifest to push.
#[derive(Debug)]
pub struct NewPush<'a> {
    pub reference: Reference,
    /// More tags, only with a digest as reference.
    pub tags: Vec<TagName>,
    /// `Content-Type` without parameters.
    pub content_type: Option<&'a str>,
    pub content: Bytes,
    /// The client's name for itself.
    pub client: &'a str,
}

/// What a push did.
#[derive(Debug)]
pub struct Pushed {
    pub digest: Digest,
    pub subject: Option<Digest>,
    pub tags: Vec<TagName>,
}

fn unknown_manifest(reference: &Reference) -> Error {
    Error::not_found("manifest", reference).with_code("manifest_unknown")
}

fn invalid(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Malformed, "manifest_invalid", why)
}

impl Registry {
    /// A manifest to serve. `counts` says whether serving it is a pull.
    pub async fn manifest(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        reference: &Reference,
        counts: bool,
    ) -> Result<Arc<Manifest>> {
        self.authorize(actor, name, PULL).await?;
        let cache = &self.shared.cache;
        let now = self.now();
        let key = (name.clone(), reference.clone());
        let kept = cache.manifests.get(&key).await.and_then(|e| e.valid(cache, now));
        let manifest = match kept {
            Some(manifest) => manifest,
            None => {
                let stamp = cache.stamp(now);
                let mut conn = self.db.read().await?;
                let row = store::manifests::find_served(&mut conn, name, reference)
                    .await?
                    .ok_or_else(|| unknown_manifest(reference))?;
                let manifest = Arc::new(Manifest {
                    digest: row.digest,
                    media_type: row.media_type,
                    content: Bytes::from(row.content),
                    id: row.id,
                    repository: row.repository_id,
                });
                cache.manifests.insert(key, stamp.on(Arc::clone(&manifest))).await;
                manifest
            }
        };
        // Also when only asked for its digest: an engine that has the image asks no more.
        self.shared.pulls.saw(manifest.id, now);
        // An index is followed by the manifest it leads to; only that one is the pull.
        if counts && media_type::shape(&manifest.media_type) != Some(Shape::Index) {
            self.shared.pulls.add(manifest.repository, now.date_naive());
        }
        Ok(manifest)
    }

    /// Resolves an image that `actor` may pull to its digest. A project the caller cannot read,
    /// an absent repository and an absent tag are the same `NotFound`.
    pub async fn resolve(&self, actor: &Actor, image: &ImageRef) -> Result<ResolvedImage> {
        let unknown = || Error::not_found("image", image);
        self.authorize(actor, &image.repository, PULL)
            .await
            .map_err(|e| if super::access::is_hidden(&e) { unknown() } else { e })?;
        store::manifests::resolve(&mut *self.db.read().await?, image).await?.ok_or_else(unknown)
    }

    /// Keeps an image from being removed until the transaction ends; false when it is gone.
    pub async fn hold_image(
        &self,
        tx: &mut Tx,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool> {
        Ok(store::manifests::hold(tx.conn(), name, digest).await?)
    }

    /// Stores a manifest and points tags at it. Every blob it names must be linked here.
    pub async fn push_manifest(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        push: NewPush<'_>,
    ) -> Result<Pushed> {
        let project = self.authorize(actor, name, PUSH).await?;
        let document = document::parse(&push.content, push.content_type)?;
        let (digest, tags) = named(&push)?;
        let now = self.now();
        let mut tx = self.db.begin().await?;
        let repository = self.ensure_repository(&mut tx, actor, &project, name).await?;
        let blobs = self.lock_blobs(&mut tx, repository, &document).await?;
        let config = self.read_config(&document, &blobs).await?;
        let total_size = total_size(&mut tx, repository, &document, &blobs).await?;
        let stored = store::manifests::insert(
            tx.conn(),
            &NewManifest {
                id: ManifestId::new(now),
                repository,
                digest: &digest,
                media_type: &document.media_type,
                content: &push.content,
                artifact_type: document.artifact_type.as_deref(),
                subject: document.subject.as_ref(),
                config_digest: document.config.as_ref().map(|c| &c.digest),
                config_media_type: document.config.as_ref().map(|c| c.media_type.as_str()),
                annotations: storable(&document),
                total_size,
                config,
                pushed_by: &actor.name,
                now,
            },
        )
        .await?;
        if stored.media_type != document.media_type {
            return Err(invalid(format!(
                "these bytes are already stored here as {}",
                stored.media_type
            )));
        }
        if stored.created {
            let references = references(&document);
            store::manifests::insert_references(tx.conn(), stored.id, &references).await?;
        }
        let target = Pointing { project: &project, name, digest: &digest, client: push.client };
        let pointed =
            self.point_tags(&mut tx, actor, repository, stored.id, &tags, target, now).await;
        if let Err(error) = pointed {
            return Err(self.refused(tx, actor, &project, error).await);
        }
        let size = if stored.created { stored.size } else { 0 };
        let grown = Amount { bytes: size, manifests: i64::from(stored.created) };
        if stored.limited && !self.fits(&mut tx, project.id, grown).await? {
            drop(tx);
            return Err(self.refusal(actor, project.id, &project.name, grown).await?);
        }
        tx.commit().await?;
        Ok(Pushed { digest, subject: document.subject, tags })
    }

    /// Locks the links of all blobs that the manifest needs; those that are missing are named.
    pub(super) async fn lock_blobs(
        &self,
        tx: &mut Tx,
        repository: RepositoryId,
        document: &Document,
    ) -> Result<HashMap<Digest, Wanted>> {
        let wanted: Vec<String> = document
            .required_blobs()
            .map(|part| &part.digest)
            .collect::<HashSet<_>>()
            .into_iter()
            .map(Digest::to_string)
            .collect();
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let found = store::blobs::lock_wanted(tx.conn(), repository, &wanted).await?;
        let found: HashMap<_, _> = found.into_iter().map(|w| (w.digest.clone(), w)).collect();
        let mut named = HashSet::new();
        let missing: Vec<&Digest> = document
            .required_blobs()
            .map(|part| &part.digest)
            .filter(|digest| !found.contains_key(digest) && named.insert(*digest))
            .take(MAX_MISSING)
            .collect();
        match missing.first() {
            Some(first) if !self.accepts_sparse_images => Err(Error::not_found("blob", first)
                .with_code("manifest_blob_unknown")
                .with_detail(serde_json::json!({ "digest": first, "missing": missing }))),
            _ => Ok(found),
        }
    }

    /// Reads the config of a container image, for people; one that is not JSON is just not shown.
    async fn read_config(
        &self,
        document: &Document,
        blobs: &HashMap<Digest, Wanted>,
    ) -> Result<Option<serde_json::Value>> {
        let stored = document
            .config
            .as_ref()
            .filter(|part| media_type::is_image_config(&part.media_type))
            .and_then(|part| blobs.get(&part.digest))
            .map(|wanted| wanted.stored.clone());
        let Some(stored) = stored else { return Ok(None) };
        let bytes = self.blobs().read_blob(&stored, MAX_CONFIG).await?;
        Ok(bytes
            .and_then(|bytes| config::parse(&bytes))
            .and_then(|config| serde_json::to_value(config).ok()))
    }

    /// Points tags, records the moves, appends the events.
    #[expect(clippy::too_many_arguments, reason = "one transaction's worth of facts")]
    async fn point_tags(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        repository: RepositoryId,
        manifest: ManifestId,
        tags: &[TagName],
        target: Pointing<'_>,
        now: Timestamp,
    ) -> Result<()> {
        let Pointing { project, name, digest, client } = target;
        if tags.is_empty() {
            let event = NewEvent::new(
                "image.push",
                Target::new("image", manifest, format!("{name}@{digest}")),
                format!("Image {name}@{} was pushed", digest.short()),
            )
            .in_project(project.id)
            .detail(serde_json::json!({ "digest": digest, "client": client }));
            return events::append(tx, &*self.clock.0, actor, event).await;
        }
        let names: Vec<String> = tags.iter().map(TagName::to_string).collect();
        store::tags::set(tx.conn(), repository, &names, manifest, now).await?;
        let mover = Mover { name: &actor.name, client };
        let moves =
            store::tags::record_moves(tx.conn(), repository, &names, Some(digest), mover, now)
                .await?;
        let changes: Vec<(&str, Change)> = moves
            .iter()
            .map(|(tag, from)| {
                (tag.as_str(), if from.is_some() { Change::Move } else { Change::Create })
            })
            .collect();
        self.check_rules(tx, actor, project, name, &changes).await?;
        let moves: HashMap<_, _> = moves.into_iter().collect();
        for tag in names {
            let (moved, from) = match moves.get(&tag) {
                None => ("again", Some(digest)),
                Some(None) => ("for the first time", None),
                Some(Some(from)) => ("and moved", Some(from)),
            };
            let event = NewEvent::new(
                "tag.push",
                Target::named("tag", format!("{name}:{tag}")),
                format!("Tag {name}:{tag} was pushed {moved}, to {}", digest.short()),
            )
            .in_project(project.id)
            .detail(serde_json::json!({ "digest": digest, "from": from, "client": client }));
            events::append(tx, &*self.clock.0, actor, event).await?;
        }
        Ok(())
    }

    /// Deletes a manifest and its tags; it can be restored for a while (see [`super::deleted`]).
    pub async fn delete_image(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<()> {
        self.delete_image_with(actor, name, digest, "").await
    }

    /// The same, noting the client's name for itself.
    pub async fn delete_image_with(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
        client: &str,
    ) -> Result<()> {
        let project = self.authorize(actor, name, DELETE).await?;
        let mut tx = self.db.begin().await?;
        let done = self.remove_image(&mut tx, actor, &project, name, digest, client).await;
        self.conclude(tx, actor, &project, done).await
    }

    /// Deletes a manifest and its tags in this transaction.
    pub(super) async fn remove_image(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        project: &Project,
        name: &RepositoryName,
        digest: &Digest,
        client: &str,
    ) -> Result<()> {
        let (id, repository) = store::manifests::lock(tx.conn(), name, digest)
            .await?
            .ok_or_else(|| unknown_manifest(&Reference::Digest(digest.clone())))?;
        let (mover, now) = (Mover { name: &actor.name, client }, self.now());
        let until = self.bury(tx, &[id], mover, now).await?;
        let tags = store::tags::delete_of_manifest(tx.conn(), id).await?;
        if !tags.is_empty() {
            store::tags::record_moves(tx.conn(), repository, &tags, None, mover, now).await?;
        }
        let changes = rules::all(&tags, Change::Remove);
        self.check_rules(tx, actor, project, name, &changes).await?;
        store::manifests::delete(tx.conn(), id).await?;
        let event = NewEvent::new(
            "image.delete",
            Target::new("image", id, format!("{name}@{digest}")),
            match tags.len() {
                0 => format!("Image {name}@{} was deleted", digest.short()),
                n => format!("Image {name}@{} was deleted with {n} tags", digest.short()),
            },
        )
        .in_project(project.id)
        .detail(serde_json::json!({
            "digest": digest,
            "tags": tags,
            "client": client,
            "restorableUntil": until,
        }));
        events::append(tx, &*self.clock.0, actor, event).await
    }
}

/// What tags are pointed at, and for whom.
struct Pointing<'a> {
    project: &'a Project,
    name: &'a RepositoryName,
    digest: &'a Digest,
    client: &'a str,
}

/// The digest a push stores under, and its tags in the order they are locked.
fn named(push: &NewPush<'_>) -> Result<(Digest, Vec<TagName>)> {
    let mut tags = push.tags.clone();
    let digest = match &push.reference {
        Reference::Tag(tag) => {
            tags.push(tag.clone());
            Digest::sha256(&push.content)
        }
        Reference::Digest(wanted) => {
            let found = Digest::of(wanted.algorithm(), &push.content);
            if found != *wanted {
                return Err(Error::new(
                    ErrorKind::Malformed,
                    "digest_invalid",
                    format!("the manifest has the digest {found}, not {wanted}"),
                ));
            }
            found
        }
    };
    tags.sort();
    tags.dedup();
    Ok((digest, tags))
}

/// Config and layers that are here; for an index its children that are here.
async fn total_size(
    tx: &mut Tx,
    repository: RepositoryId,
    document: &Document,
    blobs: &HashMap<Digest, Wanted>,
) -> Result<i64> {
    if document.children.is_empty() {
        return Ok(blobs.values().map(|w| w.size).sum());
    }
    let children: Vec<String> = document.children.iter().map(|c| c.digest.to_string()).collect();
    Ok(store::manifests::children_size(tx.conn(), repository, &children).await?)
}

pub(super) fn references(document: &Document) -> Vec<NewReference> {
    let rows = |kind, parts: &[Part]| -> Vec<NewReference> {
        let row = |(position, part): (usize, &Part)| NewReference {
            kind,
            position: i32::try_from(position).unwrap_or(i32::MAX),
            descriptor: Descriptor {
                media_type: part.media_type.clone(),
                digest: part.digest.clone(),
                size: part.size,
                platform: part.platform.clone(),
            },
        };
        parts.iter().enumerate().map(row).collect()
    };
    let mut all = rows("config", document.config.as_slice());
    all.extend(rows("layer", &document.layers));
    all.extend(rows("manifest", &document.children));
    all
}

/// Annotations as a column keeps them; the pushed bytes keep the originals.
fn storable(document: &Document) -> serde_json::Value {
    let cleaned = |t: &str| clean(t, usize::MAX);
    document
        .annotations
        .iter()
        .map(|(k, v)| (cleaned(k), serde_json::Value::String(cleaned(v))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

//! Checks of manifests: their bytes, what they refer to, and whether it is here.

use std::collections::BTreeSet;

use super::{BATCH, Check, What, short};
use crate::base::id::ManifestId;
use crate::base::{Digest, RepositoryName, Result};
use crate::registry::store::checks::StoredManifest;
use crate::registry::{document, manifest, store};

impl Check<'_> {
    /// Every manifest's bytes and references.
    pub(super) async fn manifests(&mut self) -> Result<()> {
        let mut after = ManifestId::from(uuid::Uuid::nil());
        loop {
            let conn = &mut *self.registry.db.read().await?;
            // Manifests may be large: a few at a time.
            let rows = store::checks::stored_after(conn, after, BATCH / 10).await?;
            let Some(last) = rows.last() else { return self.unlinked().await };
            after = last.id;
            for row in rows {
                self.seen.manifests += 1;
                self.manifest(&row).await?;
            }
            self.registry.beat(self.run, self.counts(), "").await?;
        }
    }

    async fn manifest(&mut self, row: &StoredManifest) -> Result<()> {
        let subject = format!("{}@{}", row.repository, row.digest);
        if Digest::of(row.digest.algorithm(), &row.content) != row.digest {
            let meaning = "the stored bytes do not have this digest; clients refuse the image";
            let remedy = ("delete the image and push it again", false);
            self.found(What::Manifest, subject, meaning, remedy);
            return Ok(());
        }
        let Ok(document) = document::parse(&row.content, Some(&row.media_type)) else {
            let meaning = "the stored bytes cannot be read as what the row says they are";
            let remedy = ("delete the image and push it again", false);
            self.found(What::Manifest, subject, meaning, remedy);
            return Ok(());
        };
        let wanted = manifest::references(&document);
        let mut conn = self.registry.db.read().await?;
        let present: BTreeSet<_> = store::manifests::references(&mut conn, row.id)
            .await?
            .into_iter()
            .map(|(kind, part)| (kind, part.digest.to_string()))
            .collect();
        let right: BTreeSet<_> =
            wanted.iter().map(|r| (r.kind.to_owned(), r.descriptor.digest.to_string())).collect();
        if present == right {
            return Ok(());
        }
        drop(conn);
        let repaired = self.how.repair;
        if repaired {
            let mut tx = self.registry.db.begin().await?;
            store::checks::delete_references(tx.conn(), row.id).await?;
            store::manifests::insert_references(tx.conn(), row.id, &wanted).await?;
            tx.commit().await?;
        }
        let missing = right.difference(&present).count();
        let meaning = format!(
            "{missing} of {} references are not recorded; a collection might remove what the image needs",
            right.len()
        );
        let remedy = if repaired {
            "recorded again from the manifest"
        } else {
            "run again with --repair to record them from the manifest"
        };
        self.found(What::References, subject, meaning, (remedy, repaired));
        Ok(())
    }

    /// Blobs that a manifest needs and its repository does not link.
    async fn unlinked(&mut self) -> Result<()> {
        let registry = self.registry;
        let rows = store::checks::unlinked(&mut *registry.db.read().await?).await?;
        for row in rows {
            let here = row.stored.clone();
            let repaired = match &here {
                Some(stored) if self.how.repair => self.relink(&row.repository, stored).await?,
                _ => false,
            };
            let subject = format!("{}@{}", row.repository, row.manifest);
            let meaning = format!(
                "the image needs blob {}, which its repository does not have",
                short(&row.digest)
            );
            let remedy = match (repaired, here.is_some()) {
                (true, _) => "linked again".to_owned(),
                (false, true) => {
                    "the blob is stored; run again with --repair to link it".to_owned()
                }
                (false, false) => format!("push the image again to {}", row.repository),
            };
            self.found(What::Unlinked, subject, meaning, (remedy, repaired));
        }
        Ok(())
    }

    /// Links a blob that is stored into a repository that needs it.
    async fn relink(&self, repository: &RepositoryName, stored: &Digest) -> Result<bool> {
        let registry = self.registry;
        let now = registry.now();
        let mut tx = registry.db.begin().await?;
        if !store::blobs::touch(tx.conn(), stored, now).await? {
            return Ok(false);
        }
        let Some((id, _)) = store::repositories::hold(tx.conn(), repository).await? else {
            return Ok(false);
        };
        // The image was acknowledged, so its blob is linked whatever the quota says.
        store::blobs::link(tx.conn(), id, stored, now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

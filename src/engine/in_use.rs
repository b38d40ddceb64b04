//! What deployments may need: the images of every revision that can run again. The registry asks
//! before it removes anything by itself.

use super::store::Images;
use super::store::revisions::{self, PinnedRow};
use crate::base::{Digest, Error, ImageRef, ProjectName, Reference, RepositoryName, Result};
use crate::db::{Db, Tx};
use crate::registry::retention::{InUse, UseRole, UsedImage};

/// The revisions in the database.
#[derive(Debug)]
pub(super) struct Revisions(pub(super) Db);

#[async_trait::async_trait]
impl InUse for Revisions {
    async fn used(&self, project: &ProjectName) -> Result<Vec<UsedImage>> {
        let mut conn = self.0.read().await?;
        let rows = revisions::pinned(&mut conn, &format!("{project}/")).await?;
        let mut found = Vec::new();
        for row in &rows {
            found.extend(images(row)?);
        }
        found.retain(|image| image.repository.project() == *project);
        Ok(found)
    }

    async fn uses(
        &self,
        tx: &mut Tx,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<UsedImage>> {
        let mut found = Vec::new();
        for row in revisions::pinning(tx.conn(), digest).await? {
            found.extend(images(&row)?);
        }
        found.retain(|image| image.repository == *repository && image.digest == *digest);
        Ok(found)
    }
}

/// A row that cannot be read is an error: what it pins would be taken for unused.
fn images(row: &PinnedRow) -> Result<Vec<UsedImage>> {
    let images: Images = serde_json::from_value(row.images.clone())
        .map_err(|e| Error::internal("reading the images of a revision", e))?;
    let role = match (row.current, row.stable) {
        (true, _) => UseRole::Current,
        (false, true) => UseRole::Stable,
        (false, false) => UseRole::Earlier,
    };
    let used = |(written, digest): (String, Digest)| -> Result<UsedImage> {
        let image: ImageRef = written.parse()?;
        let tag = match image.reference {
            // A restart that resolves tags anew asks for the current revision's.
            Reference::Tag(tag) if row.current => Some(tag.to_string()),
            _ => None,
        };
        Ok(UsedImage {
            repository: image.repository,
            digest,
            tag,
            project: row.project_id,
            deployment: row.path.clone(),
            revision: row.number,
            role,
        })
    };
    images.into_iter().map(used).collect()
}

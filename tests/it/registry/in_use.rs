//! What deployments need, as a test says it.

use std::sync::{Arc, Mutex};

use portolan::base::id::ProjectId;
use portolan::base::{Digest, ProjectName, RepositoryName, Result};
use portolan::db::Tx;
use portolan::registry::retention::{InUse, UseRole, UsedImage};

/// Pinned images; `demo/…` deployments are of the project that is asked about.
#[derive(Debug, Clone, Default)]
pub(super) struct Pins(Arc<Mutex<Vec<(String, Digest, String)>>>);

impl Pins {
    pub(super) fn pin(&self, repository: &str, digest: &Digest) {
        self.pin_from(repository, digest, "demo/app");
    }

    pub(super) fn pin_from(&self, repository: &str, digest: &Digest, deployment: &str) {
        let pin = (repository.to_owned(), digest.clone(), deployment.to_owned());
        self.0.lock().expect("unpoisoned").push(pin);
    }

    fn all(&self, project: ProjectId) -> Vec<UsedImage> {
        let pins = self.0.lock().expect("unpoisoned").clone();
        let used = |(repository, digest, deployment): (String, Digest, String)| UsedImage {
            repository: repository.parse().expect("a name"),
            digest,
            tag: None,
            project: if deployment.starts_with("demo/") {
                project
            } else {
                uuid::Uuid::nil().into()
            },
            deployment,
            revision: 1,
            role: UseRole::Current,
        };
        pins.into_iter().map(used).collect()
    }
}

async fn project(conn: &mut sqlx::PgConnection, name: &str) -> ProjectId {
    let found: uuid::Uuid = sqlx::query_scalar("select id from projects where name = $1")
        .bind(name.to_owned())
        .fetch_one(conn)
        .await
        .expect("the project");
    found.into()
}

/// A connection is needed only for the project's id, which the port names.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) pins: Pins,
    pub(super) db: portolan::db::Db,
}

#[async_trait::async_trait]
impl InUse for Known {
    async fn used(&self, name: &ProjectName) -> Result<Vec<UsedImage>> {
        let mut conn = self.db.read().await?;
        Ok(self.pins.all(project(&mut conn, name.as_str()).await))
    }

    async fn uses(
        &self,
        tx: &mut Tx,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<UsedImage>> {
        let project = project(tx.conn(), repository.project().as_str()).await;
        let mut all = self.pins.all(project);
        all.retain(|image| image.repository == *repository && image.digest == *digest);
        Ok(all)
    }
}

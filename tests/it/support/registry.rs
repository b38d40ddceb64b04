//! A registry over a fresh database and an empty blob directory, with people and projects.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use portolan::accounts::rbac::{Role, Visibility};
use portolan::base::actor::PlatformRole;
use portolan::base::id::UserId;
use portolan::base::{
    Actor, Channel, Clock, Digest, MockClock, Reference, RepositoryName, Result, SystemClock,
};
use portolan::catalog::{Catalog, MemberName, NewProject};
use portolan::db::Db;
use portolan::registry::{NewPush, Pushed, Registry};

use super::images::TestImage;
use super::test_db;

pub struct TestRegistry {
    pub db: Db,
    pub clock: Arc<MockClock>,
    pub catalog: Catalog,
    pub registry: Registry,
    pub blob_dir: PathBuf,
    _dir: tempfile::TempDir,
}

/// A parsed name.
pub fn name(text: &str) -> RepositoryName {
    text.parse().expect("a repository name")
}

/// A whole body in one chunk.
pub fn body(bytes: &Bytes) -> impl portolan::registry::Body + use<> {
    stream::iter([Ok(bytes.clone())])
}

/// No body.
pub fn no_body() -> impl portolan::registry::Body {
    stream::iter(Vec::<Result<Bytes>>::new())
}

impl TestRegistry {
    pub async fn start() -> Self {
        let db = test_db().await;
        let clock = Arc::new(MockClock::new(SystemClock.now()));
        let catalog = Catalog::new(db.clone(), clock.clone());
        let dir = tempfile::tempdir().expect("tempdir");
        let blob_dir = dir.path().join("blobs");
        let registry = Registry::open(db.clone(), clock.clone(), catalog.clone(), blob_dir.clone())
            .await
            .expect("open the registry");
        Self { db, clock, catalog, registry, blob_dir, _dir: dir }
    }

    /// The same registry after a crash: nothing of what was in memory is left.
    pub async fn restarted(&self) -> Registry {
        let (catalog, dir) = (self.catalog.clone(), self.blob_dir.clone());
        Registry::open(self.db.clone(), self.clock.clone(), catalog, dir).await.expect("open")
    }

    pub async fn user(&self, name: &str) -> Actor {
        let id = UserId::new(self.clock.now());
        let sql = format!(
            "insert into users (id, name, email, created_at, updated_at)
             values ('{id}', '{name}', '{name}@example.org', now(), now())"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(self.db.pool()).await.expect("a user");
        Actor::user(id, name, PlatformRole::User, Channel::Registry)
    }

    /// A project and one member of it.
    pub async fn project(&self, project: &str, visibility: Visibility) {
        let new = NewProject {
            name: project.parse().expect("a name"),
            description: String::new(),
            visibility,
        };
        self.catalog.create_project(&Actor::system(), new).await.expect("a project");
    }

    pub async fn member(&self, project: &str, user: &Actor, role: Role) {
        let member = MemberName::User(user.name.parse().expect("a name"));
        let project = project.parse().expect("a name");
        self.catalog.set_member(&Actor::system(), &project, &member, role).await.expect("a member");
    }

    /// A private project `demo` with its developer `ada`.
    pub async fn with_demo(&self) -> Actor {
        self.project("demo", Visibility::Private).await;
        let ada = self.user("ada").await;
        self.member("demo", &ada, Role::Developer).await;
        ada
    }

    pub async fn push_blob(&self, actor: &Actor, repository: &str, bytes: &Bytes) -> Digest {
        let (repository, digest) = (name(repository), Digest::sha256(bytes));
        let upload = self.registry.start_upload(actor, &repository).await.expect("an upload");
        self.registry
            .finish_upload(actor, &repository, upload.id, &digest, None, body(bytes))
            .await
            .expect("a blob")
            .digest
    }

    pub async fn push_manifest(
        &self,
        actor: &Actor,
        repository: &str,
        reference: &str,
        manifest: &Bytes,
    ) -> Result<Pushed> {
        let push = NewPush {
            reference: reference.parse::<Reference>().expect("a reference"),
            tags: Vec::new(),
            content_type: None,
            content: manifest.clone(),
            client: "test/1.0",
        };
        self.registry.push_manifest(actor, &name(repository), push).await
    }

    /// Pushes an image whole.
    pub async fn push(&self, actor: &Actor, repository: &str, tag: &str, image: &TestImage) {
        for blob in image.blobs() {
            self.push_blob(actor, repository, blob).await;
        }
        self.push_manifest(actor, repository, tag, &image.manifest).await.expect("a manifest");
    }

    /// Whether a blob's file is on disk.
    pub fn has_file(&self, digest: &Digest) -> bool {
        let (shard, rest) = digest.hex().split_at(2);
        self.blob_dir.join("sha256").join(shard).join(rest).exists()
    }
}

//! Two Portolans: one to import from, on a socket, and one to import into.

use std::sync::Arc;

use portolan::accounts::rbac::Role;
use portolan::base::{Actor, Clock as _, PageRequest, ProjectName};
use portolan::events::{self, Event, Filter};
use portolan::import::{Import, Imports, NewImport};

use crate::support::imports::imports_from;
use crate::support::oci::TestFace;

/// The side that imports: project `ta` with its maintainer `max`.
pub(super) struct Here {
    pub(super) face: TestFace,
    pub(super) imports: Imports,
    pub(super) max: Actor,
}

/// The project that imports go into.
pub(super) fn ta() -> ProjectName {
    "ta".parse().expect("a name")
}

/// What to import: an image or index, with its referrers.
pub(super) fn image(from: impl Into<String>, repository: &str) -> NewImport {
    NewImport {
        from: from.into(),
        referrers: true,
        repository: Some(repository.to_owned()),
        ..NewImport::default()
    }
}

impl Here {
    pub(super) async fn start() -> Self {
        Self::allowing("127.0.0.0/8").await
    }

    pub(super) async fn allowing(networks: &str) -> Self {
        let face = TestFace::start().await;
        let max = face.user("max").await;
        face.registry.member("ta", &max, Role::Maintainer).await;
        let imports = Self::imports_of(&face, networks);
        Self { face, imports, max }
    }

    fn imports_of(face: &TestFace, networks: &str) -> Imports {
        let registry = &face.registry;
        let clock = registry.clock.clone();
        imports_from(
            networks,
            &registry.db,
            clock,
            &face.accounts,
            &registry.catalog,
            &registry.registry,
        )
    }

    /// Imports as another process would have them: nothing in memory is shared.
    pub(super) async fn restarted(&self) -> Imports {
        let registry = &self.face.registry;
        imports_from(
            "127.0.0.0/8",
            &registry.db,
            registry.clock.clone(),
            &self.face.accounts,
            &registry.catalog,
            &registry.restarted().await,
        )
    }

    pub(super) async fn ask(&self, new: NewImport) -> Import {
        self.imports.create_import(&self.max, &ta(), new).await.expect("an import")
    }

    /// Asks for an import and runs it once.
    pub(super) async fn carry(&self, new: NewImport) -> Import {
        let asked = self.ask(new).await;
        assert!(self.imports.run_one().await.expect("a run"), "nothing was due");
        self.look(&asked).await
    }

    pub(super) async fn look(&self, import: &Import) -> Import {
        self.imports.import(&self.max, &ta(), import.id).await.expect("the import")
    }

    /// Moves the clock past the pause before the next try.
    pub(super) fn wait(&self) {
        self.face.registry.clock.advance(chrono::Duration::minutes(20));
    }

    /// Events whose action starts with `action`, oldest first.
    pub(super) async fn events(&self, action: &str) -> Vec<Event> {
        let filter = Filter { action: Some(action.to_owned()), ..Filter::default() };
        let page = PageRequest::first(100);
        let mut found =
            events::list(&self.face.registry.db, &filter, &page).await.expect("events").items;
        found.reverse();
        found
    }

    /// Runs imports in the background until the token is cancelled.
    pub(super) fn work(
        &self,
    ) -> (tokio_util::sync::CancellationToken, tokio::task::JoinHandle<()>) {
        let stop = tokio_util::sync::CancellationToken::new();
        let (imports, token) = (self.imports.clone(), stop.clone());
        (stop, tokio::spawn(async move { imports.run(token).await }))
    }

    #[track_caller]
    pub(super) fn now(&self) -> portolan::base::Timestamp {
        let clock = Arc::clone(&self.face.registry.clock);
        clock.now()
    }
}

/// A Portolan to import from: its host and a user who may push to its public project `open` and
/// its private project `ta`.
pub(super) struct There {
    pub(super) face: TestFace,
    pub(super) host: String,
    pub(super) pusher: Actor,
}

impl There {
    pub(super) async fn start() -> Self {
        let (face, host) = TestFace::serve().await;
        let pusher = face.user("pusher").await;
        for project in ["open", "ta"] {
            face.registry.member(project, &pusher, Role::Developer).await;
        }
        Self { face, host, pusher }
    }

    /// `http://HOST/REST`.
    pub(super) fn at(&self, rest: &str) -> String {
        format!("http://{}/{rest}", self.host)
    }
}

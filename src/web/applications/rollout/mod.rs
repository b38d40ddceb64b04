//! The live parts of a deployment: the hero (what is being replaced, what it waits for, the yard),
//! the table of replicas, the latest events and revisions.

use askama::Template;

use super::{App, key, names, services_of, version_of};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{DeploymentName, EnvironmentName, PageRequest, Result};
use crate::engine::view::{
    DeploymentPhase, DeploymentView, EndpointView, NodeView, ReplicaPhase, ReplicaView,
    RevisionView,
};
use crate::events;
use crate::web::shell::Shell;
use crate::web::stream::Fragment;
use crate::web::text::Text;
use crate::web::view::FeedRow;

mod hero;
mod table;
mod timeline;

pub(in crate::web) use hero::Hero;
pub(in crate::web) use table::ReplicaTable;
pub(in crate::web) use timeline::{RevisionRow, Timeline, rows_of};

#[derive(Template)]
#[template(path = "applications/feed.html")]
pub(in crate::web) struct EventFeed {
    pub t: Text,
    pub rows: Vec<FeedRow>,
    pub href: String,
}
impl askama::filters::HtmlSafe for EventFeed {}

/// Everything the live parts are drawn from.
pub(in crate::web) struct Observed {
    pub replicas: Vec<ReplicaView>,
    pub revisions: Vec<RevisionView>,
    pub nodes: Vec<NodeView>,
    pub endpoints: Vec<EndpointView>,
    pub services: Vec<crate::engine::view::ServiceView>,
}

impl Observed {
    pub(in crate::web) async fn load(shell: &Shell, deployment: &DeploymentView) -> Result<Self> {
        let (environment, name) = names(deployment)?;
        let engine = &shell.services.engine;
        let replicas = engine.replicas(&shell.actor, &environment, &name).await;
        let revisions = engine.revisions(&shell.actor, &environment, &name).await;
        let nodes = if shell.may_platform(Permission(Resource::Node, Action::List)) {
            shell.part_or_default(engine.nodes(&shell.actor).await)?
        } else {
            Vec::new()
        };
        let services = services_of(shell, deployment).await?;
        Ok(Self {
            replicas: shell.part_or_default(replicas)?,
            revisions: shell.part_or_default(revisions)?,
            nodes,
            endpoints: services.iter().flat_map(|service| service.endpoints.clone()).collect(),
            services,
        })
    }

    fn revision(&self, number: i64) -> Option<&RevisionView> {
        self.revisions.iter().find(|revision| revision.number == number)
    }

    fn version(&self, number: i64) -> String {
        self.revision(number).map(|revision| version_of(&revision.template)).unwrap_or_default()
    }
}

/// The random end of a replica's name.
pub(super) fn short_name(name: &str) -> &str {
    name.rsplit('-').next().unwrap_or(name)
}

/// `data-s` and the word of a replica's state.
pub(in crate::web) fn state_of(t: &Text, replica: &ReplicaView) -> (&'static str, String) {
    let (kind, key) = match replica.phase {
        ReplicaPhase::Pending => ("hold", "replica-pending"),
        ReplicaPhase::Starting => ("prog", "replica-starting"),
        ReplicaPhase::Running if replica.ready => ("ok", "replica-ready"),
        ReplicaPhase::Running => ("warn", "replica-not-ready"),
        ReplicaPhase::BackingOff => ("bad", "replica-backing-off"),
        ReplicaPhase::Draining => ("idle", "replica-draining"),
        ReplicaPhase::Stopping => ("idle", "replica-stopping"),
    };
    (kind, t.get(key))
}

impl EventFeed {
    pub(in crate::web) async fn load(
        shell: &Shell,
        app: &App,
        deployment: &DeploymentView,
        rows: u32,
    ) -> Result<Self> {
        let filter = events::Filter {
            projects: Some(vec![app.project.id]),
            deployment: Some(deployment.id.into()),
            ..events::Filter::default()
        };
        let page = if app.may(shell, Resource::Event, Action::List) {
            events::list(&shell.services.db, &filter, &PageRequest::first(rows)).await?.items
        } else {
            Vec::new()
        };
        // The page says which deployment it is about; its sentences need not repeat it.
        let name = format!("{}: ", key(deployment));
        let rows = page
            .iter()
            .map(|event| {
                let mut row = FeedRow::of(&shell.t, event);
                if let Some(rest) = row.text.strip_prefix(&name) {
                    row.text = rest.to_owned();
                }
                row
            })
            .collect();
        Ok(Self { t: shell.t, rows, href: app.link("/events") })
    }
}

/// Fragments of a deployment's page, and whether something is in progress.
pub(in crate::web) async fn fragments(
    shell: &Shell,
    environment: &EnvironmentName,
    name: &DeploymentName,
) -> Result<(Vec<Fragment>, bool)> {
    let engine = &shell.services.engine;
    let deployment = engine.deployment(&shell.actor, environment, name).await?;
    let Some(application) = deployment.spec.application.clone() else {
        return Ok((Vec::new(), false));
    };
    let path = super::Path { project: deployment.project.parse()?, app: application.parse()? };
    let app = App::load(shell, &path, &key(&deployment)).await?;
    let seen = Observed::load(shell, &deployment).await?;
    let (kind, word) = super::phase_of(shell, &deployment);
    let moving = is_moving(&deployment);
    let fragments = vec![
        Fragment::of("phase", &Pill { kind, word })?,
        Fragment::of("hero", &Hero::of(shell, &app, &deployment, &seen))?,
        Fragment::of("replicas", &ReplicaTable::of(shell, &app, &deployment, &seen.replicas))?,
        Fragment::of("feed", &EventFeed::load(shell, &app, &deployment, 10).await?)?,
        Fragment::of("timeline", &Timeline::of(shell, &app, &deployment, &seen.revisions))?,
    ];
    Ok((fragments, moving))
}

/// Whether a page about the deployment changes by itself.
pub(in crate::web) fn is_moving(deployment: &DeploymentView) -> bool {
    matches!(deployment.status.phase, DeploymentPhase::Progressing | DeploymentPhase::Deleting)
}

/// The phase beside the title.
#[derive(Template)]
#[template(path = "applications/pill.html")]
pub(in crate::web) struct Pill {
    pub kind: &'static str,
    pub word: String,
}
impl askama::filters::HtmlSafe for Pill {}

//! What a live page can follow, which events concern it, and which fragments it has.

use std::fmt;
use std::str::FromStr;

use super::Rendered;
use crate::base::id::{JobId, RunId};
use crate::base::{DeploymentName, EnvironmentName, Error, ProjectName, RepositoryName, Result};
use crate::events::Event;
use crate::web::shell::Shell;

/// A topic of the live stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    Overview,
    /// The getting-started page.
    Start,
    Project(ProjectName),
    /// The repositories of a project and the pushes in progress.
    Repositories(ProjectName),
    /// The tags of a repository.
    Repository(RepositoryName),
    /// The imports of a project.
    Imports(ProjectName),
    /// One import and its blobs.
    Import(ProjectName, JobId),
    /// A run of retention.
    Retention(ProjectName, RunId),
    /// A deployment: its rollout, replicas, events and revisions.
    Deployment(EnvironmentName, DeploymentName),
    /// All rollouts.
    Rollouts,
    /// The nodes.
    Nodes,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overview => f.write_str("overview"),
            Self::Start => f.write_str("start"),
            Self::Project(name) => write!(f, "project:{name}"),
            Self::Repositories(name) => write!(f, "repositories:{name}"),
            Self::Repository(name) => write!(f, "repository:{name}"),
            Self::Imports(name) => write!(f, "imports:{name}"),
            Self::Import(name, id) => write!(f, "import:{name}/{id}"),
            Self::Retention(name, run) => write!(f, "retention:{name}/{run}"),
            Self::Deployment(environment, name) => write!(f, "deployment:{environment}/{name}"),
            Self::Rollouts => f.write_str("rollouts"),
            Self::Nodes => f.write_str("nodes"),
        }
    }
}

impl FromStr for Topic {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let (kind, name) = word.split_once(':').unwrap_or((word, ""));
        match kind {
            "overview" => Ok(Self::Overview),
            "start" => Ok(Self::Start),
            "project" => Ok(Self::Project(name.parse()?)),
            "repositories" => Ok(Self::Repositories(name.parse()?)),
            "repository" => Ok(Self::Repository(name.parse()?)),
            "imports" => Ok(Self::Imports(name.parse()?)),
            "import" => {
                let (project, id) = name.split_once('/').unwrap_or((name, ""));
                let unknown = |_| Error::not_found("import", "");
                Ok(Self::Import(project.parse()?, id.parse().map_err(unknown)?))
            }
            "retention" => {
                let (project, run) = name.split_once('/').unwrap_or((name, ""));
                let unknown = |_| Error::invalid("topics", "names a run that does not exist");
                Ok(Self::Retention(project.parse()?, run.parse().map_err(unknown)?))
            }
            "deployment" => {
                let (environment, name) = name.split_once('/').unwrap_or((name, ""));
                Ok(Self::Deployment(environment.parse()?, name.parse()?))
            }
            "rollouts" => Ok(Self::Rollouts),
            "nodes" => Ok(Self::Nodes),
            _ => Err(Error::invalid("topics", "names a topic that does not exist")),
        }
    }
}

impl Topic {
    /// Whether an event may change this topic's fragments. Cheap and generous: the fragments are
    /// rendered with the caller's own rights, and only sent when they differ.
    pub fn concerns(&self, event: &Event) -> bool {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|p| event.action.starts_with(p));
        match self {
            Self::Overview => true,
            Self::Start => starts(&[
                "session.",
                "token.",
                "tag.",
                "manifest.",
                "replica.",
                "deployment.",
                "login",
            ]),
            Self::Project(_) => event.project_id.is_some(),
            Self::Repositories(_) | Self::Repository(_) => {
                starts(&["tag.", "manifest.", "repository.", "upload.", "image.", "blob."])
            }
            Self::Imports(_) | Self::Import(..) => starts(&["import."]),
            Self::Retention(..) => starts(&["tag.delete", "image.delete", "retention."]),
            Self::Deployment(..) | Self::Rollouts | Self::Nodes => {
                event.deployment_id.is_some()
                    || starts(&["deployment.", "replica.", "rollout.", "service.", "node."])
            }
        }
    }

    /// The fragments as the caller may see them, and whether something is in progress.
    pub async fn render(&self, shell: &Shell) -> Result<Rendered> {
        match self {
            Self::Overview => crate::web::overview::fragments(shell).await,
            Self::Start => Ok((crate::web::start::fragments(shell).await?, false)),
            Self::Project(name) => Ok((crate::web::projects::fragments(shell, name).await?, false)),
            Self::Repositories(name) => crate::web::repositories::fragments(shell, name).await,
            Self::Repository(name) => crate::web::image::fragments(shell, name).await,
            Self::Imports(name) => crate::web::imports::fragments(shell, name).await,
            Self::Import(name, id) => crate::web::imports::fragments_of_one(shell, name, *id).await,
            Self::Retention(name, run) => crate::web::retention::fragments(shell, name, *run).await,
            Self::Deployment(environment, name) => {
                crate::web::applications::rollout::fragments(shell, environment, name).await
            }
            Self::Rollouts => crate::web::rollouts::fragments(shell).await,
            Self::Nodes => Ok((crate::web::nodes::fragments(shell).await?, false)),
        }
    }
}

//! Applications: catalog entries with an owner team, links, a lifecycle and where they run; and
//! the search over them.

use serde_json::{Value, json};

use super::{Catalog, change_event, check_description, search_text, store};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::{ApplicationId, ProjectId, TeamId};
use crate::base::{
    Actor, ApplicationName, EnvironmentName, Error, Page, PageRequest, ProjectName, RepositoryName,
    Result, TeamName, Timestamp,
};
use crate::db::Tx;
use crate::events::Target;

/// Most links of an application.
const MAX_LINKS: usize = 20;
/// Longest title of a link, characters.
const MAX_LINK_TITLE: usize = 100;
/// Longest URL of a link, bytes.
const MAX_LINK_URL: usize = 2000;

/// A link of an application.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub title: String,
    /// http or https.
    pub url: String,
}

/// How far an application is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    Experimental,
    Production,
    Deprecated,
}

impl Lifecycle {
    /// All of them, in order of life.
    pub const ALL: [Self; 3] = [Self::Experimental, Self::Production, Self::Deprecated];

    /// The word stored and used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Experimental => "experimental",
            Self::Production => "production",
            Self::Deprecated => "deprecated",
        }
    }
}

impl std::str::FromStr for Lifecycle {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|l| l.as_str() == s).ok_or_else(|| {
            Error::invalid("lifecycle", "must be experimental, production or deprecated")
        })
    }
}

/// A catalog application.
#[derive(Debug, Clone)]
pub struct Application {
    pub id: ApplicationId,
    pub project_id: ProjectId,
    pub project: ProjectName,
    pub name: ApplicationName,
    /// The owner.
    pub team: Option<TeamName>,
    pub description: String,
    pub lifecycle: Lifecycle,
    /// Repository path below the project.
    pub repository: Option<String>,
    pub links: Vec<Link>,
    /// Environments it is deployed to.
    pub environments: Vec<EnvironmentName>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An application to create.
#[derive(Debug)]
pub struct NewApplication {
    pub name: ApplicationName,
    pub team: Option<TeamName>,
    pub description: String,
    pub lifecycle: Lifecycle,
    pub repository: Option<String>,
    pub links: Vec<Link>,
}

/// What to change of an application.
#[derive(Debug, Default)]
pub struct ApplicationChange {
    pub team: Option<Option<TeamName>>,
    pub description: Option<String>,
    pub lifecycle: Option<Lifecycle>,
    pub repository: Option<Option<String>>,
    pub links: Option<Vec<Link>>,
}

/// What the catalog search matches on; empty matches all that the caller may see.
#[derive(Debug, Default, Clone)]
pub struct ApplicationFilter {
    /// Part of the name, the description, the team's or the project's name.
    pub text: Option<String>,
    pub project: Option<ProjectName>,
    pub team: Option<TeamName>,
    pub lifecycle: Option<Lifecycle>,
}

impl Application {
    fn target(&self) -> Target {
        Target::new("application", self.id, format!("{}/{}", self.project, self.name))
    }

    fn facts(&self) -> Value {
        json!({
            "team": self.team,
            "description": self.description,
            "lifecycle": self.lifecycle,
            "repository": self.repository,
            "links": self.links,
        })
    }

    fn check(&self) -> Result<()> {
        check_description(&self.description)?;
        check_links(&self.links)?;
        if let Some(path) = &self.repository {
            RepositoryName::join(&self.project, path).map_err(|_| {
                Error::invalid("repository", format!("\"{path}\" is not a repository path below \"{}\"; write for example \"hello\", without the project", self.project))
            })?;
        }
        Ok(())
    }
}

impl Catalog {
    /// Creates an application in a project.
    pub async fn create_application(
        &self,
        actor: &Actor,
        project: &ProjectName,
        new: NewApplication,
    ) -> Result<Application> {
        let project =
            self.project(actor, project, Permission(Resource::Application, Action::Create)).await?;
        let now = self.clock.0.now();
        let application = Application {
            id: ApplicationId::new(now),
            project_id: project.id,
            project: project.name,
            name: new.name,
            team: new.team,
            description: new.description,
            lifecycle: new.lifecycle,
            repository: new.repository,
            links: new.links,
            environments: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        application.check()?;
        let mut tx = self.db.begin().await?;
        let team = owner(&mut tx, application.team.as_ref()).await?;
        store::application::insert(&mut tx, &application, team).await?;
        let event = change_event(
            "application.create",
            application.target(),
            project.id,
            "Added the application to the catalog.".to_owned(),
            Value::Null,
            application.facts(),
        );
        self.append(&mut tx, actor, event).await?;
        tx.commit().await?;
        Ok(application)
    }

    /// One application.
    pub async fn application(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &ApplicationName,
    ) -> Result<Application> {
        let project =
            self.project(actor, project, Permission(Resource::Application, Action::Read)).await?;
        store::application::by_name(&mut *self.db.read().await?, project.id, name)
            .await?
            .ok_or_else(|| Error::not_found("application", name))
    }

    /// The catalog: applications of all projects the caller may see, by name.
    pub async fn list_applications(
        &self,
        actor: &Actor,
        filter: &ApplicationFilter,
        page: &PageRequest,
    ) -> Result<Page<Application>> {
        let text = search_text("text", filter.text.as_deref())?;
        let (limit, after) = (page.limit()?, page.after_key::<(String, String)>()?);
        let permission = Permission(Resource::Application, Action::List);
        let projects = match &filter.project {
            Some(name) => Some(vec![self.project(actor, name, permission).await?.id]),
            None if actor.is_anonymous() => return Err(Error::unauthenticated("log in first")),
            None => self.visible_projects(actor, permission).await?,
        };
        let mut conn = self.db.read().await?;
        let rows = store::application::list(
            &mut conn,
            projects.as_deref(),
            text,
            filter.team.as_ref(),
            filter.lifecycle,
            after,
            limit,
        )
        .await?;
        Ok(Page::from_rows(rows, limit, |a| (a.name.clone(), a.project.clone())))
    }

    /// Changes an application; a change to what it already is does nothing.
    pub async fn update_application(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &ApplicationName,
        change: ApplicationChange,
    ) -> Result<Application> {
        let project =
            self.project(actor, project, Permission(Resource::Application, Action::Update)).await?;
        let mut tx = self.db.begin().await?;
        store::application::lock(&mut tx, project.id, name)
            .await?
            .ok_or_else(|| Error::not_found("application", name))?;
        let mut application = store::application::by_name(&mut tx, project.id, name)
            .await?
            .ok_or_else(|| Error::not_found("application", name))?;
        let before = application.facts();
        application.team = change.team.unwrap_or(application.team);
        application.description = change.description.unwrap_or(application.description);
        application.lifecycle = change.lifecycle.unwrap_or(application.lifecycle);
        application.repository = change.repository.unwrap_or(application.repository);
        application.links = change.links.unwrap_or(application.links);
        application.check()?;
        let after = application.facts();
        if before == after {
            return Ok(application);
        }
        application.updated_at = self.clock.0.now();
        let team = owner(&mut tx, application.team.as_ref()).await?;
        store::application::update(&mut tx, &application, team).await?;
        let changed: Vec<&str> = ["team", "description", "lifecycle", "repository", "links"]
            .into_iter()
            .filter(|field| before[field] != after[field])
            .collect();
        let event = change_event(
            "application.update",
            application.target(),
            project.id,
            format!("Changed {}.", changed.join(", ")),
            before,
            after,
        );
        self.append(&mut tx, actor, event).await?;
        tx.commit().await?;
        Ok(application)
    }

    /// Removes an application that has no deployments.
    pub async fn delete_application(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &ApplicationName,
    ) -> Result<()> {
        let project =
            self.project(actor, project, Permission(Resource::Application, Action::Delete)).await?;
        let mut tx = self.db.begin().await?;
        store::application::lock(&mut tx, project.id, name)
            .await?
            .ok_or_else(|| Error::not_found("application", name))?;
        let application = store::application::by_name(&mut tx, project.id, name)
            .await?
            .ok_or_else(|| Error::not_found("application", name))?;
        if !application.environments.is_empty() {
            return Err(still_deployed(&application));
        }
        store::application::delete(&mut tx, application.id, || still_deployed(&application))
            .await?;
        let event = change_event(
            "application.delete",
            application.target(),
            project.id,
            "Removed the application from the catalog.".to_owned(),
            application.facts(),
            Value::Null,
        );
        self.append(&mut tx, actor, event).await?;
        tx.commit().await
    }
}

fn still_deployed(application: &Application) -> Error {
    let places: Vec<&str> = application.environments.iter().map(|e| e.as_str()).collect();
    let places =
        if places.is_empty() { String::new() } else { format!(" in {}", places.join(", ")) };
    Error::conflict(
        "application_deployed",
        format!(
            "\"{}\" still has deployments{places}; delete the deployments first",
            application.name
        ),
    )
    .with_detail(json!({ "environments": application.environments }))
}

/// The id of the team that is to own an application.
async fn owner(tx: &mut Tx, team: Option<&TeamName>) -> Result<Option<TeamId>> {
    let Some(name) = team else { return Ok(None) };
    match store::team::find_id(tx, name).await? {
        Some(id) => Ok(Some(id)),
        None => Err(Error::invalid("team", format!("there is no team \"{name}\""))),
    }
}

fn check_links(links: &[Link]) -> Result<()> {
    if links.len() > MAX_LINKS {
        return Err(Error::invalid("links", format!("must be at most {MAX_LINKS}")));
    }
    for (i, link) in links.iter().enumerate() {
        let length = link.title.trim().chars().count();
        if !(1..=MAX_LINK_TITLE).contains(&length) || link.title.chars().any(char::is_control) {
            return Err(Error::invalid(
                format!("links[{i}].title"),
                format!("must be 1 to {MAX_LINK_TITLE} characters on one line"),
            ));
        }
        if !is_web_url(&link.url) {
            return Err(Error::invalid(
                format!("links[{i}].url"),
                format!(
                    "must be an http or https address of at most {MAX_LINK_URL} characters, without a user name"
                ),
            ));
        }
    }
    Ok(())
}

/// Whether a page may link to it: an absolute http(s) address. A user name before the host is
/// refused, because it makes an address look like another one.
fn is_web_url(text: &str) -> bool {
    let visible = text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b));
    let web = text.len() <= MAX_LINK_URL && visible;
    web && text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|a| !a.host().is_empty() && !a.as_str().contains('@'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_web_only() {
        for good in ["https://wiki.example.org/hello?x=1", "http://10.0.0.1:3000/d/1"] {
            assert!(is_web_url(good), "{good}");
        }
        for bad in [
            "",
            "javascript:alert(1)",
            "ftp://a/b",
            "/relative",
            "//host/path",
            "https://",
            "https://bank.example@evil.example/",
            "https://a/\u{202e}b",
            "https://a/\nb",
            "https://a/\"onclick=",
        ] {
            assert!(!is_web_url(bad), "{bad}");
        }
        assert!(!is_web_url(&format!("https://a/{}", "x".repeat(MAX_LINK_URL))));
    }
}

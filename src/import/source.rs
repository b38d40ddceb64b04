//! Stored sources: registries with credentials, per project.

use serde_json::json;

use super::{CREATE, Imports, LIST, NewSource, OPERATE, Source, SourceChange, address, store};
use crate::base::id::SourceId;
use crate::base::{
    Actor, Error, ErrorKind, Page, PageRequest, ProjectName, Result, Secret, SourceName,
};
use crate::db::OnConstraint;
use crate::events::{self, NewEvent, Target};

/// Sources of one project.
const MAX_SOURCES: i64 = 50;
const MAX_USERNAME: usize = 256;
const MAX_SECRET: usize = 4096;

/// What a source is sealed under: the secret opens in its own row and column only.
pub(super) fn place(id: SourceId) -> String {
    format!("import_sources.secret/{id}")
}

/// The checked fields of a source.
struct Fields {
    url: String,
    token_host: Option<String>,
    username: String,
}

fn unknown(name: &SourceName) -> Error {
    Error::not_found("source", name)
}

impl Imports {
    /// Sources of a project, by name.
    pub async fn list_sources(
        &self,
        actor: &Actor,
        project: &ProjectName,
        page: &PageRequest,
    ) -> Result<Page<Source>> {
        let project = self.catalog.project(actor, project, LIST).await?;
        let limit = page.limit()?;
        let after: Option<String> = page.after_key()?;
        let mut conn = self.db.read().await?;
        let rows =
            store::sources::list(&mut conn, project.id, after.as_deref(), i64::from(limit) + 1)
                .await?;
        Ok(Page::from_rows(rows, limit, |source| source.name.to_string()))
    }

    /// One source.
    pub async fn source(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &SourceName,
    ) -> Result<Source> {
        let project = self.catalog.project(actor, project, LIST).await?;
        store::sources::find(&mut *self.db.read().await?, project.id, name)
            .await?
            .ok_or_else(|| unknown(name))
    }

    /// Stores a source.
    pub async fn create_source(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &SourceName,
        new: NewSource,
    ) -> Result<Source> {
        let project = self.catalog.project(actor, project, CREATE).await?;
        let fields = self.checked(&new.url, new.token_host.as_deref(), &new.username)?;
        check_secret(&fields.username, new.secret.as_ref())?;
        let now = self.now();
        let id = SourceId::new(now);
        let secret = self.sealed(id, new.secret.as_ref())?;
        let mut tx = self.db.begin().await?;
        let row = store::sources::NewRow {
            id,
            project: project.id,
            name,
            url: &fields.url,
            token_host: fields.token_host.as_deref(),
            username: &fields.username,
            secret: secret.as_deref(),
        };
        let made = store::sources::insert(tx.conn(), &row, MAX_SOURCES, now).await.on_constraint(
            "import_sources_name_key",
            || {
                Error::conflict(
                    "source_exists",
                    format!("there is a source \"{name}\" in this project already"),
                )
            },
        )?;
        if !made {
            return Err(Error::conflict(
                "too_many_sources",
                format!("a project keeps at most {MAX_SOURCES} sources; remove one first"),
            ));
        }
        let event = NewEvent::new(
            "source.create",
            Target::new("source", id, name),
            format!("Source {name} was stored, for {}", fields.url),
        )
        .in_project(project.id)
        .detail(json!({ "url": fields.url, "username": fields.username, "tokenHost": fields.token_host }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        self.source(actor, &project.name, name).await
    }

    /// Changes a source. `Stale` when it is not of the generation named.
    pub async fn update_source(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &SourceName,
        change: SourceChange,
    ) -> Result<Source> {
        let project = self.catalog.project(actor, project, OPERATE).await?;
        let mut tx = self.db.begin().await?;
        let old = store::sources::lock(tx.conn(), project.id, name)
            .await?
            .ok_or_else(|| unknown(name))?;
        if change.generation.is_some_and(|generation| generation != old.generation) {
            return Err(Error::new(
                ErrorKind::Stale,
                "stale",
                "the source was changed meanwhile; read it again",
            ));
        }
        let token_host = change.token_host.unwrap_or_else(|| old.token_host.clone());
        let fields = self.checked(
            change.url.as_deref().unwrap_or(&old.url),
            token_host.as_deref(),
            change.username.as_deref().unwrap_or(&old.username),
        )?;
        // Otherwise whoever may edit a source could have its secret sent to themselves.
        let moved = fields.url != old.url || fields.token_host != old.token_host;
        if moved && old.has_secret && change.secret.is_none() {
            return Err(Error::invalid(
                "secret",
                "must be given again when the address or the token service changes",
            ));
        }
        let keeps = change.secret.is_none() && old.has_secret;
        if !keeps {
            check_secret(&fields.username, change.secret.as_ref())?;
        }
        let secret = self.sealed(old.id, change.secret.as_ref())?;
        store::sources::update(
            tx.conn(),
            old.id,
            (&fields.url, fields.token_host.as_deref(), &fields.username),
            (change.secret.is_some(), secret.as_deref()),
            self.now(),
        )
        .await?;
        let event = NewEvent::new(
            "source.update",
            Target::new("source", old.id, name),
            format!("Source {name} was changed"),
        )
        .in_project(project.id)
        .detail(json!({
            "before": { "url": old.url, "username": old.username, "tokenHost": old.token_host },
            "after": { "url": fields.url, "username": fields.username, "tokenHost": fields.token_host },
            "secretChanged": change.secret.is_some(),
        }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        self.source(actor, &project.name, name).await
    }

    /// Removes a source. Imports that still need it fail and say so.
    pub async fn delete_source(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &SourceName,
    ) -> Result<()> {
        let project = self.catalog.project(actor, project, OPERATE).await?;
        let mut tx = self.db.begin().await?;
        let id = store::sources::delete(tx.conn(), project.id, name)
            .await?
            .ok_or_else(|| unknown(name))?;
        let event = NewEvent::new(
            "source.delete",
            Target::new("source", id, name),
            format!("Source {name} was removed, with its secret"),
        )
        .in_project(project.id);
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await
    }

    fn checked(&self, url: &str, token_host: Option<&str>, username: &str) -> Result<Fields> {
        let url = address::base(url)?;
        self.egress.check(&url).map_err(|e| Error::invalid("url", e.public_message()))?;
        let token_host = token_host.map(str::trim).filter(|host| !host.is_empty());
        if let Some(host) = token_host {
            let read = reqwest::Url::parse(&format!("https://{host}/"));
            let same = read.as_ref().is_ok_and(|url| {
                let host_of = url.host_str().unwrap_or_default();
                let full = url.port().map_or(host_of.to_owned(), |p| format!("{host_of}:{p}"));
                full == host && url.path() == "/" && url.username().is_empty()
            });
            if !same || host.len() > 255 {
                return Err(Error::invalid(
                    "tokenHost",
                    "must be a host, such as auth.example.org, in lower case and without https://",
                ));
            }
        }
        let username = username.trim();
        if username.len() > MAX_USERNAME || username.chars().any(|c| c.is_control() || c == ':') {
            return Err(Error::invalid(
                "username",
                format!("must be at most {MAX_USERNAME} characters, without colons"),
            ));
        }
        Ok(Fields {
            url: url.as_str().trim_end_matches('/').to_owned(),
            token_host: token_host.map(str::to_owned),
            username: username.to_owned(),
        })
    }

    fn sealed(&self, id: SourceId, secret: Option<&Secret>) -> Result<Option<Vec<u8>>> {
        secret
            .map(|secret| self.vault.seal(&place(id), secret.expose().clone().into_bytes()))
            .transpose()
    }
}

/// A user name and a secret belong together.
fn check_secret(username: &str, secret: Option<&Secret>) -> Result<()> {
    match secret.map(|secret| secret.expose().as_str()) {
        None if username.is_empty() => Ok(()),
        None | Some("") => Err(Error::invalid("secret", "must be given with a user name")),
        Some(_) if username.is_empty() => {
            Err(Error::invalid("username", "must be given with a secret"))
        }
        Some(text) if text.len() > MAX_SECRET || text.chars().any(char::is_control) => {
            Err(Error::invalid(
                "secret",
                format!("must be at most {MAX_SECRET} characters, without control characters"),
            ))
        }
        Some(_) => Ok(()),
    }
}

//! Asking for imports, and for their end.

use serde_json::json;

use super::store::imports::Request;
use super::{
    CREATE, Import, ImportBlob, Imports, KIND, LIST, NewImport, OPERATE, Scope, address, pattern,
    store,
};
use crate::base::id::{JobId, ProjectId};
use crate::base::{
    Actor, Error, Page, PageRequest, ProjectName, Reference, RepositoryName, Result, TagName,
    Timestamp,
};
use crate::db::Tx;
use crate::events::{self, NewEvent, Target};
use crate::jobs::{Cancelling, NewJob};

/// Imports of one project that wait or run.
const MAX_OPEN: i64 = 20;
/// Runs without getting further.
const MAX_ATTEMPTS: i32 = 6;
/// Blobs shown of one import.
const MAX_SHOWN: i64 = 200;

fn unknown(id: JobId) -> Error {
    Error::not_found("import", id)
}

impl Imports {
    /// Asks for an import; a job runs it with the caller's rights.
    pub async fn create_import(
        &self,
        actor: &Actor,
        project: &ProjectName,
        new: NewImport,
    ) -> Result<Import> {
        let project = self.catalog.project(actor, project, CREATE).await?;
        if actor.user_id.is_none() {
            return Err(Error::denied("imports run with the rights of a user; ask as one"));
        }
        let source = match &new.source {
            None => None,
            Some(name) => Some(
                store::sources::find(&mut *self.db.read().await?, project.id, name)
                    .await?
                    .ok_or_else(|| {
                        Error::invalid(
                            "source",
                            format!("there is no source \"{name}\" in this project"),
                        )
                    })?,
            ),
        };
        let source_url = source.as_ref().map(|source| address::base(&source.url)).transpose()?;
        let from = address::parse(&new.from, source_url.as_ref())?;
        self.egress.check(&from.url).map_err(|e| Error::invalid("from", e.public_message()))?;
        let repository = target(&project.name, new.repository.as_deref(), &from.repository)?;
        let (reference, target_tag) = match new.scope {
            Scope::Image => whole_image(&from, new.tags.as_deref())?,
            Scope::Repository => {
                if from.tag.is_some() || from.digest.is_some() {
                    return Err(Error::invalid(
                        "from",
                        "must name a repository without a tag; use the pattern for tags",
                    ));
                }
                (None, None)
            }
        };
        let tag_pattern = new.tags.as_deref().map(str::trim).filter(|p| !p.is_empty());
        tag_pattern.map(pattern::check).transpose()?;
        if !self.registry.rights(actor, &repository).await?.push {
            return Err(Error::denied(format!("you may not push to {repository}")));
        }
        let name = shown(&from, reference.as_ref());
        let request = Request {
            project_id: project.id,
            source_id: source.as_ref().map(|source| source.id),
            source_name: source.as_ref().map(|source| source.name.to_string()),
            url: from.url.as_str().trim_end_matches('/').to_owned(),
            source_repository: from.repository.clone(),
            source_reference: reference.as_ref().map(ToString::to_string),
            tag_pattern: tag_pattern.map(str::to_owned),
            target_tag: target_tag.as_ref().map(ToString::to_string),
            with_referrers: new.referrers,
            repository,
            planned_at: None,
        };
        let mut tx = self.db.begin().await?;
        self.keep_limit(&mut tx, project.id).await?;
        let job = NewJob {
            kind: KIND,
            project: Some(project.id),
            name: &name,
            max_attempts: MAX_ATTEMPTS,
        };
        let id = self.jobs.enqueue(&mut tx, actor, job).await?;
        store::imports::insert(tx.conn(), id, &request).await?;
        let event = NewEvent::new(
            "import.create",
            Target::new("import", id, &name),
            format!("An import of {name} into {} was asked for", request.repository),
        )
        .in_project(project.id)
        .detail(json!({
            "repository": request.repository, "source": request.source_name,
            "tags": request.tag_pattern, "referrers": request.with_referrers,
        }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        self.find(project.id, id).await
    }

    async fn keep_limit(&self, tx: &mut Tx, project: ProjectId) -> Result<()> {
        if self.jobs.count_open(tx, KIND, project).await? < MAX_OPEN {
            return Ok(());
        }
        Err(Error::rate_limited(
            format!("{MAX_OPEN} imports of this project wait or run already"),
            30,
        ))
    }

    async fn find(&self, project: ProjectId, id: JobId) -> Result<Import> {
        let mut conn = self.db.read().await?;
        let rows = store::imports::list(&mut conn, project, Some(id), None, 1).await?;
        rows.into_iter().next().ok_or_else(|| unknown(id))
    }

    /// Imports of a project, newest first.
    pub async fn list_imports(
        &self,
        actor: &Actor,
        project: &ProjectName,
        page: &PageRequest,
    ) -> Result<Page<Import>> {
        let project = self.catalog.project(actor, project, LIST).await?;
        let limit = page.limit()?;
        let after: Option<(Timestamp, JobId)> = page.after_key()?;
        let mut conn = self.db.read().await?;
        let rows =
            store::imports::list(&mut conn, project.id, None, after, i64::from(limit) + 1).await?;
        Ok(Page::from_rows(rows, limit, |import| (import.created_at, import.id)))
    }

    /// One import.
    pub async fn import(&self, actor: &Actor, project: &ProjectName, id: JobId) -> Result<Import> {
        let project = self.catalog.project(actor, project, LIST).await?;
        self.find(project.id, id).await
    }

    /// One import and its blobs, at most 200 of them: those that move first. None once it is
    /// done.
    pub async fn import_with_blobs(
        &self,
        actor: &Actor,
        project: &ProjectName,
        id: JobId,
    ) -> Result<(Import, Vec<ImportBlob>)> {
        let import = self.import(actor, project, id).await?;
        let mut conn = self.db.read().await?;
        Ok((import, store::imports::list_blobs(&mut conn, id, MAX_SHOWN).await?))
    }

    /// Asks for the end of an import. What arrived stays, unnamed, until it is collected or the
    /// import is tried again.
    pub async fn cancel_import(
        &self,
        actor: &Actor,
        project: &ProjectName,
        id: JobId,
    ) -> Result<Import> {
        let project = self.catalog.project(actor, project, OPERATE).await?;
        let import = self.find(project.id, id).await?;
        let mut tx = self.db.begin().await?;
        let message = match self.jobs.cancel(&mut tx, id).await? {
            Cancelling::Cancelled => format!("The import of {} was cancelled", import.from),
            Cancelling::Asked if import.cancel_requested => return Ok(import),
            Cancelling::Asked => format!("The end of the import of {} was asked for", import.from),
            Cancelling::TooLate => {
                return Err(Error::conflict(
                    "import_finished",
                    format!("this import is {} already", import.status.as_str()),
                ));
            }
        };
        self.append(&mut tx, actor, project.id, "import.cancel", &import, message).await?;
        tx.commit().await?;
        self.find(project.id, id).await
    }

    /// Runs a failed or cancelled import again, from where it ended, with the caller's rights.
    pub async fn retry_import(
        &self,
        actor: &Actor,
        project: &ProjectName,
        id: JobId,
    ) -> Result<Import> {
        let project = self.catalog.project(actor, project, OPERATE).await?;
        let import = self.find(project.id, id).await?;
        if !self.registry.rights(actor, &import.repository).await?.push {
            return Err(Error::denied(format!("you may not push to {}", import.repository)));
        }
        let mut tx = self.db.begin().await?;
        self.keep_limit(&mut tx, project.id).await?;
        if !self.jobs.retry(&mut tx, id, actor).await? {
            return Err(Error::conflict(
                "import_not_ended",
                format!(
                    "this import is {}; only failed and cancelled ones are tried again",
                    import.status.as_str()
                ),
            ));
        }
        let message = format!("The import of {} is tried again", import.from);
        self.append(&mut tx, actor, project.id, "import.retry", &import, message).await?;
        tx.commit().await?;
        self.find(project.id, id).await
    }

    async fn append(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        project: ProjectId,
        action: &'static str,
        import: &Import,
        message: String,
    ) -> Result<()> {
        let target = Target::new("import", import.id, &import.from);
        let event = NewEvent::new(action, target, message).in_project(project);
        events::append(tx, &*self.clock.0, actor, event).await
    }
}

/// What to ask for, and the tag to set here.
fn whole_image(
    from: &address::Address,
    tags: Option<&str>,
) -> Result<(Option<Reference>, Option<TagName>)> {
    if tags.is_some_and(|tags| !tags.trim().is_empty()) {
        return Err(Error::invalid("tags", "is only for a whole repository"));
    }
    let reference = from.reference()?;
    let tag = match &reference {
        Reference::Tag(tag) => Some(tag.clone()),
        Reference::Digest(_) => from.tag.clone(),
    };
    Ok((Some(reference), tag))
}

/// The repository to import into: below the project, by default under the name it has there.
fn target(project: &ProjectName, wanted: Option<&str>, source: &str) -> Result<RepositoryName> {
    let wanted = wanted.map(str::trim).filter(|path| !path.is_empty());
    let path = wanted.unwrap_or_else(|| source.strip_prefix("library/").unwrap_or(source));
    RepositoryName::join(project, path).map_err(|e| {
        Error::invalid(
            "repository",
            e.fields().first().map_or_else(|| e.public_message().to_owned(), |f| f.message.clone()),
        )
    })
}

/// What is imported, as people write it.
fn shown(from: &address::Address, reference: Option<&Reference>) -> String {
    let host = match from.url.host_str().unwrap_or_default() {
        "index.docker.io" => "docker.io",
        host => host,
    };
    let port = from.url.port().map_or_else(String::new, |port| format!(":{port}"));
    let what = match (reference, &from.tag) {
        (Some(Reference::Digest(digest)), Some(tag)) => format!(":{tag}@{digest}"),
        (Some(Reference::Digest(digest)), None) => format!("@{digest}"),
        (Some(Reference::Tag(tag)), _) => format!(":{tag}"),
        (None, _) => String::new(),
    };
    format!("{host}{port}/{}{what}", from.repository)
}

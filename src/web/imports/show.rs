//! `/p/{project}/imports/{id}`: one import, its progress blob by blob.

use askama::Template;

use super::{Row, project_of};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::JobId;
use crate::base::{ProjectName, Result, Timestamp};
use crate::import::{Import, ImportBlob};
use crate::web::frame::{Frame, Section};
use crate::web::shell::{At, PageResult, Shell};
use crate::web::stream::{Fragment, Rendered, Topic};
use crate::web::text::Text;

/// One blob of the table.
struct BlobRow {
    digest: String,
    short: String,
    media_type: String,
    size: i64,
    received: i64,
    percent: u8,
    kind: &'static str,
    state: String,
    moves: bool,
}

impl BlobRow {
    fn of(t: &Text, blob: &ImportBlob) -> Self {
        let (kind, key) = match blob.state.as_str() {
            "present" => ("ok", "blob-present"),
            "copied" => ("ok", "blob-copied"),
            "copying" => ("prog", "blob-copying"),
            _ => ("idle", "blob-waiting"),
        };
        let percent = blob.received.saturating_mul(100).checked_div(blob.size).unwrap_or(100);
        Self {
            digest: blob.digest.to_string(),
            short: blob.digest.short().to_owned(),
            media_type: blob.media_type.clone(),
            size: blob.size,
            received: blob.received,
            percent: u8::try_from(percent.clamp(0, 100)).unwrap_or(100),
            kind,
            state: t.get(key),
            moves: kind == "prog",
        }
    }
}

#[derive(Template)]
#[template(path = "imports/detail.html")]
struct Detail {
    t: Text,
    row: Row,
    blobs: Vec<BlobRow>,
    /// Blobs that are not shown.
    more: i64,
    source: Option<String>,
    tag_pattern: Option<String>,
    with_referrers: bool,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    csrf: String,
    may_operate: bool,
}

impl askama::filters::HtmlSafe for Detail {}

#[derive(Template)]
#[template(path = "imports/show.html")]
struct ShowPage {
    frame: Frame,
    detail: Detail,
}

async fn detail(shell: &Shell, name: &ProjectName, id: JobId) -> Result<(Detail, Import, Frame)> {
    let t = shell.t;
    let project = project_of(shell, name, Action::List).await?;
    let imports = &shell.services.imports;
    let (import, blobs) = imports.import_with_blobs(&shell.actor, name, id).await?;
    let shown = i64::try_from(blobs.len()).unwrap_or(i64::MAX);
    let detail = Detail {
        t,
        row: Row::of(&t, name, &import),
        more: if blobs.is_empty() { 0 } else { (import.progress.blobs - shown).max(0) },
        blobs: blobs.iter().map(|blob| BlobRow::of(&t, blob)).collect(),
        source: import.source.clone(),
        tag_pattern: import.tag_pattern.clone(),
        with_referrers: import.with_referrers,
        started_at: import.started_at,
        finished_at: import.finished_at,
        csrf: shell.csrf().to_owned(),
        may_operate: shell.may(&project, Permission(Resource::Import, Action::Operate)),
    };
    let frame = shell.project_frame(&project, Section::Imports, &import.from).await?;
    Ok((detail, import, frame))
}

/// `GET /p/{project}/imports/{id}`
pub(super) async fn page(shell: Shell, At((name, id)): At<(ProjectName, JobId)>) -> PageResult {
    let (detail, import, frame) = detail(&shell, &name, id).await?;
    let frame = frame
        .crumb(format!("/p/{name}/imports"), shell.t.get("nav-imports"))
        .json(format!("/api/v1/projects/{name}/imports/{id}"))
        .moving(import.status.is_open())
        .live(Topic::Import(name.clone(), id));
    shell.render(&ShowPage { frame, detail })
}

/// Fragments of [`Topic::Import`].
pub(in crate::web) async fn fragments(
    shell: &Shell,
    name: &ProjectName,
    id: JobId,
) -> Result<Rendered> {
    let (detail, import, _) = detail(shell, name, id).await?;
    Ok((vec![Fragment::of("import", &detail)?], import.status.is_open()))
}

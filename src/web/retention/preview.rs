//! A preview: everything that would go or stay, and why; and applying it.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};

use super::words::{self, Row};
use super::{ItemQuery, OPERATE, READ, base, below};
use crate::base::id::PlanId;
use crate::base::{Error, ErrorKind, ProjectName, Result, Timestamp};
use crate::registry::retention::{ItemFilter, Plan};
use crate::web::form::Form;
use crate::web::frame::Frame;
use crate::web::login::Nothing;
use crate::web::session::Posted;
use crate::web::shell::{At, PageResult, Shell};
use crate::web::view::Pager;

#[derive(Template)]
#[template(path = "retention/preview.html")]
struct PreviewPage {
    frame: Frame,
    path: String,
    base: String,
    plan: Plan,
    rules: Vec<String>,
    costs: Vec<String>,
    freed_by: Timestamp,
    /// Why it cannot be applied any more.
    over: Option<String>,
    run_href: Option<String>,
    form: Form,
    rows: Vec<Row>,
    keeps: bool,
    query: String,
    pager: Pager,
    may_operate: bool,
}

/// `POST /p/{project}/retention/previews`
pub(super) async fn make(
    At(name): At<ProjectName>,
    Posted(shell, Nothing {}): Posted<Nothing>,
) -> PageResult {
    let plan = shell.services.registry.preview_retention(&shell.actor, &name).await?;
    Ok(Redirect::to(&format!("{}/previews/{}", base(&name), plan.id)).into_response())
}

async fn page_of(
    shell: &Shell,
    name: &ProjectName,
    id: PlanId,
    query: &ItemQuery,
    form: Form,
) -> Result<PreviewPage> {
    let t = shell.t;
    let services = &shell.services;
    let project = services.catalog.project(&shell.actor, name, READ).await?;
    let registry = &services.registry;
    let plan = registry.retention_plan(&shell.actor, name, id).await?;
    let keeps = query.show == "keep";
    let filter = ItemFilter { removes: Some(!keeps), outcome: None, text: query.text() };
    let page = registry.retention_items(&shell.actor, name, id, &filter, &query.request()).await?;
    let json = format!("previews/{id}");
    let frame = below(shell, &project, t.get("retention-preview"), &json).await?;
    let path = format!("{}/previews/{id}", base(name));
    let over = if plan.run.is_some() {
        Some(t.get("retention-over-applied"))
    } else if !plan.is_current {
        Some(t.get("retention-over-rules"))
    } else {
        (t.now >= plan.expires_at).then(|| t.get("retention-over-time"))
    };
    let mut costs = vec![
        t.num("retention-cost-tags", plan.removed_tags).to_string(),
        t.num("retention-cost-images", plan.removed_images).to_string(),
        t.fmt("retention-cost-bytes").a("size", t.size(plan.freed_bytes)).to_string(),
        t.get("retention-cost-changed"),
    ];
    if plan.emptied > 0 {
        costs.push(t.num("retention-cost-emptied", plan.emptied).to_string());
    }
    Ok(PreviewPage {
        frame,
        base: base(name),
        rules: plan.rules.iter().map(|rule| words::sentence(&t, rule)).collect(),
        costs,
        freed_by: t.now + registry.retention_frees_after(),
        over,
        run_href: plan.run.map(|run| format!("{}/runs/{run}", base(name))),
        form,
        rows: page.items.iter().map(|item| Row::of(&t, item)).collect(),
        keeps,
        query: query.q.trim().to_owned(),
        pager: query.pager(&path, &page),
        path,
        plan,
        may_operate: shell.may(&project, OPERATE),
    })
}

fn plan_id(text: &str) -> Result<PlanId> {
    text.parse().map_err(|_| Error::not_found("preview", text))
}

/// `GET /p/{project}/retention/previews/{id}`
pub(super) async fn page(
    shell: Shell,
    At((name, id)): At<(ProjectName, String)>,
    Query(query): Query<ItemQuery>,
) -> PageResult {
    shell.render(&page_of(&shell, &name, plan_id(&id)?, &query, Form::default()).await?)
}

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct ApplyForm {
    /// The project's name, typed, when a repository would be emptied.
    #[serde(default)]
    confirm: String,
}

/// `POST /p/{project}/retention/previews/{id}`: applies it.
pub(super) async fn apply(
    At((name, id)): At<(ProjectName, String)>,
    Posted(shell, form): Posted<ApplyForm>,
) -> PageResult {
    let services = &shell.services;
    services.catalog.project(&shell.actor, &name, OPERATE).await?;
    let id = plan_id(&id)?;
    let confirm = form.confirm.trim() == name.as_str();
    match services.registry.apply_retention(&shell.actor, &name, id, confirm).await {
        Ok(run) => {
            let to = format!("{}/runs/{}", base(&name), run.id);
            Ok(Redirect::to(&to).into_response())
        }
        Err(error) if error.kind() == ErrorKind::Conflict => {
            let typed = Form::of([("confirm", &form.confirm)]);
            let again = if error.code() == "confirmation_needed" {
                typed.wrong("confirm", shell.t.get("confirm-mismatch"))
            } else {
                typed.refused(&shell.t, error)?
            };
            let page = page_of(&shell, &name, id, &ItemQuery::default(), again).await?;
            shell.render_as(StatusCode::CONFLICT, &page)
        }
        Err(error) => Err(error.into()),
    }
}

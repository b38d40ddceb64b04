//! Making a plan: reading the facts, evaluating, and storing every verdict.

use std::collections::HashMap;

use serde_json::json;

use super::evaluate::{Decided, Facts, ManifestFact, TagFact, Verdict, evaluate, is_covered};
use super::policy::READ;
use super::{InUse, Item, ItemFilter, MAX_ITEMS, PLAN_LIFE, Plan, Policy, UsedImage};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::{PlanId, RepositoryId, RunId};
use crate::base::{Actor, Error, Page, PageRequest, ProjectName, RepositoryName, Result};
use crate::events::{self, NewEvent, Target};
use crate::registry::rules::{Change, Standing, TagRule, protects};
use crate::registry::store::retention::{facts, plans, runs};
use crate::registry::{Registry, store};

const OPERATE: Permission = Permission(Resource::Retention, Action::Operate);
/// Rows written by one statement.
const BATCH: usize = 1_000;

impl Registry {
    pub(super) fn in_use(&self) -> Result<&dyn InUse> {
        self.shared.in_use.get().map(|port| &**port).ok_or_else(|| {
            Error::unavailable("what deployments need is not known, so nothing may be removed")
        })
    }

    /// How long after a removal its bytes are freed at the latest: deleted images can be restored
    /// for a while, and collection leaves fresh blobs alone.
    pub fn retention_frees_after(&self) -> chrono::Duration {
        self.undelete_window + self.upkeep.grace
    }

    /// Makes a plan of what the rules of a project would remove now. Nothing is removed.
    pub async fn preview_retention(&self, actor: &Actor, project: &ProjectName) -> Result<Plan> {
        let project = self.catalog.project(actor, project, OPERATE).await?;
        let policy = self.policy(project.id).await?;
        let plan = self.make_plan(&policy, &project.name, &actor.name).await?;
        let message = format!(
            "{} previewed the retention of {}: {} tags and {} images would go",
            actor.name, project.name, plan.removed_tags, plan.removed_images
        );
        let target = Target::new("retention", project.id, &project.name);
        let event = NewEvent::new("retention.preview", target, message)
            .in_project(project.id)
            .detail(json!({ "preview": plan.id, "emptied": plan.emptied }));
        events::append_alone(&self.db, &*self.clock.0, actor, event).await?;
        Ok(plan)
    }

    /// Writes a plan. It becomes visible with its last statement.
    pub(super) async fn make_plan(
        &self,
        policy: &Policy,
        project: &ProjectName,
        created_by: &str,
    ) -> Result<Plan> {
        self.flush_pulls().await?;
        let now = self.now();
        let mut plan = Plan {
            id: PlanId::new(now),
            project_id: policy.project_id,
            generation: policy.generation,
            rules: policy.rules.clone(),
            created_by: created_by.to_owned(),
            created_at: now,
            expires_at: now + PLAN_LIFE,
            kept_tags: 0,
            removed_tags: 0,
            kept_images: 0,
            removed_images: 0,
            repositories: 0,
            untouched: 0,
            emptied: 0,
            freed_bytes: 0,
            run: None,
            is_current: true,
        };
        let used = self.in_use()?.used(project).await?;
        let locks = store::rules::list(&mut *self.db.read().await?, policy.project_id).await?;
        plans::insert(&mut *self.db.read().await?, &plan).await?;
        let mut position = 0;
        let all = facts::repositories(&mut *self.db.read().await?, policy.project_id).await?;
        for (id, name) in all {
            if !is_covered(&plan.rules, name.path()) {
                plan.untouched += 1;
                continue;
            }
            plan.repositories += 1;
            let mut found = self.read_repository(id, &name, &used, &locks, policy).await?;
            let decided = evaluate(&plan.rules, &found.facts, now);
            plan.emptied += i64::from(decided.empties);
            found.add_items(&decided, &mut position);
            if position > MAX_ITEMS {
                return Err(too_much());
            }
            let removed = |item: &&Item| item.removes;
            let (tags, images): (Vec<&Item>, Vec<&Item>) =
                found.items.iter().partition(|item| item.tag.is_some());
            let count = |items: &[&Item]| {
                let gone = items.iter().copied().filter(removed).count();
                (i64::try_from(gone), i64::try_from(items.len() - gone))
            };
            let (gone, kept) = count(&tags);
            plan.removed_tags += gone.unwrap_or(0);
            plan.kept_tags += kept.unwrap_or(0);
            let (gone, kept) = count(&images);
            plan.removed_images += gone.unwrap_or(0);
            plan.kept_images += kept.unwrap_or(0);
            let mut conn = self.db.read().await?;
            for batch in found.items.chunks(BATCH) {
                plans::insert_items(&mut conn, plan.id, batch).await?;
            }
        }
        let mut conn = self.db.read().await?;
        if plan.removed_images > 0 {
            plan.freed_bytes = plans::freed_bytes(&mut conn, plan.id).await?;
        }
        plans::finish(&mut conn, &plan).await?;
        Ok(plan)
    }

    async fn read_repository(
        &self,
        id: RepositoryId,
        name: &RepositoryName,
        used: &[UsedImage],
        locks: &[TagRule],
        policy: &Policy,
    ) -> Result<Read> {
        let most = usize::try_from(MAX_ITEMS).unwrap_or(usize::MAX);
        let mut conn = self.db.read().await?;
        // Manifests first: a tag whose manifest came later is then left out, and so kept.
        let manifests = facts::manifests(&mut conn, id, most).await?;
        let tags = facts::tags(&mut conn, id, most).await?;
        if manifests.len() > most || tags.len() > most {
            return Err(too_much());
        }
        let mut facts = Facts { path: name.path().to_owned(), ..Facts::default() };
        let by_id: HashMap<_, _> = manifests.iter().enumerate().map(|(i, m)| (m.id, i)).collect();
        for tag in tags {
            let Some(manifest) = by_id.get(&tag.manifest_id).copied() else { continue };
            let lock = protects(locks, name, &tag.name, Standing::AUTOMATIC, Change::Remove);
            if let Some(rule) = lock {
                facts.protected.insert(tag.name.clone(), rule.to_string());
            }
            facts.tags.push(TagFact { name: tag.name, manifest, pushed_at: tag.pushed_at });
        }
        let mut of_manifests = Vec::with_capacity(manifests.len());
        for row in manifests {
            of_manifests.push((row.id, row.size));
            facts.manifests.push(ManifestFact {
                digest: row.digest,
                pushed_at: row.pushed_at,
                pulled_at: row.pulled_at,
                subject: row.subject,
                children: row.children,
            });
        }
        for image in used.iter().filter(|image| image.repository == *name) {
            let shown = image.shown_in(policy.project_id);
            if let Some(tag) = &image.tag {
                facts.named.entry(tag.clone()).or_insert_with(|| shown.clone());
            }
            facts.used.entry(image.digest.clone()).or_insert(shown);
        }
        Ok(Read { id, name: name.clone(), facts, of_manifests, items: Vec::new() })
    }

    /// A plan.
    pub async fn retention_plan(
        &self,
        actor: &Actor,
        project: &ProjectName,
        id: PlanId,
    ) -> Result<Plan> {
        let project = self.catalog.project(actor, project, READ).await?;
        plans::find(&mut *self.db.read().await?, project.id, id)
            .await?
            .ok_or_else(|| Error::not_found("preview", id))
    }

    /// Rows of a plan: what goes first, in the order in which it goes, repository by repository.
    pub async fn retention_items(
        &self,
        actor: &Actor,
        project: &ProjectName,
        id: PlanId,
        filter: &ItemFilter,
        page: &PageRequest,
    ) -> Result<Page<Item>> {
        self.retention_plan(actor, project, id).await?;
        let (limit, after) = (page.limit()?, page.after_key()?);
        let mut conn = self.db.read().await?;
        let rows = plans::items(&mut conn, id, filter, after, limit).await?;
        Ok(Page::from_rows(rows, limit, |item| item.position))
    }

    /// What a run did, row by row.
    pub async fn retention_report(
        &self,
        actor: &Actor,
        project: &ProjectName,
        id: RunId,
        filter: &ItemFilter,
        page: &PageRequest,
    ) -> Result<Page<Item>> {
        let project = self.catalog.project(actor, project, READ).await?;
        let (limit, after) = (page.limit()?, page.after_key()?);
        let mut conn = self.db.read().await?;
        let run = runs::list(&mut conn, project.id, Some(id), None, 1).await?.pop();
        let run = run.ok_or_else(|| Error::not_found("run", id))?;
        let Some(plan) = run.plan else { return Ok(Page { items: Vec::new(), next: None }) };
        let filter = ItemFilter { removes: Some(true), ..filter.clone() };
        let rows = plans::items(&mut conn, plan, &filter, after, limit).await?;
        Ok(Page::from_rows(rows, limit, |item| item.position))
    }
}

fn too_much() -> Error {
    Error::conflict(
        "retention_too_much",
        format!(
            "the rules reach more than {MAX_ITEMS} tags and images; let them remove from fewer repositories at a time"
        ),
    )
}

/// A repository that was read, and its rows of the plan.
struct Read {
    id: RepositoryId,
    name: RepositoryName,
    facts: Facts,
    /// Id and size of each manifest.
    of_manifests: Vec<(crate::base::id::ManifestId, i64)>,
    items: Vec<Item>,
}

impl Read {
    /// One row for each tag, for each image without a tag and for each image that goes; removals
    /// first, in an order in which they can be done.
    fn add_items(&mut self, decided: &Decided, position: &mut i64) {
        let mut tags_of = vec![Vec::new(); self.facts.manifests.len()];
        for (t, tag) in self.facts.tags.iter().enumerate() {
            tags_of[tag.manifest].push(t);
        }
        let mut wanted: Vec<(Option<usize>, usize)> = Vec::new();
        // Tags of images that stay can go at any time, unless they wait for their subject.
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for (t, tag) in self.facts.tags.iter().enumerate() {
            if decided.tags[t].removes && !decided.manifests[tag.manifest].removes {
                let waits = matches!(decided.tags[t].reason, super::Reason::Subject { .. });
                if waits { &mut late } else { &mut early }.push((Some(t), tag.manifest));
            }
        }
        wanted.append(&mut early);
        for m in &decided.order {
            let gone = tags_of[*m].iter().filter(|t| decided.tags[**t].removes);
            wanted.extend(gone.map(|t| (Some(*t), *m)));
            wanted.push((None, *m));
        }
        wanted.append(&mut late);
        for (t, tag) in self.facts.tags.iter().enumerate() {
            if !decided.tags[t].removes {
                wanted.push((Some(t), tag.manifest));
            }
        }
        for (m, verdict) in decided.manifests.iter().enumerate() {
            let loses_all = tags_of[m].iter().all(|t| decided.tags[*t].removes);
            if !verdict.removes && loses_all {
                wanted.push((None, m));
            }
        }
        for (tag, m) in wanted {
            let verdict = tag.map_or(&decided.manifests[m], |t| &decided.tags[t]);
            *position += 1;
            let item = self.item(*position, tag, m, verdict);
            self.items.push(item);
        }
    }

    fn item(&self, position: i64, tag: Option<usize>, m: usize, verdict: &Verdict) -> Item {
        let manifest = &self.facts.manifests[m];
        let (manifest_id, size) = self.of_manifests[m];
        let tag = tag.map(|t| &self.facts.tags[t]);
        Item {
            position,
            repository_id: self.id,
            repository: self.name.clone(),
            tag: tag.map(|tag| tag.name.clone()),
            manifest_id,
            digest: manifest.digest.clone(),
            size,
            pushed_at: tag.map_or(manifest.pushed_at, |tag| tag.pushed_at),
            pulled_at: manifest.pulled_at,
            removes: verdict.removes,
            reason: verdict.reason.clone(),
            outcome: None,
        }
    }
}

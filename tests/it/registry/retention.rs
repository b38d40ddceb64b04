//! Retention: what was previewed is what goes, whatever happens in between, and nothing else.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::Duration;
use portolan::accounts::rbac::{Role, Visibility};
use portolan::base::{Actor, Digest, ErrorKind, PageRequest, ProjectName, Reference, TagName};
use portolan::events;
use portolan::registry::retention::{
    Every, Item, ItemFilter, NewPolicy, Outcome, Plan, Reason, RuleText, Run, Schedule, Skip,
    Status,
};
use portolan::registry::rules::{RuleInput, RuleKind};
use serde_json::json;

use super::in_use::{Known, Pins};
use crate::support::images::{TestImage, tiny};
use crate::support::registry::{TestRegistry, name};

fn demo() -> ProjectName {
    "demo".parse().expect("a name")
}

fn tag(text: &str) -> TagName {
    text.parse().expect("a tag")
}

fn rules(given: serde_json::Value) -> NewPolicy {
    let rules: Vec<RuleText> = serde_json::from_value(given).expect("rules");
    NewPolicy { rules, schedule: Schedule::default(), confirm: false }
}

/// Keeps `keep-*`, removes the rest and what is untagged for a day.
fn strict() -> NewPolicy {
    rules(json!([
        { "kind": "keepTags", "tags": "keep-*" },
        { "kind": "removeTags" },
        { "kind": "removeUntagged", "days": 1 },
    ]))
}

struct Rig {
    t: TestRegistry,
    pins: Pins,
    ada: Actor,
}

impl Rig {
    async fn start() -> Self {
        let t = TestRegistry::start().await;
        let pins = Pins::default();
        let known = Known { pins: pins.clone(), db: t.db.clone() };
        t.registry.plug_in_use(std::sync::Arc::new(known));
        let ada = t.with_demo().await;
        t.member("demo", &ada, Role::Maintainer).await;
        Self { t, pins, ada }
    }

    async fn push(&self, tag: &str) -> TestImage {
        let image = tiny(tag);
        self.t.push(&self.ada, "demo/hello", tag, &image).await;
        image
    }

    /// Pushes an index over `children` under a tag.
    async fn push_index(&self, tag: &str, children: &[&TestImage]) -> Bytes {
        let manifests: Vec<_> = children
            .iter()
            .map(|child| {
                json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": child.digest(),
                    "size": child.manifest.len(),
                })
            })
            .collect();
        let index = Bytes::from(
            json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": manifests,
            })
            .to_string(),
        );
        self.t.push_manifest(&self.ada, "demo/hello", tag, &index).await.expect("an index");
        index
    }

    /// Pushes a signature of `subject`, by its digest only.
    async fn sign(&self, subject: &TestImage, text: &str) -> Digest {
        let config = Bytes::from_static(b"{}");
        let config = self.t.push_blob(&self.ada, "demo/hello", &config).await;
        let manifest = Bytes::from(
            json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "artifactType": "application/vnd.example.signature",
                "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 },
                "layers": [],
                "subject": {
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": subject.digest(),
                    "size": subject.manifest.len(),
                },
                "annotations": { "text": text },
            })
            .to_string(),
        );
        let digest = Digest::sha256(&manifest);
        let reference = digest.to_string();
        self.t.push_manifest(&self.ada, "demo/hello", &reference, &manifest).await.expect("signed");
        digest
    }

    async fn set(&self, policy: NewPolicy) {
        self.t.registry.set_retention(&self.ada, &demo(), policy, None).await.expect("set");
    }

    async fn preview(&self) -> Plan {
        self.t.registry.preview_retention(&self.ada, &demo()).await.expect("a preview")
    }

    async fn items(&self, plan: &Plan, removes: Option<bool>) -> Vec<Item> {
        let filter = ItemFilter { removes, ..ItemFilter::default() };
        let (page, registry) = (PageRequest::first(1000), &self.t.registry);
        registry
            .retention_items(&self.ada, &demo(), plan.id, &filter, &page)
            .await
            .expect("items")
            .items
    }

    /// Applies a plan and works until it is done.
    async fn apply(&self, plan: &Plan) -> Run {
        let registry = &self.t.registry;
        let run = registry.apply_retention(&self.ada, &demo(), plan.id, true).await.expect("a run");
        assert!(run.status.is_open());
        registry.run_retention().await.expect("worked");
        registry.retention_run(&self.ada, &demo(), run.id).await.expect("the run")
    }

    async fn outcomes(&self, run: &Run) -> Vec<(String, Outcome)> {
        let (page, filter) = (PageRequest::first(1000), ItemFilter::default());
        let registry = &self.t.registry;
        let found = registry.retention_report(&self.ada, &demo(), run.id, &filter, &page).await;
        let named =
            |i: Item| (i.tag.unwrap_or_else(|| i.digest.to_string()), i.outcome.expect("settled"));
        found.expect("a report").items.into_iter().map(named).collect()
    }

    async fn skips(&self, run: &Run) -> Vec<(String, Skip)> {
        let all = self.outcomes(run).await;
        let skipped = |(name, outcome)| match outcome {
            Outcome::Skipped(skip) => Some((name, skip)),
            Outcome::Removed => None,
        };
        all.into_iter().filter_map(skipped).collect()
    }

    async fn tags(&self) -> BTreeSet<String> {
        let names = self.t.registry.tag_names(&self.ada, &name("demo/hello"), None, 1000).await;
        names.expect("tags").0.into_iter().collect()
    }

    async fn has(&self, digest: &Digest) -> bool {
        let reference = Reference::Digest(digest.clone());
        self.t.registry.image(&self.ada, &name("demo/hello"), &reference).await.is_ok()
    }

    async fn pull(&self, reference: &str) {
        let reference = reference.parse().expect("a reference");
        let served =
            self.t.registry.manifest(&self.ada, &name("demo/hello"), &reference, true).await;
        served.expect("pulled");
    }
}

fn strings(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_was_previewed_is_what_goes_and_every_removal_is_an_event() {
    let r = Rig::start().await;
    let (old, kept) = (r.push("old").await, r.push("keep-1").await);
    r.t.clock.advance(Duration::seconds(1));
    r.set(strict()).await;
    let plan = r.preview().await;
    assert_eq!((plan.removed_tags, plan.removed_images), (1, 1));
    assert_eq!((plan.kept_tags, plan.kept_images, plan.emptied), (1, 0, 0));
    // The layer and the config of the one; what the other shares stays.
    let shared: BTreeSet<Digest> = kept.blobs().map(|b| Digest::sha256(b)).collect();
    let own = old.blobs().filter(|b| !shared.contains(&Digest::sha256(b)));
    let own: usize = own.map(|b| b.len()).sum();
    assert_eq!(plan.freed_bytes, i64::try_from(own).expect("small"));
    let goes = r.items(&plan, Some(true)).await;
    assert_eq!(goes[0].tag.as_deref(), Some("old"));
    assert_eq!(goes[0].reason, Reason::Rule { rule: 2 });
    assert_eq!(goes[1].reason, Reason::LastTag { rule: 2 });
    let stays = r.items(&plan, Some(false)).await;
    assert_eq!(stays[0].reason, Reason::Rule { rule: 1 });
    assert_eq!(r.tags().await, strings(&["keep-1", "old"]), "a preview removes nothing");

    let run = r.apply(&plan).await;
    assert_eq!(run.status, Status::Done);
    assert_eq!((run.removed_tags, run.removed_images, run.skipped), (1, 1, 0));
    assert_eq!(run.freed_bytes, plan.freed_bytes);
    assert_eq!(r.tags().await, strings(&["keep-1"]));
    assert!(!r.has(&old.digest()).await && r.has(&kept.digest()).await);

    let log = events::list(&r.t.db, &events::Filter::default(), &PageRequest::first(20)).await;
    let log = log.expect("events").items;
    let lately: Vec<_> =
        log.iter().take(4).map(|e| (e.action.as_str(), e.actor_name.as_str())).collect();
    assert_eq!(
        lately,
        [
            ("retention.run", "retention"),
            ("image.delete", "retention"),
            ("tag.delete", "retention"),
            ("retention.apply", "ada"),
        ]
    );
    assert_eq!(log[2].target_name, "demo/hello:old");
    assert_eq!(log[0].detail["removedTags"], 1);
    // A plan is applied once, however often that is asked for.
    let again = r.t.registry.apply_retention(&r.ada, &demo(), plan.id, true).await.expect("a run");
    assert_eq!(again.id, run.id);
}

#[tokio::test]
async fn what_changed_after_the_preview_is_skipped_and_says_why() {
    let r = Rig::start().await;
    let tags = ["moved", "again", "pulled", "used", "gone", "signed", "plain"];
    let mut images = std::collections::HashMap::new();
    for tag in tags {
        images.insert(tag, r.push(tag).await);
    }
    r.push("keep-1").await;
    r.set(strict()).await;
    r.t.clock.advance(Duration::minutes(1));
    let plan = r.preview().await;
    assert_eq!(plan.removed_tags, 7);
    r.t.clock.advance(Duration::minutes(1));

    let new = tiny("new content");
    r.t.push(&r.ada, "demo/hello", "moved", &new).await;
    r.t.push_manifest(&r.ada, "demo/hello", "again", &images["again"].manifest)
        .await
        .expect("again");
    r.pull("pulled").await;
    r.pins.pin("demo/hello", &images["used"].digest());
    r.t.registry.delete_tag(&r.ada, &name("demo/hello"), &tag("gone")).await.expect("removed");
    let signature = r.sign(&images["signed"], "late").await;
    let late = r.push("late").await;

    let run = r.apply(&plan).await;
    assert_eq!(run.status, Status::Done);
    let skips = r.skips(&run).await;
    let of = |name: &str| {
        let found = skips.iter().find(|(n, _)| n == name);
        found.map(|(_, skip)| skip.clone())
    };
    assert_eq!(of("moved"), Some(Skip::Moved { digest: new.digest() }));
    assert_eq!(of("again"), Some(Skip::Pushed));
    assert_eq!(of("pulled"), Some(Skip::Pulled));
    assert!(matches!(of("used"), Some(Skip::InUse(_))));
    assert_eq!(of("gone"), Some(Skip::Gone));
    let image = |tag: &str| images[tag].digest().to_string();
    assert_eq!(of(&image("again")), Some(Skip::Pushed));
    assert_eq!(of(&image("pulled")), Some(Skip::Pulled));
    assert!(matches!(of(&image("used")), Some(Skip::InUse(_))));
    assert_eq!(of(&image("signed")), Some(Skip::Referrer { digest: signature.clone() }));
    assert_eq!((of("plain"), of(&image("plain"))), (None, None));
    assert_eq!(r.tags().await, strings(&["moved", "again", "pulled", "used", "late", "keep-1"]));
    for kept in [&images["signed"].digest(), &signature, &late.digest(), &new.digest()] {
        assert!(r.has(kept).await);
    }
    assert!(!r.has(&images["plain"].digest()).await);
    assert_eq!(run.removed_tags + run.removed_images + run.skipped, run.total);
}

#[tokio::test]
async fn an_index_takes_its_children_and_signatures_with_it_or_keeps_them() {
    let r = Rig::start().await;
    let (a, b) = (tiny("a"), tiny("b"));
    for child in [&a, &b] {
        let reference = child.digest().to_string();
        r.t.push(&r.ada, "demo/hello", &reference, child).await;
    }
    let index = r.push_index("v1", &[&a, &b]).await;
    let signature = r.sign(&a, "of a child").await;
    r.push("keep-1").await;
    r.t.clock.advance(Duration::days(3));
    r.set(strict()).await;
    // Somebody pulls the index: all of it stays.
    let plan = r.preview().await;
    assert_eq!((plan.removed_tags, plan.removed_images), (1, 4));
    r.t.clock.advance(Duration::seconds(1));
    r.pull("v1").await;
    let run = r.apply(&plan).await;
    assert_eq!((run.removed_tags, run.removed_images, run.skipped), (0, 0, 5));
    let skips = r.skips(&run).await;
    let index = Digest::sha256(&index);
    let child = skips.iter().find(|(n, _)| *n == a.digest().to_string()).expect("listed");
    assert_eq!(child.1, Skip::Index { digest: index.clone() });
    let signed = skips.iter().find(|(n, _)| *n == signature.to_string()).expect("listed");
    assert_eq!(signed.1, Skip::Subject { digest: a.digest() });
    // Nobody does: all of it goes, the index first.
    r.t.clock.advance(Duration::minutes(1));
    let plan = r.preview().await;
    let order: Vec<_> =
        r.items(&plan, Some(true)).await.into_iter().map(|i| (i.tag, i.digest)).collect();
    assert_eq!(order[0], (Some("v1".to_owned()), index.clone()));
    assert_eq!(order[1], (None, index));
    assert_eq!(order.last().expect("rows").1, signature);
    let run = r.apply(&plan).await;
    assert_eq!((run.removed_tags, run.removed_images, run.skipped), (1, 4, 0));
    assert!(!r.has(&a.digest()).await && !r.has(&signature).await);
}

#[tokio::test]
async fn pushes_during_a_run_lose_nothing() {
    let r = Rig::start().await;
    let images: Vec<_> = (0..24).map(|n| tiny(&format!("image {n}"))).collect();
    for (n, image) in images.iter().enumerate() {
        r.t.push(&r.ada, "demo/hello", &format!("t{n}"), image).await;
    }
    r.push("keep-1").await;
    r.set(strict()).await;
    r.t.clock.advance(Duration::minutes(1));
    let plan = r.preview().await;
    assert_eq!(plan.removed_tags, 24);
    r.t.clock.advance(Duration::minutes(1));
    let registry = &r.t.registry;
    let run = registry.apply_retention(&r.ada, &demo(), plan.id, true).await.expect("a run");
    // Half of the tags are pushed again while the run goes on, with the same or another image.
    let pushes = async {
        let mut acknowledged = Vec::new();
        for n in (0..24).rev().step_by(2) {
            let image = if n % 4 == 1 { &images[n] } else { &images[(n + 7) % 24] };
            for blob in image.blobs() {
                r.t.push_blob(&r.ada, "demo/hello", blob).await;
            }
            let tag = format!("t{n}");
            r.t.push_manifest(&r.ada, "demo/hello", &tag, &image.manifest).await.expect("pushed");
            acknowledged.push((tag, image.digest()));
        }
        acknowledged
    };
    let (worked, acknowledged) = tokio::join!(registry.run_retention(), pushes);
    worked.expect("worked");
    let run = registry.retention_run(&r.ada, &demo(), run.id).await.expect("the run");
    assert_eq!(run.status, Status::Done);
    assert_eq!(run.removed_tags + run.removed_images + run.skipped, run.total);
    for (tag, digest) in acknowledged {
        let reference = tag.parse().expect("a reference");
        let image = registry.image(&r.ada, &name("demo/hello"), &reference).await;
        assert_eq!(image.expect("what was acknowledged is there").digest, digest, "{tag}");
    }
}

#[tokio::test]
async fn images_in_use_are_never_planned_and_nothing_is_without_that_knowledge() {
    let r = Rig::start().await;
    let image = r.push("v1").await;
    r.pins.pin("demo/hello", &image.digest());
    r.set(NewPolicy { confirm: true, ..rules(json!([{ "kind": "removeTags" }])) }).await;
    let plan = r.preview().await;
    assert_eq!((plan.removed_tags, plan.kept_tags), (0, 1));
    assert!(matches!(&r.items(&plan, None).await[0].reason, Reason::InUse(used)
        if used.deployment.as_deref() == Some("demo/app")));
    let blind = r.t.restarted().await;
    let refused = blind.preview_retention(&r.ada, &demo()).await.expect_err("not known");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_tag_that_a_rule_locks_stays_also_when_it_is_locked_after_the_preview() {
    let r = Rig::start().await;
    for tag in ["v1", "w1", "x1", "keep-1"] {
        r.push(tag).await;
    }
    let lock = async |tag: &str| {
        // Everybody but retention could remove it.
        let rule = RuleInput {
            kind: RuleKind::Immutable,
            repository: "**".to_owned(),
            tag: tag.to_owned(),
            exempt: Some(Role::Developer),
        };
        r.t.registry.create_tag_rule(&r.ada, &demo(), rule).await.expect("a rule");
    };
    lock("v*").await;
    r.set(strict()).await;
    r.t.clock.advance(Duration::seconds(1));
    let plan = r.preview().await;
    assert_eq!((plan.removed_tags, plan.kept_tags), (2, 2));
    let stays = r.items(&plan, Some(false)).await;
    let locked = stays.iter().find(|i| i.tag.as_deref() == Some("v1")).expect("listed");
    assert!(matches!(locked.reason, Reason::Protected { .. }), "{:?}", locked.reason);
    lock("w*").await;
    let run = r.apply(&plan).await;
    assert_eq!((run.removed_tags, run.removed_images, run.skipped), (1, 1, 2));
    let skips = r.skips(&run).await;
    assert!(matches!(skips[0], (ref name, Skip::Protected { .. }) if name == "w1"), "{skips:?}");
    assert_eq!(r.tags().await, strings(&["v1", "w1", "keep-1"]));
}

#[tokio::test]
async fn a_deployment_of_another_project_is_not_named() {
    let r = Rig::start().await;
    let image = r.push("v1").await;
    r.t.project("other", Visibility::Private).await;
    r.pins.pin_from("demo/hello", &image.digest(), "other/secret");
    r.set(strict()).await;
    let plan = r.preview().await;
    let items = r.items(&plan, None).await;
    assert!(matches!(&items[0].reason, Reason::InUse(used) if used.deployment.is_none()));
}

#[tokio::test]
async fn a_preview_ends_with_its_time_with_other_rules_and_is_nobody_elses() {
    let r = Rig::start().await;
    r.push("old").await;
    r.push("keep-1").await;
    r.set(strict()).await;
    let registry = &r.t.registry;
    let plan = r.preview().await;
    r.t.clock.advance(Duration::minutes(15));
    let late = registry.apply_retention(&r.ada, &demo(), plan.id, true).await;
    assert_eq!(late.expect_err("too late").code(), "preview_expired");
    let plan = r.preview().await;
    let mut other = strict();
    other.rules.remove(2);
    r.set(other).await;
    let late = registry.apply_retention(&r.ada, &demo(), plan.id, true).await;
    assert_eq!(late.expect_err("other rules").code(), "preview_outdated");
    assert_eq!(r.tags().await, strings(&["keep-1", "old"]));

    r.t.project("other", Visibility::Private).await;
    r.t.member("other", &r.ada, Role::Maintainer).await;
    let plan = r.preview().await;
    let other: ProjectName = "other".parse().expect("a name");
    let foreign = registry.apply_retention(&r.ada, &other, plan.id, true).await;
    assert!(foreign.expect_err("of another project").is_not_found());
    let foreign = registry.retention_plan(&r.ada, &other, plan.id).await;
    assert!(foreign.expect_err("of another project").is_not_found());
}

#[tokio::test]
async fn rules_changed_during_a_run_stop_it() {
    let r = Rig::start().await;
    r.push("old").await;
    r.push("keep-1").await;
    r.set(strict()).await;
    let plan = r.preview().await;
    let registry = &r.t.registry;
    let run = registry.apply_retention(&r.ada, &demo(), plan.id, true).await.expect("a run");
    r.set(rules(json!([{ "kind": "keepTags" }]))).await;
    registry.run_retention().await.expect("worked");
    let run = registry.retention_run(&r.ada, &demo(), run.id).await.expect("the run");
    assert_eq!((run.status, run.skipped), (Status::Stopped, 2));
    assert_eq!(r.tags().await, strings(&["keep-1", "old"]));
}

#[tokio::test]
async fn a_plan_that_empties_a_repository_needs_a_confirmation() {
    let r = Rig::start().await;
    r.push("old").await;
    r.t.push(&r.ada, "demo/other", "keep-1", &tiny("x")).await;
    let registry = &r.t.registry;
    let nothing = rules(json!([{ "kind": "removeTags" }]));
    let refused = registry.set_retention(&r.ada, &demo(), nothing, None).await;
    assert_eq!(refused.expect_err("keeps nothing").code(), "retention_keeps_nothing");
    r.set(strict()).await;
    let plan = r.preview().await;
    assert_eq!(plan.emptied, 1);
    let refused = registry.apply_retention(&r.ada, &demo(), plan.id, false).await;
    assert_eq!(refused.expect_err("not confirmed").code(), "confirmation_needed");
    let run = r.apply(&plan).await;
    assert_eq!(run.removed_tags, 1);
}

#[tokio::test]
async fn a_schedule_applies_by_itself_once_and_refuses_what_nobody_allowed() {
    let r = Rig::start().await;
    r.push("old").await;
    r.push("keep-1").await;
    let schedule = Schedule::new(Every::Day, 3, 0).expect("fits");
    r.set(NewPolicy { schedule, ..strict() }).await;
    let registry = &r.t.registry;
    let page = PageRequest::default();
    registry.run_retention().await.expect("worked");
    let before = registry.retention_runs(&r.ada, &demo(), &page).await.expect("runs").items;
    assert!(before.is_empty(), "its time has not come");
    r.t.clock.advance(Duration::days(1));
    let both = tokio::join!(registry.run_retention(), registry.run_retention());
    both.0.and(both.1).expect("worked");
    registry.run_retention().await.expect("worked");
    let runs = registry.retention_runs(&r.ada, &demo(), &page).await.expect("runs").items;
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].status, runs[0].removed_tags), (Status::Done, 1));
    assert_eq!(runs[0].trigger.as_str(), "schedule");
    assert_eq!(r.tags().await, strings(&["keep-1"]));
    // The next day only what must not go is left.
    registry.delete_tag(&r.ada, &name("demo/hello"), &tag("keep-1")).await.expect("removed");
    r.push("only").await;
    r.t.clock.advance(Duration::days(1));
    registry.run_retention().await.expect("worked");
    let runs = registry.retention_runs(&r.ada, &demo(), &page).await.expect("runs").items;
    assert_eq!((runs.len(), runs[0].status), (2, Status::Refused));
    assert_eq!(r.tags().await, strings(&["only"]));
}

#[tokio::test]
async fn a_killed_run_goes_on_where_it_was() {
    let r = Rig::start().await;
    for tag in ["a", "b", "c", "keep-1"] {
        r.push(tag).await;
    }
    r.set(strict()).await;
    let plan = r.preview().await;
    let registry = &r.t.registry;
    let run = registry.apply_retention(&r.ada, &demo(), plan.id, true).await.expect("a run");
    // Killed at any moment: the work is dropped after so many polls.
    for polls in [5, 40, 80] {
        let mut work = Box::pin(registry.run_retention());
        for _ in 0..polls {
            if futures_util::poll!(&mut work).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(work);
    }
    let after = r.t.restarted().await;
    let known = Known { pins: r.pins.clone(), db: r.t.db.clone() };
    after.plug_in_use(std::sync::Arc::new(known));
    let mut ended = None;
    for _ in 0..200 {
        after.run_retention().await.expect("worked");
        let run = after.retention_run(&r.ada, &demo(), run.id).await.expect("the run");
        if !run.status.is_open() {
            ended = Some(run);
            break;
        }
        // The connection of the one that was dropped still holds its lock for a moment.
        tokio::task::yield_now().await;
    }
    let run = ended.expect("the run ends");
    assert_eq!((run.removed_tags, run.removed_images, run.skipped), (3, 3, 0));
    assert_eq!(r.tags().await, strings(&["keep-1"]));
}

#[tokio::test]
async fn pulls_keep_what_they_pulled_also_those_not_written_yet() {
    let r = Rig::start().await;
    r.push("pulled").await;
    r.push("idle").await;
    r.t.clock.advance(Duration::days(20));
    r.pull("pulled").await;
    r.t.clock.advance(Duration::days(20));
    r.set(rules(json!([{ "kind": "keepPulled", "days": 30 }, { "kind": "removeTags" }]))).await;
    let plan = r.preview().await;
    let gone: Vec<_> = r.items(&plan, Some(true)).await.into_iter().filter_map(|i| i.tag).collect();
    assert_eq!(gone, ["idle"]);
}

#[tokio::test]
async fn who_may_not_sees_and_changes_nothing() {
    let r = Rig::start().await;
    r.set(strict()).await;
    let plan = r.preview().await;
    let registry = &r.t.registry;
    let dev = r.t.user("dev").await;
    r.t.member("demo", &dev, Role::Developer).await;
    assert!(registry.retention(&dev, &demo()).await.is_ok());
    assert!(registry.retention_plan(&dev, &demo(), plan.id).await.is_ok());
    let denied = registry.set_retention(&dev, &demo(), strict(), None).await;
    assert_eq!(denied.expect_err("may not").kind(), ErrorKind::Denied);
    let denied = registry.preview_retention(&dev, &demo()).await;
    assert_eq!(denied.expect_err("may not").kind(), ErrorKind::Denied);
    let denied = registry.apply_retention(&dev, &demo(), plan.id, true).await;
    assert_eq!(denied.expect_err("may not").kind(), ErrorKind::Denied);
    let guest = r.t.user("guest").await;
    r.t.member("demo", &guest, Role::Guest).await;
    assert_eq!(
        registry.retention(&guest, &demo()).await.expect_err("no").kind(),
        ErrorKind::Denied
    );
    let eve = r.t.user("eve").await;
    assert!(registry.retention(&eve, &demo()).await.expect_err("hidden").is_not_found());
    assert!(
        registry
            .apply_retention(&eve, &demo(), plan.id, true)
            .await
            .expect_err("hidden")
            .is_not_found()
    );
}

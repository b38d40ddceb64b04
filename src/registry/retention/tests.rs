//! Properties and cases of the evaluation.

use proptest::prelude::*;

use super::*;
use crate::registry::retention::UseRole;
use crate::registry::retention::rule::{RuleText, check_rules, keeps_nothing, recommended};

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::days(20_000)
}

fn ago(days: i64) -> Timestamp {
    now() - Duration::days(days)
}

fn digest(n: usize) -> Digest {
    Digest::sha256(n.to_string().as_bytes())
}

fn rules(texts: &[(&str, &str, &str, u32)]) -> Vec<Rule> {
    let texts: Vec<RuleText> = texts
        .iter()
        .map(|(kind, repositories, tags, n)| RuleText {
            kind: (*kind).to_owned(),
            repositories: Some((*repositories).to_owned()),
            tags: (*kind != "removeUntagged").then(|| (*tags).to_owned()),
            count: (*kind == "keepLatest").then_some(*n),
            days: matches!(*kind, "keepPulled" | "keepPushed" | "removeUntagged").then_some(*n),
        })
        .collect();
    check_rules(&texts).expect("rules that fit")
}

fn everything() -> Vec<Rule> {
    rules(&[("removeTags", "**", "*", 0), ("removeUntagged", "**", "*", 1)])
}

/// Manifest `n`, pushed `n` days ago.
fn manifest(n: usize) -> ManifestFact {
    ManifestFact {
        digest: digest(n),
        pushed_at: ago(i64::try_from(n).expect("small")),
        pulled_at: None,
        subject: None,
        children: Vec::new(),
    }
}

fn tag(name: &str, manifest: usize) -> TagFact {
    let pushed_at = ago(i64::try_from(manifest).expect("small"));
    TagFact { name: name.to_owned(), manifest, pushed_at }
}

fn some_use() -> Use {
    Use { deployment: Some("demo/hello".to_owned()), revision: 3, role: UseRole::Earlier }
}

fn repository(manifests: Vec<ManifestFact>, tags: Vec<TagFact>) -> Facts {
    Facts { path: "team/api".to_owned(), manifests, tags, ..Facts::default() }
}

fn gone(decided: &Decided, facts: &Facts) -> Vec<String> {
    let tags = facts.tags.iter().zip(&decided.tags);
    tags.filter(|(_, v)| v.removes).map(|(t, _)| t.name.clone()).collect()
}

#[test]
fn the_most_recently_pushed_tags_stay_and_say_by_which_rule() {
    let facts = repository(
        (0..5).map(manifest).collect(),
        vec![tag("v0", 0), tag("v1", 1), tag("v2", 2), tag("v3", 3), tag("main", 4)],
    );
    let rules = rules(&[("keepLatest", "team/*", "v*", 2), ("removeTags", "team/*", "v*", 0)]);
    let decided = evaluate(&rules, &facts, now());
    assert_eq!(gone(&decided, &facts), ["v2", "v3"]);
    assert_eq!(decided.tags[0].reason, Reason::Rule { rule: 1 });
    assert_eq!(decided.tags[2].reason, Reason::Rule { rule: 2 });
    assert_eq!(decided.tags[4], keep(Reason::NoRule), "no removing rule speaks of it");
    assert_eq!(decided.manifests[2], remove(Reason::LastTag { rule: 2 }));
    assert_eq!(decided.order, [2, 3]);
    assert!(!decided.empties);
}

#[test]
fn rules_of_other_repositories_neither_keep_nor_remove() {
    let facts = repository(vec![manifest(1)], vec![tag("v1", 0)]);
    let other = rules(&[("keepTags", "other/*", "*", 0), ("removeTags", "team/**", "*", 0)]);
    let decided = evaluate(&other, &facts, now());
    assert!(decided.tags[0].removes && decided.empties);
    let other = rules(&[("removeTags", "other/**", "*", 0)]);
    assert!(!evaluate(&other, &facts, now()).tags[0].removes);
    assert!(!is_covered(&other, "team/api"));
}

#[test]
fn what_was_pulled_or_pushed_lately_stays() {
    let mut pulled = manifest(90);
    pulled.pulled_at = Some(ago(3));
    let facts = repository(
        vec![manifest(90), pulled, manifest(2)],
        vec![tag("old", 0), tag("pulled", 1), tag("new", 2)],
    );
    let facts = Facts { tags: facts.tags, ..facts };
    let rules = rules(&[
        ("keepPulled", "**", "*", 30),
        ("keepPushed", "**", "*", 1),
        ("removeTags", "**", "*", 0),
    ]);
    let mut facts = facts;
    facts.tags[0].pushed_at = ago(90);
    facts.tags[1].pushed_at = ago(90);
    facts.tags[2].pushed_at = now() - Duration::hours(2);
    let decided = evaluate(&rules, &facts, now());
    assert_eq!(gone(&decided, &facts), ["old"]);
}

#[test]
fn an_image_in_use_stays_with_all_its_tags_and_says_so() {
    let mut facts = repository(
        vec![manifest(5), manifest(6)],
        vec![tag("a", 0), tag("b", 0), tag("c", 1), tag("named", 1)],
    );
    facts.used.insert(digest(5), some_use());
    facts.named.insert("named".to_owned(), some_use());
    let decided = evaluate(&everything(), &facts, now());
    assert_eq!(gone(&decided, &facts), ["c"]);
    assert_eq!(decided.tags[0].reason, Reason::InUse(some_use()));
    assert_eq!(decided.tags[3].reason, Reason::InUse(some_use()));
    // Untagged, and in use all the same.
    let mut facts = repository(vec![manifest(50)], Vec::new());
    facts.used.insert(digest(50), some_use());
    assert!(!evaluate(&everything(), &facts, now()).manifests[0].removes);
}

#[test]
fn an_index_keeps_its_children_and_a_subject_its_referrers() {
    // 0 index of 1 and 2; 3 signs 0; 4 signs 1; 5 signs 3.
    let mut manifests: Vec<_> = (40..46).map(manifest).collect();
    manifests[0].children = vec![digest(41), digest(42)];
    manifests[3].subject = Some(digest(40));
    manifests[4].subject = Some(digest(41));
    manifests[5].subject = Some(digest(43));
    let facts = repository(manifests, vec![tag("v1", 0)]);
    let kept = rules(&[("keepTags", "**", "v*", 0), ("removeUntagged", "**", "*", 1)]);
    let decided = evaluate(&kept, &facts, now());
    assert!(decided.manifests.iter().all(|v| !v.removes), "{:?}", decided.manifests);
    assert_eq!(decided.manifests[1].reason, Reason::Index { digest: digest(40) });
    assert_eq!(decided.manifests[3].reason, Reason::Subject { digest: digest(40) });
    let decided = evaluate(&everything(), &facts, now());
    assert!(decided.manifests.iter().all(|v| v.removes), "{:?}", decided.manifests);
    let place = |m| decided.order.iter().position(|o| *o == m).expect("goes");
    assert!(place(0) < place(1) && place(0) < place(3) && place(1) < place(4));
    assert!(place(3) < place(5));
}

#[test]
fn a_child_of_two_indexes_goes_only_with_both() {
    let mut manifests: Vec<_> = (40..43).map(manifest).collect();
    manifests[0].children = vec![digest(42)];
    manifests[1].children = vec![digest(42)];
    let facts = repository(manifests, vec![tag("v1", 0), tag("w1", 1)]);
    let some = rules(&[("keepTags", "**", "w*", 0), ("removeTags", "**", "*", 0)]);
    let decided = evaluate(&some, &facts, now());
    assert!(decided.manifests[0].removes);
    assert_eq!(decided.manifests[2].reason, Reason::Index { digest: digest(41) });
    assert!(evaluate(&everything(), &facts, now()).manifests[2].removes);
}

#[test]
fn signature_tags_go_and_stay_with_what_they_sign_and_are_not_counted() {
    let subject = digest(7);
    let signature = format!("sha256-{}.sig", subject.hex());
    let facts = repository(
        vec![manifest(7), manifest(1), manifest(8)],
        vec![tag("v1", 0), tag(&signature, 1), tag("v0", 2)],
    );
    let latest = rules(&[("keepLatest", "**", "*", 1), ("removeTags", "**", "*", 0)]);
    let decided = evaluate(&latest, &facts, now());
    assert_eq!(gone(&decided, &facts), ["v0"]);
    assert_eq!(decided.tags[1].reason, Reason::Subject { digest: subject.clone() });
    let decided = evaluate(&everything(), &facts, now());
    assert!(decided.tags[1].removes && decided.manifests[1].removes && decided.empties);
    assert_eq!(attached_to(&format!("sha256-{}", subject.hex())), Some(subject));
    for plain in ["sha256-abc", "v1.sig", "sha256", &format!("{signature}.x")] {
        assert_eq!(attached_to(plain), None, "{plain}");
    }
}

#[test]
fn signatures_that_sign_each_other_stay() {
    let name = |n: usize| format!("sha256-{}", digest(n).hex());
    let facts =
        repository(vec![manifest(50), manifest(51)], vec![tag(&name(51), 0), tag(&name(50), 1)]);
    let decided = evaluate(&everything(), &facts, now());
    assert!(decided.tags.iter().chain(&decided.manifests).all(|v| !v.removes));
}

#[test]
fn untagged_images_go_by_their_age_only() {
    let facts = repository(vec![manifest(3), manifest(30)], Vec::new());
    let by_age = rules(&[("removeUntagged", "**", "*", 7)]);
    let decided = evaluate(&by_age, &facts, now());
    assert_eq!(decided.manifests[0], keep(Reason::NoRule));
    assert_eq!(decided.manifests[1], remove(Reason::Rule { rule: 1 }));
    let tags = rules(&[("removeTags", "**", "*", 0)]);
    assert!(evaluate(&tags, &facts, now()).manifests.iter().all(|v| !v.removes));
}

#[test]
fn every_fault_of_a_rule_is_named_with_its_place() {
    let text = |json: &str| serde_json::from_str::<RuleText>(json).expect("a rule");
    let faults = check_rules(&[
        text(r#"{"kind":"keepLatest"}"#),
        text(r#"{"kind":"keepPulled","days":0,"count":3}"#),
        text(r#"{"kind":"nonsense"}"#),
        text(r#"{"kind":"removeUntagged","days":4,"tags":"v*"}"#),
        text(r#"{"kind":"keepTags","tags":"(a+)+$","repositories":"a b"}"#),
    ]);
    let error = faults.expect_err("faults");
    let fields: Vec<_> = error.fields().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "rules[0].count",
            "rules[1].count",
            "rules[1].days",
            "rules[2].kind",
            "rules[3].tags",
            "rules[4].repositories",
            "rules[4].tags",
        ]
    );
    assert!(check_rules(&vec![text(r#"{"kind":"keepTags"}"#); 21]).is_err());
}

#[test]
fn rules_that_keep_nothing_are_recognised() {
    assert!(keeps_nothing(&everything()));
    assert!(!keeps_nothing(&recommended()));
    assert!(!keeps_nothing(&rules(&[("removeTags", "**", "pr-*", 0)])));
    assert!(!keeps_nothing(&rules(&[("removeUntagged", "**", "*", 3)])));
    let elsewhere = [("keepLatest", "other/*", "*", 3), ("removeTags", "team/*", "*", 0)];
    assert!(keeps_nothing(&rules(&elsewhere)));
}

fn any_rule() -> impl Strategy<Value = (&'static str, &'static str, &'static str, u32)> {
    let kinds = prop::sample::select(vec![
        "keepLatest",
        "keepPulled",
        "keepPushed",
        "keepTags",
        "removeTags",
        "removeUntagged",
    ]);
    let repositories = prop::sample::select(vec!["**", "team/*", "other/*"]);
    let tags = prop::sample::select(vec!["*", "v*", "w*", "sha256-*"]);
    (kinds, repositories, tags, 1u32..40)
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let manifest = (
        0i64..60,
        prop::option::of(0i64..60),
        prop::option::of(0usize..8),
        prop::collection::vec(0usize..8, 0..3),
    );
    let manifests = prop::collection::vec(manifest, 1..8);
    let tags = prop::collection::vec((0usize..6, 0usize..8, 0i64..60), 0..10);
    let used = prop::collection::vec(0usize..8, 0..2);
    (manifests, tags, used).prop_map(|(manifests, tags, used)| {
        let count = manifests.len();
        let manifests: Vec<ManifestFact> = manifests
            .into_iter()
            .enumerate()
            .map(|(n, (pushed, pulled, subject, children))| ManifestFact {
                digest: digest(n),
                pushed_at: ago(pushed),
                pulled_at: pulled.map(ago),
                // Digests leave no room for circles: what is named was there before.
                subject: subject.filter(|s| *s < n).map(digest),
                children: children.into_iter().filter(|c| *c < n).map(digest).collect(),
            })
            .collect();
        let tags = tags
            .into_iter()
            .enumerate()
            .map(|(i, (kind, m, pushed))| TagFact {
                name: match kind {
                    0 => format!("sha256-{}.sig", digest(i % count).hex()),
                    1 => format!("w{i}"),
                    _ => format!("v{i}"),
                },
                manifest: m % count,
                pushed_at: ago(pushed),
            })
            .collect();
        let used = used.into_iter().map(|n| (digest(n), some_use())).collect();
        Facts { used, ..repository(manifests, tags) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn another_keep_rule_never_removes_more(
        facts in any_facts(),
        texts in prop::collection::vec(any_rule(), 0..6),
        more in any_rule().prop_filter("a keep rule", |(kind, ..)| kind.starts_with("keep")),
    ) {
        let before = evaluate(&rules(&texts), &facts, now());
        let mut texts = texts;
        texts.push(more);
        let after = evaluate(&rules(&texts), &facts, now());
        for (before, after) in before.tags.iter().zip(&after.tags) {
            prop_assert!(before.removes || !after.removes);
        }
        for (before, after) in before.manifests.iter().zip(&after.manifests) {
            prop_assert!(before.removes || !after.removes);
        }
    }

    #[test]
    fn what_one_keep_rule_keeps_alone_is_kept_among_others(
        facts in any_facts(),
        texts in prop::collection::vec(any_rule(), 1..6),
    ) {
        let all = rules(&texts);
        let together = evaluate(&all, &facts, now());
        for rule in all.iter().filter(|rule| !rule.kind.removes()) {
            let mut alone = everything();
            alone.push(rule.clone());
            let kept = evaluate(&alone, &facts, now());
            for (t, verdict) in kept.tags.iter().enumerate() {
                if !verdict.removes {
                    prop_assert!(!together.tags[t].removes, "{}", facts.tags[t].name);
                }
            }
        }
    }

    #[test]
    fn nothing_is_removed_that_something_kept_needs(
        facts in any_facts(),
        texts in prop::collection::vec(any_rule(), 0..6),
    ) {
        let rules = rules(&texts);
        let decided = evaluate(&rules, &facts, now());
        let removed = |wanted: &Digest| {
            let at = facts.manifests.iter().position(|m| m.digest == *wanted);
            at.is_some_and(|m| decided.manifests[m].removes)
        };
        for (m, manifest) in facts.manifests.iter().enumerate() {
            let verdict = &decided.manifests[m];
            prop_assert!(!(verdict.removes && facts.used.contains_key(&manifest.digest)));
            if !verdict.removes {
                prop_assert!(!manifest.children.iter().any(removed), "a child of a kept index");
            }
            if verdict.removes {
                prop_assert!(decided.order.contains(&m));
            } else if let Some(subject) = &manifest.subject {
                // A referrer stays without its subject only for its own sake.
                let own = facts.tags.iter().zip(&decided.tags).any(|(t, v)| t.manifest == m && !v.removes);
                let held = facts.manifests.iter().enumerate().any(|(i, o)| {
                    !decided.manifests[i].removes && o.children.contains(&manifest.digest)
                });
                let used = facts.used.contains_key(&manifest.digest);
                prop_assert!(own || held || used || !removed(subject));
            }
        }
        for (tag, verdict) in facts.tags.iter().zip(&decided.tags) {
            if !verdict.removes {
                prop_assert!(!decided.manifests[tag.manifest].removes, "a kept tag dangles");
            }
            prop_assert!(!(verdict.removes && facts.used.contains_key(&digest(tag.manifest))));
        }
        if rules.iter().all(|rule| !rule.kind.removes()) {
            prop_assert!(decided.tags.iter().chain(&decided.manifests).all(|v| !v.removes));
        }
    }
}

//! Retention through the API: rules with their ETag, previews, runs, and a deployment that keeps
//! what it may go back to.

use axum::http::Method;
use portolan::accounts::rbac::Role;
use portolan::base::actor::PlatformRole;
use serde_json::{Value, json};

use super::rig::{Person, Rig};
use crate::support::images::tiny;

const BASE: &str = "/api/v1/projects/demo/retention";

async fn maintained() -> (Rig, Person) {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    rig.registry.member("demo", &ada.actor, Role::Maintainer).await;
    (rig, ada)
}

fn strict() -> Value {
    json!({ "rules": [
        { "kind": "keepTags", "tags": "keep-*" },
        { "kind": "removeTags", "repositories": "*", "tags": "*" },
    ]})
}

#[tokio::test]
async fn rules_are_read_as_sentences_and_replaced_by_their_etag() {
    let (rig, ada) = maintained().await;
    let none = rig.get(&ada, BASE).await.expect(200);
    assert_eq!((none.header("etag"), &none.json()["rules"]), ("\"0\"", &json!([])));
    let set = rig
        .call(Some(&ada), Method::PUT, BASE, strict().to_string(), &[("if-match", "\"0\"")])
        .await
        .expect(200);
    assert_eq!(set.header("etag"), "\"1\"");
    assert_eq!(
        set.json()["rules"][1]["sentence"],
        "In repositories matching *, remove tags that no rule keeps"
    );
    let stale = [("if-match", "\"0\"")];
    let again = rig.call(Some(&ada), Method::PUT, BASE, strict().to_string(), &stale).await;
    assert_eq!(again.expect(412).json()["code"], "stale");
    // The same again is no change.
    assert_eq!(rig.put(&ada, BASE, strict()).await.expect(200).header("etag"), "\"1\"");
}

#[tokio::test]
async fn what_is_wrong_with_rules_is_named() {
    let (rig, ada) = maintained().await;
    let refused = rig
        .put(&ada, BASE, json!({ "rules": [{ "kind": "keepLatest", "tags": "[v]" }] }))
        .await
        .expect(422);
    assert_eq!(refused.fields(), ["rules[0].count", "rules[0].tags"]);
    let wrong = [
        (json!({ "rules": [{ "kind": "keepTags", "regex": ".*" }] }), "rules[0].regex"),
        (json!({ "rules": [], "schedule": { "every": "hourly" } }), "schedule.every"),
        (json!({ "rules": [], "schedule": { "every": "daily", "hour": 24 } }), "schedule.hour"),
        (json!({ "rules": [], "days": 3 }), "days"),
        (json!({ "rules": vec![json!({ "kind": "keepTags" }); 21] }), "rules"),
        (json!({}), "rules"),
    ];
    for (body, field) in wrong {
        assert_eq!(rig.put(&ada, BASE, body).await.expect(422).fields(), [field]);
    }
    let pattern = "a".repeat(1 << 17);
    let long = json!({ "rules": [{ "kind": "keepTags", "tags": pattern }] });
    assert_eq!(rig.put(&ada, BASE, long).await.expect(422).fields(), ["rules[0].tags"]);
    let nothing = json!({ "rules": [{ "kind": "removeTags" }] });
    let refused = rig.put(&ada, BASE, nothing.clone()).await.expect(409);
    assert_eq!(refused.json()["code"], "retention_keeps_nothing");
    let mut meant = nothing;
    meant["confirm"] = json!(true);
    rig.put(&ada, BASE, meant).await.expect(200);
    for path in ["previews/x", "previews/00000000-0000-7000-8000-000000000000", "runs/x"] {
        rig.get(&ada, &format!("{BASE}/{path}")).await.expect(404);
    }
    let preview = json!({ "preview": "00000000-0000-7000-8000-000000000000" });
    rig.post(&ada, &format!("{BASE}/runs"), preview).await.expect(404);
    rig.post(&ada, &format!("{BASE}/runs"), json!({ "preview": "x" })).await.expect(422);
}

#[tokio::test]
async fn a_preview_is_applied_as_shown_and_keeps_what_a_deployment_goes_back_to() {
    let (rig, ada) = maintained().await;
    for tag in ["2", "3", "keep-1"] {
        rig.registry.push(&ada.actor, "demo/hello", tag, &tiny(tag)).await;
    }
    // Revision 1 pins tag 1, revision 2 tag 2; tag 3 runs nowhere.
    for tag in ["1", "2"] {
        let image = format!("demo/hello:{tag}");
        let spec = json!({ "template": { "containers": [{ "name": "a", "image": image }] } });
        let path = "/api/v1/environments/demo/deployments/hello";
        assert!(rig.put(&ada, path, spec).await.status.is_success());
    }
    rig.put(&ada, BASE, strict()).await.expect(200);
    let preview = rig.post(&ada, &format!("{BASE}/previews"), json!({})).await.expect(201);
    let plan = preview.json();
    assert_eq!(
        preview.header("location"),
        format!("{BASE}/previews/{}", plan["id"].as_str().expect("an id"))
    );
    assert_eq!((&plan["status"], &plan["removedTags"]), (&json!("ready"), &json!(1)));
    assert_eq!(plan["keptTags"], 3);
    let items = format!("{}/items", preview.header("location"));
    let goes = rig.get(&ada, &format!("{items}?verdict=remove")).await.expect(200).json();
    assert_eq!(goes["items"][0]["tag"], "3");
    assert_eq!(goes["items"][0]["reason"]["message"], "removed by rule 2");
    assert_eq!(goes["items"][1]["reason"]["code"], "last_tag");
    let stays = rig.get(&ada, &format!("{items}?verdict=keep&q=hello:1")).await.expect(200).json();
    assert_eq!(
        stays["items"][0]["reason"],
        json!({
            "code": "in_use",
            "message": "in use by demo/hello, revision 1, which can be rolled back to",
            "deployment": "demo/hello",
            "revision": 1,
        })
    );
    rig.get(&ada, &format!("{items}?verdict=maybe")).await.expect(422);
    let first = rig.get(&ada, &format!("{items}?limit=2")).await.expect(200).json();
    let next = first["next"].as_str().expect("more");
    let rest = rig.get(&ada, &format!("{items}?after={next}")).await.expect(200).json();
    assert_eq!(rest["items"].as_array().expect("rows").len(), 3);

    let wanted = json!({ "preview": plan["id"] });
    let run = rig.post(&ada, &format!("{BASE}/runs"), wanted.clone()).await.expect(202);
    let place = run.header("location").to_owned();
    assert_eq!(run.json()["status"], "running");
    rig.services.registry.run_retention().await.expect("worked");
    let done = rig.get(&ada, &place).await.expect(200).json();
    assert_eq!(
        (&done["status"], &done["removedTags"], &done["skipped"]),
        (&json!("done"), &json!(1), &json!(0))
    );
    let report = rig.get(&ada, &format!("{place}/items?outcome=removed")).await.expect(200).json();
    assert_eq!(report["items"].as_array().expect("rows").len(), 2);
    let again = rig.post(&ada, &format!("{BASE}/runs"), wanted).await.expect(202).json();
    assert_eq!(again["id"], done["id"]);
    let runs = rig.get(&ada, &format!("{BASE}/runs")).await.expect(200).json();
    assert_eq!(runs["items"].as_array().expect("rows").len(), 1);
    let back = "/api/v1/environments/demo/deployments/hello/rollback";
    rig.post(&ada, back, json!({ "to": 1 })).await.expect(200);
}

#[tokio::test]
async fn roles_and_other_tenants_get_what_the_matrix_gives_them() {
    let (rig, ada) = maintained().await;
    rig.put(&ada, BASE, strict()).await.expect(200);
    let plan = rig.post(&ada, &format!("{BASE}/previews"), json!({})).await.expect(201).json();
    let preview = format!("{BASE}/previews/{}", plan["id"].as_str().expect("an id"));
    let dev = rig.person("dev", PlatformRole::User).await;
    rig.registry.member("demo", &dev.actor, Role::Developer).await;
    let guest = rig.person("guest", PlatformRole::User).await;
    rig.registry.member("demo", &guest.actor, Role::Guest).await;
    let eve = rig.person("eve", PlatformRole::User).await;
    let auditor = rig.person("auditor", PlatformRole::Auditor).await;
    for (who, reads, changes) in
        [(&dev, 200, 403), (&guest, 403, 403), (&eve, 404, 404), (&auditor, 200, 403)]
    {
        for path in [BASE, &preview, &format!("{preview}/items"), &format!("{BASE}/runs")] {
            rig.get(who, path).await.expect(reads);
        }
        rig.put(who, BASE, strict()).await.expect(changes);
        rig.post(who, &format!("{BASE}/previews"), json!({})).await.expect(changes);
        let wanted = json!({ "preview": plan["id"], "confirm": true });
        rig.post(who, &format!("{BASE}/runs"), wanted).await.expect(changes);
    }
    rig.call(None, Method::GET, BASE, "", &[]).await.expect(401);
}

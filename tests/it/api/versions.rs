//! Restore, rules, labels and comparison through the API.

use axum::http::Method;
use portolan::accounts::rbac::Role;
use portolan::base::actor::PlatformRole;
use serde_json::{Value, json};

use super::rig::{Person, Rig};
use crate::support::images::tiny;

const HELLO: &str = "/api/v1/repositories/demo/hello";

async fn maintainer(rig: &Rig) -> Person {
    let mia = rig.person("mia", PlatformRole::User).await;
    rig.registry.member("demo", &mia.actor, Role::Maintainer).await;
    mia
}

#[tokio::test]
async fn a_tag_and_an_image_come_back() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let mia = maintainer(&rig).await;
    let (one, two) = (tiny("1").digest().to_string(), tiny("2"));
    rig.registry.push(&ada.actor, "demo/hello", "1", &two).await;
    let two = two.digest().to_string();
    let history = rig.get(&ada, &format!("{HELLO}/-/tags/1/history?limit=1")).await.expect(200);
    let history = history.json();
    assert_eq!(
        (&history["items"][0]["from"], &history["items"][0]["to"]),
        (&json!(one), &json!(two))
    );
    let next = history["next"].as_str().expect("a second page");
    let path = format!("{HELLO}/-/tags/1/history?limit=1&after={next}");
    assert_eq!(rig.get(&ada, &path).await.expect(200).json()["items"][0]["from"], Value::Null);

    let restore = format!("{HELLO}/-/tags/1/restore");
    let moved = rig.post(&ada, &restore, json!({"digest": one})).await.expect(200).json();
    assert_eq!(moved, json!({"tag": "1", "digest": one, "moved": true}));
    let absent = json!({"digest": format!("sha256:{}", "0".repeat(64))});
    assert_eq!(rig.post(&ada, &restore, absent).await.expect(422).fields(), ["digest"]);
    assert_eq!(
        rig.post(&ada, &restore, json!({"digest": "1"})).await.expect(422).fields(),
        ["digest"]
    );
    rig.post(&ada, &restore, json!({"digest": one, "force": true})).await.expect(422);

    rig.delete(&mia, &format!("{HELLO}/-/manifests/{one}")).await.expect(204);
    rig.get(&ada, &format!("{HELLO}/-/manifests/{one}")).await.expect(404);
    let list = rig.get(&ada, &format!("{HELLO}/-/deleted")).await.expect(200).json();
    assert_eq!(list["items"][0]["digest"], json!(one));
    assert_eq!(list["items"][0]["deletedBy"], "mia");
    assert_eq!(list["items"][0]["tags"], json!(["1"]));
    let place = format!("{HELLO}/-/deleted/{one}");
    assert_eq!(rig.get(&ada, &place).await.expect(200).json()["missingBlob"], Value::Null);
    let back = rig.call(Some(&ada), Method::POST, &format!("{place}/restore"), "", &[]).await;
    assert_eq!(back.expect(200).json(), json!({"images": [one], "tags": ["1"], "keptTags": []}));
    rig.get(&ada, &place).await.expect(404);

    rig.delete(&mia, &format!("{HELLO}/-/tags/1")).await.expect(204);
    let removed = rig.get(&ada, &format!("{HELLO}/-/deleted-tags")).await.expect(200).json();
    assert_eq!(removed["items"][0]["tag"], "1");
    rig.delete(&mia, &format!("{HELLO}/-/manifests/{two}")).await.expect(204);
    rig.delete(&ada, &format!("{HELLO}/-/deleted/{two}")).await.expect(403);
    rig.delete(&mia, &format!("{HELLO}/-/deleted/{two}")).await.expect(204);
    let gone = format!("{HELLO}/-/deleted/{two}/restore");
    rig.call(Some(&ada), Method::POST, &gone, "", &[]).await.expect(404);
}

#[tokio::test]
async fn rules_are_made_changed_and_removed_by_maintainers() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let mia = maintainer(&rig).await;
    let rules = "/api/v1/projects/demo/tag-rules";
    let rule = json!({"kind": "immutable", "tag": "v*"});
    rig.post(&ada, rules, rule.clone()).await.expect(403);
    let made = rig.post(&mia, rules, rule.clone()).await.expect(201);
    let place = made.header("location").to_owned();
    let made = made.json();
    assert_eq!((&made["name"], &made["exempt"]), (&json!("immutable v* in **"), &Value::Null));
    assert_eq!(rig.post(&mia, rules, rule).await.expect(409).json()["code"], "rule_exists");
    for (body, field) in [
        (json!({"kind": "frozen", "tag": "v*"}), "kind"),
        (json!({"kind": "immutable"}), "tag"),
        (json!({"kind": "immutable", "tag": ""}), "tag"),
        (json!({"kind": "immutable", "tag": "{a"}), "tag"),
        (json!({"kind": "immutable", "tag": "a/b"}), "tag"),
        (json!({"kind": "immutable", "tag": "a", "repository": "x y"}), "repository"),
        (json!({"kind": "protected", "tag": "a"}), "exempt"),
        (json!({"kind": "protected", "tag": "a", "exempt": "king"}), "exempt"),
        (json!({"kind": "immutable", "tag": "a", "note": "x"}), "note"),
    ] {
        let refused = rig.post(&mia, rules, body.clone()).await.expect(422);
        assert_eq!(refused.fields(), [field], "{body}");
    }
    let changed =
        json!({"kind": "protected", "tag": "prod", "repository": "hel*", "exempt": "maintainer"});
    let view = rig.put(&mia, &place, changed).await.expect(200).json();
    assert_eq!(view["name"], "protected prod in hel*");
    assert_eq!(rig.get(&ada, rules).await.expect(200).json()["items"][0]["name"], view["name"]);
    rig.registry.push(&mia.actor, "demo/hello", "prod", &tiny("2")).await;
    rig.delete(&ada, &place).await.expect(403);
    rig.delete(&mia, &place).await.expect(204);
    rig.get(&mia, &place).await.expect(404);
    let events = rig.get(&ada, "/api/v1/events?project=demo&action=tag_rule.").await.expect(200);
    let actions: Vec<_> = events.json()["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| e["action"].as_str().expect("text").to_owned())
        .collect();
    assert_eq!(actions, ["tag_rule.delete", "tag_rule.update", "tag_rule.create"]);
}

#[tokio::test]
async fn a_locked_tag_is_a_403_that_names_its_rule() {
    let rig = Rig::start().await;
    rig.demo().await;
    let mia = maintainer(&rig).await;
    let rule = json!({"kind": "immutable", "tag": "1"});
    rig.post(&mia, "/api/v1/projects/demo/tag-rules", rule).await.expect(201);
    let refused = rig.delete(&mia, &format!("{HELLO}/-/tags/1")).await.expect(403).json();
    assert_eq!(refused["code"], "tag_locked");
    assert!(
        refused["detail"].as_str().is_some_and(|d| d.contains("immutable 1 in **")),
        "{refused}"
    );
    rig.delete(&mia, HELLO).await.expect(403);
}

#[tokio::test]
async fn labels_are_put_on_images_and_filter_tags() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let mia = maintainer(&rig).await;
    let labels = "/api/v1/projects/demo/labels";
    rig.post(&ada, labels, json!({"name": "lts"})).await.expect(403);
    let made = rig.post(&mia, labels, json!({"name": "lts", "color": "teal"})).await.expect(201);
    assert_eq!(made.header("location"), "/api/v1/projects/demo/labels/lts");
    let made = rig.post(&mia, labels, json!({"name": "稳定"})).await.expect(201);
    let place = made.header("location").to_owned();
    assert_eq!(rig.get(&ada, &place).await.expect(200).json()["name"], "稳定");
    for (body, field) in [
        (json!({"name": "a b"}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "x", "color": "#ff0000"}), "color"),
        (json!({"name": "x", "description": "a\nb"}), "description"),
    ] {
        assert_eq!(
            rig.post(&mia, labels, body.clone()).await.expect(422).fields(),
            [field],
            "{body}"
        );
    }
    let digest = tiny("1").digest();
    let on = format!("{HELLO}/-/manifests/{digest}/labels");
    rig.call(Some(&ada), Method::PUT, &format!("{on}/lts"), "", &[]).await.expect(204);
    rig.call(Some(&ada), Method::PUT, &format!("{on}/lts"), "", &[]).await.expect(204);
    rig.call(Some(&ada), Method::PUT, &format!("{on}/none"), "", &[]).await.expect(404);
    let shown = rig.get(&ada, &on).await.expect(200).json();
    assert_eq!(shown["items"], json!([{"name": "lts", "color": "teal"}]));
    let tags = rig.get(&ada, &format!("{HELLO}/-/tags?label=lts&sort=-version")).await.expect(200);
    assert_eq!(tags.json()["items"][0]["labels"][0]["name"], "lts");
    let none = rig.get(&ada, &format!("{HELLO}/-/tags?label=none")).await.expect(200).json();
    assert_eq!(none["items"], json!([]));
    assert_eq!(
        rig.get(&ada, &format!("{HELLO}/-/tags?sort=size")).await.expect(422).fields(),
        ["sort"]
    );
    let renamed = json!({"name": "long-term"});
    rig.patch(&mia, &format!("{labels}/lts"), renamed).await.expect(200);
    assert_eq!(rig.get(&ada, &on).await.expect(200).json()["items"][0]["name"], "long-term");
    rig.delete(&ada, &format!("{on}/long-term")).await.expect(204);
    rig.delete(&ada, &format!("{on}/long-term")).await.expect(404);
    rig.delete(&mia, &format!("{labels}/long-term")).await.expect(204);
    rig.get(&mia, &format!("{labels}/long-term")).await.expect(404);
}

#[tokio::test]
async fn two_images_are_compared() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    rig.registry.push(&ada.actor, "demo/hello", "2", &tiny("2")).await;
    let found = rig.get(&ada, &format!("{HELLO}/-/compare/1...2")).await.expect(200).json();
    assert_eq!((&found["same"], &found["a"]["reference"]), (&json!(false), &json!("1")));
    assert!(found["layers"].as_array().is_some_and(|l| !l.is_empty()), "{found}");
    let env = found["config"].as_array().expect("a list").iter().find(|f| f["field"] == "env");
    assert_eq!(env.expect("an env")["state"], "changed");
    let same = format!("{HELLO}/-/compare/1...{}", tiny("1").digest());
    assert_eq!(rig.get(&ada, &same).await.expect(200).json()["same"], true);
    for bad in ["1", "1...", "1...none", "1..2"] {
        rig.get(&ada, &format!("{HELLO}/-/compare/{bad}")).await.expect(404);
    }
}

#[tokio::test]
async fn places_of_versions_take_only_their_methods_and_hide_from_strangers() {
    let rig = Rig::start().await;
    let ada = rig.demo().await;
    let eve = rig.person("eve", PlatformRole::User).await;
    let digest = tiny("1").digest();
    let places = [
        (Method::GET, "tags/1/history".to_owned(), ""),
        (Method::POST, "tags/1/restore".to_owned(), r#"{"digest":"D"}"#),
        (Method::GET, "deleted".to_owned(), ""),
        (Method::GET, format!("deleted/{digest}"), ""),
        (Method::POST, format!("deleted/{digest}/restore"), ""),
        (Method::DELETE, format!("deleted/{digest}"), ""),
        (Method::GET, "deleted-tags".to_owned(), ""),
        (Method::GET, "compare/1...1".to_owned(), ""),
        (Method::GET, format!("manifests/{digest}/labels"), ""),
        (Method::PUT, format!("manifests/{digest}/labels/x"), ""),
        (Method::DELETE, format!("manifests/{digest}/labels/x"), ""),
    ];
    for (method, place, body) in places {
        let body = body.replace('D', &digest.to_string());
        let at = |name: &str| format!("/api/v1/repositories/{name}/-/{place}");
        let hidden =
            rig.call(Some(&eve), method.clone(), &at("demo/hello"), body.clone(), &[]).await;
        let absent =
            rig.call(Some(&eve), method.clone(), &at("gone/hello"), body.clone(), &[]).await;
        assert_eq!(hidden.status, 404, "{method} {place}: {}", hidden.text);
        assert_eq!(hidden.text.replace("demo", "gone"), absent.text, "{method} {place}");
        rig.call(None, method.clone(), &at("demo/hello"), body, &[]).await.expect(401);
        let wrong =
            if method == Method::PUT || place == "deleted" { Method::POST } else { Method::PUT };
        let other = rig.call(Some(&ada), wrong, &at("demo/hello"), "", &[]).await;
        assert!(other.status == 405 || place.contains("labels/x"), "{place}: {}", other.status);
    }
}

//! Stored sources: who may, what is refused, and that a secret never comes back.

use portolan::base::{ErrorKind, PageRequest, Secret, SourceName};
use portolan::import::{NewSource, SourceChange};

use super::rig::{Here, ta};

const CANARY: &str = "canary-7d21c0";

fn new(url: &str, username: &str, secret: Option<&str>) -> NewSource {
    NewSource {
        url: url.to_owned(),
        username: username.to_owned(),
        secret: secret.map(|s| Secret::new(s.to_owned())),
        token_host: None,
    }
}

fn there() -> SourceName {
    "there".parse().expect("a name")
}

#[tokio::test]
async fn a_secret_is_sealed_in_its_row_and_never_shown() {
    let here = Here::start().await;
    let made = new("https://registry.example.org", "max", Some(CANARY));
    here.imports.create_source(&here.max, &ta(), &there(), made).await.expect("a source");
    let dump: String = sqlx::query_scalar(
        "select string_agg(t::text, '') from (
             select row_to_json(s)::text || encode(secret, 'escape') as t from import_sources s
             union all select row_to_json(e)::text from events e) all_rows",
    )
    .fetch_one(here.face.registry.db.pool())
    .await
    .expect("a dump");
    for form in [CANARY.to_owned(), hex::encode(CANARY)] {
        assert!(!dump.contains(&form), "{form} in the database or the log of events");
    }
    let listed = here.imports.list_sources(&here.max, &ta(), &PageRequest::default()).await;
    let listed = listed.expect("sources").items;
    assert!(listed[0].has_secret && !format!("{listed:?}").contains(CANARY));
    let told = here.events("source.").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].action, "source.create");

    // Another row cannot use it, even if somebody copies it there.
    let other: SourceName = "other".parse().expect("a name");
    let made = new("http://127.0.0.1:1", "eve", Some("x"));
    here.imports.create_source(&here.max, &ta(), &other, made).await.expect("a source");
    sqlx::query(
        "update import_sources set secret = (select secret from import_sources where name = 'there')
         where name = 'other'",
    )
    .execute(here.face.registry.db.pool())
    .await
    .expect("copied");
    let asked =
        portolan::import::NewImport { source: Some(other), ..super::rig::image("app:1", "app") };
    let failed = here.carry(asked).await;
    assert_eq!(failed.error_code.as_deref(), Some("master_key_wrong"));
}

#[tokio::test]
async fn where_a_secret_goes_changes_only_with_the_secret() {
    let here = Here::start().await;
    let made = new("https://registry.example.org", "max", Some(CANARY));
    let made = here.imports.create_source(&here.max, &ta(), &there(), made).await.expect("made");
    let change = |url: Option<&str>, host: Option<&str>, secret: Option<&str>| SourceChange {
        url: url.map(str::to_owned),
        token_host: host.map(|host| Some(host.to_owned())),
        secret: secret.map(|s| Secret::new(s.to_owned())),
        ..SourceChange::default()
    };
    for moved in [
        change(Some("https://evil.example"), None, None),
        change(Some("https://registry.example.org:8443"), None, None),
        change(None, Some("evil.example"), None),
    ] {
        let refused = here.imports.update_source(&here.max, &ta(), &there(), moved).await;
        assert_eq!(refused.expect_err("refused").fields()[0].field, "secret");
    }
    let moved = change(Some("https://new.example"), None, Some("new"));
    let moved = here.imports.update_source(&here.max, &ta(), &there(), moved).await;
    let moved = moved.expect("changed");
    assert_eq!((moved.url.as_str(), moved.generation), ("https://new.example", 2));
    let stale = SourceChange { generation: Some(made.generation), ..SourceChange::default() };
    let refused = here.imports.update_source(&here.max, &ta(), &there(), stale).await;
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::Stale);
}

#[tokio::test]
async fn what_is_not_a_source_is_refused_by_field() {
    let here = Here::start().await;
    for (input, field) in [
        (new("", "", None), "url"),
        (new("https://a.example/v2/", "", None), "url"),
        (new("ftp://a.example", "", None), "url"),
        (new("https://u:p@a.example", "", None), "url"),
        (new("https://a.example", "max", None), "secret"),
        (new("https://a.example", "", Some("x")), "username"),
        (new("https://a.example", "a:b", Some("x")), "username"),
        (new("https://a.example", "max", Some("a\r\nb")), "secret"),
        (
            NewSource {
                token_host: Some("https://x".to_owned()),
                ..new("https://a.example", "", None)
            },
            "tokenHost",
        ),
    ] {
        let said = format!("{input:?}");
        let refused = here.imports.create_source(&here.max, &ta(), &there(), input).await;
        let refused = refused.expect_err("refused");
        assert_eq!(refused.fields().first().map(|f| f.field.as_str()), Some(field), "{said}");
    }
    let good = || new("https://a.example", "", None);
    here.imports.create_source(&here.max, &ta(), &there(), good()).await.expect("a source");
    let again = here.imports.create_source(&here.max, &ta(), &there(), good()).await;
    assert_eq!(again.expect_err("there is one").code(), "source_exists");
}

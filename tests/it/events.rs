//! The event log: committed events are read back once each, in commit order.

use portolan::base::{Actor, PageRequest, SystemClock};
use portolan::events::{self, Filter, NewEvent, Target};

use crate::support::test_db;

#[tokio::test]
async fn an_event_is_seen_only_after_its_transaction_commits() {
    let db = test_db().await;
    let start = events::head(&db).await.expect("head");
    let mut early = db.begin().await.expect("begin");
    let event = |name: &str| NewEvent::new("test.note", Target::named("test", name), "noted");
    events::append(&mut early, &SystemClock, &Actor::system(), event("early"))
        .await
        .expect("append");
    events::append_alone(&db, &SystemClock, &Actor::system(), event("late")).await.expect("append");
    // The later row is committed, but an older transaction still runs: a follower must wait for
    // it, or it would skip the row for ever.
    assert!(events::since(&db, start, 10).await.expect("since").is_empty());
    early.commit().await.expect("commit");
    // Transactions of other databases of the cluster hold followers up, too.
    let mut seen = Vec::new();
    for _ in 0..1000 {
        seen = events::since(&db, start, 10).await.expect("since");
        if seen.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let seen: Vec<_> = seen.into_iter().map(|e| e.target_name).collect();
    assert_eq!(seen, ["early", "late"]);
    let page = events::list(&db, &Filter::default(), &PageRequest::first(1)).await.expect("list");
    assert_eq!(page.items.len(), 1);
    assert!(page.next.is_some());
}

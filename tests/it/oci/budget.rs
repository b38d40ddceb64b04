//! How many statements a push and a pull may cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portolan::base::Reference;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry};

use crate::support::images::tiny;
use crate::support::registry::{TestRegistry, name};

/// Counts the statements that sqlx logs.
struct Statements(Arc<AtomicUsize>);

impl Layer<Registry> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, Registry>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_push_takes_one_short_transaction_and_a_repeated_pull_none() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let image = tiny("first");
    t.push(&ada, "demo/hello", "1", &image).await;
    let image = tiny("second");
    let count = Arc::new(AtomicUsize::new(0));
    let subscriber = Registry::default().with(Statements(Arc::clone(&count)));
    let _guard = tracing::subscriber::set_default(subscriber);
    let since = |last: &mut usize| {
        let now = count.load(Ordering::Relaxed);
        now - std::mem::replace(last, now)
    };
    let mut last = 0;
    for blob in image.blobs() {
        t.push_blob(&ada, "demo/hello", blob).await;
        let spent = since(&mut last);
        assert!((1..=6).contains(&spent), "a blob took {spent} statements");
    }
    t.push_manifest(&ada, "demo/hello", "1", &image.manifest).await.expect("pushed");
    let spent = since(&mut last);
    assert!((1..=10).contains(&spent), "a manifest took {spent} statements");
    let (hello, one) = (name("demo/hello"), "1".parse::<Reference>().expect("a tag"));
    t.registry.manifest(&ada, &hello, &one, true).await.expect("served");
    let spent = since(&mut last);
    assert!((1..=2).contains(&spent), "the first pull took {spent} statements");
    for _ in 0..10 {
        t.registry.manifest(&ada, &hello, &one, true).await.expect("served");
    }
    assert_eq!(since(&mut last), 0, "nothing changed, so nothing is asked again");
}

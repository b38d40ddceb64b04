//! How many statements a push and a pull may cost.

use portolan::base::Reference;

use crate::support::images::tiny;
use crate::support::registry::{TestRegistry, name};
use crate::support::statements::Statements;

#[tokio::test(flavor = "current_thread")]
async fn a_push_takes_one_short_transaction_and_a_repeated_pull_none() {
    let t = TestRegistry::start().await;
    let ada = t.with_demo().await;
    let image = tiny("first");
    t.push(&ada, "demo/hello", "1", &image).await;
    let image = tiny("second");
    let mut statements = Statements::count();
    for blob in image.blobs() {
        t.push_blob(&ada, "demo/hello", blob).await;
        let spent = statements.spent();
        assert!((1..=6).contains(&spent), "a blob took {spent} statements");
    }
    t.push_manifest(&ada, "demo/hello", "1", &image.manifest).await.expect("pushed");
    let spent = statements.spent();
    assert!((1..=10).contains(&spent), "a manifest took {spent} statements");
    let (hello, one) = (name("demo/hello"), "1".parse::<Reference>().expect("a tag"));
    t.registry.manifest(&ada, &hello, &one, true).await.expect("served");
    let spent = statements.spent();
    assert!((1..=2).contains(&spent), "the first pull took {spent} statements");
    for _ in 0..10 {
        t.registry.manifest(&ada, &hello, &one, true).await.expect("served");
    }
    assert_eq!(statements.spent(), 0, "nothing changed, so nothing is asked again");
}

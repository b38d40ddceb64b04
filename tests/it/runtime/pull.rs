//! Nodes pull from the real registry with nothing but a node's token.

use std::time::Duration;

use portolan::base::Secret;
use portolan::base::id::ProjectId;
use portolan::engine::runtime::{PinnedImage, Runtime as _};

use crate::support::docker::{docker, runtime_with_key, suffix};
use crate::support::images;
use crate::support::oci::TestFace;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_pulls_with_its_token_and_only_what_it_names() {
    let (face, host) = TestFace::serve().await;
    let image = images::hello(&suffix());
    face.client_of("ada", "ta/hello").await.push("ta/hello", "1", &image).await;
    face.client_of("bob", "tb/hello").await.push("tb/hello", "1", &image).await;
    let pinned = |name: &str| PinnedImage {
        repository: name.parse().expect("a name"),
        digest: image.digest(),
    };
    let (mine, others) = (pinned("ta/hello"), pinned("tb/hello"));
    let project = ProjectId::new(chrono::DateTime::UNIX_EPOCH);
    let ttl = Duration::from_secs(60);
    let issued = face.accounts.issue_node_token(&mine.repository, project, ttl).await;
    let token = issued.expect("a token").token;
    let runtime = runtime_with_key("key", &host);

    let error = runtime.pull(&others, &token).await.expect_err("not what the token names");
    assert_eq!(error.code(), "pull_failed");
    let error = runtime.pull(&mine, &Secret::new("none".to_owned())).await;
    assert!(error.is_err(), "a private image without a token");
    assert!(!runtime.has_image(&mine).await.expect("look"));

    runtime.pull(&mine, &token).await.expect("pull");
    assert!(runtime.has_image(&mine).await.expect("look"));
    assert!(!runtime.has_image(&others).await.expect("look"), "digests are per repository");
    docker(&["rmi", &format!("{host}/ta/hello@{}", image.digest())]);
}

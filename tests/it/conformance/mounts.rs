//! Blobs that are in another repository already: mounted from a named one, or from any.

use portolan::base::Algorithm;
use reqwest::Method;

use super::client::{Ask, Client, Fault};
use super::data::Content;
use super::report::Category;
use super::uploads::{self, Way};
use super::{Run, blobs};

async fn mount(
    client: &Client,
    repository: &str,
    from: Option<&str>,
    content: &Content,
) -> Result<(), Fault> {
    let done = client.send(ask(repository, from, content)).await?;
    uploads::stored(client, content, done).await
}

fn ask(repository: &str, from: Option<&str>, content: &Content) -> Ask {
    let ask = Ask::new(Method::POST, format!("/v2/{repository}/blobs/uploads/"))
        .query("mount", &content.digest.to_string());
    match from {
        None => ask,
        Some(from) => ask.query("from", from),
    }
}

/// A blob that is not there: the registry offers an upload instead, which works.
async fn mount_missing(
    client: &Client,
    repository: &str,
    from: Option<&str>,
    content: &Content,
) -> Result<(), Fault> {
    let offered = client.send(ask(repository, from, content)).await?;
    let location = offered.status(&[202])?.location()?;
    let read = client.send(Ask::new(Method::GET, blobs::path(repository, content))).await?;
    read.status(&[404])?;
    let ask = Ask::new(Method::PUT, location).query("digest", &content.digest.to_string());
    let done = client.send(ask.body(&content.bytes)).await?;
    uploads::stored(client, content, done).await
}

impl Run {
    /// Mounts under one algorithm.
    pub(super) async fn mounts(&mut self, set: &'static str, algorithm: Algorithm) {
        let (here, there) = (self.repository, self.second);
        for (from, category) in
            [(Some(there), Category::BlobMount), (None, Category::BlobAnonymousMount)]
        {
            let content = Content::random(algorithm, 512);
            let mounted = async {
                uploads::push(&self.client, there, &content, Way::PostPut).await?;
                mount(&self.client, here, from, &content).await
            };
            let mounted = mounted.await;
            self.report.note(set, &[category], mounted);
            self.read_and_remove(set, &content).await;
            // What was removed here is still there.
            let source = blobs::get(&self.client, there, &content).await;
            self.report.note(set, &[category], source);
            let removed = blobs::delete(&self.client, there, &content).await;
            self.report.note(set, &[Category::BlobDelete], removed);
            let missing = Content::random(algorithm, 512);
            let offered = mount_missing(&self.client, here, from, &missing).await;
            self.report.note(set, &[category], offered);
            self.read_and_remove(set, &missing).await;
        }
    }
}

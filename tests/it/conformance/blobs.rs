//! Blobs coming out and going away: whole, in part, only looked at, removed.

use portolan::base::Algorithm;
use reqwest::Method;

use super::Run;
use super::client::{Ask, Client, Fault};
use super::data::Content;
use super::report::Category;
use super::uploads::{self, Way};

pub(super) fn path(repository: &str, content: &Content) -> String {
    format!("/v2/{repository}/blobs/{}", content.digest)
}

async fn seen(
    client: &Client,
    repository: &str,
    content: &Content,
    method: Method,
) -> Result<super::client::Answer, Fault> {
    let answer = client.send(Ask::new(method, path(repository, content))).await?.status(&[200])?;
    answer
        .header("content-length", &content.bytes.len().to_string())?
        .header("docker-content-digest", &content.digest.to_string())
}

pub(super) async fn get(client: &Client, repository: &str, content: &Content) -> Result<(), Fault> {
    seen(client, repository, content, Method::GET).await?.holds(&content.bytes).map(drop)
}

pub(super) async fn head(
    client: &Client,
    repository: &str,
    content: &Content,
) -> Result<(), Fault> {
    let answer = seen(client, repository, content, Method::HEAD).await?;
    answer.holds(&bytes::Bytes::new()).map(drop)
}

pub(super) async fn delete(
    client: &Client,
    repository: &str,
    content: &Content,
) -> Result<(), Fault> {
    let ask = Ask::new(Method::DELETE, path(repository, content));
    client.send(ask).await?.status(&[202]).map(drop)
}

/// Whether a blob that was just removed is gone at once.
pub(super) async fn gone(
    client: &Client,
    repository: &str,
    content: &Content,
) -> Result<(), Fault> {
    client.send(Ask::new(Method::HEAD, path(repository, content))).await?.status(&[404])?;
    let got = client.send(Ask::new(Method::GET, path(repository, content))).await?;
    got.status(&[404])?.error()?;
    let again = client.send(Ask::new(Method::DELETE, path(repository, content))).await?;
    again.status(&[404])?.error().map(drop)
}

/// Asks for a range of 2048 bytes: the part that has to come, or none.
async fn range(
    client: &Client,
    repository: &str,
    content: &Content,
    asked: &str,
    part: Option<(usize, usize)>,
) -> Result<(), Fault> {
    let ask = Ask::new(Method::GET, path(repository, content)).header("range", asked);
    let answer = client.send(ask).await?;
    let Some((first, last)) = part else { return answer.status(&[416]).map(drop) };
    let shown = format!("bytes {first}-{last}/{}", content.bytes.len());
    answer
        .status(&[206])?
        .header("content-range", &shown)?
        .header("content-length", &(last + 1 - first).to_string())?
        .holds(&content.bytes.slice(first..=last))
        .map(drop)
}

impl Run {
    /// Looks at a blob, reads it, removes it, and looks again.
    pub(super) async fn read_and_remove(&mut self, set: &'static str, content: &Content) {
        let repository = self.repository;
        let looked = head(&self.client, repository, content).await;
        self.report.note(set, &[Category::BlobHead], looked);
        let read = get(&self.client, repository, content).await;
        self.report.note(set, &[Category::BlobGet], read);
        let removed = delete(&self.client, repository, content).await;
        self.report.note(set, &[Category::BlobDelete], removed);
        let gone = gone(&self.client, repository, content).await;
        self.report.note(set, &[Category::BlobDeleteAtomic], gone);
    }

    /// What is not there, ranges, and blobs of a well-known content.
    pub(super) async fn downloads(&mut self, set: &'static str, algorithm: Algorithm) {
        let never = Content::random(algorithm, 16);
        let missing = gone(&self.client, self.repository, &never).await;
        self.report.note(set, &[Category::BlobGet, Category::BlobHead], missing);

        let content = Content::random(algorithm, 2048);
        let pushed = uploads::push(&self.client, self.repository, &content, Way::PostPut).await;
        self.report.note(set, &[Category::BlobPostPut, Category::BlobPush], pushed);
        for (asked, part) in [
            ("bytes=500-1499", Some((500, 1499))),
            ("bytes=500-", Some((500, 2047))),
            ("bytes=-500", Some((1548, 2047))),
            ("bytes=2000-5000", Some((2000, 2047))),
            ("bytes=0-0", Some((0, 0))),
            ("bytes=500-0", None),
            ("bytes=5000-10000", None),
        ] {
            let got = range(&self.client, self.repository, &content, asked, part).await;
            self.report.note(set, &[Category::BlobGetRange], got);
        }
        self.read_and_remove(set, &content).await;

        for known in [&b""[..], b"{}"] {
            for way in Way::COMMON {
                let content = Content::new(algorithm, known);
                let pushed = uploads::push(&self.client, self.repository, &content, way).await;
                self.report.note(set, &[way.category(), Category::BlobPush], pushed);
                self.read_and_remove(set, &content).await;
            }
        }
    }
}

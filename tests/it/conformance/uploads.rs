//! Blobs going in: each way of uploading, chunks out of order, wrong digests, cancelling.

use portolan::base::Algorithm;
use reqwest::Method;

use super::client::{Answer, Ask, Client, Fault};
use super::data::Content;
use super::report::Category;
use super::{Run, blobs};

/// The ways of the specification to upload a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    PostOnly,
    PostPut,
    Streamed,
    Chunked(Chunks),
}

/// How a chunked upload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Chunks {
    /// All in one chunk.
    single: bool,
    /// The last chunk comes with the PUT.
    last_by_put: bool,
    /// Before every chunk another is sent that does not fit there.
    out_of_order: bool,
}

impl Way {
    pub(super) const COMMON: [Self; 4] =
        [Self::PostPut, Self::PostOnly, Self::Streamed, Self::Chunked(Chunks::few())];

    pub(super) fn category(self) -> Category {
        match self {
            Self::PostOnly => Category::BlobPostOnly,
            Self::PostPut => Category::BlobPostPut,
            Self::Streamed => Category::BlobStreaming,
            Self::Chunked(_) => Category::BlobChunked,
        }
    }
}

impl Chunks {
    const fn few() -> Self {
        Self { single: false, last_by_put: false, out_of_order: false }
    }
}

fn uploads(repository: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/")
}

/// Starts an upload: its location.
pub(super) async fn start(client: &Client, repository: &str) -> Result<String, Fault> {
    let started = client.send(Ask::new(Method::POST, uploads(repository))).await?;
    started.status(&[202])?.location()
}

/// Uploads; the last answer, whatever it is.
pub(super) async fn upload(
    client: &Client,
    repository: &str,
    content: &Content,
    way: Way,
) -> Result<Answer, Fault> {
    let digest = content.digest.to_string();
    if way == Way::PostOnly {
        let ask = Ask::new(Method::POST, uploads(repository)).query("digest", &digest);
        return client.send(ask.body(&content.bytes)).await;
    }
    let location = start(client, repository).await?;
    match way {
        Way::PostOnly | Way::PostPut => {
            let ask = Ask::new(Method::PUT, location).query("digest", &digest);
            client.send(ask.body(&content.bytes)).await
        }
        Way::Streamed => {
            let sent =
                client.send(Ask::new(Method::PATCH, location).stream(&content.bytes)).await?;
            let location = sent.status(&[202])?.location()?;
            client.send(Ask::new(Method::PUT, location).query("digest", &digest)).await
        }
        Way::Chunked(chunks) => in_chunks(client, content, location, chunks).await,
    }
}

async fn in_chunks(
    client: &Client,
    content: &Content,
    mut location: String,
    chunks: Chunks,
) -> Result<Answer, Fault> {
    let digest = content.digest.to_string();
    let all = content.bytes.len();
    let size = if chunks.single { all.max(1) } else { (all / 3 + 1).max(1) };
    let ask = |location: &str, start: usize| {
        let end = (start + size).min(all);
        let last = end == all && chunks.last_by_put;
        let ask = match last {
            true => Ask::new(Method::PUT, location).query("digest", &digest),
            false => Ask::new(Method::PATCH, location),
        };
        let range = format!("{start}-{}", end - 1);
        (ask.header("content-range", &range).body(&content.bytes.slice(start..end)), end, last)
    };
    let mut sent = 0;
    while sent < all {
        if chunks.out_of_order {
            let wrong = if sent + size < all { sent + size } else { 0 };
            let refused = client.send(ask(&location, wrong).0).await?;
            refused.status(&[416])?;
            let state = client.send(Ask::new(Method::GET, location.clone())).await?;
            let state = state.status(&[204])?;
            let state = state.header("range", &format!("0-{}", sent.saturating_sub(1)))?;
            location = state.location()?;
        }
        let (next, end, last) = ask(&location, sent);
        let answer = client.send(next).await?;
        if last {
            return Ok(answer);
        }
        let answer = answer.status(&[202])?.header("range", &format!("0-{}", end - 1))?;
        location = answer.location()?;
        sent = end;
    }
    client.send(Ask::new(Method::PUT, location).query("digest", &digest)).await
}

/// Uploads, and reads the blob back from where the answer says it is.
pub(super) async fn push(
    client: &Client,
    repository: &str,
    content: &Content,
    way: Way,
) -> Result<(), Fault> {
    let done = upload(client, repository, content, way).await?;
    stored(client, content, done).await
}

/// Whether `done` says that the blob is stored, and it is.
pub(super) async fn stored(client: &Client, content: &Content, done: Answer) -> Result<(), Fault> {
    let done = done.status(&[201])?;
    let done = done.header("docker-content-digest", &content.digest.to_string())?;
    let read = client.send(Ask::new(Method::GET, done.location()?)).await?;
    read.status(&[200])?.holds(&content.bytes).map(drop)
}

/// Uploads bytes that have another digest than they are said to have.
async fn push_wrong(client: &Client, repository: &str, way: Way) -> Result<(), Fault> {
    let wrong = Content::random(Algorithm::Sha256, 3000).corrupted();
    let refused = upload(client, repository, &wrong, way).await?;
    refused.status(&[400])?.error()?;
    let read = client.send(Ask::new(Method::GET, blobs::path(repository, &wrong))).await?;
    read.status(&[404]).map(drop)
}

async fn cancel(client: &Client, repository: &str) -> Result<(), Fault> {
    let location = start(client, repository).await?;
    let fresh = client.send(Ask::new(Method::GET, location.clone())).await?.status(&[204])?;
    fresh.location()?;
    client.send(Ask::new(Method::DELETE, location.clone())).await?.status(&[204])?;
    let gone = client.send(Ask::new(Method::GET, location.clone())).await?;
    gone.status(&[404])?.error()?;
    let late = Content::random(Algorithm::Sha256, 10);
    let late = Ask::new(Method::PATCH, location).body(&late.bytes);
    client.send(late).await?.status(&[404]).map(drop)
}

/// The client says beforehand which digest it will use; it is a hint, or a reason to refuse.
async fn hinted(client: &Client, repository: &str, content: &Content) -> Result<(), Fault> {
    let hint =
        |name: &str| Ask::new(Method::POST, uploads(repository)).query("digest-algorithm", name);
    let started = client.send(hint(content.digest.algorithm().as_str())).await?;
    let location = started.status(&[202])?.location()?;
    let ask = Ask::new(Method::PUT, location).query("digest", &content.digest.to_string());
    let done = client.send(ask.body(&content.bytes)).await?;
    stored(client, content, done).await?;
    client.send(hint("md5")).await?.status(&[400])?.error().map(drop)
}

impl Run {
    /// Every way of uploading under one algorithm; each blob is read and removed again.
    pub(super) async fn uploads(&mut self, set: &'static str, algorithm: Algorithm) {
        let chunked = |single, last_by_put, out_of_order| {
            Way::Chunked(Chunks { single, last_by_put, out_of_order })
        };
        let ways = [
            Way::PostOnly,
            Way::PostPut,
            Way::Streamed,
            chunked(true, false, false),
            chunked(false, false, false),
            chunked(false, true, false),
            chunked(false, false, true),
            chunked(false, true, true),
        ];
        for way in ways {
            let content = Content::random(algorithm, 3067);
            let pushed = push(&self.client, self.repository, &content, way).await;
            self.report.note(set, &[way.category(), Category::BlobPush], pushed);
            self.read_and_remove(set, &content).await;
        }
        let content = Content::random(algorithm, 512);
        let hinted = hinted(&self.client, self.repository, &content).await;
        self.report.note(set, &[Category::BlobPostPut, Category::BlobPush], hinted);
        self.read_and_remove(set, &content).await;
        for way in [
            Way::PostOnly,
            Way::PostPut,
            Way::Streamed,
            chunked(false, false, false),
            chunked(false, true, false),
        ] {
            let refused = push_wrong(&self.client, self.repository, way).await;
            self.report.note(set, &[way.category(), Category::BlobPush], refused);
        }
        let cancelled = cancel(&self.client, self.repository).await;
        self.report.note(set, &[Category::UploadCancel], cancelled);
    }
}

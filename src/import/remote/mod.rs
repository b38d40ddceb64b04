//! Another registry, spoken to as a client: manifests, tags, referrers, blobs by range.
//!
//! # What is `oci-client`'s part
//!
//! The OCI client crate reads what people write (`Reference`) and what registries say: lists of
//! tags, referrers, tokens and error bodies are parsed into its types. Its `Client` is not used to
//! connect: it builds an HTTP client of its own that follows redirects and resolves names without
//! asking, sends credentials to whatever realm a challenge names, and reads bodies without a
//! bound. None of that can be set from outside. So bytes come through [`Egress`], and this module
//! decides who gets a credential.
//!
//! # Rules
//!
//! Credentials go to the source's origin and to a token service that is on that origin, that the
//! stored source names, or that is known for it ([`KNOWN`]); a challenge that names another is
//! refused, not answered without them. Tokens go to the source only. Tokens are asked for one
//! repository and `pull`, whatever the challenge asks. 429 and 5xx are tried again with growing
//! pauses, as long as `Retry-After` is short; a long one ends the run and the job waits.

mod challenge;
mod read;
mod token;

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::Url;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, RANGE};
use tokio::sync::Mutex;

use crate::base::{Error, ErrorKind, Result, Secret};
use crate::egress::{Answer, Egress, same_origin};

pub(super) use read::Fetched;

/// Requests for one thing, the first included.
const TRIES: u32 = 5;
/// A `Retry-After` that is waited for inside a run, seconds.
const PATIENCE: u64 = 20;
/// Most bytes read of an error's body.
const MAX_ERROR: usize = 16 << 10;
/// Registries whose token service is on another host.
const KNOWN: [(&str, &str); 2] =
    [("index.docker.io", "auth.docker.io"), ("registry-1.docker.io", "auth.docker.io")];

/// A user and its secret.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    pub username: String,
    pub secret: Secret,
}

/// One repository of another registry.
pub(super) struct Remote {
    egress: Egress,
    base: Url,
    repository: String,
    credential: Option<Credential>,
    /// A token service elsewhere that may see the credential.
    token_host: Option<String>,
    /// First pause between two tries.
    pause: Duration,
    authorization: Mutex<Option<HeaderValue>>,
}

impl Remote {
    pub(super) fn new(
        egress: Egress,
        base: Url,
        repository: String,
        credential: Option<Credential>,
        token_host: Option<String>,
        pause: Duration,
    ) -> Self {
        let authorization = Mutex::new(None);
        Self { egress, base, repository, credential, token_host, pause, authorization }
    }

    fn url(&self, rest: &str) -> Result<Url> {
        let path = format!("/v2/{}/{rest}", self.repository);
        self.base.join(&path).map_err(|e| Error::internal("making the address of a source", e))
    }

    fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// Asks until there is an answer that another try would not change: 2xx, 404 or 416.
    async fn get(&self, url: &Url, accept: &str, from: Option<u64>) -> Result<Answer> {
        let mut headers = HeaderMap::new();
        let text =
            |t: &str| HeaderValue::try_from(t).map_err(|e| Error::internal("writing a header", e));
        headers.insert(ACCEPT, text(accept)?);
        if let Some(from) = from {
            headers.insert(RANGE, text(&format!("bytes={from}-"))?);
        }
        let mut pause = self.pause;
        for attempt in 1.. {
            let fault = match self.send(url, &headers).await {
                Ok(answer) => match self.judged(answer).await {
                    Ok(answer) => return Ok(answer),
                    Err(fault) => fault,
                },
                Err(fault) => fault,
            };
            let transient = matches!(fault.kind(), ErrorKind::Unavailable | ErrorKind::RateLimited);
            let asked = fault.retry_after().map_or(0, u64::from);
            if !transient || attempt >= TRIES || asked > PATIENCE {
                return Err(fault);
            }
            tracing::debug!(host = self.host(), error = %fault.chain(), "asking a source again");
            tokio::time::sleep(pause.max(Duration::from_secs(asked))).await;
            pause *= 2;
        }
        Err(Error::unavailable("the source does not answer"))
    }

    /// One request, with a fresh token if the source asks for one.
    async fn send(&self, url: &Url, headers: &HeaderMap) -> Result<Answer> {
        let used = self.authorization.lock().await.clone();
        let answer = self.egress.get(url, headers, used.as_ref()).await?;
        // Only the source itself may ask for credentials, not a store it redirects to.
        if answer.status() != StatusCode::UNAUTHORIZED || !same_origin(answer.url(), &self.base) {
            return Ok(answer);
        }
        let fresh = {
            let mut held = self.authorization.lock().await;
            if *held == used {
                *held = Some(self.authenticate(&answer).await?);
            }
            held.clone()
        };
        drop(answer);
        self.egress.get(url, headers, fresh.as_ref()).await
    }

    /// Turns statuses into what they mean.
    async fn judged(&self, answer: Answer) -> Result<Answer> {
        let status = answer.status();
        let host = self.host();
        let retry_after = answer.header("retry-after").and_then(|v| v.trim().parse::<u32>().ok());
        match status.as_u16() {
            200..=299 | 404 | 416 => Ok(answer),
            401 => Err(token::unauthorized(host, self.credential.is_some())),
            403 => Err(Error::new(
                ErrorKind::Conflict,
                "source_denied",
                format!(
                    "{host} does not let this account read {}{}",
                    self.repository,
                    said(answer).await
                ),
            )),
            429 => Err(Error::rate_limited(
                format!("{host} asks for fewer requests"),
                retry_after.unwrap_or(1).min(24 * 3600),
            )
            .with_code("source_rate_limited")),
            500..=599 => Err(Error::new(
                ErrorKind::Unavailable,
                "source_unavailable",
                format!("{host} answers {status}"),
            )),
            _ => Err(broken(format!("{host} answers {status}{}", said(answer).await))),
        }
    }

    fn absent(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Conflict,
            "source_not_found",
            format!("{} has no {what} in {}", self.host(), self.repository),
        )
    }
}

/// The source breaks the protocol; another try would not help.
pub(super) fn broken(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Conflict, "source_invalid", why)
}

/// What an error's body says, cleaned and cut, with a colon before it.
async fn said(answer: Answer) -> String {
    let Ok(body) = answer.bytes(MAX_ERROR).await else { return String::new() };
    let envelope = serde_json::from_slice::<oci_client::errors::OciEnvelope>(&body);
    let Some(first) = envelope.ok().and_then(|e| e.errors.into_iter().next()) else {
        return String::new();
    };
    let text: String = first.message.chars().filter(|c| !c.is_control()).take(200).collect();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

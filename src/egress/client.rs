//! The guarded client.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{StatusCode, Url};

use super::address::{Networks, is_public};
use crate::base::{Error, ErrorKind, Result};

/// Redirects that one request may follow.
pub const MAX_REDIRECTS: usize = 5;
/// Longest address of a redirect, bytes.
const MAX_URL: usize = 8 << 10;

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// To accept a connection, TLS included.
    pub connect: Duration,
    /// Between two pieces of an answer.
    pub read: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), read: Duration::from_secs(30) }
    }
}

/// A client for addresses that users name; cheap to clone.
#[derive(Clone)]
pub struct Egress {
    /// TLS, to public and allowed addresses.
    secure: reqwest::Client,
    /// Without TLS, to allowed addresses.
    plain: reqwest::Client,
    allowed: Arc<Networks>,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

/// An answer whose body was not read yet.
#[derive(Debug)]
pub struct Answer(reqwest::Response);

/// An address that may not be connected to.
#[derive(Debug)]
struct Refused {
    plain: bool,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is not allowed")
    }
}
impl std::error::Error for Refused {}

/// Resolves names to the addresses that may be connected to.
struct Guard {
    allowed: Arc<Networks>,
    plain: bool,
}

fn may_connect(allowed: &Networks, plain: bool, ip: IpAddr) -> bool {
    allowed.hold(ip) || (!plain && is_public(ip))
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, plain) = (Arc::clone(&self.allowed), self.plain);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let passed: Vec<SocketAddr> =
                found.filter(|a| may_connect(&allowed, plain, a.ip())).collect();
            if passed.is_empty() {
                return Err(Refused { plain }.into());
            }
            Ok(Box::new(passed.into_iter()) as Addrs)
        })
    }
}

/// Whether two addresses have the same scheme, host and port.
pub fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

impl Egress {
    /// A client that may also connect to `allowed` networks.
    pub fn new(allowed: Networks, pace: Pace) -> Result<Self> {
        let allowed = Arc::new(allowed);
        let client = |plain: bool| {
            reqwest::Client::builder()
                .user_agent(concat!("portolan/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .https_only(!plain)
                .dns_resolver(Arc::new(Guard { allowed: Arc::clone(&allowed), plain }))
                .connect_timeout(pace.connect)
                .read_timeout(pace.read)
                .pool_idle_timeout(Duration::from_secs(30))
                .build()
                .map_err(|e| Error::internal("making an HTTP client", e))
        };
        Ok(Self { secure: client(false)?, plain: client(true)?, allowed })
    }

    /// Checks what can be known of an address before its name is resolved.
    pub fn check(&self, url: &Url) -> Result<()> {
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(wrong_url("must start with https://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong_url("must not hold a user name or a password"));
        }
        let host = url.host_str().unwrap_or_default();
        if host.is_empty() {
            return Err(wrong_url("must name a host"));
        }
        // An address in place of a name never meets the resolver. Every way to write one
        // (decimal, octal, hexadecimal) was made one by the parser of URLs.
        match host.trim_matches(['[', ']']).parse::<IpAddr>().ok() {
            Some(ip) if !may_connect(&self.allowed, plain, ip) => Err(refused(plain)),
            None if plain && self.allowed.is_empty() => Err(refused(true)),
            _ => Ok(()),
        }
    }

    /// Asks for `url`. `credential` goes to its origin only, `headers` along every redirect.
    ///
    /// Errors: `address_refused`, `redirect_refused`, `url_invalid` (for good); `unreachable`
    /// (`Unavailable`, worth another try).
    pub async fn get(
        &self,
        url: &Url,
        headers: &HeaderMap,
        credential: Option<&HeaderValue>,
    ) -> Result<Answer> {
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            self.check(&at)?;
            let client = if at.scheme() == "http" { &self.plain } else { &self.secure };
            let mut request = client.get(at.clone()).headers(headers.clone());
            if let Some(credential) = credential.filter(|_| same_origin(url, &at)) {
                request = request.header(AUTHORIZATION, credential.clone());
            }
            let response = request.send().await.map_err(|e| fault(e, &at))?;
            let leads_on = matches!(
                response.status(),
                StatusCode::MOVED_PERMANENTLY
                    | StatusCode::FOUND
                    | StatusCode::SEE_OTHER
                    | StatusCode::TEMPORARY_REDIRECT
                    | StatusCode::PERMANENT_REDIRECT
            );
            if !leads_on {
                return Ok(Answer(response));
            }
            let next = response
                .headers()
                .get(LOCATION)
                .and_then(|v| v.to_str().ok())
                .filter(|v| v.len() <= MAX_URL)
                .and_then(|v| at.join(v).ok())
                .ok_or_else(|| redirected("the server redirects to no address"))?;
            if at.scheme() == "https" && next.scheme() != "https" {
                return Err(redirected("the server redirects from HTTPS to plain HTTP"));
            }
            at = next;
        }
        Err(redirected("the server redirects again and again"))
    }
}

impl Answer {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// Who answered, after redirects.
    pub fn url(&self) -> &Url {
        self.0.url()
    }

    /// A header, when it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name).and_then(|v| v.to_str().ok())
    }

    /// All values of a header that are text.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.headers().get_all(name).iter().filter_map(|v| v.to_str().ok())
    }

    /// The whole body, at most `limit` bytes; `TooLarge` beyond.
    pub async fn bytes(self, limit: usize) -> Result<Bytes> {
        let url = self.0.url().clone();
        let too_large = || Error::too_large("the server's answer", limit as u64);
        if self.0.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        let mut stream = self.0.bytes_stream();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|e| fault(e, &url))?;
            if body.len() + piece.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// The body as it comes.
    pub fn stream(self) -> impl futures_util::Stream<Item = Result<Bytes>> + Send + Unpin {
        let url = self.0.url().clone();
        self.0.bytes_stream().map(move |piece| piece.map_err(|e| fault(e, &url)))
    }
}

fn wrong_url(why: &str) -> Error {
    Error::invalid("url", why).with_code("url_invalid")
}

fn redirected(why: &str) -> Error {
    Error::new(ErrorKind::Conflict, "redirect_refused", why)
}

fn refused(plain: bool) -> Error {
    let why = if plain {
        "plain HTTP is only for networks that an administrator allows (PORTOLAN_IMPORT_ALLOW)"
    } else {
        "the host's address is not on the public internet and not in a network that an administrator allows (PORTOLAN_IMPORT_ALLOW)"
    };
    Error::new(ErrorKind::Conflict, "address_refused", why)
}

/// What a failed request means. Only the host is repeated to users.
fn fault(error: reqwest::Error, url: &Url) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<Refused>() {
            return refused(found.plain);
        }
        cause = inner.source();
    }
    let host = url.host_str().unwrap_or_default();
    let what = if error.is_timeout() {
        "does not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "broke off its answer"
    };
    Error::new(ErrorKind::Unavailable, "unreachable", format!("{host} {what}"))
        .with_source(error.without_url())
}

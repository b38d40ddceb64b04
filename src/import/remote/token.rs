//! Answers a challenge: who gets the credential, and for what.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::token_cache::RegistryToken;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};

use super::challenge::{self, Challenge};
use super::{Credential, KNOWN, Remote, broken};
use crate::base::{Error, ErrorKind, Result};
use crate::egress::{Answer, same_origin};

/// Most bytes of a token service's answer.
const MAX_TOKEN: usize = 64 << 10;

/// The source does not accept who asks.
pub(super) fn unauthorized(host: &str, with_credential: bool) -> Error {
    let why = if with_credential {
        format!("{host} does not accept the user name and secret; check the source")
    } else {
        format!("{host} wants a user name and a secret; store them as a source and name it")
    };
    Error::new(ErrorKind::Conflict, "source_unauthorized", why)
}

fn secret_header(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| broken("the token service sends what is not a token"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic(credential: &Credential) -> Result<HeaderValue> {
    let pair = format!("{}:{}", credential.username, credential.secret.expose());
    secret_header(&format!("Basic {}", STANDARD.encode(pair)))
}

impl Remote {
    /// The `Authorization` that a challenge of the source asks for.
    pub(super) async fn authenticate(&self, answer: &Answer) -> Result<HeaderValue> {
        let challenges: Vec<_> =
            answer.headers("www-authenticate").filter_map(challenge::parse).collect();
        let bearer = challenges.iter().find(|c| matches!(c, Challenge::Bearer { .. }));
        match (bearer.or(challenges.first()), &self.credential) {
            (Some(Challenge::Bearer { realm, service }), _) => {
                self.fetch_token(realm, service.as_deref()).await
            }
            (Some(Challenge::Basic), Some(credential)) => basic(credential),
            (Some(Challenge::Basic) | None, _) => {
                Err(unauthorized(self.host(), self.credential.is_some()))
            }
        }
    }

    /// Whether the credential may be sent to the token service at `realm`.
    fn is_trusted(&self, realm: &Url) -> bool {
        let host = realm.host_str().unwrap_or_default();
        let named = match realm.port() {
            None => host.to_owned(),
            Some(port) => format!("{host}:{port}"),
        };
        let known = realm.scheme() == "https"
            && KNOWN.iter().any(|pair| *pair == (self.host(), named.as_str()));
        same_origin(realm, &self.base) || known || self.token_host.as_ref() == Some(&named)
    }

    async fn fetch_token(&self, realm: &str, service: Option<&str>) -> Result<HeaderValue> {
        let mut url = Url::parse(realm)
            .or_else(|_| self.base.join(realm))
            .map_err(|_| broken("the challenge names no token service"))?;
        if self.base.scheme() == "https" && url.scheme() != "https" {
            return Err(broken("the challenge names a token service without TLS"));
        }
        let credential = self.credential.as_ref();
        if credential.is_some() && !self.is_trusted(&url) {
            let elsewhere = url.host_str().unwrap_or_default();
            return Err(Error::new(
                ErrorKind::Conflict,
                "foreign_realm",
                format!(
                    "{} asks to send the user name and secret to {elsewhere}; if that is its token service, name it in the source",
                    self.host()
                ),
            ));
        }
        url.query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .append_pair("scope", &format!("repository:{}:pull", self.repository));
        let basic = credential.map(basic).transpose()?;
        let answer = self.egress.get(&url, &HeaderMap::new(), basic.as_ref()).await?;
        match answer.status().as_u16() {
            200 => {}
            429 => {
                return Err(Error::rate_limited("the token service asks for fewer requests", 5)
                    .with_code("source_rate_limited"));
            }
            500..=599 => {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "source_unavailable",
                    format!("the token service answers {}", answer.status()),
                ));
            }
            _ => return Err(unauthorized(self.host(), credential.is_some())),
        }
        let body = answer.bytes(MAX_TOKEN).await?;
        let token: RegistryToken = serde_json::from_slice(&body)
            .map_err(|_| broken("the token service answers without a token"))?;
        secret_header(&token.bearer_token())
    }
}

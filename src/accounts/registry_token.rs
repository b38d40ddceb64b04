//! Registry tokens: JWTs (ES256, 300 s) that say what their bearer may do with which repository.
//!
//! Verification is strict: our key, our algorithm, our issuer and audience, our kind of token, and
//! no header member that we do not write ourselves (`jwk`, `jku`, `x5c`, `crit`, … are refused
//! unread). The user behind a token is read again, at most [`FRESH`] old, so that disabled users,
//! changed passwords and revoked personal tokens end tokens long before they expire.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use moka::future::Cache;
use serde::{Deserialize, Serialize};

use super::{AccessEntry, Accounts, Origin, RegistryClaims, RegistryToken, store};
use crate::base::id::{ProjectId, UserId};
use crate::base::{Actor, ActorKind, Error, RepositoryName, Result, Secret};

/// Name of the signing key among the installation's secrets.
pub(super) const KEY_NAME: &str = "registry-token-key";
/// Life of a token given to a client.
const LIFE: Duration = Duration::from_secs(300);
/// Age of what is known about a token's user.
const FRESH: Duration = Duration::from_secs(10);
/// Clocks of two servers may differ by this, seconds.
const LEEWAY: i64 = 5;
/// Longest token that is looked at.
const MAX_TOKEN: usize = 16 * 1024;
/// `kind` of every token made here; a token of another kind is none of ours.
const KIND: &str = "registry";

/// A fresh P-256 key, PKCS#8.
pub(super) fn generate() -> Result<Vec<u8>> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
        .map_err(|e| Error::internal("making a signing key", e.to_string()))?;
    let document =
        pair.to_pkcs8v1().map_err(|e| Error::internal("making a signing key", e.to_string()))?;
    Ok(document.as_ref().to_vec())
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    /// The user's name, empty for anonymous (as the distribution specification has it).
    sub: String,
    aud: String,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: String,
    access: Vec<AccessEntry>,
    kind: String,
    /// The user, and the version of its rights when the token was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<uuid::Uuid>,
    #[serde(default)]
    ver: i64,
    /// A node that pulls for the engine.
    #[serde(default)]
    node: bool,
}

/// The signing key and what belongs to it.
pub(super) struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    kid: String,
    issuer: String,
    audience: String,
    users: Cache<UserId, Option<store::UserRow>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    pub(super) fn new(pkcs8: &Secret<Vec<u8>>, issuer: String, audience: String) -> Result<Self> {
        let bad = |e: String| Error::internal("reading the signing key", e);
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.expose())
            .map_err(|e| bad(e.to_string()))?;
        // Uncompressed point: 0x04, x, y.
        let point = pair.public_key().as_ref().to_vec();
        let (x, y) = point
            .get(1..)
            .and_then(|xy| xy.split_at_checked(32))
            .ok_or_else(|| bad("no point".to_owned()))?;
        let decoding =
            DecodingKey::from_ec_components(&URL_SAFE_NO_PAD.encode(x), &URL_SAFE_NO_PAD.encode(y))
                .map_err(|e| bad(e.to_string()))?;
        // A second backend switched on by some dependency would make the choice ambiguous, and a
        // provider that is installed already is the same one.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        Ok(Self {
            encoding: EncodingKey::from_ec_der(pkcs8.expose()),
            decoding,
            kid: crate::base::Digest::sha256(&point).short().to_owned(),
            issuer,
            audience,
            users: Cache::builder().max_capacity(10_000).time_to_live(FRESH).build(),
        })
    }

    /// What is known about a user is old.
    pub(super) async fn forget(&self, user: UserId) {
        self.users.invalidate(&user).await;
    }

    fn header(&self) -> Header {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.clone());
        header
    }

    fn sign(&self, claims: &Claims) -> Result<Secret> {
        jsonwebtoken::encode(&self.header(), claims, &self.encoding)
            .map(Secret::new)
            .map_err(|e| Error::internal("signing a token", e))
    }

    /// Whether the header is, member by member, one that we write.
    fn is_our_header(&self, token: &str) -> bool {
        let Some(header) =
            token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok())
        else {
            return false;
        };
        let Ok(header) =
            serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&header)
        else {
            return false;
        };
        header.get("alg").is_some_and(|alg| alg == "ES256")
            && header.get("kid").is_some_and(|kid| *kid == self.kid.as_str())
            && header.keys().all(|key| matches!(key.as_str(), "alg" | "kid" | "typ"))
    }

    fn read(&self, token: &str) -> Option<Claims> {
        if token.len() > MAX_TOKEN || !self.is_our_header(token) {
            return None;
        }
        let mut validation = Validation::new(Algorithm::ES256);
        // Times are compared with the injected clock, by the caller.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).ok()?.claims;
        (claims.kind == KIND).then_some(claims)
    }
}

impl Accounts {
    async fn issue(
        &self,
        subject: String,
        user: Option<(UserId, i64)>,
        node: bool,
        access: Vec<AccessEntry>,
        life: Duration,
    ) -> Result<RegistryToken> {
        let now = self.now();
        let issued = now.timestamp();
        let claims = Claims {
            iss: self.keys.issuer.clone(),
            sub: subject,
            aud: self.keys.audience.clone(),
            exp: issued + i64::try_from(life.as_secs()).unwrap_or(300),
            nbf: issued,
            iat: issued,
            jti: hex::encode(super::secret::random_bytes::<12>()?),
            access,
            kind: KIND.to_owned(),
            uid: user.map(|(id, _)| id.uuid()),
            ver: user.map_or(0, |(_, version)| version),
            node,
        };
        Ok(RegistryToken { token: self.keys.sign(&claims)?, expires_in: life, issued_at: now })
    }

    /// Signs a registry token (ES256, 300 s) for `actor` with `access`.
    pub async fn issue_registry_token(
        &self,
        actor: &Actor,
        access: Vec<AccessEntry>,
    ) -> Result<RegistryToken> {
        let user = match actor.user_id {
            Some(id) => {
                let user = store::find_user_by_id(&mut *self.db.read().await?, id).await?;
                let user = user.ok_or_else(|| Error::unauthenticated("log in first"))?;
                Some((id, user.auth_version))
            }
            None => None,
        };
        self.issue(actor.name.clone(), user, false, access, LIFE).await
    }

    /// Signs a pull token for a node, limited to one repository, alive for `ttl`.
    pub async fn issue_node_token(
        &self,
        repository: &RepositoryName,
        _project: ProjectId,
        ttl: Duration,
    ) -> Result<RegistryToken> {
        let access = vec![AccessEntry {
            kind: "repository".to_owned(),
            name: repository.to_string(),
            actions: vec!["pull".to_owned()],
        }];
        self.issue("node".to_owned(), None, true, access, ttl).await
    }

    /// Verifies a registry token: signature, algorithm, issuer, audience, times, and that the
    /// user still exists and is enabled.
    pub async fn verify_registry_token(
        &self,
        token: &Secret,
        origin: &Origin,
    ) -> Result<RegistryClaims> {
        let invalid =
            || Error::unauthenticated("wrong or expired token").with_code("invalid_token");
        let claims = self.keys.read(token.expose()).ok_or_else(invalid)?;
        let now = self.now().timestamp();
        if claims.exp + LEEWAY <= now || claims.nbf - LEEWAY > now {
            return Err(invalid());
        }
        let actor = match claims.uid.map(UserId::from) {
            Some(id) => {
                let user = self
                    .keys
                    .users
                    .try_get_with(id, async {
                        store::find_user_by_id(&mut *self.db.read().await?, id)
                            .await
                            .map_err(Error::from)
                    })
                    .await
                    .map_err(|e| {
                        Error::unavailable("the database does not answer")
                            .with_source(e.to_string())
                    })?;
                let user = user
                    .filter(|user| user.disabled_at.is_none() && user.auth_version == claims.ver)
                    .ok_or_else(invalid)?;
                Actor::user(user.id, user.name.as_str(), user.platform_role, origin.channel)
            }
            None if claims.node => {
                let mut actor = Actor::anonymous(origin.channel);
                actor.kind = ActorKind::Node;
                actor.name = claims.sub;
                actor
            }
            None => Actor::anonymous(origin.channel),
        };
        let actor = actor.with_request(origin.address, origin.request_id.clone());
        Ok(RegistryClaims { actor, access: claims.access })
    }
}

//! Token buckets in the database: shared by all servers, kept over a restart.
//!
//! Logins are limited three ways. A caller's address may fail 100 times a minute; one account may
//! be tried 10 times a minute *from one address*, and 100 times a minute from everywhere. Whoever
//! hammers an account therefore slows down only itself: its owner, at another address, still gets
//! in, and sessions and personal tokens are not touched at all. A token is taken before the
//! password is looked at, so that parallel guesses cannot slip through, and given back when it was
//! right.

use std::net::IpAddr;

use super::{Accounts, Origin, store};
use crate::base::{Digest, Error, Result};

/// Tokens a bucket holds, and gets back per minute.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    size: f64,
    per_minute: f64,
}

const ADDRESS: Bucket = Bucket { size: 100.0, per_minute: 100.0 };
const ACCOUNT_HERE: Bucket = Bucket { size: 10.0, per_minute: 10.0 };
const ACCOUNT: Bucket = Bucket { size: 100.0, per_minute: 100.0 };

/// The buckets one attempt draws from.
#[derive(Debug)]
pub(super) struct Attempt(Vec<(String, Bucket)>);

/// IPv6 callers own a /64.
fn prefix(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_string(),
            None => v6.segments()[..4].iter().map(|s| format!("{s:x}:")).collect(),
        },
        Some(v4) => v4.to_string(),
        None => "local".to_owned(),
    }
}

impl Attempt {
    /// An attempt to log in as `account`.
    pub(super) fn login(account: &str, origin: &Origin) -> Self {
        let address = prefix(origin.address);
        // Names come from outside and may be long; their hash is not.
        let account = Digest::sha256(account.as_bytes());
        Self(vec![
            (format!("login address {address}"), ADDRESS),
            (format!("login account {} {address}", account.short()), ACCOUNT_HERE),
            (format!("login account {}", account.short()), ACCOUNT),
        ])
    }

    /// An attempt with a token, whose account is unknown.
    pub(super) fn token(origin: &Origin) -> Self {
        Self(vec![(format!("login address {}", prefix(origin.address)), ADDRESS)])
    }
}

impl Accounts {
    /// Takes a token from every bucket of `attempt`; if one is empty, takes none and says when to
    /// try again.
    pub(super) async fn take(&self, attempt: &Attempt) -> Result<()> {
        let now = self.now();
        let mut tx = self.db.begin().await?;
        let mut wait: f64 = 0.0;
        let mut taken = Vec::new();
        for (key, bucket) in &attempt.0 {
            let row = store::lock_bucket(tx.conn(), key, bucket.size, now).await?;
            #[expect(clippy::cast_precision_loss, reason = "a span of minutes")]
            let seconds = (now - row.updated_at).num_milliseconds().max(0) as f64 / 1000.0;
            let available = (row.tokens + seconds * bucket.per_minute / 60.0).min(bucket.size);
            if available < 1.0 {
                wait = wait.max((1.0 - available) * 60.0 / bucket.per_minute);
            }
            taken.push((key, available - 1.0));
        }
        if wait > 0.0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 60")]
            let seconds = wait.ceil().clamp(1.0, 60.0) as u32;
            return Err(Error::rate_limited(
                format!("too many attempts; try again in {seconds} s"),
                seconds,
            ));
        }
        for (key, tokens) in taken {
            store::set_bucket(tx.conn(), key, tokens, now).await?;
        }
        tx.commit().await
    }

    /// Gives the tokens of a successful attempt back.
    pub(super) async fn give_back(&self, attempt: &Attempt) -> Result<()> {
        let mut conn = self.db.read().await?;
        for (key, bucket) in &attempt.0 {
            store::refill_bucket(&mut conn, key, bucket.size).await?;
        }
        Ok(())
    }
}

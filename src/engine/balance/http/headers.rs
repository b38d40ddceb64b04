//! Headers between client and replica: what may not pass is removed, what the replica should know
//! of the client is set, and requests whose framing is in doubt are refused.

use std::net::IpAddr;

use http::header::{
    CONNECTION, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Uri, Version, request};

use crate::wire::{Framing, Heads};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOP_BY_HOP: [HeaderName; 6] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    TRAILER,
    TRANSFER_ENCODING,
];

/// The peer's address, as the replica is told.
#[derive(Debug, Clone)]
pub struct Peer {
    plain: HeaderValue,
    forwarded: String,
}

impl Peer {
    pub fn new(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let plain = address.to_string();
        let forwarded = match address {
            IpAddr::V4(_) => format!("for={plain}"),
            IpAddr::V6(_) => format!("for=\"[{plain}]\""),
        };
        let plain = HeaderValue::try_from(plain).unwrap_or(HeaderValue::from_static("unknown"));
        Self { plain, forwarded }
    }
}

/// Why a request is refused, as a line for its sender.
pub type Refusal = &'static str;

/// Refuses a request whose framing or target another server could read differently.
/// So is one whose head was not seen: what is passed on has to be beyond doubt.
pub fn check(parts: &request::Parts, heads: &Heads) -> Result<(), Refusal> {
    if heads.framing(&parts.method, &parts.headers) != Framing::Clear {
        return Err("both Content-Length and Transfer-Encoding, or an unknown encoding\n");
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if parts.version >= Version::HTTP_11 && parts.uri.authority().is_none() => {
            Err("no Host\n")
        }
        (Some(_), Some(_)) => Err("more than one Host\n"),
        (Some(host), None) if !is_host(host) => Err("not a Host\n"),
        _ => Ok(()),
    }
}

/// Names, addresses and a port; stricter than a URI, because the value is repeated in headers.
fn is_host(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b".-_:[]%~".contains(b))
}

/// The protocol a request or answer wants to switch to.
pub fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wants = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    if wants { headers.get(UPGRADE).cloned() } else { None }
}

/// Removes what concerns one connection only (RFC 9110, 7.6.1).
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .filter_map(|token| token.trim().parse().ok())
            .filter(|name| name != HOST && name != http::header::CONTENT_LENGTH)
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(UPGRADE);
}

/// Makes the request the replica gets from the one the client sent.
pub fn to_replica(parts: &mut request::Parts, peer: &Peer, authority: &HeaderValue) {
    let upgrade = upgrade(&parts.headers);
    let trailers = parts.headers.get(TE).is_some_and(|v| v.as_bytes() == b"trailers");
    let headers = &mut parts.headers;
    strip_hop_by_hop(headers);
    headers.remove(TE);
    headers.remove(EXPECT);
    remove_forwarded(headers);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    // The target's authority overrides Host (RFC 9112, 3.2.2).
    if let Some(host) = parts.uri.authority().and_then(|a| a.as_str().parse().ok()) {
        headers.insert(HOST, host);
    }
    let host = headers.entry(HOST).or_insert_with(|| authority.clone()).clone();
    let forwarded = match host.to_str() {
        Ok(host) if !host.is_empty() => format!("{};host=\"{host}\";proto=http", peer.forwarded),
        _ => format!("{};proto=http", peer.forwarded),
    };
    if let Ok(forwarded) = HeaderValue::try_from(forwarded) {
        headers.insert(FORWARDED, forwarded);
    }
    headers.insert(X_FORWARDED_FOR, peer.plain.clone());
    headers.insert(X_FORWARDED_HOST, host);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    if parts.version == Version::HTTP_2 {
        // HTTP/2 names the host in the target.
        headers.remove(HOST);
        return;
    }
    parts.version = Version::HTTP_11;
    parts.uri = origin_form(&parts.uri);
}

fn origin_form(uri: &Uri) -> Uri {
    let target = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    Uri::from(target)
}

/// Removes what a client says of whom it forwards for, in any spelling a replica may read.
fn remove_forwarded(headers: &mut HeaderMap) {
    let is_forwarded = |name: &HeaderName| {
        let name = name.as_str();
        let plain = name.replace('_', "-");
        plain.starts_with("x-forwarded") || plain == "forwarded" || plain == "x-real-ip"
    };
    let could_be =
        |name: &HeaderName| matches!(name.as_str().as_bytes().first(), Some(b'x' | b'f'));
    let found: Vec<_> =
        headers.keys().filter(|n| could_be(n) && is_forwarded(n)).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Whether repeating the request is harmless (RFC 9110, 9.2.2).
pub fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(build: impl FnOnce(request::Builder) -> request::Builder) -> request::Parts {
        build(Request::builder()).body(()).expect("request").into_parts().0
    }

    fn forwarded(mut parts: request::Parts) -> HeaderMap {
        let peer = Peer::new(IpAddr::from([192, 0, 2, 7]));
        to_replica(&mut parts, &peer, &HeaderValue::from_static("gateway:80"));
        parts.headers
    }

    #[test]
    fn what_the_client_says_of_forwarding_is_replaced() {
        let headers = forwarded(parts(|b| {
            b.header("host", "shop.example")
                .header("x-forwarded-for", "1.1.1.1")
                .header("x_forwarded_for", "1.1.1.1")
                .header("x-real-ip", "1.1.1.1")
                .header("x-forwarded-port", "1")
                .header("forwarded", "for=1.1.1.1")
        }));
        let seen: Vec<_> =
            headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().expect("text"))).collect();
        assert_eq!(seen.len(), 5, "{seen:?}");
        assert!(!seen.iter().any(|line| line.contains("1.1.1.1")), "{seen:?}");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["forwarded"], "for=192.0.2.7;host=\"shop.example\";proto=http");
    }

    #[test]
    fn hop_by_hop_headers_end_here() {
        let headers = forwarded(parts(|b| {
            b.header("host", "a")
                .header("connection", "close, x-secret, host, content-length")
                .header("x-secret", "1")
                .header("keep-alive", "1")
                .header("te", "gzip")
                .header("content-length", "0")
        }));
        for gone in ["connection", "x-secret", "keep-alive", "te"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(headers["host"], "a");
        assert!(headers.contains_key("content-length"));
    }

    #[test]
    fn requests_that_can_be_read_two_ways_are_refused() {
        let unseen = Heads::new(0);
        let check = |parts: &request::Parts| check(parts, &unseen);
        let chunked = |b: request::Builder| {
            b.method("POST").uri("/").header("host", "a").header("transfer-encoding", "chunked")
        };
        assert!(check(&parts(chunked)).is_err(), "the raw head was not seen");
        assert!(check(&parts(|b| b)).is_err(), "no Host");
        assert!(check(&parts(|b| b.header("host", "a").header("host", "a"))).is_err());
        for bad in ["a/b", "u@a", "a b", "a,b"] {
            assert!(check(&parts(|b| b.header("host", bad))).is_err(), "{bad}");
        }
        for good in ["a", "a:80", "[::1]:80", ""] {
            assert!(check(&parts(|b| b.header("host", good))).is_ok(), "{good}");
        }
    }
}

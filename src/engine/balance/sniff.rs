//! What a connection speaks, for ports whose protocol is `auto`: HTTP when its first bytes are a
//! request line, otherwise TCP.
//!
//! A client that says nothing for [`limits::SILENCE`] is taken for one of a protocol where the
//! server speaks first, such as SMTP or MySQL; its connection is passed on as TCP.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::limits;

/// Longest method that is looked for.
const LONGEST_METHOD: usize = 20;
/// How HTTP/2 with prior knowledge begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    Http1,
    /// With prior knowledge, as gRPC clients do.
    Http2,
    Other,
}

/// What the connection speaks. Reads nothing off it.
pub async fn spoken(stream: &TcpStream) -> Spoken {
    let silent = Instant::now() + limits::SILENCE;
    let mut bytes = [0u8; LONGEST_METHOD + 8];
    let mut seen = 0;
    loop {
        match timeout_at(silent, stream.peek(&mut bytes)).await {
            Ok(Ok(count)) if count > seen => seen = count,
            // Peeking again returns the same bytes at once until more arrive.
            Ok(Ok(count)) if count > 0 => sleep(Duration::from_millis(5)).await,
            _ => return Spoken::Other,
        }
        match first(&bytes[..seen]) {
            Some(spoken) => return spoken,
            None if Instant::now() >= silent => return Spoken::Other,
            None => {}
        }
    }
}

/// Which HTTP a connection speaks that speaks HTTP; `None` if it says nothing in time.
pub async fn http_version(stream: &TcpStream) -> Option<Spoken> {
    let mut bytes = [0u8; PREFACE.len()];
    let count = timeout(limits::FIRST_HEAD, stream.peek(&mut bytes)).await.ok()?.ok()?;
    let is_preface = count > 2 && PREFACE.starts_with(&bytes[..count]);
    Some(if is_preface { Spoken::Http2 } else { Spoken::Http1 })
}

/// Judges the first bytes: a method, a space, and a target in origin, absolute or asterisk form.
/// `None`: too few to tell.
fn first(bytes: &[u8]) -> Option<Spoken> {
    let length = bytes.iter().take_while(|b| b.is_ascii_uppercase() || **b == b'-').count();
    if length > LONGEST_METHOD {
        return Some(Spoken::Other);
    }
    let target = match bytes.get(length) {
        None => return None,
        Some(b' ') if length >= 3 => &bytes[length + 1..],
        Some(_) => return Some(Spoken::Other),
    };
    match target.first()? {
        b'*' if bytes.starts_with(b"PRI ") => Some(Spoken::Http2),
        b'/' | b'*' => Some(Spoken::Http1),
        _ if target.starts_with(b"http") => Some(Spoken::Http1),
        _ if b"http".starts_with(target) => None,
        _ => Some(Spoken::Other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tells_http_from_other_protocols() {
        for http in ["GET / HTTP/1.1\r\n", "OPTIONS * HTTP/1.1", "PROPFIND /a", "GET http://a/"] {
            assert_eq!(first(http.as_bytes()), Some(Spoken::Http1), "{http}");
        }
        for other in
            ["\x16\x03\x01", "EHLO a", "*1\r\n$4\r\nPING\r\n", "SET a 1", "get /", "CONNECT a:1"]
        {
            assert_eq!(first(other.as_bytes()), Some(Spoken::Other), "{other}");
        }
        for unclear in ["", "G", "GET", "GET ", "GET ht"] {
            assert_eq!(first(unclear.as_bytes()), None, "{unclear}");
        }
    }

    #[test]
    fn tells_http_2_by_its_preface() {
        assert_eq!(first(PREFACE), Some(Spoken::Http2));
        assert_eq!(first(b"PRI *"), Some(Spoken::Http2));
    }

    proptest! {
        #[test]
        fn more_bytes_never_change_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..40), cut in 0usize..40) {
            let cut = cut.min(bytes.len());
            let early = first(&bytes[..cut]);
            prop_assert!(early.is_none() || early == first(&bytes));
        }
    }
}

//! What a connection speaks, for ports whose protocol is `auto`: HTTP when its first bytes are a
//! request line, otherwise TCP.
//!
//! A client that says nothing for [`limits::SILENCE`] is taken for one of a protocol where the
//! server speaks first, such as SMTP or MySQL; its connection is passed on as TCP.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use super::limits;

/// Longest method that is looked for.
const LONGEST_METHOD: usize = 20;

/// Verdict on the first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    Http,
    Other,
    /// Too few bytes to tell.
    Unclear,
}

/// Whether the connection speaks HTTP/1.1. Reads nothing off it.
pub async fn is_http(stream: &TcpStream) -> bool {
    let silent = Instant::now() + limits::SILENCE;
    let mut bytes = [0u8; LONGEST_METHOD + 8];
    let mut seen = 0;
    loop {
        match timeout_at(silent, stream.peek(&mut bytes)).await {
            Ok(Ok(count)) if count > seen => seen = count,
            // Peeking again returns the same bytes at once until more arrive.
            Ok(Ok(count)) if count > 0 => sleep(Duration::from_millis(5)).await,
            _ => return false,
        }
        match first(&bytes[..seen]) {
            First::Http => return true,
            First::Other => return false,
            First::Unclear if Instant::now() >= silent => return false,
            First::Unclear => {}
        }
    }
}

/// Judges the first bytes: a method, a space, and a target in origin, absolute or asterisk form.
/// The HTTP/2 preface is left to pass as TCP, so that both ends speak HTTP/2 to each other.
pub fn first(bytes: &[u8]) -> First {
    let length = bytes.iter().take_while(|b| b.is_ascii_uppercase() || **b == b'-').count();
    if length > LONGEST_METHOD {
        return First::Other;
    }
    let target = match bytes.get(length) {
        None => return First::Unclear,
        Some(b' ') if length >= 3 => &bytes[length + 1..],
        Some(_) => return First::Other,
    };
    let is_preface = &bytes[..length] == b"PRI";
    match target.first() {
        None => First::Unclear,
        Some(b'*') if is_preface => First::Other,
        Some(b'/' | b'*') => First::Http,
        Some(_) if target.starts_with(b"http") => First::Http,
        Some(_) if b"http".starts_with(target) => First::Unclear,
        Some(_) => First::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tells_http_from_other_protocols() {
        for http in ["GET / HTTP/1.1\r\n", "OPTIONS * HTTP/1.1", "PROPFIND /a", "GET http://a/"] {
            assert_eq!(first(http.as_bytes()), First::Http, "{http}");
        }
        for other in [
            "\x16\x03\x01",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "EHLO a",
            "*1\r\n$4\r\nPING\r\n",
            "SET a 1",
            "get /",
            "CONNECT a:1",
        ] {
            assert_eq!(first(other.as_bytes()), First::Other, "{other}");
        }
        for unclear in ["", "G", "GET", "GET ", "GET ht"] {
            assert_eq!(first(unclear.as_bytes()), First::Unclear, "{unclear}");
        }
    }

    proptest! {
        #[test]
        fn more_bytes_never_change_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..40), cut in 0usize..40) {
            let cut = cut.min(bytes.len());
            let early = first(&bytes[..cut]);
            prop_assert!(early == First::Unclear || early == first(&bytes));
        }
    }
}

//! Reads `WWW-Authenticate` (RFC 9110, section 11.6.1), as registries write it.

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token from the token service at `realm`.
    Bearer { realm: String, service: Option<String> },
}

/// Most bytes read of a header.
const MAX: usize = 4096;

/// The challenge of one header line; the first that is understood.
pub(super) fn parse(header: &str) -> Option<Challenge> {
    let header = header.get(..MAX).unwrap_or(header).trim();
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service) = (None, None);
    for (key, value) in parameters(rest) {
        match key.to_ascii_lowercase().as_str() {
            "realm" => realm = realm.or(Some(value)),
            "service" => service = service.or(Some(value)),
            _ => {}
        }
    }
    realm.map(|realm| Challenge::Bearer { realm, service })
}

/// `key="value", key=value` pairs; a broken rest is left.
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((key, rest)) = text.trim_start_matches([',', ' ', '\t']).split_once('=') {
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut chars = quoted.char_indices();
                let end = loop {
                    match chars.next() {
                        Some((at, '"')) => break at + 1,
                        Some((_, '\\')) => value.extend(chars.next().map(|(_, c)| c)),
                        Some((_, c)) => value.push(c),
                        None => return found,
                    }
                };
                (value, &quoted[end..])
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        found.push((key.trim().to_owned(), value));
        text = rest;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        assert_eq!(
            parse(
                r#"Bearer realm="https://a/token",service="a b, \"c\"",scope="repository:x:pull""#
            ),
            bearer("https://a/token", Some("a b, \"c\""))
        );
        assert_eq!(parse("bearer service=s, realm=https://a/t"), bearer("https://a/t", Some("s")));
        assert_eq!(parse(r#"Basic realm="x""#), Some(Challenge::Basic));
        for other in ["", "Negotiate", "Bearer", r#"Bearer realm="open"#, "Digest realm=\"x\""] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}

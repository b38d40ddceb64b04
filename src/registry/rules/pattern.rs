//! Patterns of names: `*` is any characters but a slash, `**` any characters, `?` one character,
//! and `{a,b}` one of several. Matching takes time linear in pattern times text.

use crate::base::{Error, Result};

/// Longest pattern, characters.
pub(super) const MAX_PATTERN: usize = 255;
/// Ways that the alternatives of one pattern may be combined.
const MAX_WAYS: usize = 64;

/// Checks a pattern. `field` names it in the error.
pub(super) fn check(field: &'static str, pattern: &str) -> Result<()> {
    if pattern.is_empty() || pattern.chars().count() > MAX_PATTERN {
        let rule = format!("must be 1 to {MAX_PATTERN} characters; ** matches everything");
        return Err(Error::invalid(field, rule));
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-/*?{},".contains(&b);
    if !pattern.bytes().all(fits) {
        return Err(Error::invalid(
            field,
            "may hold letters, digits, . _ - / and the wildcards *, **, ? and {a,b}",
        ));
    }
    let mut open = false;
    for c in pattern.chars() {
        match c {
            '{' if open => return Err(Error::invalid(field, "braces must not hold braces")),
            '{' => open = true,
            '}' if !open => return Err(Error::invalid(field, "a } has no { before it")),
            '}' => open = false,
            ',' if !open => return Err(Error::invalid(field, "a comma must stand in braces")),
            _ => {}
        }
    }
    if open {
        return Err(Error::invalid(field, "a { has no } after it"));
    }
    if ways(pattern).len() > MAX_WAYS {
        let rule = format!("must not combine its braces in more than {MAX_WAYS} ways");
        return Err(Error::invalid(field, rule));
    }
    Ok(())
}

/// Whether `pattern` matches the whole of `text`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    ways(pattern).iter().any(|way| matches_plain(way.as_bytes(), text.as_bytes()))
}

/// The pattern without braces, once per combination of alternatives; stops above the bound.
fn ways(pattern: &str) -> Vec<String> {
    let mut ways = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let (choice, tail) = after.split_once('}').unwrap_or((after, ""));
        ways = ways
            .iter()
            .flat_map(|way| choice.split(',').map(move |one| format!("{way}{before}{one}")))
            .take(MAX_WAYS + 1)
            .collect();
        rest = tail;
    }
    ways.iter_mut().for_each(|way| way.push_str(rest));
    ways
}

/// Which places of the pattern can be reached after each byte of the text.
fn matches_plain(pattern: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    skip_stars(pattern, &mut reached);
    for byte in text {
        let mut next = vec![false; pattern.len() + 1];
        for (at, _) in reached.iter().enumerate().filter(|(_, is)| **is) {
            match pattern.get(at) {
                Some(b'*') if *byte != b'/' || is_double(pattern, at) => next[at] = true,
                Some(b'?') if *byte != b'/' => next[at + 1] = true,
                Some(literal) if literal == byte && *literal != b'*' => next[at + 1] = true,
                _ => {}
            }
        }
        skip_stars(pattern, &mut next);
        reached = next;
    }
    reached[pattern.len()]
}

fn is_double(pattern: &[u8], at: usize) -> bool {
    pattern.get(at + 1) == Some(&b'*') || (at > 0 && pattern[at - 1] == b'*')
}

fn skip_stars(pattern: &[u8], reached: &mut [bool]) {
    for at in 0..pattern.len() {
        if reached[at] && pattern[at] == b'*' {
            reached[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, fits) in [
            ("**", "team/api", true),
            ("*", "api", true),
            ("*", "team/api", false),
            ("team/*", "team/api", true),
            ("team/*", "team/a/b", false),
            ("team/**", "team/a/b", true),
            ("v*", "v1.2", true),
            ("v*", "1.2", false),
            ("v?.?", "v1.2", true),
            ("{latest,stable-*}", "stable-1", true),
            ("{latest,stable-*}", "latest", true),
            ("{latest,stable-*}", "edge", false),
            ("v[0-9]", "v1", false),
            ("a**b", "ab", true),
            ("a**b", "a/x/b", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn broken_patterns_are_refused() {
        for bad in ["", "a b", "{a", "a}", "{a{b}}", "a,b", "[a]", "\\", &"a".repeat(256)] {
            assert!(check("tag", bad).is_err(), "{bad}");
        }
        assert!(check("tag", &"{a,b,c,d}".repeat(4)).is_err(), "too many ways");
        assert!(check("tag", "{a,b}-{c,d}*").is_ok());
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_everything(text in "[a-z0-9._/-]{0,60}") {
            prop_assert!(matches(&text, &text));
            prop_assert!(matches("**", &text));
            let longer = format!("{text}x");
            prop_assert!(!matches(&text, &longer));
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_the_product() {
        assert!(!matches(&format!("{}b", "*a".repeat(100)), &"a".repeat(250)));
    }
}

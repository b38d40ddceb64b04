//! Patterns for tags: `*` is any text, `?` one character; the whole tag must match.

use crate::base::{Error, Result};

const MAX_PATTERN: usize = 128;

/// Checks a pattern as a user wrote it.
pub(super) fn check(pattern: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-*?".contains(c);
    if pattern.is_empty() || pattern.len() > MAX_PATTERN || !pattern.chars().all(fits) {
        return Err(Error::invalid(
            "tags",
            format!(
                "must be a pattern such as v1.* of at most {MAX_PATTERN} letters, digits, dots, underscores, hyphens, * and ?"
            ),
        ));
    }
    Ok(())
}

/// Whether a tag matches. Time is at most the product of the lengths.
pub(super) fn matches(pattern: &str, tag: &str) -> bool {
    let (pattern, tag) = (pattern.as_bytes(), tag.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and up to where of the tag it was tried.
    let mut star: Option<(usize, usize)> = None;
    while t < tag.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == tag[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, tried)) = star else { return false };
                star = Some((at, tried + 1));
                p = at + 1;
                t = tried + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_the_whole_tag() {
        for (pattern, tag) in [
            ("*", ""),
            ("*", "v1"),
            ("v1.*", "v1.2"),
            ("v?", "v1"),
            ("*-rc*", "1-rc2"),
            ("a*b*c", "a1b2b3c"),
        ] {
            assert!(matches(pattern, tag), "{pattern} {tag}");
        }
        for (pattern, tag) in
            [("v1", "v10"), ("v1.*", "v2.1"), ("?", ""), ("a*b", "abc"), ("", "a")]
        {
            assert!(!matches(pattern, tag), "{pattern} {tag}");
        }
        let slow = "*a".repeat(60);
        assert!(!matches(&slow, &"a".repeat(50)));
        for bad in ["", "a b", "a/b", "[a]", &"a".repeat(129)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}

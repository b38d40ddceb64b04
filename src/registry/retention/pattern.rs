//! Patterns over repository paths and tags: `*` is any text without a slash, `**` any text, `?`
//! one character. Nothing else is special.

use std::fmt;
use std::str::FromStr;

use crate::base::{Error, Result};

/// Longest pattern, characters.
pub const MAX_PATTERN: usize = 255;

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Matches everything.
    pub fn any() -> Self {
        Self("**".to_owned())
    }

    /// Matches every tag.
    pub fn any_tag() -> Self {
        Self("*".to_owned())
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every tag matches; tags have no slashes, so one star is enough for them.
    pub fn is_any_tag(&self) -> bool {
        self.0.chars().all(|c| c == '*')
    }

    /// Whether every repository matches.
    pub fn is_any_repository(&self) -> bool {
        self.0.len() >= 2 && self.is_any_tag()
    }

    /// Whether `text` matches as a whole. Takes at most `pattern × text` steps, whatever both
    /// are.
    pub fn matches(&self, text: &str) -> bool {
        // One row of the table of a dynamic program: which prefixes of the text match the part
        // of the pattern read so far.
        let text = text.as_bytes();
        let mut row = vec![false; text.len() + 1];
        row[0] = true;
        let mut pattern = self.0.as_bytes();
        while let Some((&first, rest)) = pattern.split_first() {
            match (first, rest.first()) {
                (b'*', Some(b'*')) => {
                    let mut reached = false;
                    for cell in &mut row {
                        reached |= *cell;
                        *cell = reached;
                    }
                    pattern = &rest[1..];
                }
                (b'*', _) => {
                    for at in 0..text.len() {
                        row[at + 1] |= row[at] && text[at] != b'/';
                    }
                    pattern = rest;
                }
                (literal, _) => {
                    for at in (0..text.len()).rev() {
                        let fits = text[at] == literal || (literal == b'?' && text[at] != b'/');
                        row[at + 1] = row[at] && fits;
                    }
                    row[0] = false;
                    pattern = rest;
                }
            }
        }
        row[text.len()]
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fits = (1..=MAX_PATTERN).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/*?".contains(&b));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid(
                "pattern",
                "must be 1 to 255 letters, digits and . _ - / with * for any text without a slash, ** for any text and ? for one character",
            ))
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        pattern.parse::<Pattern>().expect("a pattern").matches(text)
    }

    #[test]
    fn stars_stop_at_slashes_unless_doubled() {
        for (pattern, text) in [
            ("**", ""),
            ("**", "a/b"),
            ("*", "api"),
            ("team/*", "team/api"),
            ("team/**", "team/a/b"),
            ("**/api", "team/x/api"),
            ("v*", "v"),
            ("v*", "v1.2.3"),
            ("v?.?", "v1.2"),
            ("*-rc*", "1.0-rc.1"),
            ("a*b*c", "aXbYbZc"),
            ("***", "a/b"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("*", "a/b"),
            ("team/*", "team/a/b"),
            ("team/*", "team"),
            ("v*", "1"),
            ("v?", "v"),
            ("v?", "v12"),
            ("a?b", "a/b"),
            ("api", "api2"),
            ("API", "api"),
            ("**/api", "api"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_refused_or_costs_little() {
        for bad in ["", " ", "a b", "[a]", "(a+)+$", "ä", "a\0", &"a".repeat(256)] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        let stars = "*a".repeat(127);
        assert!(!matches(&stars, &"a".repeat(126)));
        assert!(matches(&stars, &"a".repeat(128)));
    }
}

//! Orders tags as people read versions: `1.10` after `1.9`, pre-releases before their release.
//!
//! [`key`] turns a tag into bytes whose order is the order of versions, so that a column can hold
//! it and an index can page by it. Shown newest first (descending), a list then starts with
//! `latest`, goes on with versions and dates, and ends with names, A to Z.
//!
//! A version is digits after an optional `v`. What follows its numbers is a pre-release when its
//! first word says so (`rc`, `beta`, …), else a variant of the release (`1.27-alpine`). Dates with
//! or without separators are versions of year, month and day. What looks like a commit
//! (`3f2c1a9`) is a name.

/// First bytes: what kind of tag it is.
const NAME: u8 = 1;
const VERSION: u8 = 2;
const LATEST: u8 = 3;

/// What follows the numbers of a version.
const PRE_RELEASE: u8 = 0;
const RELEASE: u8 = 1;
/// One more number: `1.10.1` is after everything of `1.10`.
const NUMBER: u8 = 2;

/// Words of pre-releases, earliest first.
const STAGES: [&[&str]; 5] = [
    &["dev", "snapshot", "nightly", "canary"],
    &["alpha", "a"],
    &["beta", "b"],
    &["m", "pre", "preview", "prerelease"],
    &["rc", "cr"],
];

/// The sort key of a tag. Equal for tags that are the same version (`1.2`, `v1.2.0`).
pub(crate) fn key(tag: &str) -> Vec<u8> {
    if tag == "latest" {
        return vec![LATEST];
    }
    let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
    if !text.starts_with(|c: char| c.is_ascii_digit()) || looks_like_a_commit(text) {
        let mut key = vec![NAME];
        encode(&parts(tag), &mut key);
        return key;
    }
    let (numbers, rest) = numbers(text);
    let mut key = vec![VERSION];
    let significant = numbers.iter().rposition(|n| !n.is_empty()).map_or(0, |last| last + 1);
    for number in &numbers[..significant] {
        key.push(NUMBER);
        push_number(number, &mut key);
    }
    let rest = parts(rest.split_once('+').map_or(rest, |(version, _build)| version));
    match rest.first().and_then(|part| stage(part)) {
        Some(stage) => {
            key.extend([PRE_RELEASE, stage]);
            encode(&rest[1..], &mut key);
        }
        // The plain release comes after its variants, so that it is shown before them.
        None if rest.is_empty() => key.extend([RELEASE, 1]),
        None => {
            key.extend([RELEASE, 0]);
            encode(&rest, &mut key);
        }
    }
    key
}

/// Hexadecimal with letters and digits, as long as a shortened commit.
fn looks_like_a_commit(text: &str) -> bool {
    text.len() >= 7
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// The leading numbers without their zeros, and what follows them.
fn numbers(text: &str) -> (Vec<&str>, &str) {
    if let Some((date, rest)) = date(text) {
        return (date.iter().map(|n| n.trim_start_matches('0')).collect(), rest);
    }
    let mut numbers = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        numbers.push(rest[..end].trim_start_matches('0'));
        rest = &rest[end..];
        let after = rest.strip_prefix('.').filter(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        match after {
            Some(after) => rest = after,
            None => return (numbers, rest),
        }
    }
}

/// `2026-11-24`, `2026.11.24` or `20261124` at the start.
fn date(text: &str) -> Option<([&str; 3], &str)> {
    let digits = |from: usize, n: usize| {
        text.get(from..from + n).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    let year = digits(0, 4).filter(|y| y.starts_with("19") || y.starts_with("20"))?;
    let gap = usize::from(matches!(text.as_bytes().get(4), Some(b'-' | b'.' | b'_')));
    let month = digits(4 + gap, 2).filter(|m| ("01"..="12").contains(m))?;
    let separated = text.as_bytes().get(6 + gap) == text.as_bytes().get(4);
    if gap == 1 && !separated {
        return None;
    }
    let day = digits(6 + 2 * gap, 2).filter(|d| ("01"..="31").contains(d))?;
    let rest = &text[8 + 2 * gap..];
    (!rest.starts_with(|c: char| c.is_ascii_digit())).then_some(([year, month, day], rest))
}

/// Runs of digits and runs of letters; what stands between them only separates.
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        rest = &rest[start..];
        let digits = rest.starts_with(|c: char| c.is_ascii_digit());
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() || c.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = &rest[end..];
    }
    parts
}

fn stage(part: &str) -> Option<u8> {
    let found = STAGES.iter().position(|words| words.iter().any(|w| part.eq_ignore_ascii_case(w)));
    found.and_then(|rank| u8::try_from(rank).ok())
}

/// Numbers grow; letters are turned around, because lists are shown in descending order and names
/// read from A to Z.
fn encode(parts: &[&str], key: &mut Vec<u8>) {
    for part in parts {
        if part.starts_with(|c: char| c.is_ascii_digit()) {
            key.push(2);
            push_number(part.trim_start_matches('0'), key);
        } else {
            key.push(1);
            key.extend(part.bytes().map(|b| 0xff - b.to_ascii_lowercase()));
            key.push(0xff);
        }
    }
}

/// A number of any length: how many digits, then the digits. Tags have at most 128 characters.
fn push_number(digits: &str, key: &mut Vec<u8>) {
    key.push(u8::try_from(digits.len()).unwrap_or(u8::MAX));
    key.extend(digits.bytes());
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    /// Newest first, as a rail shows them.
    fn shown(mut tags: Vec<&str>) -> Vec<&str> {
        tags.sort_by(|a, b| key(b).cmp(&key(a)).then_with(|| b.cmp(a)));
        tags
    }

    #[test]
    fn a_rail_reads_as_people_expect() {
        let expected = [
            "latest",
            "2026-11-24",
            "20261123",
            "2026.11.22",
            "v2.0.0-rc.10",
            "v2.0.0-rc.9",
            "2.0.0-beta",
            "2.0.0-alpha.1",
            "2.0.0-nightly.20260101",
            "1.10.1",
            "1.10",
            "1.10-alpine",
            "1.10-slim",
            "1.10-rc1-alpine",
            "1.9",
            "1.9-2",
            "1.9-1",
            "v1.2.3",
            "1.2.3-rc1",
            "1",
            "0.0.1",
            "0",
            "3f2c1a9",
            "edge",
            "main",
            "release-1.10",
            "release-1.9",
        ];
        let mut mixed = expected.to_vec();
        mixed.reverse();
        mixed.rotate_left(7);
        assert_eq!(shown(mixed), expected);
    }

    #[test]
    fn ways_to_write_one_version_are_equal() {
        for (a, b) in [
            ("1.2", "v1.2.0"),
            ("1.2.3-rc1", "V1.2.3-RC.1"),
            ("2026-01-02", "20260102"),
            ("1.2.3+build5", "1.2.3"),
            ("01.002", "1.2"),
        ] {
            assert_eq!(key(a), key(b), "{a} {b}");
        }
    }

    /// The precedence of Semantic Versioning, written down a second time.
    fn semver(
        a: &([u32; 3], Option<(usize, u32)>),
        b: &([u32; 3], Option<(usize, u32)>),
    ) -> Ordering {
        a.0.cmp(&b.0).then_with(|| match (a.1, b.1) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(&b),
        })
    }

    fn version() -> impl Strategy<Value = ([u32; 3], Option<(usize, u32)>)> {
        let number = prop_oneof![0..12u32, any::<u32>()];
        let pre = proptest::option::of((0..3usize, number.clone()));
        ([number.clone(), number.clone(), number], pre)
    }

    fn written((n, pre): &([u32; 3], Option<(usize, u32)>), v: &str) -> String {
        let pre = pre.map(|(word, n)| format!("-{}.{n}", ["alpha", "beta", "rc"][word]));
        format!("{v}{}.{}.{}{}", n[0], n[1], n[2], pre.unwrap_or_default())
    }

    proptest! {
        #[test]
        fn semantic_versions_keep_their_precedence(
            a in version(), b in version(), va in "v?", vb in "v?",
        ) {
            let (x, y) = (written(&a, &va), written(&b, &vb));
            // What reads as a date is one.
            prop_assume!(date(x.trim_start_matches('v')).is_none());
            prop_assume!(date(y.trim_start_matches('v')).is_none());
            prop_assert_eq!(key(&x).cmp(&key(&y)), semver(&a, &b), "{} {}", x, y);
        }

        #[test]
        fn any_tag_has_a_bounded_key_and_latest_is_above_all(tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
            let made = key(&tag);
            prop_assert!(!made.is_empty() && made.len() <= 3 * tag.len() + 4);
            prop_assert!(tag == "latest" || made < key("latest"));
        }

        #[test]
        fn one_more_number_is_later_than_any_suffix(
            base in "[1-9][0-9]{0,3}(\\.[0-9]{1,3}){0,2}", suffix in "(-[a-z0-9]{1,6}){0,2}", n in 1..1000u32,
        ) {
            prop_assume!(date(&base).is_none() && !looks_like_a_commit(&base));
            let (with_suffix, longer) = (format!("{base}{suffix}"), format!("{base}.{n}"));
            prop_assume!(date(&with_suffix).is_none() && date(&longer).is_none());
            prop_assert!(key(&with_suffix) < key(&longer), "{} {}", with_suffix, longer);
        }
    }
}

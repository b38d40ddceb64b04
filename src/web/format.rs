//! Sizes, times and counts for people: real units, short digests, relative time with the exact
//! one beside it.

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::SecondsFormat;

use super::text::{Locale, Text};
use crate::base::Timestamp;
pub use crate::base::quantity::size;

/// A `<time>` element: relative or clock text, machine-readable and exact time in attributes.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    text: Text,
    at: Timestamp,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// "3 min ago"; the script keeps it current.
    Ago,
    /// "10:44" on the same day, else "23 Nov".
    Clock,
    /// "2026-11-23 10:44".
    Full,
}

// Only digits and fixed words are written between the tags.
impl HtmlSafe for Time {}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = self.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let exact = self.at.format("%Y-%m-%d %H:%M:%S UTC");
        let (kind, shown) = match self.style {
            Style::Ago => ("ago", self.text.ago_text(self.at)),
            Style::Clock => ("clock", self.text.clock_text(self.at)),
            Style::Full => ("full", self.at.format("%Y-%m-%d %H:%M").to_string()),
        };
        write!(f, r#"<time datetime="{machine}" title="{exact}" data-t="{kind}">{shown}</time>"#)
    }
}

/// A point in time, however a template hands it over.
pub trait Moment {
    fn moment(self) -> Timestamp;
}
impl Moment for Timestamp {
    fn moment(self) -> Timestamp {
        self
    }
}
impl Moment for &Timestamp {
    fn moment(self) -> Timestamp {
        *self
    }
}
impl Moment for &&Timestamp {
    fn moment(self) -> Timestamp {
        **self
    }
}

impl Text {
    /// "3 min ago".
    pub fn ago(&self, at: impl Moment) -> Time {
        Time { text: *self, at: at.moment(), style: Style::Ago }
    }

    /// "10:44" today, "23 Nov" before.
    pub fn clock(&self, at: impl Moment) -> Time {
        Time { text: *self, at: at.moment(), style: Style::Clock }
    }

    /// "2026-11-23 10:44".
    pub fn date(&self, at: impl Moment) -> Time {
        Time { text: *self, at: at.moment(), style: Style::Full }
    }

    fn ago_text(&self, at: Timestamp) -> String {
        let past = self.now.signed_duration_since(at);
        let seconds = past.num_seconds();
        let (key, n) = match seconds {
            ..=-60 => return self.fmt("time-in").a("span", self.span(-seconds)).to_string(),
            -59..=9 => return self.get("time-now"),
            10..=59 => ("time-seconds-ago", seconds),
            60..=3599 => ("time-minutes-ago", seconds / 60),
            3600..=86_399 => ("time-hours-ago", seconds / 3600),
            _ => ("time-days-ago", seconds / 86_400),
        };
        self.num(key, n).to_string()
    }

    fn clock_text(&self, at: Timestamp) -> String {
        if at.date_naive() == self.now.date_naive() {
            return at.format("%H:%M").to_string();
        }
        match self.locale {
            Locale::En => at.format("%-d %b").to_string(),
            Locale::Zh => at.format("%-m月%-d日").to_string(),
        }
    }

    /// A span of seconds: "45 s", "3 min", "5 h", "2 d".
    pub fn span(&self, seconds: impl super::text::Count) -> String {
        let seconds = seconds.count();
        let (key, n) = match seconds {
            ..=59 => ("span-seconds", seconds.max(0)),
            60..=3599 => ("span-minutes", seconds / 60),
            3600..=86_399 => ("span-hours", seconds / 3600),
            _ => ("span-days", seconds / 86_400),
        };
        self.num(key, n).to_string()
    }

    /// Bytes in decimal units, as Docker shows them: "60.6 MB".
    pub fn size(&self, bytes: impl super::text::Count) -> String {
        size(bytes.count())
    }

    /// A count with thousands separated: "1,204".
    pub fn count(&self, n: impl super::text::Count) -> String {
        grouped(n.count())
    }
}

/// Thousands separated by commas.
pub fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        out.push('\u{2212}');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The two letters of a project tile or an avatar.
pub fn initials(name: &str) -> String {
    let mut parts = name.split(['.', '-', '_']).filter(|part| !part.is_empty());
    let first = parts.next().unwrap_or(name);
    let second = parts.next().and_then(|part| part.chars().next()).or_else(|| first.chars().nth(1));
    first.chars().next().into_iter().chain(second).collect::<String>().to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_a_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1 kB"),
            (6_144, "6.1 kB"),
            (60_600_000, "60.6 MB"),
            (412_000_000_000, "412 GB"),
            (999_960, "1 MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(grouped(1204), "1,204");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(-1_000_000), "\u{2212}1,000,000");
    }

    #[test]
    fn initials_take_the_first_letters_of_two_parts() {
        assert_eq!(initials("lin.wei"), "LW");
        assert_eq!(initials("payments"), "PA");
        assert_eq!(initials("a"), "A");
    }
}

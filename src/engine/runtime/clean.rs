//! Makes hostile text fit to be shown: no control character survives, and it is bounded.
//!
//! A terminal or a page must not be steered by what a container writes, so escapes, line ends
//! and marks that turn the reading direction become visible signs.

use std::borrow::Cow;

/// What is shown for a character without a sign of its own.
const UNKNOWN: char = '\u{fffd}';

/// The visible stand-in of a character that must not be shown; `None` if it may.
fn stand_in(c: char) -> Option<char> {
    match c {
        '\t' => None,
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)),
        '\u{7f}' => Some('\u{2421}'),
        '\u{80}'..='\u{9f}' => Some(UNKNOWN),
        // Marks of reading direction, and separators of lines and paragraphs.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' => Some(UNKNOWN),
        '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => Some(UNKNOWN),
        _ => None,
    }
}

/// `text` with its control characters other than tab replaced.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| stand_in(c).is_none()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| stand_in(c).unwrap_or(c)).collect())
}

/// [`visible`] for several lines: line ends stay.
pub fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// One short line out of `bytes`: trimmed, white space folded, cleaned and cut to `limit`
/// characters.
pub fn summary(bytes: &[u8], limit: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line: String = visible(&folded).chars().take(limit).collect();
    if folded.chars().nth(limit).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_or_turns_text_survives() {
        let hostile = "a\u{1b}]0;title\u{7}\rb\u{202e}c\u{2067}d\u{9b}2Je\u{7f}\tf";
        let shown = visible(hostile);
        assert_eq!(shown, "a␛]0;title␇␍b�c�d�2Je␡\tf");
        assert!(matches!(visible("plain é 漢字\t"), Cow::Borrowed(_)));
    }

    #[test]
    fn summaries_are_one_bounded_line() {
        assert_eq!(summary(b" one\n two\r\n\x1b[2J\xff ", 40), "one two ␛[2J�");
        assert_eq!(summary("é".repeat(9).as_bytes(), 3), "ééé…");
    }
}

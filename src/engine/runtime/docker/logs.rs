//! Log lines of a container out of Docker's framed stream.
//!
//! Docker cuts lines at 16 KiB and repeats the timestamp before each part. Parts are joined
//! again, and what is over the limit is left out.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::super::{clean, log_tail};
use super::client::Client;
use crate::base::{Result, Timestamp};
use crate::engine::{LogLine, LogRequest, LogStream};

/// Most bytes of a line.
const LINE_LIMIT: usize = 16 << 10;

/// The lines `request` asks for, and with `follow` those to come.
pub(super) fn follow(client: &Client, id: &str, request: &LogRequest) -> Result<LogStream> {
    let mut options = LogsOptionsBuilder::new()
        .follow(request.follow)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .tail(&log_tail(request).to_string());
    if let Some(since) = request.since {
        options = options.since(i32::try_from(since.timestamp()).unwrap_or(0));
    }
    let parts = client.docker()?.logs(id, Some(options.build())).boxed();
    let host = client.clone();
    let since = request.since;
    let lines = Lines { parts: Some(parts), joiner: Joiner::default(), ready: VecDeque::new() };
    let lines = stream::unfold(lines, |mut lines| async move {
        let line = lines.next().await?;
        Some((line, lines))
    });
    let wanted = lines.filter_map(move |line| {
        let line = match line {
            Ok(line) if since.is_some_and(|s| line.at < s) => None,
            Ok(line) => Some(Ok(line)),
            Err(error) => Some(Err(host.failed("read the log", error))),
        };
        std::future::ready(line)
    });
    Ok(Box::pin(wanted))
}

struct Lines {
    parts: Option<BoxStream<'static, Result<LogOutput, DockerError>>>,
    joiner: Joiner,
    ready: VecDeque<LogLine>,
}

impl Lines {
    async fn next(&mut self) -> Option<Result<LogLine, DockerError>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            match self.parts.as_mut()?.next().await {
                Some(Ok(LogOutput::StdErr { message })) => {
                    self.ready.extend(self.joiner.push(Source::Stderr, &message));
                }
                Some(Ok(part)) => {
                    self.ready.extend(self.joiner.push(Source::Stdout, &part.into_bytes()));
                }
                Some(Err(error)) => {
                    self.parts = None;
                    return Some(Err(error));
                }
                None => {
                    self.parts = None;
                    self.ready.extend(self.joiner.finish());
                    return self.ready.pop_front().map(Ok);
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Stdout,
    Stderr,
}

/// Joins the parts of lines, each stream for itself.
#[derive(Default)]
struct Joiner {
    stdout: Partial,
    stderr: Partial,
}

#[derive(Default)]
struct Partial {
    at: Option<Timestamp>,
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Joiner {
    /// Takes a part; returns the line it completes.
    fn push(&mut self, source: Source, part: &[u8]) -> Option<LogLine> {
        let partial = match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        };
        let (at, text) = split_timestamp(part);
        partial.at = partial.at.or(at);
        let (text, is_whole) = match text.strip_suffix(b"\n") {
            Some(text) => (text.strip_suffix(b"\r").unwrap_or(text), true),
            None => (text, false),
        };
        let room = LINE_LIMIT - partial.bytes.len();
        partial.is_cut |= text.len() > room;
        partial.bytes.extend_from_slice(&text[..text.len().min(room)]);
        is_whole.then(|| partial.take(source))
    }

    /// What is left at the end of the log.
    fn finish(&mut self) -> impl Iterator<Item = LogLine> + use<> {
        let rest = [(Source::Stdout, &mut self.stdout), (Source::Stderr, &mut self.stderr)]
            .map(|(source, partial)| partial.at.is_some().then(|| partial.take(source)));
        rest.into_iter().flatten()
    }
}

impl Partial {
    fn take(&mut self, source: Source) -> LogLine {
        let whole = std::mem::take(self);
        let mut text = clean::visible(&String::from_utf8_lossy(&whole.bytes)).into_owned();
        if whole.is_cut {
            text.push('…');
        }
        let stream = match source {
            Source::Stdout => "stdout",
            Source::Stderr => "stderr",
        };
        LogLine { at: whole.at.unwrap_or(Timestamp::UNIX_EPOCH), stream: stream.to_owned(), text }
    }
}

/// The time Docker wrote before the text.
fn split_timestamp(part: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let Some(space) = part.iter().take(40).position(|b| *b == b' ') else { return (None, part) };
    let time = std::str::from_utf8(&part[..space]).ok();
    match time.and_then(|t| chrono::DateTime::parse_from_rfc3339(t).ok()) {
        Some(at) => (Some(at.to_utc()), &part[space + 1..]),
        None => (None, part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "2026-11-24T10:00:00.123456789Z ";

    fn part(text: &[u8]) -> Vec<u8> {
        [T.as_bytes(), text].concat()
    }

    #[test]
    fn parts_of_a_line_are_joined_per_stream() {
        let mut joiner = Joiner::default();
        assert!(joiner.push(Source::Stdout, &part(b"one ")).is_none());
        let other = joiner.push(Source::Stderr, &part(b"warning\r\n")).expect("a line");
        assert_eq!((other.stream.as_str(), other.text.as_str()), ("stderr", "warning"));
        let line = joiner.push(Source::Stdout, &part(b"line\n")).expect("a line");
        assert_eq!(line.text, "one line");
        assert_eq!(line.at.timestamp_subsec_micros(), 123_456);
        assert!(joiner.push(Source::Stdout, &part(b"the end")).is_none());
        let rest: Vec<_> = joiner.finish().map(|l| l.text).collect();
        assert_eq!(rest, ["the end"]);
    }

    #[test]
    fn lines_are_bounded_and_cleaned() {
        let mut joiner = Joiner::default();
        for _ in 0..4 {
            assert!(joiner.push(Source::Stdout, &part(&[b'x'; 10_000])).is_none());
        }
        let long = joiner.push(Source::Stdout, &part(b"\n")).expect("a line");
        assert_eq!(long.text.chars().count(), LINE_LIMIT + 1);
        let hostile = joiner.push(Source::Stdout, &part(b"\x1b[2J\xff\rx\n")).expect("a line");
        assert_eq!(hostile.text, "␛[2J\u{fffd}␍x");
    }

    #[test]
    fn text_without_a_timestamp_is_kept() {
        let mut joiner = Joiner::default();
        let line = joiner.push(Source::Stdout, b"no time\n").expect("a line");
        assert_eq!(line.text, "no time");
    }
}

//! View models of the parts in `ui.html`: cells, yard, sparkline, bars, feed, pager.

use super::text::Text;
use crate::base::{Cursor, Page, Timestamp};
use crate::engine::view::{DeploymentPhase, DeploymentView, RevisionOutcome};
use crate::events::Event;

/// What one cell or box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// Ready, of the current revision.
    New,
    Starting,
    /// Of the revision being replaced.
    Old,
    Failed,
    /// Wanted or possible, but not there.
    Gap,
    Draining,
}

impl CellKind {
    /// The cell's `data-s`; none for the plain cell.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::New => None,
            Self::Starting => Some("start"),
            Self::Old | Self::Draining => Some("old"),
            Self::Failed => Some("fail"),
            Self::Gap => Some("gap"),
        }
    }

    /// The box's `data-s`.
    pub fn box_word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Starting => "start",
            Self::Old => "old",
            Self::Failed => "fail",
            Self::Gap => "free",
            Self::Draining => "drain",
        }
    }
}

/// The replicas of a deployment, one cell each, at most 24 drawn.
#[derive(Debug, Clone)]
pub struct Cells {
    pub cells: Vec<CellKind>,
    /// The counts in words.
    pub label: String,
}

/// Most cells drawn in a row.
const MOST_CELLS: u32 = 24;

impl Cells {
    /// From a deployment's status.
    pub fn of(t: &Text, deployment: &DeploymentView) -> Self {
        let status = &deployment.status;
        let wanted = deployment.spec.replicas;
        let failing = matches!(status.phase, DeploymentPhase::Failed | DeploymentPhase::Degraded);
        let old_total = status.replicas.saturating_sub(status.updated_replicas);
        let new_ready =
            status.ready_replicas.saturating_sub(old_total).min(status.updated_replicas);
        let waiting = status.updated_replicas - new_ready;
        let gaps = wanted.saturating_sub(status.replicas);
        let mut cells = Vec::new();
        for (kind, count) in [
            (CellKind::New, new_ready),
            (if failing { CellKind::Failed } else { CellKind::Starting }, waiting),
            (CellKind::Old, old_total),
            (CellKind::Gap, gaps),
        ] {
            let room = MOST_CELLS.saturating_sub(u32::try_from(cells.len()).unwrap_or(MOST_CELLS));
            cells.extend(std::iter::repeat_n(kind, count.min(room) as usize));
        }
        if cells.is_empty() {
            cells = vec![CellKind::Gap; 2];
        }
        let label = t
            .fmt("cells-label")
            .n("ready", new_ready)
            .n("starting", waiting)
            .n("old", old_total)
            .to_string();
        Self { cells, label }
    }
}

/// `data-s` and the word of a deployment's phase.
pub fn phase(
    t: &Text,
    phase: DeploymentPhase,
    outcome: Option<RevisionOutcome>,
) -> (&'static str, String) {
    let (kind, key) = match (phase, outcome) {
        (DeploymentPhase::Healthy, _) => ("ok", "phase-healthy"),
        (DeploymentPhase::Progressing, Some(RevisionOutcome::Progressing)) => {
            ("prog", "phase-rolling")
        }
        (DeploymentPhase::Progressing, _) => ("prog", "phase-progressing"),
        (DeploymentPhase::Degraded, _) => ("warn", "phase-degraded"),
        (DeploymentPhase::Failed, _) => ("bad", "phase-failed"),
        (DeploymentPhase::ScaledToZero, _) => ("idle", "phase-zero"),
        (DeploymentPhase::Deleting, _) => ("idle", "phase-deleting"),
    };
    (kind, t.get(key))
}

/// Replicas stacked on nodes.
#[derive(Debug, Clone)]
pub struct Yard {
    pub columns: Vec<YardColumn>,
    pub label: String,
}

/// One node of a yard.
#[derive(Debug, Clone)]
pub struct YardColumn {
    pub node: String,
    pub boxes: Vec<YardBox>,
    /// Per cent of the node that is requested.
    pub load: Option<u8>,
    pub load_label: String,
}

/// One box of a yard.
#[derive(Debug, Clone)]
pub struct YardBox {
    pub kind: CellKind,
    pub label: String,
    pub note: String,
    pub href: String,
}

/// A sparkline in a 96 × 24 field.
#[derive(Debug, Clone)]
pub struct Spark {
    pub line: String,
    pub area: String,
    /// `accent`, `ok`, `warn`, `bad` or `old`.
    pub color: &'static str,
    pub label: String,
}

impl Spark {
    /// From at most 120 values; the label says first, last, least and most.
    pub fn of(t: &Text, values: &[f64], color: &'static str) -> Self {
        let values = &values[values.len().saturating_sub(120)..];
        let (least, most) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        let span = if most > least { most - least } else { 1.0 };
        #[expect(clippy::cast_precision_loss, reason = "at most 120 points")]
        let step = 96.0 / (values.len().max(2) - 1) as f64;
        let mut line = String::new();
        for (i, value) in values.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "at most 120 points")]
            let x = step * i as f64;
            let y = 22.0 - (value - least) / span * 20.0;
            line.push_str(&format!("{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' }));
        }
        let area = if line.is_empty() { String::new() } else { format!("{line}L96 24L0 24Z") };
        let show = |v: Option<&f64>| v.map_or_else(String::new, |v| format!("{v:.1}"));
        let label = t
            .fmt("spark-label")
            .a("first", show(values.first()))
            .a("last", show(values.last()))
            .a("least", show(Some(&least).filter(|v| v.is_finite())))
            .a("most", show(Some(&most).filter(|v| v.is_finite())))
            .to_string();
        Self { line, area, color, label }
    }
}

/// Bars from zero in a 96 × 24 field.
#[derive(Debug, Clone)]
pub struct Bars {
    pub bars: Vec<Bar>,
    pub width: String,
    pub color: &'static str,
    pub label: String,
}

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    pub x: String,
    pub y: String,
    pub height: String,
    pub zero: bool,
}

impl Bars {
    /// One bar per count; `label` says what they are.
    #[expect(clippy::cast_precision_loss, reason = "heights are pixels")]
    pub fn of(counts: &[u32], color: &'static str, label: String) -> Self {
        let most = f64::from(counts.iter().copied().max().unwrap_or(0).max(1));
        let step = 96.0 / counts.len().max(1) as f64;
        let bars = counts
            .iter()
            .enumerate()
            .map(|(i, count)| {
                let height =
                    if *count == 0 { 1.0 } else { (f64::from(*count) / most * 22.0).max(2.0) };
                Bar {
                    x: format!("{:.1}", step * i as f64),
                    y: format!("{:.1}", 24.0 - height),
                    height: format!("{height:.1}"),
                    zero: *count == 0,
                }
            })
            .collect();
        Self { bars, width: format!("{:.1}", (step - 1.0).max(0.8)), color, label }
    }
}

/// One line of a feed.
#[derive(Debug, Clone)]
pub struct FeedRow {
    pub at: Timestamp,
    pub actor: String,
    pub text: String,
    pub href: String,
    pub bad: bool,
}

impl FeedRow {
    /// An event as a sentence of the reader's language where its action has one, else as it was
    /// written.
    pub fn of(t: &Text, event: &Event) -> Self {
        let key = format!("event-{}", event.action.replace(['.', '_'], "-"));
        let text = if event.outcome == "success" && t.has(&key) {
            t.fmt(&key).a("target", &event.target_name).to_string()
        } else {
            // The actor stands in front of the sentence already.
            let actor = format!("{} ", event.actor_name);
            event.message.strip_prefix(&actor).unwrap_or(&event.message).to_owned()
        };
        Self {
            at: event.created_at,
            actor: event.actor_name.clone(),
            text,
            href: String::new(),
            bad: event.outcome != "success",
        }
    }
}

/// Where a list goes on.
#[derive(Debug, Clone, Default)]
pub struct Pager {
    pub first: Option<String>,
    pub next: Option<String>,
}

impl Pager {
    /// For a page of `path` (without `after`), given where it started and where it ends.
    pub fn of<T>(path: &str, query: &[(&str, &str)], after: Option<&str>, page: &Page<T>) -> Self {
        let with = |cursor: Option<&Cursor>| {
            let mut pairs: Vec<_> =
                query.iter().filter(|(_, value)| !value.is_empty()).copied().collect();
            if let Some(cursor) = cursor {
                pairs.push(("after", cursor.as_str()));
            }
            let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
            if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
        };
        Self {
            first: after.map(|_| with(None)),
            next: page.next.as_ref().map(|cursor| with(Some(cursor))),
        }
    }

    pub fn is_needed(&self) -> bool {
        self.first.is_some() || self.next.is_some()
    }
}

//! What probe answers mean, and when to ask next. Pure: time comes in, decisions come out.
//!
//! A container is *started* once its startup probe succeeded; until then the other two are held
//! back. It is *ready* while its readiness probe says so, and *dead* once its startup or liveness
//! probe failed `failureThreshold` times in a row; nothing brings it back.
//!
//! # Fast starts
//!
//! Traffic waits for the first success, so until then startup and readiness are asked 0, 50, 100,
//! 200, 400, … ms after they are due, at most `periodSeconds` apart. These extra questions can
//! only help: failures count once per period, so a threshold is never reached sooner than if the
//! probe had been asked once per period.

use chrono::Duration;

use crate::base::Timestamp;
use crate::engine::spec::Probe;

/// First pause between the quick questions.
const QUICK: Duration = Duration::milliseconds(50);

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Startup,
    Readiness,
    Liveness,
}

impl Kind {
    /// The word in answers and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// The probes of one container.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    pub readiness: Option<Probe>,
    pub liveness: Option<Probe>,
    pub startup: Option<Probe>,
}

/// What is known of one container's health.
#[derive(Debug, Clone)]
pub struct Health {
    startup: Option<Course>,
    readiness: Option<Course>,
    liveness: Option<Course>,
    ready: bool,
    dead: bool,
}

/// The course of one probe.
#[derive(Debug, Clone)]
struct Course {
    period: Duration,
    success_threshold: u32,
    failure_threshold: u32,
    /// When it may be asked first.
    due: Timestamp,
    /// When it was asked last.
    asked: Option<Timestamp>,
    /// When a failure was counted last.
    counted: Option<Timestamp>,
    /// In a row.
    successes: u32,
    failures: u32,
    /// Asked quickly until its first success.
    quick: bool,
}

impl Course {
    fn new(probe: &Probe, start: Timestamp, quick: bool) -> Self {
        Self {
            period: Duration::seconds(probe.period_seconds.max(1).into()),
            success_threshold: probe.success_threshold.max(1),
            failure_threshold: probe.failure_threshold.max(1),
            due: start + Duration::seconds(probe.initial_delay_seconds.into()),
            asked: None,
            counted: None,
            successes: 0,
            failures: 0,
            quick,
        }
    }

    fn next(&self) -> Timestamp {
        let Some(asked) = self.asked else { return self.due };
        let regular = asked + self.period;
        if !self.quick {
            return regular;
        }
        let elapsed = (asked - self.due).max(Duration::zero());
        let soon = asked + elapsed.max(QUICK).min(self.period);
        // A failure that counts is asked for on time, between quick questions, too.
        soon.min(self.counted.unwrap_or(asked) + self.period)
    }

    fn succeed(&mut self, at: Timestamp) {
        self.asked = Some(at);
        self.successes = self.successes.saturating_add(1);
        self.failures = 0;
        self.counted = None;
        self.quick = false;
    }

    fn fail(&mut self, at: Timestamp) {
        self.asked = Some(at);
        self.successes = 0;
        if self.counted.is_none_or(|last| at - last >= self.period) {
            self.counted = Some(at);
            self.failures = self.failures.saturating_add(1);
        }
    }

    fn has_failed(&self) -> bool {
        self.failures >= self.failure_threshold
    }

    fn has_succeeded(&self) -> bool {
        self.successes >= self.success_threshold
    }
}

impl Health {
    /// A container that runs since `now`, or, if it is known to be `ready`, one that is only
    /// observed anew: it is ready until its probes say otherwise.
    pub fn new(probes: &Probes, ready: bool, now: Timestamp) -> Self {
        let course = |probe: &Option<Probe>, quick: bool| {
            probe.as_ref().map(|p| {
                let mut course = Course::new(p, now, quick && !ready);
                if ready {
                    course.due = now;
                }
                course
            })
        };
        let startup = course(&probes.startup, true).filter(|_| !ready);
        let readiness = course(&probes.readiness, true);
        let ready = ready || (startup.is_none() && readiness.is_none());
        Self { startup, readiness, liveness: course(&probes.liveness, false), ready, dead: false }
    }

    /// Traffic may go to it.
    pub fn is_ready(&self) -> bool {
        self.ready && !self.dead
    }

    /// Waiting will not help: it must be restarted.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// The startup probe succeeded, or there is none.
    pub fn is_started(&self) -> bool {
        self.startup.is_none()
    }

    /// When to ask `kind` next; `None` if it is not to be asked now.
    pub fn next_due(&self, kind: Kind) -> Option<Timestamp> {
        if self.dead || (kind != Kind::Startup && !self.is_started()) {
            return None;
        }
        self.course(kind).map(Course::next)
    }

    /// The probe to ask next, and when.
    pub fn next(&self) -> Option<(Kind, Timestamp)> {
        [Kind::Startup, Kind::Readiness, Kind::Liveness]
            .into_iter()
            .filter_map(|kind| self.next_due(kind).map(|at| (kind, at)))
            .min_by_key(|(_, at)| *at)
    }

    fn course(&self, kind: Kind) -> Option<&Course> {
        match kind {
            Kind::Startup => self.startup.as_ref(),
            Kind::Readiness => self.readiness.as_ref(),
            Kind::Liveness => self.liveness.as_ref(),
        }
    }

    /// Takes the answer to a question asked at `asked`. An answer that comes too late, from a
    /// probe that is held back or done, changes nothing.
    pub fn observe(&mut self, kind: Kind, success: bool, asked: Timestamp) {
        if self.dead || (kind != Kind::Startup && !self.is_started()) {
            return;
        }
        let course = match kind {
            Kind::Startup => &mut self.startup,
            Kind::Readiness => &mut self.readiness,
            Kind::Liveness => &mut self.liveness,
        };
        let Some(course) = course else { return };
        if success {
            course.succeed(asked);
        } else {
            course.fail(asked);
        }
        let (succeeded, failed) = (course.has_succeeded(), course.has_failed());
        match kind {
            Kind::Startup if succeeded => {
                self.startup = None;
                self.ready = self.readiness.is_none();
                for held_back in [&mut self.readiness, &mut self.liveness].into_iter().flatten() {
                    held_back.due = held_back.due.max(asked);
                }
            }
            Kind::Readiness if succeeded => self.ready = true,
            Kind::Readiness if failed => self.ready = false,
            Kind::Startup | Kind::Liveness if failed => self.dead = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;

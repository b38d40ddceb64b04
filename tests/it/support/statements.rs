//! Counts the SQL statements of this thread's work.

use std::cell::Cell;
use std::sync::Once;

use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counter;

impl Layer<Registry> for Counter {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, Registry>) {
        if event.metadata().target() == "sqlx::query" {
            COUNT.set(COUNT.get() + 1);
        }
    }
}

/// Counts the statements that sqlx logs on this thread; for a runtime of one thread.
pub struct Statements {
    seen: usize,
}

impl Statements {
    /// Counts from now on. One subscriber serves all threads: what one thread learns of an event's
    /// source is kept for all, so one with a subscriber of its own could miss events.
    pub fn count() -> Self {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| {
            tracing::subscriber::set_global_default(Registry::default().with(Counter))
                .expect("nothing else subscribes");
        });
        Self { seen: COUNT.get() }
    }

    /// Statements since the last question.
    pub fn spent(&mut self) -> usize {
        let now = COUNT.get();
        now - std::mem::replace(&mut self.seen, now)
    }
}

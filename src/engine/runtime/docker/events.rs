//! The engine's event stream: sealed containers only, and it comes back by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as DockerError;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::super::RuntimeEvent;
use super::Inner;
use super::seal::SEAL;
use crate::base::{Clock as _, SystemClock};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

type Source = BoxStream<'static, Result<EventMessage, DockerError>>;

struct Listener {
    inner: Arc<Inner>,
    source: Option<Source>,
    /// Time of the last event, nanoseconds; what happened since is sent again after a break.
    since: i64,
    pause: Duration,
    is_broken: bool,
}

/// Events from now on.
pub(super) fn stream(inner: Arc<Inner>) -> BoxStream<'static, RuntimeEvent> {
    let since = SystemClock.now().timestamp_nanos_opt().unwrap_or(0);
    let listener = Listener { inner, source: None, since, pause: FIRST_PAUSE, is_broken: false };
    stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await;
        Some((event, listener))
    })
    .boxed()
}

impl Listener {
    async fn next(&mut self) -> RuntimeEvent {
        loop {
            let Some(source) = &mut self.source else {
                if self.connect().await {
                    return RuntimeEvent::Resync;
                }
                continue;
            };
            match source.next().await {
                Some(Ok(message)) => {
                    self.pause = FIRST_PAUSE;
                    self.since = message.time_nano.unwrap_or(self.since).max(self.since);
                    if let Some(event) = translate(&self.inner, &message) {
                        return event;
                    }
                }
                // An event that cannot be read is skipped; whoever needs it looks again.
                Some(Err(DockerError::JsonDataError { .. })) => return RuntimeEvent::Resync,
                Some(Err(_)) | None => {
                    self.source = None;
                    self.is_broken = true;
                }
            }
        }
    }

    /// Listens (again). True if the daemon answers after a break.
    async fn connect(&mut self) -> bool {
        if self.is_broken {
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        let Ok(docker) = self.inner.client.docker() else {
            self.is_broken = true;
            return false;
        };
        if self.is_broken && docker.ping().await.is_err() {
            return false;
        }
        let wanted = ["start", "die", "oom", "pause", "unpause", "rename", "destroy"];
        let filters = HashMap::from([
            ("type", vec!["container"]),
            ("label", vec![SEAL]),
            ("event", wanted.to_vec()),
        ]);
        let (seconds, nanos) = (self.since / 1_000_000_000, self.since % 1_000_000_000);
        let options = EventsOptionsBuilder::new()
            .since(&format!("{seconds}.{nanos:09}"))
            .filters(&filters)
            .build();
        self.source = Some(docker.events(Some(options)).boxed());
        std::mem::take(&mut self.is_broken)
    }
}

fn translate(inner: &Inner, message: &EventMessage) -> Option<RuntimeEvent> {
    let actor = message.actor.as_ref()?;
    let attributes = actor.attributes.as_ref()?;
    let action = message.action.as_deref()?;
    // A renamed container was ours under its old name.
    let name = if action == "rename" { "oldName" } else { "name" };
    let name = attributes.get(name)?;
    let (replica, _) = inner.seal.open(name.strip_prefix('/').unwrap_or(name), attributes)?;
    let container = actor.id.clone()?;
    Some(match action {
        "start" => RuntimeEvent::Started { container, replica },
        "die" => {
            let code = attributes.get("exitCode").and_then(|c| c.parse().ok()).unwrap_or(-1);
            RuntimeEvent::Died { container, replica, code }
        }
        "oom" => RuntimeEvent::OutOfMemory { container, replica },
        _ => RuntimeEvent::Changed { container, replica },
    })
}

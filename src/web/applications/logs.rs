//! `…/logs`: the lines of all replicas merged by time, or of one; and a stream that follows them.
//!
//! Lines are hostile bytes: the runtime has replaced control characters, the template escapes.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::extract::Query;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::rollout::short_name;
use super::{App, Head, Path, TabName, services_of};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Error, Result};
use crate::engine::view::DeploymentView;
use crate::engine::{LogLine, LogRequest};
use crate::web::errors::Failure;
use crate::web::frame::Frame;
use crate::web::shell::{At, PageResult, Shell};

/// Lines asked of each replica.
const TAIL: u32 = 500;
/// Lines a page shows.
const MOST_LINES: usize = 1000;
/// Replicas whose lines are merged.
const MOST_REPLICAS: usize = 50;
/// How long a page waits for a replica's lines.
const PATIENCE: Duration = Duration::from_secs(5);
/// A following stream ends after this and the browser reconnects, so that a session that ended
/// stops reading.
const LIFETIME: Duration = Duration::from_secs(600);
/// Lines in one message of the stream, and how long they are collected.
const BATCH: usize = 200;

/// What the page shows.
#[derive(Debug, Default, Clone, serde::Deserialize)]
pub(in crate::web) struct LogsQuery {
    #[serde(default)]
    on: String,
    #[serde(default)]
    replica: String,
    /// Only lines that contain this, whatever the case.
    #[serde(default)]
    q: String,
    #[serde(default)]
    previous: String,
}

/// One line as a page shows it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    at: crate::base::Timestamp,
    pub machine: String,
    pub clock: String,
    pub replica: String,
    pub text: String,
    /// It came through the error stream.
    pub warns: bool,
}

impl Line {
    fn of(line: LogLine, replica: &str) -> Self {
        Self {
            at: line.at,
            machine: line.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            clock: line.at.format("%H:%M:%S%.3f").to_string(),
            replica: short_name(replica).to_owned(),
            warns: line.stream == "stderr",
            text: line.text,
        }
    }
}

#[derive(Template)]
#[template(path = "applications/lines.html")]
struct Lines {
    lines: Vec<Line>,
}

#[derive(Template)]
#[template(path = "applications/logs.html")]
struct LogsPage {
    frame: Frame,
    head: Head,
    pill: super::rollout::Pill,
    lines: Vec<Line>,
    replicas: Vec<String>,
    query: LogsQuery,
    /// Address of the stream; empty: nothing to follow.
    follow: String,
    /// Replicas that did not answer.
    silent: Vec<String>,
    cut: bool,
}

/// The last lines of one replica.
pub(super) async fn tail(
    shell: &Shell,
    deployment: &DeploymentView,
    replica: &str,
    lines: u32,
    previous: bool,
) -> Result<Vec<Line>> {
    let (environment, name) = super::names(deployment)?;
    let request = LogRequest { previous, follow: false, tail: Some(lines), since: None };
    let read = async {
        let engine = &shell.services.engine;
        let lines = engine.logs(&shell.actor, &environment, &name, replica, &request).await?;
        lines.map_ok(|line| Line::of(line, replica)).try_collect().await
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .unwrap_or_else(|_| Err(Error::unavailable("the replica's log does not answer")))
}

async fn replicas_of(shell: &Shell, deployment: &DeploymentView) -> Result<Vec<String>> {
    let (environment, name) = super::names(deployment)?;
    let replicas = shell.services.engine.replicas(&shell.actor, &environment, &name).await?;
    Ok(replicas.into_iter().map(|replica| replica.name).collect())
}

async fn app_of(shell: &Shell, path: &Path, query: &LogsQuery) -> Result<App> {
    let app = App::load(shell, path, &query.on).await?;
    let permission = Permission(Resource::Replica, Action::Logs);
    shell.services.catalog.project(&shell.actor, &path.project, permission).await?;
    Ok(app)
}

fn wanted(all: &[String], query: &LogsQuery) -> Vec<String> {
    all.iter()
        .filter(|name| query.replica.is_empty() || **name == query.replica)
        .take(MOST_REPLICAS)
        .cloned()
        .collect()
}

fn matches(line: &Line, needle: &str) -> bool {
    needle.is_empty() || line.text.to_lowercase().contains(needle)
}

/// `GET …/logs`
pub(in crate::web) async fn page(
    shell: Shell,
    At(path): At<Path>,
    Query(query): Query<LogsQuery>,
) -> PageResult {
    let app = app_of(&shell, &path, &query).await?;
    let deployment = app.deployment()?;
    let replicas = replicas_of(&shell, deployment).await?;
    let previous = !query.previous.is_empty();
    let needle = query.q.trim().to_lowercase();
    let (mut lines, mut silent) = (Vec::new(), Vec::new());
    let reads = wanted(&replicas, &query).into_iter().map(|replica| {
        let shell = &shell;
        async move { (tail(shell, deployment, &replica, TAIL, previous).await, replica) }
    });
    let mut reads = stream::iter(reads).buffer_unordered(8);
    while let Some((read, replica)) = reads.next().await {
        match read {
            Ok(read) => lines.extend(read.into_iter().filter(|line| matches(line, &needle))),
            // A replica without a container has no lines; the others still have.
            Err(_) => silent.push(short_name(&replica).to_owned()),
        }
    }
    drop(reads);
    lines.sort_by_key(|line| line.at);
    let cut = lines.len() > MOST_LINES;
    if cut {
        lines.drain(..lines.len() - MOST_LINES);
    }
    let services = services_of(&shell, deployment).await?;
    let (kind, word) = super::phase_of(&shell, deployment);
    let frame = app.frame(&shell, shell.t.get("app-tab-logs"), false).await?;
    let follow = if previous {
        String::new()
    } else {
        let pairs = [("on", super::key(deployment)), ("replica", query.replica.clone())];
        let pairs = serde_urlencoded::to_string(pairs).unwrap_or_default();
        format!("{}/logs/follow?{pairs}", app.base())
    };
    shell.render(&LogsPage {
        head: Head::of(&shell, &app, TabName::Logs, &services),
        pill: super::rollout::Pill { kind, word },
        lines,
        replicas,
        query,
        follow,
        silent,
        cut,
        frame,
    })
}

/// `GET …/logs/follow`: new lines as ready list items.
pub(in crate::web) async fn follow(
    shell: Shell,
    At(path): At<Path>,
    Query(query): Query<LogsQuery>,
) -> std::result::Result<Response, Failure> {
    let app = app_of(&shell, &path, &query).await?;
    let deployment = app.deployment()?;
    let (environment, name) = super::names(deployment)?;
    let request = LogRequest {
        previous: false,
        follow: true,
        tail: None,
        since: Some(shell.services.clock.now()),
    };
    let all = replicas_of(&shell, deployment).await?;
    let mut streams = stream::SelectAll::new();
    for replica in wanted(&all, &query) {
        let lines =
            shell.services.engine.logs(&shell.actor, &environment, &name, &replica, &request).await;
        if let Ok(lines) = lines {
            let lines = lines.filter_map(move |line| {
                std::future::ready(line.ok().map(|line| Line::of(line, &replica)))
            });
            streams.push(Box::pin(lines));
        }
    }
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    let mut response = Sse::new(messages(streams)).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    Ok(response)
}

/// Lines that are ready at once travel together; a replica that ends leaves the stream open, so
/// that the browser does not hammer with reconnects.
fn messages(
    lines: impl Stream<Item = Line> + Send + 'static,
) -> impl Stream<Item = std::result::Result<Message, Infallible>> + Send {
    lines
        .chain(stream::pending())
        .ready_chunks(BATCH)
        .map(|lines| {
            let html = Lines { lines }.render().unwrap_or_default();
            Ok(Message::default().event("lines").data(html))
        })
        .take_until(tokio::time::sleep(LIFETIME))
}

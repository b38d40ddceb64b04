//! A steady load on a service: some workers on kept connections, some with a new one each time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

/// A running load.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    workers: JoinSet<Report>,
}

/// What it saw.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) answered: usize,
    pub(super) failed: usize,
    /// Distinct bodies.
    pub(super) bodies: BTreeSet<String>,
    /// Up to a few of the failures.
    pub(super) faults: Vec<String>,
}

impl Load {
    pub(super) const WORKERS: usize = 6;

    pub(super) fn start(url: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = JoinSet::new();
        for number in 0..Self::WORKERS {
            let keep = if number % 2 == 0 { usize::MAX } else { 0 };
            workers.spawn(worker(url.to_owned(), keep, Arc::clone(&stop)));
        }
        Self { stop, workers }
    }

    pub(super) async fn stop(mut self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Report::default();
        while let Some(report) = self.workers.join_next().await {
            let report = report.expect("a worker ends");
            total.answered += report.answered;
            total.failed += report.failed;
            total.bodies.extend(report.bodies);
            total.faults.extend(report.faults);
        }
        total.faults.truncate(8);
        total
    }
}

async fn worker(url: String, keep: usize, stop: Arc<AtomicBool>) -> Report {
    let client = reqwest::Client::builder()
        .pool_max_idle_per_host(keep)
        .timeout(Duration::from_secs(10))
        .build()
        .expect("a client");
    let mut report = Report::default();
    while !stop.load(Ordering::Relaxed) {
        let answer = async { client.get(&url).send().await?.error_for_status()?.text().await };
        match answer.await {
            Ok(body) => {
                report.answered += 1;
                report.bodies.insert(body.trim().to_owned());
            }
            Err(error) => {
                report.failed += 1;
                report.faults.push(format!("{error:?}"));
            }
        }
        // Steady, not saturating: the two cores are shared with everything under test.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    report
}

/// Distinct bodies of `count` requests, each on a new connection; `None` if one failed.
pub(super) async fn names(url: &str, count: usize) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for _ in 0..count {
        let answer = reqwest::get(url).await.ok()?.error_for_status().ok()?;
        names.insert(answer.text().await.ok()?.trim().to_owned());
    }
    Some(names)
}

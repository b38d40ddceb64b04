//! Wake-ups between instances: what one commits, the others hear within about 20 ms.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use crate::base::Result;
use crate::db::Db;

const CHANNEL: &str = "portolan_events";
/// At most one notification per this time, however many commits.
const QUIET: Duration = Duration::from_millis(20);

/// Sends a notification after local commits, debounced, until `stop`.
pub async fn send(db: Db, stop: CancellationToken) {
    let mut changes = db.changes();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
        changes.mark_unchanged();
        if let Err(error) = notify(&db).await {
            tracing::warn!(error = %error.chain(), "cannot notify other instances of new events");
        }
        tokio::time::sleep(QUIET).await;
    }
}

async fn notify(db: &Db) -> Result<()> {
    // The payload tells the sender's own listener apart: it has been woken locally already.
    let mut conn = db.read().await?;
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, INSTANCE.as_str())
        .execute(&mut *conn)
        .await?;
    Ok(())
}

static INSTANCE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    let mut bytes = [0u8; 8];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    hex::encode(bytes)
});

/// Ticks [`Db::changes`] whenever another instance commits an event, until `stop`. After a lost
/// connection it ticks once, because anything may have been missed.
pub async fn receive(db: Db, stop: CancellationToken) {
    let mut ticks = 0u32;
    while !stop.is_cancelled() {
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = follow(&db) => ended,
        };
        if let Err(error) = ended {
            tracing::warn!(error = %error.chain(), "lost the connection that hears of new events");
        }
        ticks = (ticks + 1).min(6);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(100 << ticks)) => {}
        }
    }
}

async fn follow(db: &Db) -> Result<()> {
    let mut listener = PgListener::connect_with(db.pool()).await?;
    listener.listen(CHANNEL).await?;
    db.announce_change();
    loop {
        match listener.try_recv().await? {
            Some(note) if note.payload() == INSTANCE.as_str() => {}
            Some(_) | None => db.announce_change(),
        }
    }
}

//! SQL of the runs of upkeep.

use sqlx::PgConnection;

use crate::base::Timestamp;
use crate::base::id::RunId;
use crate::registry::upkeep::{Cause, Counts, Kind, Run, State};

/// Notes a request; `false` when one of its kind waits already.
pub(in crate::registry) async fn request(
    conn: &mut PgConnection,
    id: RunId,
    kind: Kind,
    actor: &str,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into collection_runs (id, kind, cause, actor_name, created_at, heartbeat_at)
         values ($1, $2, 'request', $3, $4, $4)
         on conflict do nothing",
        id.uuid(),
        kind.as_str(),
        actor,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes up the oldest waiting request that is not a scrub.
pub(in crate::registry) async fn take_waiting(
    conn: &mut PgConnection,
    now: Timestamp,
) -> Result<Option<(RunId, Kind, String)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"update collection_runs set started_at = $1, heartbeat_at = $1
           where id = (select id from collection_runs
                       where started_at is null and kind <> 'scrub'
                       order by created_at limit 1 for update skip locked)
           returning id as "id: RunId", kind, actor_name"#,
        now,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| Ok((r.id, word(&r.kind)?, r.actor_name))).transpose()
}

/// Starts a run; `false`: one of its kind was started after `since`.
pub(in crate::registry) async fn start(
    conn: &mut PgConnection,
    id: RunId,
    kind: Kind,
    (cause, actor): (Cause, &str),
    since: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into collection_runs
             (id, kind, cause, actor_name, created_at, started_at, heartbeat_at)
         select $1, $2, $3, $4, $5, $5, $5
         where $6::timestamptz is null or not exists (
             select 1 from collection_runs where kind = $2 and started_at > $6)
         on conflict do nothing",
        id.uuid(),
        kind.as_str(),
        cause.as_str(),
        actor,
        now,
        since,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Says that the run lives, and how far it is.
pub(in crate::registry) async fn beat(
    conn: &mut PgConnection,
    id: RunId,
    counts: Counts,
    position: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update collection_runs
         set uploads = $2, links = $3, blobs = $4, bytes = $5, faults = $6, position = $7,
             heartbeat_at = $8
         where id = $1 and finished_at is null",
        id.uuid(),
        counts.uploads,
        counts.links,
        counts.blobs,
        counts.bytes,
        counts.faults,
        position,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a run.
pub(in crate::registry) async fn finish(
    conn: &mut PgConnection,
    id: RunId,
    counts: Counts,
    outcome: &str,
    message: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update collection_runs
         set uploads = $2, links = $3, blobs = $4, bytes = $5, faults = $6, outcome = $7,
             message = $8, heartbeat_at = $9, finished_at = $9
         where id = $1 and finished_at is null",
        id.uuid(),
        counts.uploads,
        counts.links,
        counts.blobs,
        counts.bytes,
        counts.faults,
        outcome,
        message,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets scheduled runs of this kind that did nothing, but for `last`, and runs older than
/// `before`.
pub(in crate::registry) async fn forget(
    conn: &mut PgConnection,
    kind: Kind,
    last: RunId,
    before: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from collection_runs
         where finished_at < $3
            or (kind = $1 and id <> $2 and cause = 'schedule' and outcome = 'success'
                and kind <> 'scrub' and uploads + links + blobs + faults = 0)",
        kind.as_str(),
        last.uuid(),
        before,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// When a run of each kind was last started.
pub(in crate::registry) async fn last_started(
    conn: &mut PgConnection,
) -> Result<Vec<(Kind, Timestamp)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select kind, max(started_at) as "at!" from collection_runs
           where started_at is not null group by kind"#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|r| Ok((word(&r.kind)?, r.at))).collect()
}

/// Takes up the scrub that waits, or whose keeper fell silent before `silent`: where it goes on.
pub(in crate::registry) async fn take_scrub(
    conn: &mut PgConnection,
    silent: Timestamp,
    now: Timestamp,
) -> Result<Option<(RunId, Counts, String)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"update collection_runs
           set started_at = coalesce(started_at, $2), heartbeat_at = $2
           where id = (select id from collection_runs
                       where kind = 'scrub' and finished_at is null
                         and (started_at is null or heartbeat_at < $1)
                       limit 1 for update skip locked)
           returning id as "id: RunId", blobs, bytes, faults, position"#,
        silent,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| {
        let counts =
            Counts { blobs: r.blobs, bytes: r.bytes, faults: r.faults, ..Counts::default() };
        (r.id, counts, r.position)
    }))
}

/// Lets another keeper take the scrub at once.
pub(in crate::registry) async fn release_scrub(
    conn: &mut PgConnection,
    id: RunId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update collection_runs set heartbeat_at = to_timestamp(0)
         where id = $1 and finished_at is null",
        id.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A run as its row is.
struct RunRow {
    id: RunId,
    kind: String,
    cause: String,
    actor_name: String,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    heartbeat_at: Timestamp,
    finished_at: Option<Timestamp>,
    outcome: Option<String>,
    uploads: i64,
    links: i64,
    blobs: i64,
    bytes: i64,
    faults: i64,
    position: String,
    message: String,
}

impl RunRow {
    /// A run whose heartbeat is older than `silent` was interrupted; a scrub goes on by itself.
    fn run(self, silent: Timestamp) -> Result<Run, sqlx::Error> {
        let kind: Kind = word(&self.kind)?;
        let state = match (self.outcome.as_deref(), self.started_at) {
            (Some("success"), _) => State::Done,
            (Some(_), _) => State::Failed,
            (None, None) => State::Waiting,
            (None, Some(_)) if self.heartbeat_at < silent && kind != Kind::Scrub => {
                State::Interrupted
            }
            (None, Some(_)) => State::Running,
        };
        Ok(Run {
            id: self.id,
            kind,
            cause: word(&self.cause)?,
            actor_name: self.actor_name,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            state,
            counts: Counts {
                uploads: self.uploads,
                links: self.links,
                blobs: self.blobs,
                bytes: self.bytes,
                faults: self.faults,
            },
            position: self.position,
            message: self.message,
        })
    }
}

/// Runs newest first; with `kind`, of that kind; with `id`, that one.
pub(in crate::registry) async fn list(
    conn: &mut PgConnection,
    (id, kind): (Option<RunId>, Option<Kind>),
    after: Option<(Timestamp, uuid::Uuid)>,
    silent: Timestamp,
    limit: i64,
) -> Result<Vec<Run>, sqlx::Error> {
    let (after_at, after_id) = after.unzip();
    let rows = sqlx::query_as!(
        RunRow,
        r#"select id as "id: RunId", kind, cause, actor_name, created_at, started_at, heartbeat_at,
                  finished_at, outcome, uploads, links, blobs, bytes, faults, position, message
           from collection_runs
           where ($1::uuid is null or id = $1)
             and ($2::text is null or kind = $2)
             and ($3::timestamptz is null or (created_at, id) < ($3, $4::uuid))
           order by created_at desc, id desc
           limit $5"#,
        id.map(RunId::uuid),
        kind.map(Kind::as_str),
        after_at,
        after_id,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| row.run(silent)).collect()
}

/// The newest run of each kind.
pub(in crate::registry) async fn newest(
    conn: &mut PgConnection,
    silent: Timestamp,
) -> Result<Vec<Run>, sqlx::Error> {
    let rows = sqlx::query_as!(
        RunRow,
        r#"select distinct on (kind)
                  id as "id: RunId", kind, cause, actor_name, created_at, started_at, heartbeat_at,
                  finished_at, outcome, uploads, links, blobs, bytes, faults, position, message
           from collection_runs
           order by kind, created_at desc, id desc"#,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| row.run(silent)).collect()
}

/// A word that a check of the table allows.
fn word<T: std::str::FromStr<Err = crate::base::Error>>(text: &str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|e: crate::base::Error| sqlx::Error::Decode(Box::new(e)))
}

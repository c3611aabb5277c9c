//! The producer's half of the feed: the outbox table, and the two internal paths that serve it.
//!
//! The table is the service's, made by its own migration; `chassis/migrations/outbox.sql` is the
//! text, and a test of each service holds the two together by using them. A service inserts into it
//! within the transaction that changes the entity, then calls [`Outbox::notify_readers`] after the commit.
//! Readers are woken by NOTIFY. It is sent apart from the writing transactions and at most once per
//! [`NOTIFY_INTERVAL`], since a transaction that notifies holds a lock that all others wait for.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::{PgExecutor, PgPool, postgres::PgListener};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};
use utoipa::IntoParams;

use super::{Change, Changes, Cursor};
use crate::{
    Problem,
    extract::{Bounded, Query},
    postgres::problem,
    problem::FieldError,
    shutdown::Shutdown,
};

/// The shortest interval between two NOTIFYs.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(5);
/// The interval at which a reader polls without a notification: the writer may have died between
/// its commit and its NOTIFY.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The polling interval while an open, older transaction hides a record.
const HIDDEN_POLL_INTERVAL: Duration = Duration::from_millis(10);
const CHANNEL: &str = "outbox";
const DEFAULT_LIMIT: i64 = 1000;

/// The outbox of a service; cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    pool: PgPool,
    /// SELECTs of (name, key, payload as text) that together return the current state.
    snapshot: &'static [&'static str],
    written: Arc<Notify>,
    arrived: watch::Sender<()>,
    shutdown: Shutdown,
}

impl Outbox {
    /// The outbox in `pool`. `snapshot` lists SELECTs of (name, key, payload as text) that together
    /// return the current state as changes. Starts the tasks that send and receive NOTIFY and that
    /// delete records older than `retention`.
    pub fn new(
        pool: PgPool,
        snapshot: &'static [&'static str],
        retention: Duration,
        shutdown: &Shutdown,
    ) -> Self {
        let outbox = Self {
            pool,
            snapshot,
            written: Arc::new(Notify::new()),
            arrived: watch::Sender::new(()),
            shutdown: shutdown.clone(),
        };
        shutdown.spawn(outbox.clone().send_notifications());
        shutdown.spawn(outbox.clone().receive_notifications());
        shutdown.spawn(outbox.clone().expire(retention));
        outbox
    }

    /// Wakes readers after a commit.
    pub fn notify_readers(&self) {
        self.arrived.send_replace(());
        self.written.notify_one();
    }

    /// A channel that changes whenever a commit is possible, of this process or another, for readers with
    /// a loop of their own. A notification can be lost, so they must poll as well.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.arrived.subscribe()
    }

    async fn send_notifications(self) {
        loop {
            tokio::select! {
                () = self.shutdown.started() => return,
                () = self.written.notified() => {}
            }
            let sent = sqlx::query!("select pg_notify($1, '')", CHANNEL)
                .execute(&self.pool)
                .await;
            if let Err(error) = sent {
                tracing::debug!(%error, "cannot notify, readers will poll");
            }
            tokio::time::sleep(NOTIFY_INTERVAL).await;
        }
    }

    async fn receive_notifications(self) {
        while !self.shutdown.is_started() {
            if let Err(error) = self.listen().await {
                tracing::debug!(%error, "cannot listen for notifications, polling");
            }
            self.shutdown.sleep(POLL_INTERVAL).await;
        }
    }

    async fn listen(&self) -> sqlx::Result<()> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            tokio::select! {
                () = self.shutdown.started() => return Ok(()),
                received = listener.try_recv() => {
                    received?;
                    self.arrived.send_replace(());
                }
            }
        }
    }

    /// The routes of changes and snapshot, for the service's router. The gateway never
    /// exposes them.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/internal/v1/changes", get(changes))
            .route("/internal/v1/snapshot", get(snapshot))
            .with_state(self.clone())
    }

    /// The changes after `after`, at most `limit`; waits for one at most `wait`.
    ///
    /// # Errors
    /// [`ReadError::CursorExpired`] if records after the cursor were deleted.
    #[tracing::instrument(name = "chassis.outbox.read", level = "debug", skip_all, fields(limit))]
    pub async fn read(
        &self,
        after: Option<Cursor>,
        limit: i64,
        wait: Duration,
    ) -> Result<Changes, ReadError> {
        let until = Instant::now() + wait;
        let mut arrived = self.arrived.subscribe();
        let after = self.check(after).await?;
        loop {
            arrived.mark_unchanged();
            let rows = self.rows_after(after, limit).await?;
            if let Some(last) = rows.last() {
                let next = Cursor {
                    epoch: after.epoch,
                    transaction: parse_xid(&last.xid)?,
                    sequence: last.seq,
                };
                let changes = rows
                    .into_iter()
                    .map(|row| change(row.name, row.key, row.created_at, row.payload))
                    .collect::<Result<_, _>>()?;
                return Ok(Changes {
                    changes,
                    next: next.to_string(),
                });
            }
            let hidden = self.has_hidden(after).await?;
            let pause = if hidden {
                HIDDEN_POLL_INTERVAL
            } else {
                POLL_INTERVAL
            };
            if Instant::now() + pause.min(HIDDEN_POLL_INTERVAL) >= until
                || self.shutdown.is_started()
            {
                return Ok(Changes {
                    changes: Vec::new(),
                    next: after.to_string(),
                });
            }
            tokio::select! {
                () = self.shutdown.started() => {}
                () = tokio::time::sleep_until(until.min(Instant::now() + pause)) => {}
                _ = arrived.changed(), if !hidden => {}
            }
        }
    }

    /// The cursor after everything that is committed now. Take it before
    /// reading the tables: changes committed in between are then read twice, not lost.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if Postgres is unreachable or the statement fails.
    pub async fn current_cursor(&self) -> sqlx::Result<Cursor> {
        current_cursor(&self.pool).await
    }

    /// Follows the feed until the shutdown, for copies that this process keeps in memory. Calls `reset` at the start and
    /// whenever the records after the last known change have expired: the copies are then unreliable as a whole. Calls
    /// `apply` with each batch of changes. Retries while Postgres is unreachable.
    pub async fn follow(self, mut reset: impl FnMut(), mut apply: impl FnMut(&[Change])) {
        const WAIT: Duration = Duration::from_secs(30);
        let mut cursor = None;
        while !self.shutdown.is_started() {
            if cursor.is_none() {
                cursor = self.current_cursor().await.ok();
                match cursor {
                    Some(_) => reset(),
                    None => {
                        self.shutdown.sleep(POLL_INTERVAL).await;
                        continue;
                    }
                }
            }
            match self.read(cursor, DEFAULT_LIMIT, WAIT).await {
                Ok(Changes { changes, next }) => {
                    apply(&changes);
                    cursor = next.parse().ok();
                }
                Err(ReadError::CursorExpired) => cursor = None,
                Err(ReadError::Database(error)) => {
                    tracing::debug!(%error, "cannot read the change feed, trying again");
                    self.shutdown.sleep(POLL_INTERVAL).await;
                }
            }
        }
    }

    async fn check(&self, after: Option<Cursor>) -> Result<Cursor, ReadError> {
        let state = sqlx::query!(
            r#"select epoch, expired_xid::text as "xid!", expired_seq from outbox_state"#
        )
        .fetch_one(&self.pool)
        .await?;
        let begin = Cursor {
            epoch: state.epoch,
            transaction: parse_xid(&state.xid)?,
            sequence: state.expired_seq,
        };
        match after {
            Some(cursor) if cursor.epoch == begin.epoch && cursor >= begin => Ok(cursor),
            None if begin.sequence == 0 => Ok(begin),
            _ => Err(ReadError::CursorExpired),
        }
    }

    async fn rows_after(&self, after: Cursor, limit: i64) -> sqlx::Result<Vec<Row>> {
        sqlx::query_as!(
            Row,
            // Ordered by the column, not by the text of the same name: as text, 10000 is before 9999. Records may expire
            // since the check of the cursor: the rest would then be read as if nothing were missing before it.
            r#"select xid::text as "xid!", seq, name, key, payload::text as "payload!", created_at
               from outbox
               where (xid, seq) > ($1::text::xid8, $2)
                 and xid < pg_snapshot_xmin(pg_current_snapshot())
                 and exists (select from outbox_state where (expired_xid, expired_seq) <= ($1::text::xid8, $2))
               order by outbox.xid, outbox.seq
               limit $3"#,
            after.transaction.to_string(),
            after.sequence,
            limit,
        )
        .fetch_all(&self.pool)
        .await
    }

    /// True if an open transaction hides records after `after`.
    async fn has_hidden(&self, after: Cursor) -> Result<bool, ReadError> {
        let state = sqlx::query!(
            r#"select exists (select from outbox where (xid, seq) > ($1::text::xid8, $2)) as "is_hidden!",
                      (expired_xid, expired_seq) > ($1::text::xid8, $2) as "is_expired!"
               from outbox_state"#,
            after.transaction.to_string(),
            after.sequence,
        )
        .fetch_one(&self.pool)
        .await?;
        if state.is_expired {
            Err(ReadError::CursorExpired)
        } else {
            Ok(state.is_hidden)
        }
    }

    async fn expire(self, retention: Duration) {
        let every = (retention / 10).clamp(Duration::from_secs(1), Duration::from_secs(600));
        while !self.shutdown.sleep(every).await {
            match self.expire_once(retention).await {
                Ok(0) => {}
                Ok(records) => tracing::info!(records, "change records expired"),
                Err(error) => tracing::debug!(%error, "cannot expire change records"),
            }
        }
    }

    /// Deletes records older than `retention` and stores the position; returns the number deleted.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if Postgres is unreachable or the statement fails.
    #[tracing::instrument(name = "chassis.outbox.expire", level = "debug", skip_all)]
    pub async fn expire_once(&self, retention: Duration) -> sqlx::Result<u64> {
        sqlx::query_scalar!(
            r#"with last as (
                select xid, seq from outbox
                where created_at < now() - make_interval(secs => $1)
                  and xid < pg_snapshot_xmin(pg_current_snapshot())
                order by xid desc, seq desc limit 1
             ), gone as (
                delete from outbox using last
                where (outbox.xid, outbox.seq) <= (last.xid, last.seq)
                returning 1
             ), moved as (
                update outbox_state set expired_xid = last.xid, expired_seq = last.seq from last
             )
             select count(*) as "count!" from gone"#,
            retention.as_secs_f64(),
        )
        .fetch_one(&self.pool)
        .await
        .map(i64::unsigned_abs)
    }

    #[tracing::instrument(name = "chassis.outbox.snapshot", level = "debug", skip_all)]
    async fn stream_snapshot(
        &self,
        lines: &mpsc::Sender<Result<Bytes, std::io::Error>>,
    ) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        let settings = "set transaction isolation level repeatable read, read only; \
                        set local statement_timeout = '10min'";
        sqlx::raw_sql(settings).execute(&mut *transaction).await?;
        let cursor = current_cursor(&mut *transaction).await?;
        let send = async |line: String| lines.send(Ok(line.into())).await.is_ok();
        if !send(format!("{{\"cursor\":\"{cursor}\"}}\n")).await {
            return Ok(());
        }
        let mut count = 0_u64;
        for statement in self.snapshot {
            let mut rows = sqlx::query_as(*statement).fetch(&mut *transaction);
            let mut chunk = String::new();
            while let Some((name, key, payload)) = rows.try_next().await? {
                count += 1;
                let change = change(name, key, DateTime::UNIX_EPOCH, payload)?;
                chunk.push_str(&serde_json::to_string(&change).map_err(undecodable)?);
                chunk.push('\n');
                if chunk.len() >= 64 * 1024 && !send(std::mem::take(&mut chunk)).await {
                    return Ok(());
                }
            }
            drop(rows);
            if !chunk.is_empty() && !send(chunk).await {
                return Ok(());
            }
        }
        send(format!("{{\"end\":true,\"count\":{count}}}\n")).await;
        transaction.commit().await
    }
}

/// The cursor after a snapshot taken in `transaction`: every transaction
/// before it had ended and is in the snapshot; those at or after it may be, and are returned again.
async fn current_cursor(transaction: impl PgExecutor<'_>) -> sqlx::Result<Cursor> {
    let state = sqlx::query!(
        r#"select epoch, pg_snapshot_xmin(pg_current_snapshot())::text as "xmin!" from outbox_state"#
    )
    .fetch_one(transaction)
    .await?;
    Ok(Cursor {
        epoch: state.epoch,
        transaction: parse_xid(&state.xmin)?,
        sequence: 0,
    })
}

fn parse_xid(text: &str) -> sqlx::Result<u64> {
    text.parse().map_err(undecodable)
}

struct Row {
    xid: String,
    seq: i64,
    name: String,
    key: String,
    payload: String,
    created_at: DateTime<Utc>,
}

fn change(
    name: String,
    key: String,
    occurred_at: DateTime<Utc>,
    payload: String,
) -> sqlx::Result<Change> {
    Ok(Change {
        name,
        key,
        occurred_at,
        payload: RawValue::from_string(payload).map_err(undecodable)?,
    })
}

fn undecodable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

/// A failed read of the feed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The cursor is too old, or of another incarnation of the database.
    #[error("the records after this cursor have expired")]
    CursorExpired,
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::CursorExpired => {
                Self::new(StatusCode::GONE, "cursor-expired", "the cursor is too old")
                    .detail("take a snapshot and continue from its cursor")
            }
            ReadError::Database(error) => problem(&error),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct ChangesQuery {
    after: Option<String>,
    limit: Option<Bounded<1, 10_000>>,
    wait: Option<Bounded<0, 30>>,
}

async fn changes(
    State(outbox): State<Outbox>,
    Query(query): Query<ChangesQuery>,
) -> Result<axum::Json<Changes>, Problem> {
    let after = query
        .after
        .map(|text| text.parse::<Cursor>())
        .transpose()
        .map_err(|message| Problem::invalid(vec![FieldError::new("after", message)]))?;
    let limit = query.limit.map_or(DEFAULT_LIMIT, Bounded::get);
    let wait = query.wait.map_or(0, Bounded::get).unsigned_abs();
    let changes = outbox.read(after, limit, Duration::from_secs(wait)).await?;
    Ok(axum::Json(changes))
}

async fn snapshot(State(outbox): State<Outbox>) -> Response {
    let (lines, mut receiver) = mpsc::channel(4);
    let task = outbox.clone();
    outbox.shutdown.spawn(async move {
        let sent = tokio::select! {
            // Sending a large snapshot takes minutes; the reader begins again at another replica.
            () = task.shutdown.started() => Err("the process is shutting down".to_owned()),
            sent = task.stream_snapshot(&lines) => sent.map_err(|error| error.to_string()),
        };
        if let Err(cause) = sent {
            tracing::warn!(cause, "snapshot ended early");
            // The reader receives a body without its last line.
            let _ = lines.try_send(Err(std::io::Error::other("snapshot ended early")));
        }
    });
    let body = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    (
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(body),
    )
        .into_response()
}

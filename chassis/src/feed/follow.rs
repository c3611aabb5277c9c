//! The consumer's half of the feed: follows another service's outbox and passes the changes to a
//! [`Projection`], from its stored cursor if it has one, else from a snapshot. It retries
//! until the shutdown.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use rand::Rng;
use reqwest::StatusCode;
use serde::Deserialize;
use tokio_util::codec::{Decoder, LinesCodec};

use super::{Change, Changes};
use crate::{
    client::{CallError, Client},
    shutdown::Shutdown,
};

/// The time of the last response of the feed, in seconds since 1970 (gauge, by source).
pub const FEED_CONTACT_TIMESTAMP_SECONDS: &str = "feed_contact_timestamp_seconds";
/// Changes applied (counter, by source).
pub const FEED_CHANGES_TOTAL: &str = "feed_changes_total";
/// Snapshots applied (counter, by source).
pub const FEED_SNAPSHOTS_TOTAL: &str = "feed_snapshots_total";

const LIMIT: usize = 1000;
const WAIT_SECONDS: u64 = 25;
const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(600);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(5);

/// An error of a projection.
pub type ProjectionError = anyhow::Error;

/// A read model that a feed keeps current. Changes may come more than once, and a change of an entity
/// may come after a newer one of the same entity; the version in the payload decides.
pub trait Projection: Send + Sync + 'static {
    /// The cursor of the model; `None` if it is empty.
    fn cursor(&self) -> impl Future<Output = Result<Option<String>, ProjectionError>> + Send;

    /// Replaces the whole model by `snapshot`, and its cursor by the snapshot's.
    fn restore(
        &self,
        snapshot: SnapshotReader,
    ) -> impl Future<Output = Result<(), ProjectionError>> + Send;

    /// Applies `changes` and stores `cursor`.
    fn apply(
        &self,
        changes: Vec<Change>,
        cursor: &str,
    ) -> impl Future<Output = Result<(), ProjectionError>> + Send;
}

/// The completeness of a read model; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct FeedState(Arc<AtomicBool>);

impl FeedState {
    /// True if the model has once held everything that the source had. An unavailable source
    /// then makes the model older, not useless.
    pub fn is_caught_up(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// The readiness check of the model.
    ///
    /// # Errors
    /// Returns the text of the health report while the model is incomplete.
    pub async fn check(self) -> Result<(), String> {
        match self.is_caught_up() {
            true => Ok(()),
            false => Err("still loading".to_owned()),
        }
    }
}

/// Follows `source` until the shutdown.
pub async fn follow<P: Projection>(
    source: Client,
    projection: Arc<P>,
    state: FeedState,
    shutdown: Shutdown,
) {
    let mut failures = 0_u32;
    let mut cursor = None;
    while !shutdown.is_started() {
        let step = tokio::select! {
            () = shutdown.started() => return,
            step = step(&source, projection.as_ref(), &state, &mut cursor) => step,
        };
        match step {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                let pause = pause_after(failures);
                if failures == 1 || failures.is_multiple_of(20) {
                    tracing::warn!(
                        source = source.service(),
                        failures,
                        cause = format!("{error:#}"),
                        "cannot follow the feed, trying again"
                    );
                }
                // The projection's position is unknown after a failure, so its cursor is read again.
                cursor = None;
                shutdown.sleep(pause).await;
            }
        }
    }
}

/// Exponential with full jitter, so that replicas do not reconnect simultaneously.
fn pause_after(failures: u32) -> Duration {
    let most = Duration::from_millis(100)
        .saturating_mul(2_u32.saturating_pow(failures.min(10)))
        .min(MAX_RETRY_PAUSE);
    most.mul_f64(rand::rng().random_range(0.2..1.0))
}

async fn step<P: Projection>(
    source: &Client,
    projection: &P,
    state: &FeedState,
    cursor: &mut Option<String>,
) -> Result<(), ProjectionError> {
    let after = match cursor.take() {
        Some(after) => after,
        None => match projection.cursor().await? {
            Some(after) => after,
            None => take_snapshot(source, projection).await?,
        },
    };
    let wait = WAIT_SECONDS * u64::from(state.is_caught_up());
    let path = format!("/internal/v1/changes?after={after}&limit={LIMIT}&wait={wait}");
    let response = source
        .get(&path, Duration::from_secs(wait + 10))
        .send()
        .await
        .map_err(|error| source.unreachable(error))?;
    match response.status() {
        StatusCode::GONE | StatusCode::BAD_REQUEST => {
            tracing::info!(
                source = source.service(),
                "cursor too old, taking a snapshot"
            );
            *cursor = Some(take_snapshot(source, projection).await?);
            return Ok(());
        }
        _ => {}
    }
    let Changes { changes, next } = source.read(response).await?;
    metrics::gauge!(FEED_CONTACT_TIMESTAMP_SECONDS, "source" => source.service())
        .set(crate::clock::system_now().timestamp_millis() as f64 / 1000.0);
    let count = changes.len();
    if count > 0 {
        projection.apply(changes, &next).await?;
        metrics::counter!(FEED_CHANGES_TOTAL, "source" => source.service()).increment(count as u64);
    }
    *cursor = Some(next);
    if count < LIMIT {
        state.0.store(true, Ordering::Release);
    }
    Ok(())
}

async fn take_snapshot<P: Projection>(
    source: &Client,
    projection: &P,
) -> Result<String, ProjectionError> {
    let response = source
        .get("/internal/v1/snapshot", SNAPSHOT_TIMEOUT)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| source.unreachable(error))?;
    let mut reader = SnapshotReader {
        response,
        buffer: BytesMut::new(),
        lines: LinesCodec::new_with_max_length(MAX_LINE_BYTES),
        service: source.service(),
        cursor: String::new(),
        count: 0,
        ended: false,
    };
    let first = reader.next_line().await?.unwrap_or_default();
    let Ok(Line::Begin { cursor }) = serde_json::from_str(&first) else {
        return Err(reader.unreadable("it does not begin with a cursor").into());
    };
    reader.cursor.clone_from(&cursor);
    projection.restore(reader).await?;
    metrics::counter!(FEED_SNAPSHOTS_TOTAL, "source" => source.service()).increment(1);
    Ok(cursor)
}

/// A snapshot as it arrives, never whole in memory.
pub struct SnapshotReader {
    response: reqwest::Response,
    buffer: BytesMut,
    lines: LinesCodec,
    service: &'static str,
    cursor: String,
    count: u64,
    ended: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Begin { cursor: String },
    End { end: bool, count: u64 },
}

impl SnapshotReader {
    /// The cursor to store once the whole snapshot is applied.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The next changes; `None` at the end.
    ///
    /// # Errors
    /// `CallError` if the snapshot ends early: it must not be taken for the whole.
    pub async fn next_batch(&mut self) -> Result<Option<Vec<Change>>, CallError> {
        let mut batch = Vec::new();
        while !self.ended && batch.len() < LIMIT {
            let Some(line) = self.next_line().await? else {
                return Err(self.unreadable("it ends early"));
            };
            if let Ok(change) = serde_json::from_str::<Change>(&line) {
                batch.push(change);
                self.count += 1;
                continue;
            }
            match serde_json::from_str::<Line>(&line) {
                Ok(Line::End { end: true, count }) if count == self.count => self.ended = true,
                _ => return Err(self.unreadable("a line is not a change")),
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    async fn next_line(&mut self) -> Result<Option<String>, CallError> {
        loop {
            let line = self.lines.decode(&mut self.buffer);
            let line = line.map_err(|error| self.unreadable(&error.to_string()))?;
            if line.is_some() {
                return Ok(line);
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| self.unreadable(&error.without_url().to_string()))? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    fn unreadable(&self, reason: &str) -> CallError {
        CallError::Unreadable {
            service: self.service,
            reason: format!("snapshot: {reason}"),
        }
    }
}

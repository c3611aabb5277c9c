//! Jobs over HTTP: the 202 response of a job that was started, its progress as JSON or as an event
//! stream (`text/event-stream`), and the page size of a list of jobs. Called by handlers.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use utoipa::IntoParams;

use super::{JobStatus, Prefer};
use crate::{
    Problem,
    extract::{AcceptsEventStream, Bounded},
    paging::DEFAULT_PAGE_SIZE,
    shutdown::Shutdown,
};

/// The interval between two loads of a watched job whose progress is not announced in this process.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The shortest interval between two loads of a watched job.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(25);
/// The duration after which an event stream ends; the client reconnects by itself.
const STREAM_TIMEOUT: Duration = Duration::from_secs(600);
/// The interval of the comments that keep an idle event stream open.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A job as clients see it.
pub trait JobView: Serialize + Clone + PartialEq + Send + Sync + 'static {
    /// The name of its events.
    const EVENT: &'static str;
    /// The status.
    fn status(&self) -> JobStatus;
    /// The number of processed items.
    fn processed(&self) -> i32;
    /// The time of the last progress.
    fn updated_at(&self) -> DateTime<Utc>;
}

/// The query of a list of jobs.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LimitQuery {
    /// The maximum number of entries; 20 by default.
    #[param(inline, required = false, example = 20)]
    limit: Option<Bounded<1, 100>>,
}

impl LimitQuery {
    /// The maximum number of entries, 1 to 100.
    pub fn get(self) -> i64 {
        self.limit.map_or(DEFAULT_PAGE_SIZE, Bounded::get)
    }
}

/// The response 202 with the job at `location`; `prefer` is named as applied if it caused the response.
pub fn accepted(location: String, job: &impl Serialize, prefer: Prefer) -> Response {
    let location = [(header::LOCATION, location)];
    let mut response = (StatusCode::ACCEPTED, location, Json(job)).into_response();
    if prefer.respond_async {
        let applied = HeaderValue::from_static("respond-async");
        response.headers_mut().insert("preference-applied", applied);
    }
    response
}

/// A watch on the progress of jobs, in this process and by polling in others.
pub struct Changes {
    pub(super) progress: watch::Receiver<()>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) shutdown: Shutdown,
}

impl Changes {
    /// Returns when a job may have progressed or the process shuts down.
    pub async fn next(&mut self) {
        tokio::time::sleep(MIN_POLL_INTERVAL).await;
        tokio::select! {
            () = self.shutdown.started() => {}
            _ = self.progress.changed() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }

    /// True if the process is shutting down.
    pub fn is_shutting_down(&self) -> bool {
        self.shutdown.is_started()
    }
}

/// A request for the progress of a job, which `Accept: text/event-stream` turns into one for events.
#[derive(Debug)]
pub struct ProgressRequest {
    wants_events: bool,
    last_event_id: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for ProgressRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let AcceptsEventStream(wants_events) =
            AcceptsEventStream::from_request_parts(parts, state).await?;
        let last_event_id = parts.headers.get("last-event-id");
        Ok(Self {
            wants_events,
            last_event_id: last_event_id
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
        })
    }
}

impl ProgressRequest {
    /// The response: `job` as JSON, or an event stream that loads it again after each change until it has
    /// ended. 204 if the client has the last event, after which it does not reconnect.
    pub fn respond<J: JobView, F>(
        self,
        job: J,
        changes: Changes,
        load: impl Fn() -> F + Send + Sync + 'static,
    ) -> Response
    where
        F: Future<Output = Option<J>> + Send + 'static,
    {
        if !self.wants_events {
            return Json(job).into_response();
        }
        if job.status().is_ended() && self.last_event_id == Some(event_id(&job)) {
            return StatusCode::NO_CONTENT.into_response();
        }
        let Ok(permit) = Arc::clone(&changes.streams).try_acquire_owned() else {
            return Problem::unavailable("another event stream").into_response();
        };
        let deadline = Instant::now() + STREAM_TIMEOUT;
        let first = stream::once(std::future::ready(job.clone()));
        let rest = stream::unfold(
            (changes, load, job),
            move |(mut changes, load, last)| async move {
                let job = next_change(&mut changes, &load, &last, deadline).await?;
                Some((job.clone(), (changes, load, job)))
            },
        );
        let events = first.chain(rest).map(move |job| {
            // Held until the end of the stream.
            let _ = &permit;
            let event = Event::default().event(J::EVENT).id(event_id(&job));
            Ok::<_, Infallible>(event.json_data(&job).unwrap_or_default())
        });
        let keep_alive = KeepAlive::new().interval(KEEP_ALIVE_INTERVAL);
        let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        // Overrides the `no-cache` that axum's `Sse` sets.
        (no_store, Sse::new(events).keep_alive(keep_alive)).into_response()
    }
}

/// The job once it differs from `last`; `None` at the end of the stream.
async fn next_change<J: JobView, F: Future<Output = Option<J>>>(
    changes: &mut Changes,
    load: &impl Fn() -> F,
    last: &J,
    deadline: Instant,
) -> Option<J> {
    while !last.status().is_ended() && Instant::now() < deadline {
        changes.next().await;
        if changes.is_shutting_down() {
            return None;
        }
        let job = load().await?;
        if job != *last {
            return Some(job);
        }
    }
    None
}

/// An id that changes with every progress of the job.
fn event_id(job: &impl JobView) -> String {
    format!(
        "{}-{}-{}",
        job.status().name(),
        job.processed(),
        job.updated_at().timestamp_micros()
    )
}

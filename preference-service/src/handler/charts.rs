//! Charts, as they are and as they move.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use chassis::{
    Problem,
    extract::{AcceptsEventStream, Query},
    problem::{FieldError, ProblemDocument},
    shutdown::Shutdown,
};
use chrono::{DateTime, Utc};
use filter::FilterParams;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::Instant,
};
use utoipa::{
    IntoParams, ToSchema,
    openapi::path::{Parameter, ParameterIn},
};

use super::error::ApiError;
use crate::{
    models::{Metric, Window},
    service::charts::{Chart, ChartRequest, Charts},
    state::AppState,
};

/// After so long a reader of events is asked to come again.
const LONGEST_STREAM: Duration = Duration::from_secs(600);
/// An empty comment keeps a quiet stream open.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A chart is told at most this often.
const CALM: Duration = Duration::from_millis(250);
/// A chart is looked at this often even if nothing seems to move.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Places where a client does not say how many, and at most.
const USUAL_PLACES: usize = 10;
const MOST_PLACES: usize = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ChartParams {
    /// What is counted: `bookmarks` where not given.
    #[param(inline, value_type = Option<Metric>)]
    metric: Option<String>,
    /// Over which time: `all` where not given.
    #[param(inline, value_type = Option<Window>)]
    window: Option<String>,
    /// How many places: 10 where not given.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, example = 10)]
    limit: Option<String>,
}

/// All parameters of a chart.
#[derive(Debug, Deserialize)]
pub(super) struct ChartQuery {
    #[serde(flatten)]
    chart: ChartParams,
    #[serde(flatten)]
    filter: FilterParams,
}

impl IntoParams for ChartQuery {
    fn into_params(location: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut all = ChartParams::into_params(&location);
        all.extend(FilterParams::into_params(&location));
        all
    }
}

impl ChartQuery {
    /// What is asked for; the filter is movie-service's to judge.
    fn parse(&self) -> Result<ChartRequest, Vec<FieldError>> {
        let ChartParams {
            metric,
            window,
            limit,
        } = &self.chart;
        let mut errors = Vec::new();
        let mut wrong = |field: &str, message: String| {
            errors.push(FieldError::new(field, message));
        };
        let metric = match metric.as_deref().map(Metric::parse) {
            None => Metric::Bookmarks,
            Some(Some(metric)) => metric,
            Some(None) => {
                let known = Metric::ALL.map(Metric::as_str).join(", ");
                wrong("metric", format!("must be one of {known}"));
                Metric::Bookmarks
            }
        };
        let window = match window.as_deref().map(Window::parse) {
            None => Window::All,
            Some(Some(window)) => window,
            Some(None) => {
                let known = Window::ALL.map(Window::as_str).join(", ");
                wrong("window", format!("must be one of {known}"));
                Window::All
            }
        };
        let limit = match limit.as_deref().map(str::parse) {
            None => USUAL_PLACES,
            Some(Ok(limit)) if (1..=MOST_PLACES).contains(&limit) => limit,
            Some(_) => {
                wrong(
                    "limit",
                    format!("must be a whole number from 1 to {MOST_PLACES}"),
                );
                USUAL_PLACES
            }
        };
        if errors.is_empty() {
            Ok(ChartRequest::new(metric, window, limit, &self.filter))
        } else {
            Err(errors)
        }
    }
}

/// A film's place in a chart.
#[derive(Debug, Serialize, ToSchema)]
struct ChartPlace {
    /// From 1; equal counts stand in the order of the films' ids.
    #[schema(example = 1)]
    rank: usize,
    /// How many users.
    #[schema(example = 42)]
    count: i64,
    /// The film, as `GET /movies` lists it, with its genres.
    #[schema(value_type = Object, example = json!({"id": 603, "title": "The Matrix", "release_date": "1999-03-31", "popularity": 73.5, "poster_url": "", "genres": ["Action", "Science Fiction"]}))]
    movie: Arc<RawValue>,
}

/// A chart, from its first place on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "metric": "bookmarks",
    "window": "week",
    "valid_until": "2026-02-13T09:00:00Z",
    "data": [{
        "rank": 1,
        "count": 42,
        "movie": {"id": 603, "title": "The Matrix", "release_date": "1999-03-31", "popularity": 73.5, "poster_url": "", "genres": ["Action", "Science Fiction"]}
    }]
}))]
struct ChartResponse {
    /// What is counted; each user once.
    metric: Metric,
    /// Over which time: `day` is the present hour and the 23 before it, `week` the 167 before it.
    window: Window,
    /// The end of the present hour; until then nothing leaves a `day` or a `week` by age alone.
    valid_until: DateTime<Utc>,
    /// The places.
    data: Vec<ChartPlace>,
}

fn response(request: &ChartRequest, chart: Chart) -> ChartResponse {
    let places = chart.places.into_iter().zip(1..);
    ChartResponse {
        metric: request.metric,
        window: request.window,
        valid_until: chart.hour + chrono::TimeDelta::hours(1),
        data: places
            .map(|(place, rank)| ChartPlace {
                rank,
                count: place.count,
                movie: place.movie,
            })
            .collect(),
    }
}

/// Live charts
///
/// The films that most users have bookmarked, like or watched. With `Accept: text/event-stream` the
/// chart comes as an event `chart`, and again whenever it changes. With a filter, films beyond the
/// first two thousand places are not found.
#[utoipa::path(
    get,
    path = "/api/v1/charts/top",
    tag = "charts",
    params(ChartQuery),
    responses(
        (status = 200, description = "the chart, or its events", body = ChartResponse,
            headers(("ETag" = String, description = "of this chart"))),
        (status = 304, description = "the chart is the one that `If-None-Match` names"),
        (status = 400, description = "a parameter is wrong; `errors` names each", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "movie-service or Postgres is away, or too many streams are open", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_chart(
    State(state): State<AppState>,
    AcceptsEventStream(wants_events): AcceptsEventStream,
    Query(query): Query<ChartQuery>,
) -> Result<Response, ApiError> {
    let request = query.parse().map_err(ApiError::Invalid)?;
    let chart = response(&request, state.charts.top(&request).await?);
    if !wants_events {
        return Ok(Json(chart).into_response());
    }
    let Some(place) = state.chart_streams.admit() else {
        let full = Problem::unavailable("a place among the readers of charts");
        return Ok(full.into_response());
    };
    let watching = Watching {
        charts: state.charts.clone(),
        request,
        moved: state.chart_streams.changes.clone(),
        shutdown: state.chart_streams.shutdown.clone(),
        next: text(&chart),
        told: String::new(),
        until: Instant::now() + LONGEST_STREAM,
        _place: place,
    };
    let mut response = Sse::new(events(watching))
        .keep_alive(KeepAlive::new().interval(HEARTBEAT))
        .into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

struct Watching {
    charts: Charts,
    request: ChartRequest,
    moved: watch::Receiver<()>,
    shutdown: Shutdown,
    next: Option<String>,
    told: String,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

fn text(chart: &ChartResponse) -> Option<String> {
    serde_json::to_string(chart).ok()
}

/// The chart as it is, then whenever it changes.
fn events(watching: Watching) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(watching, |mut watching| async move {
        let chart = match watching.next.take() {
            Some(chart) => chart,
            None => watching.next_change().await?,
        };
        let event = Event::default().event("chart").data(&chart);
        watching.told = chart;
        Some((Ok(event), watching))
    })
}

impl Watching {
    async fn next_change(&mut self) -> Option<String> {
        while Instant::now() < self.until {
            // Also gives Redis the time to follow what moved.
            if self.shutdown.sleep(CALM).await {
                return None;
            }
            tokio::select! {
                () = self.shutdown.started() => return None,
                moved = self.moved.changed() => moved.ok()?,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            if self.shutdown.sleep(CALM).await {
                return None;
            }
            // A reader comes again when what we need is back.
            let chart = self.charts.top(&self.request).await.ok()?;
            let chart = text(&response(&self.request, chart))?;
            if chart != self.told {
                return Some(chart);
            }
        }
        None
    }
}

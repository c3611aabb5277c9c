//! Charts: as JSON, or as an event stream that sends every change.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{
        AppendHeaders, IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use chassis::{
    Problem,
    extract::{AcceptsEventStream, Query},
    language::{AcceptLanguage, Language},
    problem::ProblemDocument,
    shutdown::Shutdown,
    validate::{FieldError, Validator},
};
use chrono::{DateTime, Utc};
use filter::FilterParams;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::Instant,
};
use utoipa::{
    IntoParams, ToSchema,
    openapi::path::{Parameter, ParameterIn},
};

use super::user_movie::ListLanguage;
use crate::{
    models::{Metric, Window},
    service::charts::{Chart, ChartRequest, Charts, Place},
    state::AppState,
};

/// The maximum duration of an event stream; the client then reconnects.
const STREAM_TIMEOUT: Duration = Duration::from_secs(600);
/// The interval of empty comments that keep an idle stream open.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// The pause before and after a change, which limits the rate of events and lets Redis follow Postgres.
const DEBOUNCE: Duration = Duration::from_millis(250);
/// The interval at which a chart is compared without a change of this process.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The number of places without `limit`.
const DEFAULT_PLACES: usize = 10;
const MAX_PLACES: i64 = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ChartParams {
    /// The metric.
    #[param(inline, value_type = Option<Metric>, default = "bookmarks", example = "likes")]
    metric: Option<String>,
    /// The time window.
    #[param(inline, value_type = Option<Window>, default = "all", example = "week")]
    window: Option<String>,
    /// The number of places.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, default = 10, example = 5)]
    limit: Option<String>,
}

/// The parameters of a chart and of the movie filter.
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
    /// Validates the parameters, save for the filter, which movie-service validates.
    fn parse(&self) -> Result<ChartRequest, Vec<FieldError>> {
        let ChartParams {
            metric,
            window,
            limit,
        } = &self.chart;
        let mut check = Validator::default();
        let metric = check.variant(
            "metric",
            metric.as_deref(),
            "one of bookmarks, likes, watches",
        );
        let window = check.variant("window", window.as_deref(), "one of day, week, all");
        let limit = check.integer("limit", limit.as_deref(), 1..=MAX_PLACES);
        if !self.filter.language_filters() {
            Language::parse_parameter(&mut check, self.filter.language.as_deref());
        }
        check.finish(ChartRequest::new(
            metric.unwrap_or(Metric::Bookmarks),
            window.unwrap_or(Window::All),
            limit.unwrap_or(DEFAULT_PLACES),
            &self.filter,
        ))
    }
}

/// The first places of a chart.
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
    /// The metric; each user counts once.
    metric: Metric,
    /// The time window: `day` is the present hour and the 23 before it, `week` that and the 167 before it.
    window: Window,
    /// The end of the present hour, until which no count leaves the window.
    valid_until: DateTime<Utc>,
    /// The places.
    data: Vec<Place>,
}

fn response(request: &ChartRequest, chart: Chart) -> ChartResponse {
    ChartResponse {
        metric: request.metric,
        window: request.window,
        valid_until: chart.hour + chrono::TimeDelta::hours(1),
        data: chart.places,
    }
}

/// Top charts
///
/// Ranks movies by the number of users who bookmarked, like or watched them within a time window. With
/// `Accept: text/event-stream` the chart is sent as an event `chart`, and again after every change. With a filter, movies
/// beyond the first 200,000 places are not found.
#[utoipa::path(
    get,
    path = "/api/v1/charts/top",
    tag = "charts",
    params(ChartQuery),
    responses(
        (status = 200, description = "the chart, or its event stream", content((ChartResponse = "application/json"), (String = "text/event-stream")),
            headers(("ETag" = String, description = "the entity tag of the chart"),
                ("Content-Language" = String, description = "the language of the movies; absent without any"))),
        (status = 304, description = "the chart matches `If-None-Match`"),
        (status = 400, description = "a parameter is invalid; `errors` lists each", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "movie-service or Postgres is unavailable, or too many streams are open", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_chart(
    State(state): State<AppState>,
    AcceptsEventStream(wants_events): AcceptsEventStream,
    AcceptLanguage(accepted): AcceptLanguage,
    Query(query): Query<ChartQuery>,
) -> Result<Response, Problem> {
    let mut request = query.parse()?;
    request.language = request.language.or(accepted);
    let chart = state.charts.top(&request).await?;
    let language = ListLanguage(chart.language);
    let chart = response(&request, chart);
    // A cache must not take one form for the other.
    let by_form = AppendHeaders([(header::VARY, "Accept")]);
    if !wants_events {
        return Ok((by_form, language, Json(chart)).into_response());
    }
    let Some(permit) = state.chart_streams.admit() else {
        let full = Problem::unavailable("a place among the readers of charts");
        return Ok(full.into_response());
    };
    let stream = ChartStream {
        charts: state.charts.clone(),
        request,
        moved: state.chart_streams.changes.clone(),
        shutdown: state.chart_streams.shutdown.clone(),
        next: text(&chart),
        sent: String::new(),
        until: Instant::now() + STREAM_TIMEOUT,
        _permit: permit,
    };
    let events = Sse::new(events(stream));
    let events = events.keep_alive(KeepAlive::new().interval(HEARTBEAT_INTERVAL));
    let mut response = (by_form, language, events).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

struct ChartStream {
    charts: Charts,
    request: ChartRequest,
    moved: watch::Receiver<()>,
    shutdown: Shutdown,
    next: Option<String>,
    sent: String,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

fn text(chart: &ChartResponse) -> Option<String> {
    serde_json::to_string(chart).ok()
}

/// The present chart, then each change.
fn events(stream: ChartStream) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(stream, |mut stream| async move {
        let chart = match stream.next.take() {
            Some(chart) => chart,
            None => stream.next_change().await?,
        };
        let event = Event::default().event("chart").data(&chart);
        stream.sent = chart;
        Some((Ok(event), stream))
    })
}

impl ChartStream {
    async fn next_change(&mut self) -> Option<String> {
        while Instant::now() < self.until {
            // Also gives Redis time to follow.
            if self.shutdown.sleep(DEBOUNCE).await {
                return None;
            }
            tokio::select! {
                () = self.shutdown.started() => return None,
                moved = self.moved.changed() => moved.ok()?,
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
            if self.shutdown.sleep(DEBOUNCE).await {
                return None;
            }
            // A failure ends the stream; the client reconnects.
            let chart = self.charts.top(&self.request).await.ok()?;
            let chart = text(&response(&self.request, chart))?;
            if chart != self.sent {
                return Some(chart);
            }
        }
        None
    }
}

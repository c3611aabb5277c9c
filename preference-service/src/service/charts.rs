//! Charts: movies ranked by reaction and time window. The ranks come from Redis, or from Postgres if Redis is
//! unavailable, and the movies from movie-service in one request. Called by the handler of charts.

use std::{sync::Arc, time::Duration};

use chassis::{clock::Clock, language::Language};
use chrono::{DateTime, TimeDelta, Utc};
use filter::FilterParams;
use moka::future::Cache;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::{
    client::{MovieService, Selection},
    error::Error,
    models::{ChartEntry, Metric, Window, hour_of},
    repository::{chart_mirror::ChartMirror, charts},
};

/// The number of entries searched first for movies that pass a filter, the factor by which it grows while too few do,
/// and its maximum.
const MIN_DEPTH: usize = 2000;
const DEPTH_FACTOR: usize = 10;
const MAX_DEPTH: usize = 200_000;
/// Entries read beyond the limit, so that a movie that has left the catalogue leaves no gap.
const SPARE: usize = 10;
/// The maximum number of ids in one request to movie-service.
const MAX_IDS: usize = 10_000;
/// The TTL of ranks from Postgres.
const FALLBACK_TTL: Duration = Duration::from_secs(2);
/// The TTL of movies from movie-service.
const MOVIES_TTL: Duration = Duration::from_secs(30);
/// The maximum number of entries of each cache, of a few dozen KiB each.
const MAX_CACHED: u64 = 256;

/// A request for the first places of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChartRequest {
    /// The metric.
    pub metric: Metric,
    /// The time window.
    pub window: Window,
    /// The number of places.
    pub limit: usize,
    /// The parameters of the movie filter as given; movie-service validates them.
    pub filter: Vec<(&'static str, String)>,
    /// The display language.
    pub language: Option<Language>,
}

impl ChartRequest {
    /// A request for the first `limit` places among the movies that pass `filter`.
    pub fn new(metric: Metric, window: Window, limit: usize, filter: &FilterParams) -> Self {
        let is_display = |name| name == "language" && !filter.language_filters();
        let given = filter.entries().into_iter();
        Self {
            metric,
            window,
            limit,
            filter: given
                .filter(|(name, _)| !is_display(*name))
                .map(|(name, value)| (name, value.to_owned()))
                .collect(),
            language: filter.display_language(),
        }
    }
}

/// A place of a chart.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ChartPlace)]
pub struct Place {
    /// The rank, from 1; equal counts are ordered by the movie's id.
    #[schema(example = 1)]
    pub rank: usize,
    /// The number of users.
    #[schema(example = 42)]
    pub count: i64,
    /// The movie, as `GET /movies` lists it in the display language, with its genres.
    #[schema(value_type = Object, example = json!({"id": 603, "title": "The Matrix", "release_date": "1999-03-31", "popularity": 73.5, "poster_url": "", "genres": ["Action", "Science Fiction"]}))]
    pub movie: Arc<RawValue>,
}

/// The first places of a chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The places.
    pub places: Vec<Place>,
    /// The last hour of the window.
    pub hour: DateTime<Utc>,
    /// The language of the movies' texts; `None` without movies.
    pub language: Option<Language>,
}

type Ranks = (DateTime<Utc>, Arc<Vec<ChartEntry>>);

/// A request to movie-service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SelectRequest {
    ids: Vec<i64>,
    limit: usize,
    filter: Vec<(&'static str, String)>,
    language: Option<Language>,
}

/// The charts of the platform; cheap to clone.
#[derive(Clone)]
pub struct Charts {
    pool: PgPool,
    mirror: Option<ChartMirror>,
    movie_service: MovieService,
    clock: Clock,
    ranks: Cache<(Metric, Window, usize), Ranks>,
    movies: Cache<SelectRequest, Arc<Selection>>,
}

impl Charts {
    /// The charts in `mirror` or `pool`, of the movies of `movie_service`.
    pub fn new(
        pool: PgPool,
        mirror: Option<ChartMirror>,
        movie_service: MovieService,
        clock: Clock,
    ) -> Self {
        Self {
            pool,
            mirror,
            movie_service,
            clock,
            ranks: Cache::builder()
                .max_capacity(MAX_CACHED)
                .time_to_live(FALLBACK_TTL)
                .build(),
            movies: Cache::builder()
                .max_capacity(MAX_CACHED)
                .time_to_live(MOVIES_TTL)
                .build(),
        }
    }

    /// Returns the first places of a chart: the highest count first, then the lowest id. With a filter, movies beyond the
    /// first 200,000 places are not found.
    ///
    /// # Errors
    /// `Invalid` if the filter is invalid, `Catalogue` if movie-service does not respond, `Database` if Postgres fails.
    #[tracing::instrument(name = "service.charts.top", level = "debug", skip_all)]
    pub async fn top(&self, request: &ChartRequest) -> Result<Chart, Error> {
        let mut depth = if request.filter.is_empty() {
            request.limit + SPARE
        } else {
            MIN_DEPTH
        };
        loop {
            let (hour, entries) = self.ranks(request.metric, request.window, depth).await?;
            let (places, language) = self.with_movies(request, &entries).await?;
            let is_whole = entries.len() < depth || depth == MAX_DEPTH;
            if is_whole || places.len() >= request.limit {
                return Ok(Chart {
                    places,
                    hour,
                    language,
                });
            }
            depth = (depth * DEPTH_FACTOR).min(MAX_DEPTH);
        }
    }

    async fn ranks(&self, metric: Metric, window: Window, depth: usize) -> Result<Ranks, Error> {
        if let Some(mirror) = &self.mirror {
            // Charts that have not been updated since the last hour are stale.
            let oldest = hour_of(self.clock.now()) - TimeDelta::hours(1);
            if let Ok(Some((hour, entries))) = mirror.list(metric, window, 0, depth).await
                && hour >= oldest
            {
                return Ok((hour, Arc::new(entries)));
            }
        }
        let load = async {
            let hour = charts::present_hour(&self.pool).await?;
            let places = i64::try_from(depth).unwrap_or(i64::MAX);
            let entries = charts::list_top(&self.pool, metric, window, hour, places).await?;
            Ok::<Ranks, sqlx::Error>((hour, Arc::new(entries)))
        };
        self.ranks
            .try_get_with((metric, window, depth), load)
            .await
            .map_err(Error::Database)
    }

    async fn with_movies(
        &self,
        request: &ChartRequest,
        entries: &[ChartEntry],
    ) -> Result<(Vec<Place>, Option<Language>), Error> {
        if entries.is_empty() && request.filter.is_empty() {
            return Ok((Vec::new(), None));
        }
        let (mut movies, mut language) = (Vec::new(), None);
        let mut rest = entries;
        loop {
            let (first, later) = rest.split_at(rest.len().min(MAX_IDS));
            rest = later;
            let selection = SelectRequest {
                ids: first.iter().map(|entry| entry.movie_id.get()).collect(),
                limit: request.limit - movies.len(),
                filter: request.filter.clone(),
                language: request.language,
            };
            let page = self.select(selection).await?;
            movies.extend_from_slice(&page.movies);
            language = language.or(page.language);
            if rest.is_empty() || movies.len() >= request.limit {
                break;
            }
        }
        let mut counts = entries.iter();
        let place = |(id, movie): &(i64, Arc<RawValue>)| {
            // Both are in the chart's order; movie-service omits some.
            let entry = counts.find(|entry| entry.movie_id.get() == *id)?;
            Some((entry.count, movie.clone()))
        };
        let ranked = (1..).zip(movies.iter().filter_map(place));
        let places = ranked.map(|(rank, (count, movie))| Place { rank, count, movie });
        Ok((places.collect(), language))
    }

    async fn select(&self, request: SelectRequest) -> Result<Arc<Selection>, Error> {
        if let Some(movies) = self.movies.get(&request).await {
            return Ok(movies);
        }
        let SelectRequest {
            ids,
            limit,
            filter,
            language,
        } = &request;
        let selected = self.movie_service.select(ids, *limit, filter, *language);
        let movies = selected.await?;
        let movies = Arc::new(movies);
        self.movies.insert(request, movies.clone()).await;
        Ok(movies)
    }
}

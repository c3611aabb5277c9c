//! Charts: which films most users stand so with, live. Read from Redis while that has them, else from
//! Postgres; the films themselves from movie-service, in one question.

use std::{sync::Arc, time::Duration};

use chassis::{client::CallError, problem::FieldError};
use chrono::{DateTime, Utc};
use filter::FilterParams;
use moka::future::Cache;
use serde_json::value::RawValue;
use sqlx::PgPool;

use crate::{
    client::{MovieService, Selected},
    models::{ChartEntry, Metric, Window, hour_of},
    repository::{chart_mirror::ChartMirror, charts},
};

/// How many places of a chart are looked through at first for films that pass a filter, how many times more
/// where too few do, and how many at most.
const FIRST: usize = 2000;
const DEEPER: usize = 10;
const DEEPEST: usize = 200_000;
/// How much further than asked is looked, so that a film which left the catalogue leaves no gap.
const SPARE: usize = 10;
/// How many films movie-service is asked about at once.
const MOST_IDS: usize = 10_000;
/// For how long what Postgres said is said again, while Redis is away.
const FALLBACK_TTL: Duration = Duration::from_secs(2);
/// For how long what movie-service said of films is said again.
const MOVIES_TTL: Duration = Duration::from_secs(30);
/// Answers kept at most, each of a few dozen KiB.
const MOST_KEPT: u64 = 256;

/// Which places of which chart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChartRequest {
    /// What it counts.
    pub metric: Metric,
    /// Over which time.
    pub window: Window,
    /// How many places.
    pub limit: usize,
    /// Of which films: the filter's parameters as given.
    pub filter: Vec<(&'static str, String)>,
}

impl ChartRequest {
    /// The first `limit` places among the films that pass `filter`.
    #[must_use]
    pub fn new(metric: Metric, window: Window, limit: usize, filter: &FilterParams) -> Self {
        let given = filter.entries().into_iter();
        Self {
            metric,
            window,
            limit,
            filter: given
                .map(|(name, value)| (name, value.to_owned()))
                .collect(),
        }
    }
}

/// A film's place in a chart.
#[derive(Debug, Clone)]
pub struct Place {
    /// How many users.
    pub count: i64,
    /// The film, as movie-service lists it.
    pub movie: Arc<RawValue>,
}

/// Some of a chart, from its first place on.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The places.
    pub places: Vec<Place>,
    /// The hour up to whose end it counts.
    pub hour: DateTime<Utc>,
}

/// Why there is no chart.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChartError {
    /// The filter is wrong.
    #[error("the filter is wrong")]
    Invalid(Vec<FieldError>),
    /// movie-service does not answer.
    #[error(transparent)]
    Catalogue(Arc<CallError>),
    /// Postgres failed.
    #[error(transparent)]
    Database(Arc<sqlx::Error>),
}

impl From<sqlx::Error> for ChartError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<CallError> for ChartError {
    fn from(error: CallError) -> Self {
        Self::Catalogue(Arc::new(error))
    }
}

/// A film as movie-service lists it, with its id.
type Film = (i64, Arc<RawValue>);

type Counted = (DateTime<Utc>, Arc<Vec<ChartEntry>>);

/// What movie-service is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    ids: Vec<i64>,
    limit: usize,
    filter: Vec<(&'static str, String)>,
}

/// The charts of the platform; cheap to clone.
#[derive(Clone)]
pub struct Charts {
    pool: PgPool,
    mirror: Option<ChartMirror>,
    movie_service: MovieService,
    counted: Cache<(Metric, Window, usize), Counted>,
    movies: Cache<Question, Arc<Vec<Film>>>,
}

impl Charts {
    /// Those in `mirror`, or else in `pool`, of the films of `movie_service`.
    #[must_use]
    pub fn new(pool: PgPool, mirror: Option<ChartMirror>, movie_service: MovieService) -> Self {
        Self {
            pool,
            mirror,
            movie_service,
            counted: Cache::builder()
                .max_capacity(MOST_KEPT)
                .time_to_live(FALLBACK_TTL)
                .build(),
            movies: Cache::builder()
                .max_capacity(MOST_KEPT)
                .time_to_live(MOVIES_TTL)
                .build(),
        }
    }

    /// The first places of a chart: the highest count first, then the lowest id. With a filter, films
    /// beyond the first two hundred thousand places are not found.
    ///
    /// # Errors
    /// A filter that is wrong; Postgres's or movie-service's.
    pub async fn top(&self, request: &ChartRequest) -> Result<Chart, ChartError> {
        let mut depth = if request.filter.is_empty() {
            request.limit + SPARE
        } else {
            FIRST
        };
        loop {
            let (hour, entries) = self.counted(request.metric, request.window, depth).await?;
            let places = self.with_movies(request, &entries).await?;
            let is_whole = entries.len() < depth || depth == DEEPEST;
            if is_whole || places.len() >= request.limit {
                return Ok(Chart { places, hour });
            }
            depth = (depth * DEEPER).min(DEEPEST);
        }
    }

    async fn counted(
        &self,
        metric: Metric,
        window: Window,
        depth: usize,
    ) -> Result<Counted, ChartError> {
        if let Some(mirror) = &self.mirror {
            // Charts that nobody has moved on to the present hour are not live.
            let oldest = hour_of(Utc::now()) - chrono::TimeDelta::hours(1);
            if let Ok(Some((hour, entries))) = mirror.top(metric, window, depth).await
                && hour >= oldest
            {
                return Ok((hour, Arc::new(entries)));
            }
        }
        let load = async {
            let hour = charts::present_hour(&self.pool).await?;
            let places = i64::try_from(depth).unwrap_or(i64::MAX);
            let entries = charts::top(&self.pool, metric, window, hour, places).await?;
            Ok::<Counted, sqlx::Error>((hour, Arc::new(entries)))
        };
        self.counted
            .try_get_with((metric, window, depth), load)
            .await
            .map_err(ChartError::Database)
    }

    async fn with_movies(
        &self,
        request: &ChartRequest,
        entries: &[ChartEntry],
    ) -> Result<Vec<Place>, ChartError> {
        if entries.is_empty() && request.filter.is_empty() {
            return Ok(Vec::new());
        }
        let mut movies = Vec::new();
        let mut rest = entries;
        loop {
            let (asked, later) = rest.split_at(rest.len().min(MOST_IDS));
            rest = later;
            let question = Question {
                ids: asked.iter().map(|entry| entry.movie_id.get()).collect(),
                limit: request.limit - movies.len(),
                filter: request.filter.clone(),
            };
            movies.extend_from_slice(&self.select(question).await?);
            if rest.is_empty() || movies.len() >= request.limit {
                break;
            }
        }
        let mut counts = entries.iter();
        let place = |(id, movie): &Film| {
            // Both are in the chart's order, and movie-service leaves some out.
            let entry = counts.find(|entry| entry.movie_id.get() == *id)?;
            Some(Place {
                count: entry.count,
                movie: movie.clone(),
            })
        };
        Ok(movies.iter().filter_map(place).collect())
    }

    async fn select(&self, question: Question) -> Result<Arc<Vec<Film>>, ChartError> {
        if let Some(movies) = self.movies.get(&question).await {
            return Ok(movies);
        }
        let selected = self
            .movie_service
            .select(&question.ids, question.limit, &question.filter)
            .await?;
        match selected {
            Selected::Movies(movies) => {
                let movies = Arc::new(movies);
                self.movies.insert(question, movies.clone()).await;
                Ok(movies)
            }
            Selected::Invalid(errors) => Err(ChartError::Invalid(errors)),
        }
    }
}

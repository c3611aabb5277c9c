//! TMDB's API, version 3. Every call is bounded by rate, concurrency, a time limit and a deadline; a failed one is
//! retried with full jitter unless the circuit breaker is open. Services call it; it stores nothing.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use chassis::{
    breaker::{Breaker, Outcome},
    client::read_at_most,
    language::Language,
};
use rand::Rng;
use reqwest::{StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    counts::RequestCounts,
    limits::TokenBucket,
    wire::{self, FoundMovie, GenreList, ListPage, SearchPage},
};
use crate::{
    config::TmdbConfig,
    models::{Genre, HostState, MovieList, MovieRef, NewMovie},
};

/// Calls by outcome (counter).
pub const TMDB_CALLS_TOTAL: &str = "tmdb_calls_total";
/// Retries (counter).
pub const TMDB_RETRIES_TOTAL: &str = "tmdb_retries_total";
/// Time waited for the rate limit (histogram, seconds).
pub const TMDB_TOKEN_WAIT_SECONDS: &str = "tmdb_token_wait_seconds";
/// State of the circuit breaker: 0 closed, 1 half-open, 2 open (gauge).
pub const TMDB_BREAKER_STATE: &str = "tmdb_breaker_state";

/// The longest pause between two attempts, unless TMDB asks for more.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(10);
/// Longer values of `Retry-After` are cut; TMDB sends seconds.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);
/// Larger responses are refused; a movie with its appended parts is a tenth of it.
const MAX_RESPONSE_BYTES: usize = 8 * 1024 * 1024;
/// The parts appended to a movie's details, so that one call is enough.
const APPEND: &str =
    "credits,keywords,watch/providers,translations,external_ids,alternative_titles,recommendations";

/// A failed request to TMDB.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TmdbError {
    /// TMDB has no such resource.
    #[error("not found at TMDB")]
    NotFound,
    /// There is no key, or TMDB refuses it.
    #[error("TMDB refuses the key; set TMDB_API_KEY")]
    Unauthorized,
    /// TMDB responded with another 4xx status; a retry would fail as well.
    #[error("TMDB responded with {0}")]
    Refused(u16),
    /// TMDB responded with 429, and this value of `Retry-After`.
    #[error("TMDB limits our rate")]
    RateLimited(Option<Duration>),
    /// TMDB responded with a 5xx status, and this value of `Retry-After`.
    #[error("TMDB responded with {0}")]
    ServerError(u16, Option<Duration>),
    /// No connection could be made.
    #[error("TMDB cannot be reached: {0}")]
    Disconnected(String),
    /// The connection or the time limit failed.
    #[error("TMDB cannot be reached: {0}")]
    Unreachable(String),
    /// The response is not what TMDB documents.
    #[error("TMDB's response is invalid: {0}")]
    InvalidResponse(String),
    /// The circuit breaker is open for this long.
    #[error("TMDB failed repeatedly; no requests for {} s", .0.as_secs())]
    BreakerOpen(Duration),
    /// The deadline of the call passed.
    #[error("no response from TMDB before the deadline")]
    DeadlineExceeded,
}

impl TmdbError {
    /// The label of [`TMDB_CALLS_TOTAL`], the outcome of a call for `resource` for the circuit breaker, and true if a
    /// retry may succeed. Only a failure to connect counts against TMDB as a whole.
    fn classify(&self, resource: u64) -> (&'static str, Outcome, bool) {
        match self {
            Self::NotFound => ("not_found", Outcome::Success, false),
            Self::Unauthorized => ("unauthorized", Outcome::Success, false),
            Self::Refused(_) => ("refused", Outcome::Success, false),
            Self::RateLimited(_) => ("limited", Outcome::Neutral, true),
            Self::ServerError(..) => ("failed", Outcome::FailureOf(resource), true),
            Self::Disconnected(_) => ("unreachable", Outcome::Failure, true),
            Self::Unreachable(_) => ("unreachable", Outcome::FailureOf(resource), true),
            Self::InvalidResponse(_) => ("unreadable", Outcome::FailureOf(resource), true),
            Self::BreakerOpen(_) => ("left_alone", Outcome::Neutral, false),
            Self::DeadlineExceeded => ("deadline", Outcome::Neutral, false),
        }
    }
}

enum Key {
    /// A v4 token, sent as a bearer token.
    Bearer(SecretString),
    /// A v3 key, which TMDB accepts only in the query.
    Query(SecretString),
    None,
}

/// The client of TMDB; cheap to clone. Calls fail with [`TmdbError`] if no attempt succeeds within their timeout.
#[derive(Clone)]
pub struct Tmdb(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    base: String,
    key: Key,
    config: TmdbConfig,
    bucket: TokenBucket,
    slots: Semaphore,
    breaker: Breaker,
    counts: RequestCounts,
}

impl Tmdb {
    /// Builds the client; nothing is sent yet.
    ///
    /// # Errors
    /// Fails if the TLS backend cannot be initialized.
    pub fn new(config: TmdbConfig) -> anyhow::Result<Self> {
        let text = config.tmdb_api_key.expose_secret();
        let key = if text.is_empty() {
            Key::None
        } else if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Key::Query(config.tmdb_api_key.clone())
        } else {
            Key::Bearer(config.tmdb_api_key.clone())
        };
        let http = chassis::client::http()
            .timeout(Duration::from_millis(config.tmdb_api_timeout))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        metrics::gauge!(TMDB_BREAKER_STATE).set(0.0);
        Ok(Self(Arc::new(Inner {
            http,
            base: config
                .tmdb_base_url
                .as_str()
                .trim_end_matches('/')
                .to_owned(),
            key,
            bucket: TokenBucket::new(config.tmdb_rate_limit_per_second),
            slots: Semaphore::new(config.tmdb_max_concurrency.max(1)),
            breaker: Breaker::new(
                config.tmdb_breaker_failures,
                Duration::from_secs(config.tmdb_breaker_open_seconds),
            ),
            counts: RequestCounts::default(),
            config,
        })))
    }

    /// The languages, besides the catalogue's, in which genres and people are named.
    pub fn languages(&self) -> impl Iterator<Item = Language> {
        let config = &self.0.config;
        let languages = config.tmdb_languages.iter().copied();
        languages.filter(|language| !language.matches(config.tmdb_language))
    }

    /// Lists all genres with their names in all languages.
    pub async fn genres(&self, timeout: Duration) -> Result<Vec<Genre>, TmdbError> {
        let deadline = Instant::now() + timeout;
        let path = "/genre/movie/list";
        let list: GenreList = self.get(path, &[], timeout).await?;
        let mut genres = list.genres;
        for language in self.languages() {
            let list: GenreList = self.get_in(language, path, &[], deadline).await?;
            for genre in &mut genres {
                let translated = list.genres.iter().find(|other| other.id == genre.id);
                if let Some(other) = translated.filter(|other| !other.name.trim().is_empty()) {
                    let language = language.primary().to_owned();
                    genre.names.insert(language, other.name.clone());
                }
            }
        }
        Ok(genres)
    }

    /// Returns page `page`, from 1, of `list`.
    pub async fn list(
        &self,
        list: MovieList,
        page: u32,
        timeout: Duration,
    ) -> Result<ListPage, TmdbError> {
        let mut query = vec![("page", page.to_string())];
        let path = match list {
            MovieList::Discover => {
                query.push(("sort_by", "popularity.desc".to_owned()));
                query.push(("include_adult", "false".to_owned()));
                "/discover/movie"
            }
            MovieList::Popular => "/movie/popular",
            MovieList::TrendingDay => "/trending/movie/day",
            MovieList::TrendingWeek => "/trending/movie/week",
        };
        self.get(path, &query, timeout).await
    }

    /// Searches movies by title, the most relevant first, the first page only; those released in `year` if it is given.
    pub async fn search(
        &self,
        title: &str,
        year: Option<i32>,
        timeout: Duration,
    ) -> Result<Vec<FoundMovie>, TmdbError> {
        let mut query = vec![
            ("query", title.to_owned()),
            ("include_adult", "false".to_owned()),
        ];
        query.extend(year.map(|year| ("primary_release_year", year.to_string())));
        let page: SearchPage = self.get("/search/movie", &query, timeout).await?;
        Ok(page.results)
    }

    /// True if a key is configured.
    pub fn has_key(&self) -> bool {
        !matches!(self.0.key, Key::None)
    }

    /// The circuit breaker and the requests since the start.
    pub fn state(&self) -> HostState {
        self.0.counts.state(&self.0.breaker)
    }

    /// Returns a movie with its appended parts, and with the names of people in each language into which it is
    /// translated.
    pub async fn movie(
        &self,
        reference: &MovieRef,
        timeout: Duration,
    ) -> Result<NewMovie, TmdbError> {
        let deadline = Instant::now() + timeout;
        let query = [("append_to_response", APPEND.to_owned())];
        // TMDB accepts IMDb's ids in place of its own.
        let path = match reference {
            MovieRef::Tmdb(id) => format!("/movie/{id}"),
            MovieRef::Imdb(id) => format!("/movie/{id}"),
        };
        let document: Value = self.get(&path, &query, timeout).await?;
        let mut movie = wire::movie(document).map_err(TmdbError::InvalidResponse)?;
        let is_other = match reference {
            MovieRef::Tmdb(id) => movie.id != id.get(),
            MovieRef::Imdb(id) => movie.imdb_id.as_ref() != Some(id),
        };
        if is_other {
            return Err(TmdbError::InvalidResponse("another movie".to_owned()));
        }
        let path = format!("/movie/{}/credits", movie.id);
        for language in self.languages() {
            if movie.people.is_empty() || !wire::is_translated(&movie, language) {
                continue;
            }
            match self.get_in(language, &path, &[], deadline).await {
                Ok(credits) => wire::add_names(&mut movie, language, &credits),
                // The movie has just been found.
                Err(TmdbError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(movie)
    }

    /// As [`Tmdb::get_in`], in the catalogue's language.
    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        timeout: Duration,
    ) -> Result<T, TmdbError> {
        let language = self.0.config.tmdb_language;
        self.get_in(language, path, query, Instant::now() + timeout)
            .await
    }

    /// The response to a GET of `path` in `language`.
    #[tracing::instrument(
        name = "client.tmdb.get",
        level = "debug",
        skip_all,
        fields(path),
        err(level = "debug")
    )]
    async fn get_in<T: DeserializeOwned>(
        &self,
        language: Language,
        path: &str,
        query: &[(&str, String)],
        deadline: Instant,
    ) -> Result<T, TmdbError> {
        let mut retries = 0;
        loop {
            let result = tokio::time::timeout_at(deadline, self.attempt(language, path, query))
                .await
                .unwrap_or(Err(TmdbError::DeadlineExceeded));
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let delay = self.retry_delay(retries, &error);
            let (_, _, is_transient) = error.classify(0);
            if !is_transient
                || retries >= self.0.config.tmdb_max_retries
                || Instant::now() + delay >= deadline
            {
                return Err(error);
            }
            metrics::counter!(TMDB_RETRIES_TOTAL).increment(1);
            tokio::time::sleep(delay).await;
            retries += 1;
        }
    }

    /// Exponential backoff with full jitter, never shorter than the `Retry-After` of `error`.
    fn retry_delay(&self, retries: u32, error: &TmdbError) -> Duration {
        let base = Duration::from_millis(self.0.config.tmdb_retry_base_ms);
        let max = base
            .saturating_mul(2_u32.saturating_pow(retries))
            .min(MAX_RETRY_DELAY);
        let jittered = max.mul_f64(rand::rng().random::<f64>());
        match error {
            TmdbError::RateLimited(Some(requested))
            | TmdbError::ServerError(_, Some(requested)) => *requested + jittered / 10,
            _ => jittered,
        }
    }

    /// One attempt: concurrency, breaker, rate, call. The token is taken last, since tokens saved up while calls were
    /// slow would be spent all at once afterwards.
    async fn attempt<T: DeserializeOwned>(
        &self,
        language: Language,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, TmdbError> {
        let tmdb = &self.0;
        if let Key::None = tmdb.key {
            return Err(TmdbError::Unauthorized);
        }
        // Refused before it waits for a slot.
        if let Some(left) = tmdb.breaker.refuses_for() {
            return Err(TmdbError::BreakerOpen(left));
        }
        let _slot = tmdb
            .slots
            .acquire()
            .await
            .map_err(|_| TmdbError::DeadlineExceeded)?;
        let admitted = tmdb.breaker.enter().map_err(TmdbError::BreakerOpen);
        // Admission of a probe half-opens the breaker.
        metrics::gauge!(TMDB_BREAKER_STATE).set(f64::from(tmdb.breaker.level()));
        admitted?;
        let mut report = tmdb.breaker.report_later();
        let waited = tmdb.bucket.take().await;
        metrics::histogram!(TMDB_TOKEN_WAIT_SECONDS).record(waited.as_secs_f64());
        let result = self.call(language, path, query).await;
        let label;
        (label, report.outcome, _) = match &result {
            Ok(_) => ("ok", Outcome::Success, false),
            Err(error) => error.classify(resource(path, query)),
        };
        drop(report);
        metrics::counter!(TMDB_CALLS_TOTAL, "outcome" => label).increment(1);
        tmdb.counts.add(matches!(label, "ok" | "not_found"));
        metrics::gauge!(TMDB_BREAKER_STATE).set(f64::from(tmdb.breaker.level()));
        result
    }

    async fn call<T: DeserializeOwned>(
        &self,
        language: Language,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, TmdbError> {
        let tmdb = &self.0;
        let mut request = tmdb
            .http
            .get(format!("{}{path}", tmdb.base))
            .query(&[("language", language)])
            .query(query);
        request = match &tmdb.key {
            Key::Bearer(token) => request.bearer_auth(token.expose_secret()),
            Key::Query(key) => request.query(&[("api_key", key.expose_secret())]),
            Key::None => request,
        };
        let unreachable = |error: reqwest::Error| {
            // The URL may contain the key.
            let is_connect = error.is_connect();
            let error = anyhow::Error::new(error.without_url());
            let message = format!("{error:#}");
            match is_connect {
                true => TmdbError::Disconnected(message),
                false => TmdbError::Unreachable(message),
            }
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(failure(&response));
        }
        let body = read_at_most(response, MAX_RESPONSE_BYTES).await;
        let body = body.map_err(unreachable)?;
        let body = body.ok_or_else(|| TmdbError::InvalidResponse("too large".to_owned()))?;
        // TMDB sends some errors with status 200.
        if let Ok(ErrorBody { success: false }) = serde_json::from_slice(&body) {
            return Err(TmdbError::InvalidResponse("success is false".to_owned()));
        }
        serde_json::from_slice(&body).map_err(|error| TmdbError::InvalidResponse(error.to_string()))
    }
}

/// The hash of the resource that a call is for: the movie, whichever part of it, or the page of a list or of a search.
fn resource(path: &str, query: &[(&str, String)]) -> u64 {
    let mut query = query.iter();
    let page = query.find(|(name, _)| matches!(*name, "page" | "query"));
    let mut hasher = DefaultHasher::new();
    let movie = path.strip_suffix("/credits").unwrap_or(path);
    (movie, page.map(|(_, page)| page)).hash(&mut hasher);
    hasher.finish()
}

#[derive(Deserialize)]
struct ErrorBody {
    success: bool,
}

fn failure(response: &reqwest::Response) -> TmdbError {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    match status {
        StatusCode::NOT_FOUND => TmdbError::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => TmdbError::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS => TmdbError::RateLimited(retry_after),
        _ if status.is_server_error() => TmdbError::ServerError(status.as_u16(), retry_after),
        _ if status.is_client_error() => TmdbError::Refused(status.as_u16()),
        _ => TmdbError::InvalidResponse(format!("status {status}")),
    }
}

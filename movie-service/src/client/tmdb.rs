//! TMDB's v3 API: each call within the rate, the number at once, a time limit and a deadline; a
//! failed one is tried again with jittered pauses, unless the breaker says that TMDB is down.

use std::{sync::Arc, time::Duration};

use rand::Rng;
use reqwest::{StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    limits::{Breaker, Outcome, TokenBucket},
    wire::{self, GenreList, ListPage},
};
use crate::{
    config::TmdbConfig,
    models::{Genre, MovieList, MovieRef, NewMovie},
};

/// Calls by outcome (counter).
pub const TMDB_CALLS_TOTAL: &str = "tmdb_calls_total";
/// Tries after the first (counter).
pub const TMDB_RETRIES_TOTAL: &str = "tmdb_retries_total";
/// Time waited for a token of the bucket (histogram, seconds).
pub const TMDB_TOKEN_WAIT_SECONDS: &str = "tmdb_token_wait_seconds";
/// 0 closed, 1 half-open, 2 open (gauge).
pub const TMDB_BREAKER_STATE: &str = "tmdb_breaker_state";

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The longest that TMDB is believed when it asks to be left alone; it does so for seconds.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(86_400);
/// The largest answer that is read; a film with all that we append is a tenth of it.
const LARGEST_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// What comes with a film's details, so that one call is enough.
const APPEND: &str =
    "credits,keywords,watch/providers,translations,external_ids,alternative_titles";

/// Why TMDB did not give what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TmdbError {
    /// TMDB has no such thing.
    #[error("TMDB does not know it")]
    NotFound,
    /// There is no key, or TMDB does not take it.
    #[error("TMDB refuses the key; set TMDB_API_KEY")]
    Unauthorized,
    /// TMDB answered with an error that trying again does not mend.
    #[error("TMDB answered {0}")]
    Refused(u16),
    /// TMDB limits us.
    #[error("TMDB limits our rate")]
    Limited,
    /// TMDB failed, by its own word.
    #[error("TMDB answered {0}")]
    Failed(u16),
    /// TMDB cannot be reached, or does not answer in time.
    #[error("TMDB cannot be reached: {0}")]
    Unreachable(String),
    /// TMDB answered something that is not what it should be.
    #[error("TMDB answered something unreadable: {0}")]
    Unreadable(String),
    /// TMDB failed again and again and is left alone for a while.
    #[error("TMDB is left alone for {} s after repeated failures", .0.as_secs())]
    LeftAlone(Duration),
    /// The deadline passed before there was an answer.
    #[error("no answer of TMDB before the deadline")]
    DeadlinePassed,
}

impl TmdbError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::NotFound | Self::Unauthorized | Self::Refused(_) => Outcome::Answered,
            Self::Failed(_) | Self::Unreachable(_) | Self::Unreadable(_) => Outcome::Failed,
            Self::Limited | Self::LeftAlone(_) | Self::DeadlinePassed => Outcome::Neither,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Unauthorized => "unauthorized",
            Self::Refused(_) => "refused",
            Self::Limited => "limited",
            Self::Failed(_) => "failed",
            Self::Unreachable(_) => "unreachable",
            Self::Unreadable(_) => "unreadable",
            Self::LeftAlone(_) => "left_alone",
            Self::DeadlinePassed => "deadline",
        }
    }

    fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Limited | Self::Failed(_) | Self::Unreachable(_) | Self::Unreadable(_)
        )
    }
}

enum Key {
    /// A v4 token, in a header.
    Bearer(SecretString),
    /// A v3 key, which TMDB takes in the query alone.
    Query(SecretString),
    None,
}

/// TMDB; cheap to clone.
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
}

/// A failed try, and what TMDB said of when to come back.
struct Failure {
    error: TmdbError,
    retry_after: Option<Duration>,
}

impl From<TmdbError> for Failure {
    fn from(error: TmdbError) -> Self {
        Self {
            error,
            retry_after: None,
        }
    }
}

impl Tmdb {
    /// TMDB as `config` describes it; nothing is sent yet.
    ///
    /// # Errors
    /// A platform without what HTTP needs.
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
            config,
        })))
    }

    /// All genres of films.
    ///
    /// # Errors
    /// As [`TmdbError`] says.
    pub async fn genres(&self, patience: Duration) -> Result<Vec<Genre>, TmdbError> {
        let list: GenreList = self.get("/genre/movie/list", &[], patience).await?;
        Ok(list.genres)
    }

    /// Page `page` (from 1) of `list`.
    ///
    /// # Errors
    /// As [`TmdbError`] says.
    pub async fn list(
        &self,
        list: MovieList,
        page: u32,
        patience: Duration,
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
        self.get(path, &query, patience).await
    }

    /// Whether there is a key, so that TMDB can be asked at all.
    #[must_use]
    pub fn has_key(&self) -> bool {
        !matches!(self.0.key, Key::None)
    }

    /// A film with all that belongs to it.
    ///
    /// # Errors
    /// As [`TmdbError`] says.
    pub async fn movie(
        &self,
        reference: &MovieRef,
        patience: Duration,
    ) -> Result<NewMovie, TmdbError> {
        let query = [("append_to_response", APPEND.to_owned())];
        // TMDB takes IMDb's ids in the place of its own.
        let path = match reference {
            MovieRef::Tmdb(id) => format!("/movie/{id}"),
            MovieRef::Imdb(id) => format!("/movie/{id}"),
        };
        let document: Value = self.get(&path, &query, patience).await?;
        let movie = wire::movie(document).map_err(TmdbError::Unreadable)?;
        let is_other = match reference {
            MovieRef::Tmdb(id) => movie.id != id.get(),
            MovieRef::Imdb(id) => movie.imdb_id.as_ref() != Some(id),
        };
        if is_other {
            return Err(TmdbError::Unreadable("it is another film".to_owned()));
        }
        Ok(movie)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        patience: Duration,
    ) -> Result<T, TmdbError> {
        let deadline = Instant::now() + patience;
        let mut tries = 0;
        loop {
            let result = tokio::time::timeout_at(deadline, self.attempt(path, query))
                .await
                .unwrap_or_else(|_| Err(TmdbError::DeadlinePassed.into()));
            let failure = match result {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            if !failure.error.may_pass() || tries >= self.0.config.tmdb_max_retries {
                return Err(failure.error);
            }
            let pause = self.pause(tries, failure.retry_after);
            if Instant::now() + pause >= deadline {
                return Err(failure.error);
            }
            metrics::counter!(TMDB_RETRIES_TOTAL).increment(1);
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    /// Exponential with full jitter; never shorter than TMDB asks for.
    fn pause(&self, tries: u32, retry_after: Option<Duration>) -> Duration {
        let base = Duration::from_millis(self.0.config.tmdb_retry_base_ms);
        let most = base
            .saturating_mul(2_u32.saturating_pow(tries))
            .min(LONGEST_PAUSE);
        let jittered = most.mul_f64(rand::rng().random::<f64>());
        retry_after.map_or(jittered, |asked| asked + jittered / 10)
    }

    /// One try: a slot, leave of the breaker, a token, the call. The token comes last: tokens that had
    /// gathered while calls were slow would all be spent at once when they are quick again.
    async fn attempt<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        let tmdb = &self.0;
        if let Key::None = tmdb.key {
            return Err(TmdbError::Unauthorized.into());
        }
        // Nobody queues for what will be refused.
        if let Some(left) = tmdb.breaker.refuses_for() {
            return Err(TmdbError::LeftAlone(left).into());
        }
        let _slot = tmdb
            .slots
            .acquire()
            .await
            .map_err(|_| TmdbError::DeadlinePassed)?;
        let leave = tmdb.breaker.enter().map_err(TmdbError::LeftAlone);
        // Leave may be a probe's, which half-opens it.
        metrics::gauge!(TMDB_BREAKER_STATE).set(f64::from(tmdb.breaker.level()));
        leave?;
        let report = Report::new(&tmdb.breaker);
        let waited = tmdb.bucket.take().await;
        metrics::histogram!(TMDB_TOKEN_WAIT_SECONDS).record(waited.as_secs_f64());
        let result = self.call(path, query).await;
        let (outcome, label) = match &result {
            Ok(_) => (Outcome::Answered, "ok"),
            Err(failure) => (failure.error.outcome(), failure.error.label()),
        };
        report.send(outcome);
        metrics::counter!(TMDB_CALLS_TOTAL, "outcome" => label).increment(1);
        metrics::gauge!(TMDB_BREAKER_STATE).set(f64::from(tmdb.breaker.level()));
        result
    }

    async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        let tmdb = &self.0;
        let mut request = tmdb
            .http
            .get(format!("{}{path}", tmdb.base))
            .query(&[("language", &tmdb.config.tmdb_language)])
            .query(query);
        request = match &tmdb.key {
            Key::Bearer(token) => request.bearer_auth(token.expose_secret()),
            Key::Query(key) => request.query(&[("api_key", key.expose_secret())]),
            Key::None => request,
        };
        // Without its URL an error cannot tell the key.
        let unreachable =
            |error: reqwest::Error| TmdbError::Unreachable(chain(&error.without_url()));
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(refusal(&response));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST_ANSWER_BYTES {
                return Err(TmdbError::Unreadable("it is too long".to_owned()).into());
            }
            body.extend_from_slice(&chunk);
        }
        // TMDB's own errors come with status 200 now and then.
        if let Ok(Complaint { success: false }) = serde_json::from_slice(&body) {
            return Err(TmdbError::Unreadable("it says that it failed".to_owned()).into());
        }
        serde_json::from_slice(&body)
            .map_err(|error| TmdbError::Unreadable(error.to_string()).into())
    }
}

#[derive(Deserialize)]
struct Complaint {
    success: bool,
}

fn refusal(response: &reqwest::Response) -> Failure {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
    let error = match status {
        StatusCode::NOT_FOUND => TmdbError::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => TmdbError::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS => TmdbError::Limited,
        _ if status.is_server_error() => TmdbError::Failed(status.as_u16()),
        _ if status.is_client_error() => TmdbError::Refused(status.as_u16()),
        _ => TmdbError::Unreadable(format!("status {status}")),
    };
    Failure { error, retry_after }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// Makes sure that the breaker hears of a call even when its caller goes away.
struct Report<'a>(Option<&'a Breaker>);

impl<'a> Report<'a> {
    fn new(breaker: &'a Breaker) -> Self {
        Self(Some(breaker))
    }

    fn send(mut self, outcome: Outcome) {
        if let Some(breaker) = self.0.take() {
            breaker.report(outcome);
        }
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if let Some(breaker) = self.0.take() {
            breaker.report(Outcome::Neither);
        }
    }
}

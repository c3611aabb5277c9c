//! Lists of films for a user, scored over the whole catalogue in memory.

use std::{
    cmp::Ordering, collections::BinaryHeap, collections::HashSet, sync::Arc, time::Duration,
};

use chassis::{
    client::{CallError, Client},
    clock::Clock,
    feed::follow::FeedState,
};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::PgPool;

use super::{
    read_model::Shared,
    rules::{Context, Values, days_since_epoch},
};
use crate::{
    models::{Catalogue, NO_DATE, Preferences, Profile, Rule, UserId, Users, Weights},
    repository::rules as repository,
};

/// How long preference-service may take to tell of a user whom its feed has not brought yet.
const ASK_LIMIT: Duration = Duration::from_secs(2);
/// How often the rules are read again.
pub const RULES_REFRESH: Duration = Duration::from_secs(5);

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum RecommendError {
    /// There is no such user.
    #[error("user not found")]
    UserNotFound,
    /// The user is not in memory, and who knows cannot be asked.
    #[error("cannot ask about the user")]
    Asking(#[from] CallError),
    /// The catalogue has not been loaded yet.
    #[error("the catalogue is still loading")]
    Loading,
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A film in a list, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// TMDB's id.
    pub id: i64,
    /// The title.
    pub title: String,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// Names of its genres, alphabetical.
    pub genres: Vec<String>,
    /// TMDB's popularity.
    pub popularity: f64,
    /// The poster's path.
    pub poster_path: Option<String>,
    /// What it scored, to four decimals.
    pub score: f64,
    /// Why, in words.
    pub reason: String,
}

/// A list of films for a user.
#[derive(Debug)]
pub struct List {
    /// The films, best first.
    pub recommendations: Vec<Recommendation>,
    /// When it was made.
    pub generated_at: DateTime<Utc>,
    /// The newest interaction of the user that it knows.
    pub fresh_as_of: Option<DateTime<Utc>>,
}

/// Makes lists; cheap to clone.
#[derive(Clone)]
pub struct Recommender {
    pool: PgPool,
    catalogue: Shared<Catalogue>,
    users: Shared<Users>,
    rules: Shared<Arc<[Rule]>>,
    preference_service: Client,
    movies_feed: FeedState,
    clock: Clock,
}

impl Recommender {
    /// Makes lists of films in `catalogue`, which `movies_feed` fills, for `users`; asks
    /// `preference_service` about a user who is not there yet. The rules are read from `pool`.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn new(
        pool: PgPool,
        catalogue: Shared<Catalogue>,
        users: Shared<Users>,
        preference_service: Client,
        movies_feed: FeedState,
        clock: Clock,
    ) -> sqlx::Result<Self> {
        let recommender = Self {
            pool,
            catalogue,
            users,
            rules: Shared::new(Arc::from([])),
            preference_service,
            movies_feed,
            clock,
        };
        recommender.refresh_rules().await?;
        Ok(recommender)
    }

    /// Reads the rules again.
    ///
    /// # Errors
    /// Postgres's; the rules stay as they are.
    pub async fn refresh_rules(&self) -> sqlx::Result<()> {
        let rules = repository::list_active(&self.pool).await?;
        *self.rules.write() = rules.into();
        Ok(())
    }

    /// The active rules, by type.
    #[must_use]
    pub fn rules(&self) -> Arc<[Rule]> {
        Arc::clone(&self.rules.read())
    }

    /// The best `limit` films for user `id`, by `weights` in the place of the rules where given.
    ///
    /// # Errors
    /// As [`RecommendError`] says.
    pub async fn recommend_by_rules(
        &self,
        id: UserId,
        limit: usize,
        weights: Option<Weights>,
    ) -> Result<Vec<Recommendation>, RecommendError> {
        self.prepare(id).await?;
        let weights = weights.unwrap_or_else(|| Weights::of(&self.rules.read()));
        let users = self.users.read();
        let profile = users.find(id).ok_or(RecommendError::UserNotFound)?;
        let catalogue = self.catalogue.read();
        Ok(best(&catalogue, profile, weights, self.clock.now(), limit))
    }

    /// The best `limit` films for user `id`, by `weights` in the place of the rules where given.
    ///
    /// # Errors
    /// As [`RecommendError`] says.
    pub async fn recommend(
        &self,
        id: UserId,
        limit: usize,
        weights: Option<Weights>,
    ) -> Result<List, RecommendError> {
        self.prepare(id).await?;
        let weights = weights.unwrap_or_else(|| Weights::of(&self.rules.read()));
        let now = self.clock.now();
        let users = self.users.read();
        let profile = users.find(id).ok_or(RecommendError::UserNotFound)?;
        let catalogue = self.catalogue.read();
        Ok(List {
            recommendations: best(&catalogue, profile, weights, now, limit),
            generated_at: now,
            fresh_as_of: profile.fresh_as_of,
        })
    }

    /// Makes sure of the catalogue and of the user.
    async fn prepare(&self, id: UserId) -> Result<(), RecommendError> {
        // A catalogue without films is one only once the feed has told so.
        if self.catalogue.read().is_empty() && !self.movies_feed.is_caught_up() {
            return Err(RecommendError::Loading);
        }
        let is_known = self.users.read().find(id).is_some();
        if !is_known {
            let preferences = self.ask(id).await?;
            self.users.write().prefer(preferences);
        }
        Ok(())
    }

    async fn ask(&self, id: UserId) -> Result<Preferences, RecommendError> {
        let client = &self.preference_service;
        let response = client
            .get(&format!("/internal/v1/users/{}", id.get()), ASK_LIMIT)
            .send()
            .await
            .map_err(|error| client.unreachable(error))?;
        match response.status().as_u16() {
            200 => response.json().await.map_err(|error| {
                CallError::Unreadable {
                    service: client.service(),
                    reason: error.without_url().to_string(),
                }
                .into()
            }),
            404 => Err(RecommendError::UserNotFound),
            status => Err(CallError::Status {
                service: client.service(),
                status,
            }
            .into()),
        }
    }
}

/// A film on its way into the list. Ordered by score, then popularity, then the lower id.
struct Ranked {
    score: f64,
    popularity: f64,
    id: i64,
    row: usize,
    values: Values,
}

impl Ord for Ranked {
    /// The worse film is the greater, so that the heap's top is the first to go.
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then(other.popularity.total_cmp(&self.popularity))
            .then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

/// The best `limit` films of `catalogue` for `profile`. The pool is the whole catalogue, less what the
/// user knows and what their lowest rating and their language rule out.
#[must_use]
pub fn best(
    catalogue: &Catalogue,
    profile: &Profile,
    weights: Weights,
    now: DateTime<Utc>,
    limit: usize,
) -> Vec<Recommendation> {
    let preferences = profile.preferences();
    let known: HashSet<usize> = profile
        .known_films()
        .filter_map(|id| catalogue.row(id))
        .collect();
    let min_rating = preferences.map_or(0.0, |preferences| preferences.min_rating);
    let language = preferences.and_then(|preferences| preferences.preferred_language.as_deref());
    // A language that no film is in rules out all of them.
    let language = language.map(|language| catalogue.language(language));
    let genres = preferences.map_or(&[][..], |preferences| &preferences.preferred_genres);
    let is_candidate = |row: &usize| {
        language.is_none_or(|number| number == Some(catalogue.language_of(*row)))
            && catalogue.vote_average(*row) + RATING_ROUNDING >= min_rating
            && !known.contains(row)
    };
    let max_popularity = (0..catalogue.len())
        .filter(is_candidate)
        .map(|row| catalogue.candidate(row).popularity)
        .fold(0.0, f64::max);
    let context = Context {
        weights,
        max_popularity,
        preferred: catalogue.genre_set(genres),
        has_preferred: !genres.is_empty(),
        today: days_since_epoch(now),
    };
    let mut heap = BinaryHeap::with_capacity(limit + 1);
    for row in (0..catalogue.len()).filter(is_candidate) {
        let film = catalogue.candidate(row);
        let values = context.values(film);
        heap.push(Ranked {
            score: context.score(values),
            popularity: film.popularity,
            id: catalogue.id(row),
            row,
            values,
        });
        if heap.len() > limit {
            heap.pop();
        }
    }
    heap.into_sorted_vec()
        .into_iter()
        .map(|ranked| describe(catalogue, &context, &ranked))
        .collect()
}

/// Averages are kept in single precision: 7.9 must not fail a lowest rating of 7.9.
const RATING_ROUNDING: f64 = 1e-5;

fn describe(catalogue: &Catalogue, context: &Context, ranked: &Ranked) -> Recommendation {
    let row = ranked.row;
    let day = catalogue.candidate(row).release_day;
    let release_date = (day != NO_DATE)
        .then(|| NaiveDate::default().checked_add_signed(TimeDelta::days(i64::from(day))))
        .flatten();
    Recommendation {
        id: ranked.id,
        title: catalogue.title(row).to_owned(),
        release_date,
        genres: catalogue.genre_names(row),
        popularity: ranked.popularity,
        poster_path: catalogue.poster_path(row).map(str::to_owned),
        score: ranked.score,
        reason: context.reason(ranked.values),
    }
}

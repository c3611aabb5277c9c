//! The list that the pipeline makes: stored, shown page by page, and replayed.

use chrono::{DateTime, Utc};
use recommender::experiments::thompson::Slot;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{experiments::Participation, reason::Reason};

/// The strategy that scores movies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// A blend of learned models, content, taste and rules, weighted by the evidence that each has about the user.
    #[default]
    Blend,
    /// Popularity, recency and genre match, with the weights of `/rules`.
    Rules,
    /// Popularity in the interactions of all users, recent ones weighing more.
    Popularity,
    /// The learned item-item model EASE.
    Ease,
    /// The learned matrix factorization iALS.
    Ials,
    /// The learned spectral model.
    Spectral,
    /// The base model: learned from a published set of ratings.
    Base,
    /// Content: similarity of tags to the user's movies.
    Content,
    /// Taste: the user's affinity for tags, learned and edited.
    Taste,
}

impl Strategy {
    /// All names, for messages.
    pub const NAMES: &str =
        "blend, rules, popularity, ease, ials, spectral, base, content or taste";

    /// The name, as clients write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blend => "blend",
            Self::Rules => "rules",
            Self::Popularity => "popularity",
            Self::Ease => "ease",
            Self::Ials => "ials",
            Self::Spectral => "spectral",
            Self::Base => "base",
            Self::Content => "content",
            Self::Taste => "taste",
        }
    }
}

/// The weights of the parts of the blend; 1 is the default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PartWeights {
    /// The weight of the learned models.
    pub learned: f32,
    /// The weight of content.
    pub content: f32,
    /// The weight of taste.
    pub taste: f32,
    /// The weight of the rules.
    pub rules: f32,
}

impl Default for PartWeights {
    fn default() -> Self {
        Self {
            learned: 1.0,
            content: 1.0,
            taste: 1.0,
            rules: 1.0,
        }
    }
}

/// A movie in a list with its explanation. Amounts are parts of the score, in ten-thousandths.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ListedFilm {
    /// TMDB's id.
    pub id: i64,
    /// The score.
    pub score: i64,
    /// The amount of each part of the score, in the order of [`FilmList::parts`].
    pub amounts: Vec<i32>,
    /// The user's movies with the largest amounts.
    pub because: Vec<(i64, i32)>,
    /// The number of the user's other movies, and their amount.
    pub others: (u32, i64),
    /// The reasons in English, with titles as they were.
    pub reason: String,
    /// The reasons; empty in lists that were stored before there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// True if the movie was on the user's watchlist when the list was made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bookmarked: bool,
}

impl ListedFilm {
    /// The amount that comes from none of the user's movies.
    pub fn base(&self) -> i64 {
        let because: i64 = self
            .because
            .iter()
            .map(|(_, amount)| i64::from(*amount))
            .sum();
        self.score - because - self.others.1
    }
}

/// A list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilmList {
    /// The id.
    pub id: Uuid,
    /// The user.
    pub user_id: i64,
    /// The time at which it was made.
    pub created_at: DateTime<Utc>,
    /// The parameters that it was requested with, without the page size.
    #[serde(rename = "asked")]
    pub parameters: String,
    /// The page size of the first page.
    pub limit: usize,
    /// True if movies that the user has seen or judged are left out.
    pub exclude_seen: bool,
    /// The strategy that scored movies.
    pub strategy: Strategy,
    /// The version of the learned models; `None` if they did not score.
    pub model_version: Option<i64>,
    /// The time of the newest interaction of the user that it reflects.
    pub fresh_as_of: Option<DateTime<Utc>>,
    /// The parts of scores.
    pub parts: Vec<String>,
    /// The movies, best first, at most [`FilmList::MAX_FILMS`].
    pub films: Vec<ListedFilm>,
    /// The user's experiments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participations: Vec<Participation>,
    /// The propensities of the movies on the first page, if exploration was on; else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<Slot>,
}

impl FilmList {
    /// The highest number of movies of a list.
    pub const MAX_FILMS: usize = 200;

    /// The memory of the list in bytes, approximately.
    pub fn bytes(&self) -> usize {
        let film = |film: &ListedFilm| {
            size_of::<ListedFilm>()
                + film.amounts.len() * 4
                + film.because.len() * 16
                + film.reason.capacity()
                + film.reasons.len() * size_of::<Reason>()
                + 48
        };
        let treatment = self.participations.len() * size_of::<Participation>()
            + self.slots.len() * size_of::<Slot>();
        size_of::<Self>()
            + treatment
            + self.parameters.len()
            + self.films.iter().map(film).sum::<usize>()
    }
}

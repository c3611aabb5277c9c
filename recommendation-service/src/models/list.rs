//! A list of films as it was made: what is shown again when it is asked for again, or gone on with.

use chrono::{DateTime, Utc};
use recommender::experiments::thompson::Slot;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Participation;

/// How films are scored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// By all there is; how much each part knows of the user decides its share.
    #[default]
    Blend,
    /// By popularity, recency and genre, with the weights of `/rules`.
    Rules,
    /// The same for everybody: what most deal with, lately more than before.
    Popularity,
    /// By a learned model: which films go with which, in closed form.
    Ease,
    /// By a learned model: factors of users and films.
    Ials,
    /// By a learned model: the spectrum of who dealt with what.
    Spectral,
    /// By what films are about, compared with the user's films.
    Content,
    /// By the user's taste: what their films have in common, and what they say of it.
    Taste,
}

impl Strategy {
    /// Its name, as clients write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blend => "blend",
            Self::Rules => "rules",
            Self::Popularity => "popularity",
            Self::Ease => "ease",
            Self::Ials => "ials",
            Self::Spectral => "spectral",
            Self::Content => "content",
            Self::Taste => "taste",
        }
    }
}

/// How much the parts of the blend count; 1 is as usual.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PartWeights {
    /// Of the learned models.
    pub learned: f32,
    /// Of what films are about.
    pub content: f32,
    /// Of the user's taste.
    pub taste: f32,
    /// Of the rules.
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

/// A film in a list, and why. Amounts are of the score, in ten-thousandths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedFilm {
    /// TMDB's id.
    pub id: i64,
    /// What it scored.
    pub score: i64,
    /// What each part of the score adds, in the order of [`FilmList::parts`].
    pub amounts: Vec<i32>,
    /// Films of the user that speak most for it, and what each adds.
    pub because: Vec<(i64, i32)>,
    /// How many other films of the user count, and what they add together.
    pub others: (u32, i64),
    /// Why, in words.
    pub reason: String,
}

impl ListedFilm {
    /// What the score owes to none of the user's films.
    #[must_use]
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
    /// By what it is found again.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// What was asked for, but for how much of it is shown.
    pub asked: String,
    /// How many films its first page has.
    pub limit: usize,
    /// Whether films that the user knows are left out.
    pub exclude_seen: bool,
    /// How films were scored.
    pub strategy: Strategy,
    /// Which version of the learned models was asked; none: none.
    pub model_version: Option<i64>,
    /// The newest interaction of the user that it knows.
    pub fresh_as_of: Option<DateTime<Utc>>,
    /// What scores are made of.
    pub parts: Vec<String>,
    /// The films, best first, at most [`FilmList::LONGEST`].
    pub films: Vec<ListedFilm>,
    /// The experiments that it was made for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participations: Vec<Participation>,
    /// How likely the films of its first page were to stand where they do, where any was shown to learn
    /// about it or could have been; empty where not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<Slot>,
}

impl FilmList {
    /// How many films a list has at most.
    pub const LONGEST: usize = 200;

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let film = |film: &ListedFilm| {
            size_of::<ListedFilm>()
                + film.amounts.len() * 4
                + film.because.len() * 16
                + film.reason.len()
                + 48
        };
        let trials = self.participations.len() * size_of::<Participation>()
            + self.slots.len() * size_of::<Slot>();
        size_of::<Self>() + trials + self.asked.len() + self.films.iter().map(film).sum::<usize>()
    }
}

//! Interactions: what users do with films, and the log of it.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{InteractionId, MovieId, Progress, Rating, UserId};

/// What a user did with a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "like")]
pub enum InteractionType {
    /// Liked it.
    Like,
    /// Disliked it.
    Dislike,
    /// Put it on the list of films to watch.
    Watchlist,
    /// Watched it, to its end or nearly so.
    Watched,
    /// Liked it above others.
    Superlike,
    /// Rated it.
    Rating,
    /// Watched some of it.
    Progress,
    /// Took back a like, dislike or superlike.
    ReactionRemoved,
    /// Took it off the list of films to watch.
    BookmarkRemoved,
    /// Took back a rating.
    RatingRemoved,
    /// Took it out of what was watched.
    WatchRemoved,
}

impl InteractionType {
    /// All there are. Those that state something come first, then those that take it back.
    pub const ALL: [Self; 11] = [
        Self::Like,
        Self::Dislike,
        Self::Watchlist,
        Self::Watched,
        Self::Superlike,
        Self::Rating,
        Self::Progress,
        Self::ReactionRemoved,
        Self::BookmarkRemoved,
        Self::RatingRemoved,
        Self::WatchRemoved,
    ];

    /// Those that state something, rather than take it back.
    #[must_use]
    pub fn statements() -> &'static [Self] {
        const STATEMENTS: &[InteractionType] = InteractionType::ALL.split_at(7).0;
        STATEMENTS
    }

    /// Its name, as clients and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Like => "like",
            Self::Dislike => "dislike",
            Self::Watchlist => "watchlist",
            Self::Watched => "watched",
            Self::Superlike => "superlike",
            Self::Rating => "rating",
            Self::Progress => "progress",
            Self::ReactionRemoved => "reaction_removed",
            Self::BookmarkRemoved => "bookmark_removed",
            Self::RatingRemoved => "rating_removed",
            Self::WatchRemoved => "watch_removed",
        }
    }
}

impl fmt::Display for InteractionType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A word that is not the name of an interaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid interaction type: {0}")]
pub struct UnknownInteractionType(pub String);

impl FromStr for InteractionType {
    type Err = UnknownInteractionType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| UnknownInteractionType(text.to_owned()))
    }
}

/// Something that a user did with a film, as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction {
    /// Its id.
    pub id: InteractionId,
    /// Who did it.
    pub user_id: UserId,
    /// With which film.
    pub movie_id: MovieId,
    /// What.
    pub interaction_type: InteractionType,
    /// Of a rating: which.
    pub rating: Option<Rating>,
    /// Of watching: where it stopped.
    pub progress: Option<Progress>,
    /// When the user did it.
    pub occurred_at: DateTime<Utc>,
    /// When it was stored; the same, but for what was told of later.
    pub created_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_in_lower_case_alone() {
        for known in InteractionType::ALL {
            assert_eq!(known.as_str().parse(), Ok(known));
            let json = serde_json::to_value(known).expect("a word");
            assert_eq!(json, known.as_str());
        }
        for unknown in ["Like", " like", "", "love"] {
            assert!(unknown.parse::<InteractionType>().is_err(), "{unknown}");
        }
    }

    #[test]
    fn what_takes_back_states_nothing() {
        for kind in InteractionType::ALL {
            let removes = kind.as_str().ends_with("_removed");
            assert_ne!(InteractionType::statements().contains(&kind), removes);
        }
    }
}

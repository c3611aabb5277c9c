//! Interactions: what users do with films.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{InteractionId, MovieId, UserId};

/// What a user did with a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(example = "like")]
pub enum InteractionType {
    /// Liked it.
    Like,
    /// Disliked it.
    Dislike,
    /// Put it on the list of films to watch.
    Watchlist,
    /// Watched it.
    Watched,
    /// Liked it above others.
    Superlike,
}

impl InteractionType {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::Like,
        Self::Dislike,
        Self::Watchlist,
        Self::Watched,
        Self::Superlike,
    ];

    /// Its name, as clients and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Like => "like",
            Self::Dislike => "dislike",
            Self::Watchlist => "watchlist",
            Self::Watched => "watched",
            Self::Superlike => "superlike",
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

/// Something that a user did with a film, as it is stored.
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
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// Something that a user does with a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewInteraction {
    /// Who does it.
    pub user_id: UserId,
    /// With which film.
    pub movie_id: MovieId,
    /// What.
    pub interaction_type: InteractionType,
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
}

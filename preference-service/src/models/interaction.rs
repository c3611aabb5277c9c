//! The interaction log: one entry for each action of a user that changed the state of a movie.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Action, InteractionId, MovieId, NewViewing, Progress, Rating, Source, UserId, ViewingTime,
    text::parse_name,
};
use crate::error::Error;

/// The type of an interaction.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, sqlx::Type,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(example = "like")]
pub enum InteractionType {
    /// Likes the movie.
    Like,
    /// Dislikes the movie.
    Dislike,
    /// Adds the movie to the watchlist.
    Watchlist,
    /// Watched the movie to its end, or nearly so.
    Watched,
    /// Likes the movie very much.
    Superlike,
    /// Rated the movie.
    Rating,
    /// Watched a part of the movie.
    Progress,
    /// Cleared a like, dislike or superlike.
    ReactionRemoved,
    /// Removed the movie from the watchlist.
    BookmarkRemoved,
    /// Cleared a rating.
    RatingRemoved,
    /// Cleared the watch history.
    WatchRemoved,
}

impl InteractionType {
    /// The types that set a value.
    pub const STATEMENTS: [Self; 7] = [
        Self::Like,
        Self::Dislike,
        Self::Watchlist,
        Self::Watched,
        Self::Superlike,
        Self::Rating,
        Self::Progress,
    ];

    /// Parses the name of a type that sets a value.
    ///
    /// # Errors
    /// [`Error::UnknownInteractionType`] if it is not one of them.
    pub fn parse_statement(name: String) -> Result<Self, Error> {
        parse_name(&name)
            .filter(|known| Self::STATEMENTS.contains(known))
            .ok_or(Error::UnknownInteractionType(name))
    }
}

/// An entry of the interaction log.
// Field order must match the table's columns: rows are read and written as composite values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "interaction_row_v2")]
#[schema(as = InteractionResponse, example = json!({
    "id": 1,
    "user_id": 1,
    "movie_id": 603,
    "interaction_type": "like",
    "occurred_at": "2026-02-13T08:15:42.123456Z",
    "created_at": "2026-02-13T08:15:42.123456Z"
}))]
pub struct Interaction {
    /// The user.
    pub user_id: UserId,
    /// The interaction's id.
    pub id: InteractionId,
    /// The movie.
    pub movie_id: MovieId,
    /// The type.
    pub interaction_type: InteractionType,
    /// The time it was stored.
    pub created_at: DateTime<Utc>,
    /// The time of the user's action.
    pub occurred_at: DateTime<Utc>,
    /// The rating in stars, of a `rating` or a viewing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub rating: Option<Rating>,
    /// The playback position, of `progress` and `watched`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_seconds: Option<i32>,
    /// The movie's runtime, of `progress` and `watched`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i32>,
    /// The time of the viewing that `watched` or `watch_removed` is about; 1970-01-01T00:00:00Z if its day is unknown, and
    /// midnight if only the day is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewed_at: Option<DateTime<Utc>>,
    /// The site or the media server that reported it, of `watched` and `watch_removed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

impl Interaction {
    /// Returns the action that the entry records, or `None` if a value that its type needs is missing.
    pub fn action(&self) -> Option<Action> {
        let progress = self
            .position_seconds
            .zip(self.duration_seconds)
            .and_then(|(position, duration)| Progress::new(position, duration));
        let time = self.viewed_at.map(ViewingTime::at);
        match (self.interaction_type, time) {
            (InteractionType::Watched, Some(time)) => Some(Action::View(NewViewing {
                time,
                rating: self.rating,
                source: self.source,
            })),
            (InteractionType::WatchRemoved, Some(time)) => Some(Action::RemoveViewing(time)),
            (InteractionType::WatchRemoved, None) if self.source.is_some() => Some(Action::Unplay),
            // One that completed the movie would be `watched`.
            (InteractionType::Progress, _) => progress.map(Action::Position),
            _ => Action::of(self.interaction_type, self.rating, progress),
        }
    }
}

//! The payload of `interaction.recorded` in the change feed: an interaction and the state that it led to. Built by
//! the writer; the view `interaction_change` builds the same for snapshots.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use super::{
    Interaction, InteractionId, InteractionType, MovieId, Rating, Reaction, UserId, UserMovie,
};

/// A change record of an interaction. Absent values are left out.
#[derive(Serialize)]
pub struct InteractionChange {
    id: InteractionId,
    user_id: UserId,
    movie_id: MovieId,
    interaction_type: InteractionType,
    #[serde(skip_serializing_if = "Option::is_none")]
    rating: Option<Rating>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<i32>,
    occurred_at: Micros,
    created_at: Micros,
    state: StateChange,
}

#[derive(Serialize)]
struct StateChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    reaction: Option<Reaction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reacted_at: Option<Micros>,
    bookmarked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bookmarked_at: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rating: Option<Rating>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rated_at: Option<Micros>,
    watched: bool,
    watched_seconds: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    watched_at: Option<Micros>,
    completed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    viewings: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    viewed_at: Option<Micros>,
}

/// An instant with six digits of seconds, as Postgres formats it for snapshots.
struct Micros(DateTime<Utc>);

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl InteractionChange {
    /// Returns the change record of `interaction`, which led to `state`.
    pub fn new(interaction: &Interaction, state: &UserMovie) -> Self {
        // Those of a movie that was seen once follow from its completion.
        let is_rewatched = state.viewing_count > 1;
        Self {
            id: interaction.id,
            user_id: interaction.user_id,
            movie_id: interaction.movie_id,
            interaction_type: interaction.interaction_type,
            rating: interaction.rating,
            position_seconds: interaction.position_seconds,
            duration_seconds: interaction.duration_seconds,
            occurred_at: Micros(interaction.occurred_at),
            created_at: Micros(interaction.created_at),
            state: StateChange {
                reaction: state.reaction,
                reacted_at: state.reacted_at.map(Micros),
                bookmarked: state.bookmarked,
                bookmarked_at: state.bookmarked_at.map(Micros),
                rating: state.rating,
                rated_at: state.rated_at.map(Micros),
                watched: state.is_watched(),
                watched_seconds: state.watched_seconds,
                watched_at: state.watched_at.map(Micros),
                completed: state.completed_at.is_some(),
                completed_at: state.completed_at.map(Micros),
                viewings: is_rewatched.then_some(state.viewing_count),
                viewed_at: state.viewed_at.filter(|_| is_rewatched).map(Micros),
            },
        }
    }
}

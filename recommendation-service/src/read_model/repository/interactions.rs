//! SQL of interactions as training reads them.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use recommender::taste::LIKED_STARS;
use sqlx::PgPool;

use super::begin_long_read;
use crate::read_model::{InteractionState, Reaction, affinity};

/// A positive interaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Liked {
    /// The user.
    pub user_id: i64,
    /// TMDB's id of the movie.
    pub movie_id: i64,
    /// The weight; 1 for a like.
    pub weight: f32,
    /// The time of the latest interaction.
    pub at: DateTime<Utc>,
}

/// Calls `take` with every positive interaction, as [`affinity`] weighs it, by user and movie; of at most `limit`
/// movie states that are not dislikes, the newest.
///
/// # Errors
/// Returns [`sqlx::Error`] if Postgres is unreachable or takes longer than ten minutes.
pub async fn liked(pool: &PgPool, limit: i64, mut take: impl FnMut(Liked)) -> sqlx::Result<()> {
    let mut transaction = begin_long_read(pool).await?;
    let mut rows = sqlx::query!(
        "select user_id, movie_id, occurred_at, reaction, bookmarked, rating, watched, watched_seconds,
                completed_at, viewings
         from (select * from user_movie
               where reaction is distinct from 'dislike' and coalesce(rating, $2) >= $2
               order by occurred_at desc, user_id, movie_id
               limit $1) as newest
         order by user_id, movie_id",
        limit,
        LIKED_STARS,
    )
    .fetch(&mut *transaction);
    while let Some(row) = rows.try_next().await? {
        let state = InteractionState {
            reaction: row.reaction.as_deref().map(Reaction::from),
            bookmarked: row.bookmarked,
            rating: row.rating,
            watched: row.watched,
            watched_seconds: row.watched_seconds,
            completed_at: row.completed_at,
            viewings: row.viewings.unwrap_or_default(),
            ..InteractionState::default()
        };
        if let Some(weight) = affinity(&state) {
            take(Liked {
                user_id: row.user_id,
                movie_id: row.movie_id,
                weight,
                at: row.occurred_at,
            });
        }
    }
    Ok(())
}

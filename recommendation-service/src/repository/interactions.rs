//! What users did, as training reads it.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::PgPool;

use crate::models::{LIKED_STARS, Reaction, Standing, affinity};

/// A film that speaks for a user's taste.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Liked {
    /// Whose taste.
    pub user_id: i64,
    /// TMDB's id of the film.
    pub movie_id: i64,
    /// How much it speaks for it; a like is 1.
    pub weight: f32,
    /// When they did it last.
    pub at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    user_id: i64,
    movie_id: i64,
    at: DateTime<Utc>,
    reaction: Option<String>,
    bookmarked: bool,
    rating: Option<f32>,
    watched: bool,
    watched_seconds: i32,
    completed_at: Option<DateTime<Utc>>,
}

impl Row {
    fn liked(&self) -> Option<Liked> {
        let standing = Standing {
            reaction: self.reaction.as_deref().map(Reaction::from),
            bookmarked: self.bookmarked,
            rating: self.rating,
            watched: self.watched,
            watched_seconds: self.watched_seconds,
            completed_at: self.completed_at,
            ..Standing::default()
        };
        Some(Liked {
            user_id: self.user_id,
            movie_id: self.movie_id,
            weight: affinity(&standing)?,
            at: self.at,
        })
    }
}

/// Hands every film that speaks for a user's taste, as [`affinity`] says, to `take`, by user and film; of
/// at most `most` films that are not disliked, which are the newest.
///
/// # Errors
/// Postgres's.
pub async fn liked(pool: &PgPool, most: i64, mut take: impl FnMut(Liked)) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("set local statement_timeout = '10min'")
        .execute(&mut *transaction)
        .await?;
    let mut rows = sqlx::query_as::<_, Row>(
        "select user_id, movie_id, occurred_at as at, reaction, bookmarked, rating, watched,
                watched_seconds, completed_at
         from (select * from user_movie
               where reaction is distinct from 'dislike' and coalesce(rating, $2) >= $2
               order by occurred_at desc, user_id, movie_id
               limit $1) as newest
         order by user_id, movie_id",
    )
    .bind(most)
    .bind(LIKED_STARS)
    .fetch(&mut *transaction);
    while let Some(row) = rows.try_next().await? {
        if let Some(liked) = row.liked() {
            take(liked);
        }
    }
    Ok(())
}

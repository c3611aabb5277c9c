//! What users did, as training reads it.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::PgPool;

/// A film that speaks for a user's taste.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
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

/// Hands every film that speaks for a user's taste to `take`, by user and film; at most `most`, which
/// are the newest.
///
/// A superlike weighs 1.4, a like 1, a rating of 3.5 stars and up 0.2 for each half star above 3, having
/// seen it to the end 0.6, a bookmark 0.2; what was done with one film adds up. A film that was disliked,
/// or rated below 3.5 stars, never counts, however often it was seen.
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
    let mut rows = sqlx::query_as::<_, Liked>(
        "select user_id, movie_id, weight, at
         from (select user_id, movie_id, occurred_at as at,
                      (case reaction when 'superlike' then 1.4 when 'like' then 1.0 else 0.0 end
                       + coalesce((rating - 3.0) * 0.4, 0.0)
                       + case when completed_at is not null then 0.6 else 0.0 end
                       + case when bookmarked then 0.2 else 0.0 end)::float4 as weight
               from user_movie
               where reaction is distinct from 'dislike' and coalesce(rating, 5.0) >= 3.5
               order by occurred_at desc, user_id, movie_id
               limit $1) as newest
         where weight > 0
         order by user_id, movie_id",
    )
    .bind(most)
    .fetch(&mut *transaction);
    while let Some(row) = rows.try_next().await? {
        take(row);
    }
    Ok(())
}

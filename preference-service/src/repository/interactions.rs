//! The log of interactions. It is written by [`super::user_movies::store`].

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::broken;
use crate::models::{
    Interaction, InteractionId, InteractionType, MovieId, Progress, Rating, UserId,
};

#[derive(sqlx::FromRow)]
pub(super) struct InteractionRow {
    id: i64,
    user_id: i64,
    movie_id: i64,
    interaction_type: String,
    rating: Option<i16>,
    position_seconds: Option<i32>,
    duration_seconds: Option<i32>,
    occurred_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl TryFrom<InteractionRow> for Interaction {
    type Error = sqlx::Error;

    fn try_from(row: InteractionRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: InteractionId::new(row.id)
                .ok_or_else(|| broken("an interaction's id is not positive"))?,
            user_id: UserId::new(row.user_id)
                .ok_or_else(|| broken("a user's id is not positive"))?,
            movie_id: MovieId::new(row.movie_id)
                .ok_or_else(|| broken("a film's id is not positive"))?,
            interaction_type: row
                .interaction_type
                .parse()
                .map_err(|_| broken("an interaction's type is unknown"))?,
            rating: row.rating.and_then(Rating::from_half_stars),
            progress: row
                .position_seconds
                .zip(row.duration_seconds)
                .and_then(|(position, duration)| Progress::new(position, duration)),
            occurred_at: row.occurred_at,
            created_at: row.created_at,
        })
    }
}

/// Those of `keys` that are there.
///
/// # Errors
/// Postgres's.
pub async fn find(
    connection: &mut PgConnection,
    keys: &[(UserId, InteractionId)],
) -> sqlx::Result<Vec<Interaction>> {
    let users: Vec<i64> = keys.iter().map(|(user, _)| user.get()).collect();
    let ids: Vec<i64> = keys.iter().map(|(_, id)| id.get()).collect();
    sqlx::query_as::<_, InteractionRow>(
        "select i.id, i.user_id, i.movie_id, i.interaction_type, i.rating, i.position_seconds,
                i.duration_seconds, i.occurred_at, i.created_at
         from unnest($1::bigint[], $2::bigint[]) as key (user_id, id)
         join interaction i on i.user_id = key.user_id and i.id = key.id",
    )
    .bind(users)
    .bind(ids)
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Interaction::try_from)
    .collect()
}

/// At most `limit` interactions of a user, newest first: those before `before`, of one type, where
/// these are given.
///
/// # Errors
/// Postgres's.
pub async fn list(
    pool: &PgPool,
    user_id: UserId,
    interaction_type: Option<InteractionType>,
    before: Option<InteractionId>,
    limit: i64,
) -> sqlx::Result<Vec<Interaction>> {
    sqlx::query_as::<_, InteractionRow>(
        "select id, user_id, movie_id, interaction_type, rating, position_seconds,
                duration_seconds, occurred_at, created_at
         from interaction
         where user_id = $1
           and id < $2
           and ($3::text is null or interaction_type = $3)
         order by id desc
         limit $4",
    )
    .bind(user_id.get())
    .bind(before.map_or(i64::MAX, InteractionId::get))
    .bind(interaction_type.map(InteractionType::as_str))
    .bind(limit)
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(Interaction::try_from)
    .collect()
}

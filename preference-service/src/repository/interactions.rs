//! Interactions.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{broken, changes::record_interaction, users::lock};
use crate::models::{Interaction, InteractionId, InteractionType, MovieId, NewInteraction, UserId};

#[derive(sqlx::FromRow)]
struct InteractionRow {
    id: i64,
    user_id: i64,
    movie_id: i64,
    interaction_type: String,
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
            created_at: row.created_at,
        })
    }
}

/// Stores an interaction; none: there is no such user.
///
/// # Errors
/// Postgres's.
pub async fn record(
    pool: &PgPool,
    interaction: NewInteraction,
) -> sqlx::Result<Option<Interaction>> {
    let mut transaction = pool.begin().await?;
    // Before the id is drawn, so that the ids of one user rise in the order of the commits.
    if !lock(&mut transaction, interaction.user_id).await? {
        return Ok(None);
    }
    let interaction: Interaction = sqlx::query_as::<_, InteractionRow>(
        "insert into interaction (user_id, movie_id, interaction_type)
         values ($1, $2, $3)
         returning id, user_id, movie_id, interaction_type, created_at",
    )
    .bind(interaction.user_id.get())
    .bind(interaction.movie_id.get())
    .bind(interaction.interaction_type.as_str())
    .fetch_one(&mut *transaction)
    .await?
    .try_into()?;
    record_interaction(&mut transaction, interaction.user_id, interaction.id).await?;
    transaction.commit().await?;
    Ok(Some(interaction))
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
        "select id, user_id, movie_id, interaction_type, created_at
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

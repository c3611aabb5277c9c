//! Change records, written within the transactions that they tell of. How they are read is
//! `chassis`'s.

use sqlx::PgConnection;

use crate::models::{InteractionId, UserId};

/// The SELECTs that together are the present state, as the feed tells it.
pub const SNAPSHOT: &[&str] = &[
    "select 'user.profile.updated' as name, user_id::text as key, payload::text as payload
     from user_profile_change",
    "select 'interaction.recorded' as name, id::text as key, payload::text as payload
     from interaction_change",
];

/// Tells of a user's profile as `transaction` leaves it.
pub(super) async fn record_profile(
    transaction: &mut PgConnection,
    user_id: UserId,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into outbox (name, key, payload)
         select 'user.profile.updated', user_id::text, payload
         from user_profile_change
         where user_id = $1",
    )
    .bind(user_id.get())
    .execute(transaction)
    .await
    .map(|_| ())
}

/// Tells of an interaction that `transaction` stores.
pub(super) async fn record_interaction(
    transaction: &mut PgConnection,
    user_id: UserId,
    id: InteractionId,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into outbox (name, key, payload)
         select 'interaction.recorded', id::text, payload
         from interaction_change
         where user_id = $1 and id = $2",
    )
    .bind(user_id.get())
    .bind(id.get())
    .execute(transaction)
    .await
    .map(|_| ())
}

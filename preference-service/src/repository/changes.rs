//! Change records, written within the transactions that they tell of; those of interactions by
//! [`super::user_movies::store`]. How they are read is `chassis`'s.

use sqlx::PgConnection;

use crate::models::UserId;

/// The SELECTs that together are the present state, as the feed tells it: of each user the profile,
/// of each film that a user did something with the last interaction and what it led to.
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
        "insert into outbox (name, key, payload, user_id)
         select 'user.profile.updated', user_id::text, payload, user_id
         from user_profile_change
         where user_id = $1",
    )
    .bind(user_id.get())
    .execute(transaction)
    .await
    .map(|_| ())
}

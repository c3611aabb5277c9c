//! Change records of user profiles, written within the transaction that changes the profile; those of
//! interactions are written by [`super::user_movies::store`]. Readers use `chassis::feed`.

use sqlx::PgConnection;

use crate::models::UserId;

/// The SELECT statements of the feed's snapshot: every profile, and of each user and movie the last
/// interaction with the state that it led to. Columns: name, key, payload (JSON as text).
pub const SNAPSHOT: &[&str] = &[
    "select 'user.profile.updated' as name, user_id::text as key, payload::text as payload
     from user_profile_change",
    "select 'interaction.recorded' as name, id::text as key, payload::text as payload
     from interaction_change",
];

/// Records the user's profile as `transaction` leaves it.
pub(super) async fn record_profile(
    transaction: &mut PgConnection,
    user_id: UserId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into outbox (name, key, payload, user_id)
         select 'user.profile.updated', user_id::text, payload, user_id
         from user_profile_change
         where user_id = $1",
        user_id.get()
    )
    .execute(transaction)
    .await
    .map(|_| ())
}

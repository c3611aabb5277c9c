//! Users and their preferences.

use chassis::postgres::violated_constraint;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{broken, changes::record_profile};
use crate::models::{NewPreferences, NewUser, Preferences, User, UserId};

#[derive(sqlx::FromRow)]
struct UserRow {
    id: i64,
    username: String,
    email: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<UserRow> for User {
    type Error = sqlx::Error;

    fn try_from(row: UserRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: UserId::new(row.id).ok_or_else(|| broken("a user's id is not positive"))?,
            username: row.username,
            email: row.email,
            created_at: row.created_at,
        })
    }
}

#[derive(sqlx::FromRow)]
struct PreferencesRow {
    id: Option<i64>,
    preferred_genres: Vec<String>,
    preferred_language: Option<String>,
    min_rating: f64,
    updated_at: DateTime<Utc>,
}

impl PreferencesRow {
    fn of(self, user_id: UserId) -> Preferences {
        Preferences {
            id: self.id,
            user_id,
            genres: self.preferred_genres,
            language: self.preferred_language,
            min_rating: self.min_rating,
            updated_at: self.updated_at,
        }
    }
}

/// Why a user was not stored.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Somebody has the name.
    #[error("the name is taken")]
    UsernameTaken,
    /// Somebody has the address.
    #[error("the address is taken")]
    EmailTaken,
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Stores a user.
///
/// # Errors
/// Name or address are taken; or Postgres's.
pub async fn create(
    pool: &PgPool,
    user: &NewUser,
    password_hash: Option<&str>,
) -> Result<User, CreateError> {
    let mut transaction = pool.begin().await?;
    let user: User = sqlx::query_as::<_, UserRow>(
        "insert into user_account (username, email, username_key, email_key, password_hash)
         values ($1, $2, $3, $4, $5)
         returning id, username, email, created_at",
    )
    .bind(user.username())
    .bind(user.email())
    .bind(user.username_key())
    .bind(user.email_key())
    .bind(password_hash)
    .fetch_one(&mut *transaction)
    .await
    .map_err(|error| match violated_constraint(&error) {
        Some("username_taken") => CreateError::UsernameTaken,
        Some("email_taken") => CreateError::EmailTaken,
        _ => CreateError::Database(error),
    })?
    .try_into()?;
    record_profile(&mut transaction, user.id).await?;
    transaction.commit().await?;
    Ok(user)
}

/// The user, if there is one of this id.
///
/// # Errors
/// Postgres's.
pub async fn find(pool: &PgPool, id: UserId) -> sqlx::Result<Option<User>> {
    sqlx::query_as::<_, UserRow>(
        "select id, username, email, created_at from user_account where id = $1",
    )
    .bind(id.get())
    .fetch_optional(pool)
    .await?
    .map(User::try_from)
    .transpose()
}

/// Whether there is a user of this id.
///
/// # Errors
/// Postgres's.
pub async fn exists(pool: &PgPool, id: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select from user_account where id = $1)")
        .bind(id.get())
        .fetch_one(pool)
        .await
}

/// Locks the user's row until `transaction` ends; false: there is none. The lock lets through those
/// who only refer to the user.
pub(super) async fn lock(transaction: &mut PgConnection, id: UserId) -> sqlx::Result<bool> {
    sqlx::query("select from user_account where id = $1 for no key update")
        .bind(id.get())
        .fetch_optional(transaction)
        .await
        .map(|row| row.is_some())
}

/// The user's preferences, or what stands for them where none were set; none: there is no such user.
///
/// # Errors
/// Postgres's.
pub async fn find_preferences(pool: &PgPool, id: UserId) -> sqlx::Result<Option<Preferences>> {
    let row = sqlx::query_as::<_, PreferencesRow>(
        "select p.id,
                coalesce(p.preferred_genres, '{}') as preferred_genres,
                p.preferred_language,
                coalesce(p.min_rating, 0) as min_rating,
                coalesce(p.updated_at, u.created_at) as updated_at
         from user_account u
         left join preference p on p.user_id = u.id
         where u.id = $1",
    )
    .bind(id.get())
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| row.of(id)))
}

/// Replaces the user's preferences; none: there is no such user.
///
/// # Errors
/// Postgres's.
pub async fn replace_preferences(
    pool: &PgPool,
    id: UserId,
    preferences: &NewPreferences,
) -> sqlx::Result<Option<Preferences>> {
    let mut transaction = pool.begin().await?;
    let known = sqlx::query("update user_account set version = version + 1 where id = $1")
        .bind(id.get())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    if known == 0 {
        return Ok(None);
    }
    let row = sqlx::query_as::<_, PreferencesRow>(
        "insert into preference (user_id, preferred_genres, preferred_language, min_rating)
         values ($1, $2, $3, $4)
         on conflict (user_id) do update
         set preferred_genres = excluded.preferred_genres,
             preferred_language = excluded.preferred_language,
             min_rating = excluded.min_rating,
             updated_at = clock_timestamp()
         returning id, preferred_genres, preferred_language, min_rating, updated_at",
    )
    .bind(id.get())
    .bind(preferences.genres())
    .bind(preferences.language())
    .bind(preferences.min_rating())
    .fetch_one(&mut *transaction)
    .await?;
    record_profile(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Some(row.of(id)))
}

/// The user's profile as the feed tells it, as JSON; none: there is no such user.
///
/// # Errors
/// Postgres's.
pub async fn find_profile_change(pool: &PgPool, id: UserId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("select payload::text from user_profile_change where user_id = $1")
        .bind(id.get())
        .fetch_optional(pool)
        .await
}

//! Users and their preferences.

use chassis::postgres::violated_constraint;
use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{broken, changes::record_profile};
use crate::models::{NewPreferences, NewUser, Preferences, Role, User, UserChange, UserId};

#[derive(sqlx::FromRow)]
pub(super) struct UserRow {
    id: i64,
    username: String,
    email: String,
    role: String,
    created_at: DateTime<Utc>,
}

/// The role that the column `role` holds.
pub(super) fn role(name: &str) -> sqlx::Result<Role> {
    [Role::User, Role::Admin]
        .into_iter()
        .find(|role| role.as_str() == name)
        .ok_or_else(|| broken("a role that is none"))
}

impl TryFrom<UserRow> for User {
    type Error = sqlx::Error;

    fn try_from(row: UserRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: UserId::new(row.id).ok_or_else(|| broken("a user's id is not positive"))?,
            username: row.username,
            email: row.email,
            role: role(&row.role)?,
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
         returning id, username, email, role, created_at",
    )
    .bind(user.username())
    .bind(user.email())
    .bind(user.username_key())
    .bind(user.email_key())
    .bind(password_hash)
    .fetch_one(&mut *transaction)
    .await
    .map_err(taken)?
    .try_into()?;
    record_profile(&mut transaction, user.id).await?;
    transaction.commit().await?;
    Ok(user)
}

fn taken(error: sqlx::Error) -> CreateError {
    match violated_constraint(&error) {
        Some("username_taken") => CreateError::UsernameTaken,
        Some("email_taken") => CreateError::EmailTaken,
        _ => CreateError::Database(error),
    }
}

/// Changes what `change` says, and stores `password_hash` where there is one, which ends all logins.
/// With a new password, none where the old one is no longer `present_hash`; none also where there is
/// no such user.
///
/// # Errors
/// The new name or address are taken; or Postgres's.
pub async fn change(
    pool: &PgPool,
    id: UserId,
    change: &UserChange,
    password_hash: Option<&str>,
    present_hash: Option<&str>,
) -> Result<Option<User>, CreateError> {
    let mut transaction = pool.begin().await?;
    let user = sqlx::query_as::<_, UserRow>(
        "update user_account
         set username = coalesce($2, username),
             username_key = coalesce($3, username_key),
             email = coalesce($4, email),
             email_key = coalesce($5, email_key),
             password_hash = coalesce($6, password_hash),
             version = version + 1
         where id = $1 and ($6 is null or password_hash is not distinct from $7)
         returning id, username, email, role, created_at",
    )
    .bind(id.get())
    .bind(change.username())
    .bind(change.username_key())
    .bind(change.email())
    .bind(change.email_key())
    .bind(password_hash)
    .bind(present_hash)
    .fetch_optional(&mut *transaction)
    .await
    .map_err(taken)?;
    let Some(user) = user else {
        return Ok(None);
    };
    if password_hash.is_some() {
        sqlx::query("delete from refresh_family where user_id = $1")
            .bind(id.get())
            .execute(&mut *transaction)
            .await?;
    }
    record_profile(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Some(user.try_into()?))
}

/// The user who logs in as `key`, folded name or address, and the hash of their password. An address
/// is its owner's, even where somebody else took it for a name.
///
/// # Errors
/// Postgres's.
pub async fn find_login(pool: &PgPool, key: &str) -> sqlx::Result<Option<(User, Option<String>)>> {
    #[derive(sqlx::FromRow)]
    struct LoginRow {
        #[sqlx(flatten)]
        user: UserRow,
        password_hash: Option<String>,
    }
    sqlx::query_as::<_, LoginRow>(
        "select id, username, email, role, created_at, password_hash
         from user_account
         where email_key = $1 or username_key = $1
         order by (email_key = $1) desc
         limit 1",
    )
    .bind(key)
    .fetch_optional(pool)
    .await?
    .map(|row| Ok((row.user.try_into()?, row.password_hash)))
    .transpose()
}

/// The hash of the user's password, if they have one; none: there is no such user.
///
/// # Errors
/// Postgres's.
pub async fn find_password(pool: &PgPool, id: UserId) -> sqlx::Result<Option<Option<String>>> {
    sqlx::query_scalar("select password_hash from user_account where id = $1")
        .bind(id.get())
        .fetch_optional(pool)
        .await
}

/// Stores another hash of the same password; false where that has changed meanwhile.
///
/// # Errors
/// Postgres's.
pub async fn replace_hash(pool: &PgPool, id: UserId, old: &str, new: &str) -> sqlx::Result<bool> {
    sqlx::query("update user_account set password_hash = $3 where id = $1 and password_hash = $2")
        .bind(id.get())
        .bind(old)
        .bind(new)
        .execute(pool)
        .await
        .map(|done| done.rows_affected() > 0)
}

/// Gives the user of this name, folded, another role; false where there is none.
///
/// # Errors
/// Postgres's.
pub async fn set_role(pool: &PgPool, username_key: &str, role: Role) -> sqlx::Result<bool> {
    sqlx::query("update user_account set role = $2 where username_key = $1")
        .bind(username_key)
        .bind(role.as_str())
        .execute(pool)
        .await
        .map(|done| done.rows_affected() > 0)
}

/// The user, if there is one of this id.
///
/// # Errors
/// Postgres's.
pub async fn find(pool: &PgPool, id: UserId) -> sqlx::Result<Option<User>> {
    sqlx::query_as::<_, UserRow>(
        "select id, username, email, role, created_at from user_account where id = $1",
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

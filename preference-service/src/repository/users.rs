//! SQL of users and their preferences; called by the services of users, logins and all that need to
//! tell an unknown user from one without rows. Every change of a profile writes its change record.

use chassis::language::Language;
use sqlx::{PgConnection, PgPool};

use super::changes::record_profile;
use crate::{
    error::Error,
    models::{NewPreferences, NewUser, Preferences, Role, User, UserId, UserUpdate, skeleton_of},
};

/// The role of a user, who stays and keeps it until the end of the transaction.
///
/// # Errors
/// `UserNotFound` if there is no such user.
pub(super) async fn lock_role(
    transaction: &mut PgConnection,
    user_id: UserId,
) -> Result<Role, Error> {
    sqlx::query_scalar!(
        r#"select role as "role: Role" from user_account where id = $1 for no key update"#,
        user_id.get()
    )
    .fetch_optional(transaction)
    .await?
    .ok_or(Error::UserNotFound)
}

/// The state of the address of a new user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailState {
    /// It waits for its verification.
    Unverified,
    /// It needs no verification, but nobody proved that it is the user's.
    Trusted,
    /// An issuer vouches for it.
    Proven,
}

/// Stores a user.
///
/// # Errors
/// `UsernameTaken` or `EmailTaken` if another user has the name or the address.
#[tracing::instrument(name = "repository.users.create", level = "debug", skip_all)]
pub async fn create(
    pool: &PgPool,
    new: &NewUser,
    password_hash: Option<&str>,
    email: EmailState,
) -> Result<User, Error> {
    let mut transaction = pool.begin().await?;
    let user = insert(&mut transaction, new, password_hash, email).await?;
    transaction.commit().await?;
    Ok(user)
}

/// As [`create`], as a part of a transaction.
pub(super) async fn insert(
    transaction: &mut PgConnection,
    new: &NewUser,
    password_hash: Option<&str>,
    email: EmailState,
) -> Result<User, Error> {
    let user = sqlx::query_as!(
        User,
        r#"insert into user_account (username, email, username_key, email_key, password_hash,
                                     username_skeleton, unverified_since, email_verified_at)
           values ($1, $2, $3, $4, $5, $6, case when $7 then now() end, case when $8 then now() end)
           returning id as "id: UserId", username, email, role as "role: Role", created_at"#,
        new.username.text,
        new.email.text,
        new.username.key,
        new.email.key,
        password_hash,
        skeleton_of(&new.username.text),
        email == EmailState::Unverified,
        email == EmailState::Proven
    )
    .fetch_one(&mut *transaction)
    .await?;
    if let Some(language) = &new.preferred_language {
        sqlx::query!(
            "insert into preference (user_id, preferred_genres, preferred_language, min_rating)
             values ($1, '{}', $2, 0)",
            user.id.get(),
            language
        )
        .execute(&mut *transaction)
        .await?;
    }
    record_profile(transaction, user.id).await?;
    Ok(user)
}

/// Updates a user. A new `password_hash` ends all logins, and API keys if `update` demands it; it is stored only if the present one is
/// `present_hash`. `None` if that differs or no user has this id.
///
/// # Errors
/// `UsernameTaken` or `EmailTaken` if another user has the name or the address.
#[tracing::instrument(name = "repository.users.update", level = "debug", skip_all, fields(user_id = %id))]
pub async fn update(
    pool: &PgPool,
    id: UserId,
    update: &UserUpdate,
    password_hash: Option<&str>,
    present_hash: Option<&str>,
) -> Result<Option<User>, Error> {
    let mut transaction = pool.begin().await?;
    let (username, email) = (update.username.as_ref(), update.email.as_ref());
    let user = sqlx::query_as!(
        User,
        r#"update user_account
           set username = coalesce($2, username),
               username_key = coalesce($3, username_key),
               username_skeleton = coalesce($8, username_skeleton),
               email = coalesce($4, email),
               email_key = coalesce($5, email_key),
               email_verified_at = case when $5::text is null then email_verified_at end,
               password_hash = coalesce($6, password_hash),
               version = version + 1
           where id = $1 and ($6::text is null or password_hash is not distinct from $7)
           returning id as "id: UserId", username, email, role as "role: Role", created_at"#,
        id.get(),
        username.map(|name| &name.text),
        username.map(|name| &name.key),
        email.map(|email| &email.text),
        email.map(|email| &email.key),
        password_hash,
        present_hash,
        username.map(|name| skeleton_of(&name.text))
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(user) = user else {
        return Ok(None);
    };
    if password_hash.is_some() {
        sqlx::query!("delete from refresh_family where user_id = $1", id.get())
            .execute(&mut *transaction)
            .await?;
        if update.revoke_api_keys {
            sqlx::query!("delete from api_key where user_id = $1", id.get())
                .execute(&mut *transaction)
                .await?;
        }
    }
    record_profile(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Some(user))
}

/// Finds the user with the comparison key `key` as address or name, and their password hash. The owner
/// of an address wins over a user who took it as a name.
#[tracing::instrument(name = "repository.users.find_login", level = "debug", skip_all)]
pub async fn find_login(pool: &PgPool, key: &str) -> sqlx::Result<Option<(User, Option<String>)>> {
    let row = sqlx::query!(
        r#"select id as "id: UserId", username, email, role as "role: Role", created_at,
                  password_hash
           from user_account
           where email_key = $1 or username_key = $1
           order by (email_key = $1) desc
           limit 1"#,
        key
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| {
        let user = User {
            id: row.id,
            username: row.username,
            email: row.email,
            role: row.role,
            created_at: row.created_at,
        };
        (user, row.password_hash)
    }))
}

/// Finds the user's password hash; the outer `None` if no user has this id, the inner if the user has
/// no password.
#[tracing::instrument(name = "repository.users.find_password_hash", level = "debug", skip_all, fields(user_id = %id))]
pub async fn find_password_hash(pool: &PgPool, id: UserId) -> sqlx::Result<Option<Option<String>>> {
    sqlx::query_scalar!(
        "select password_hash from user_account where id = $1",
        id.get()
    )
    .fetch_optional(pool)
    .await
}

/// Replaces the password hash `old` by another hash of the same password; false if it is no longer
/// `old`.
#[tracing::instrument(name = "repository.users.replace_password_hash", level = "debug", skip_all, fields(user_id = %id))]
pub async fn replace_password_hash(
    pool: &PgPool,
    id: UserId,
    old: &str,
    new: &str,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "update user_account set password_hash = $3 where id = $1 and password_hash = $2",
        id.get(),
        old,
        new
    )
    .execute(pool)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Sets the role of the user with this username key, and records it; the role `user` makes access tokens invalid; false if no user has it.
#[tracing::instrument(name = "repository.users.set_role", level = "debug", skip_all)]
pub async fn set_role(pool: &PgPool, username_key: &str, role: Role) -> sqlx::Result<bool> {
    sqlx::query!(
        "with before as (
             select id, role from user_account where username_key = $1 for no key update
         ), changed as (
             update user_account u
             set role = $2,
                 tokens_valid_from = case when $2 = 'user' then now() else tokens_valid_from end
             from before where u.id = before.id
         )
         insert into audit_entry (actor, action, target_id, before, after)
         select 'command line', 'user.role', id, jsonb_build_object('role', role),
                jsonb_build_object('role', $2::text)
         from before",
        username_key,
        role as Role
    )
    .execute(pool)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Finds the user of this id.
#[tracing::instrument(name = "repository.users.find", level = "debug", skip_all, fields(user_id = %id))]
pub async fn find(pool: &PgPool, id: UserId) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"select id as "id: UserId", username, email, role as "role: Role", created_at
           from user_account
           where id = $1"#,
        id.get()
    )
    .fetch_optional(pool)
    .await
}

/// Returns true if a user has this id.
#[tracing::instrument(name = "repository.users.exists", level = "debug", skip_all, fields(user_id = %id))]
pub async fn exists(pool: &PgPool, id: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from user_account where id = $1) as "exists!""#,
        id.get()
    )
    .fetch_one(pool)
    .await
}

/// Finds the user's preferences, defaults if none were set; `None` if no user has this id.
#[tracing::instrument(name = "repository.users.find_preferences", level = "debug", skip_all, fields(user_id = %id))]
pub async fn find_preferences(pool: &PgPool, id: UserId) -> sqlx::Result<Option<Preferences>> {
    sqlx::query_as!(
        Preferences,
        r#"select coalesce(p.id, 0) as "id!",
                  u.id as "user_id: UserId",
                  coalesce(p.preferred_genres, '{}') as "preferred_genres!",
                  coalesce(p.preferred_language, 'en') as "preferred_language!",
                  coalesce(p.min_rating, 0) as "min_rating!",
                  coalesce(p.updated_at, u.created_at) as "updated_at!"
           from user_account u
           left join preference p on p.user_id = u.id
           where u.id = $1"#,
        id.get()
    )
    .fetch_optional(pool)
    .await
}

/// Finds the language that the user prefers, if they stated one.
#[tracing::instrument(name = "repository.users.find_preferred_language", level = "debug", skip_all, fields(user_id = %id))]
pub async fn find_preferred_language(pool: &PgPool, id: UserId) -> sqlx::Result<Option<Language>> {
    let code = sqlx::query_scalar!(
        "select preferred_language from preference where user_id = $1",
        id.get()
    )
    .fetch_optional(pool)
    .await?;
    Ok(code.flatten().as_deref().and_then(Language::parse))
}

/// Replaces the user's preferences; `None` if no user has this id.
#[tracing::instrument(name = "repository.users.replace_preferences", level = "debug", skip_all, fields(user_id = %id))]
pub async fn replace_preferences(
    pool: &PgPool,
    id: UserId,
    preferences: &NewPreferences,
) -> sqlx::Result<Option<Preferences>> {
    let mut transaction = pool.begin().await?;
    let updated = sqlx::query!(
        "update user_account set version = version + 1 where id = $1",
        id.get()
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if updated == 0 {
        return Ok(None);
    }
    let preferences = sqlx::query_as!(
        Preferences,
        r#"insert into preference (user_id, preferred_genres, preferred_language, min_rating)
           values ($1, $2, $3, $4)
           on conflict (user_id) do update
           set preferred_genres = excluded.preferred_genres,
               preferred_language = excluded.preferred_language,
               min_rating = excluded.min_rating,
               updated_at = clock_timestamp()
           returning id, user_id as "user_id: UserId", preferred_genres,
                     coalesce(preferred_language, 'en') as "preferred_language!", min_rating,
                     updated_at"#,
        id.get(),
        &preferences.genres,
        preferences.language,
        preferences.min_rating
    )
    .fetch_one(&mut *transaction)
    .await?;
    record_profile(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(Some(preferences))
}

/// Finds the user's profile as in the change feed, as JSON.
#[tracing::instrument(name = "repository.users.find_profile_change", level = "debug", skip_all, fields(user_id = %id))]
pub async fn find_profile_change(pool: &PgPool, id: UserId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"select payload::text as "payload!" from user_profile_change where user_id = $1"#,
        id.get()
    )
    .fetch_optional(pool)
    .await
}

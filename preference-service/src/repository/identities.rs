//! SQL of the accounts of other issuers that users log in with; called by [`crate::service::oidc`].

use sqlx::{PgConnection, PgPool};

use super::users::{self, EmailState};
use crate::{
    error::Error,
    models::{ExternalIdentity, LoginRefusal, NewUser, Role, User, UserId},
};

/// Identities per user.
pub const MAX_IDENTITIES: i64 = 10;

/// An identity that is to be linked.
#[derive(Debug, Clone, Copy)]
pub struct NewIdentity<'a> {
    /// The name of the provider.
    pub provider: &'a str,
    /// The issuer.
    pub issuer: &'a str,
    /// The issuer's id of the person.
    pub subject: &'a str,
    /// The address that the issuer states.
    pub email: Option<&'a str>,
}

/// Finds the user who is linked to the identity, and the id of the link; records its use.
#[tracing::instrument(name = "repository.identities.find_user", level = "debug", skip_all)]
pub async fn find_user(
    pool: &PgPool,
    identity: &NewIdentity<'_>,
) -> sqlx::Result<Option<(i64, User)>> {
    let row = sqlx::query!(
        r#"with used as (
               update external_identity
               set used_at = now(), email = $3, provider = $4
               where issuer = $1 and subject = $2
               returning id, user_id)
           select used.id as identity_id, u.id as "id: UserId", u.username, u.email,
                  u.role as "role: Role", u.created_at
           from used join user_account u on u.id = used.user_id"#,
        identity.issuer,
        identity.subject,
        identity.email,
        identity.provider
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
        (row.identity_id, user)
    }))
}

/// Finds the user with the address `email_key`, and true if the identity of its owner may be linked: they proved to read mail
/// there, and are no moderator or administrator.
#[tracing::instrument(
    name = "repository.identities.find_by_email",
    level = "debug",
    skip_all
)]
pub async fn find_by_email(pool: &PgPool, email_key: &str) -> sqlx::Result<Option<(UserId, bool)>> {
    let row = sqlx::query!(
        r#"select id as "id: UserId", email_verified_at is not null and role = 'user' as "may_link!"
           from user_account where email_key = $1"#,
        email_key
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.id, row.may_link)))
}

/// Links the identity to the user; with `email_key` only while that is their proven address. Returns the link's id; linking
/// again changes nothing.
///
/// # Errors
/// `UserNotFound`; `LoginRefused` for moderators and administrators, if another user is linked to it, or if the address is
/// no longer theirs; `TooManyIdentities`.
#[tracing::instrument(name = "repository.identities.link", level = "debug", skip_all, fields(%user_id))]
pub async fn link(
    pool: &PgPool,
    user_id: UserId,
    identity: &NewIdentity<'_>,
    email_key: Option<&str>,
) -> Result<i64, Error> {
    let mut transaction = pool.begin().await?;
    // The lock serializes this with a change of the role, of the address, and with other links.
    if users::lock_role(&mut transaction, user_id).await? != Role::User {
        return Err(Error::LoginRefused(LoginRefusal::Administrator));
    }
    if let Some(email_key) = email_key {
        let is_theirs = sqlx::query_scalar!(
            r#"select exists (select from user_account
                              where id = $1 and email_key = $2 and email_verified_at is not null) as "exists!""#,
            user_id.get(),
            email_key
        )
        .fetch_one(&mut *transaction)
        .await?;
        if !is_theirs {
            return Err(Error::LoginRefused(LoginRefusal::AccountExists));
        }
    }
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from external_identity
           where user_id = $1 and (issuer, subject) <> ($2, $3)"#,
        user_id.get(),
        identity.issuer,
        identity.subject
    )
    .fetch_one(&mut *transaction)
    .await?;
    if count >= MAX_IDENTITIES {
        return Err(Error::TooManyIdentities);
    }
    let id = insert(&mut transaction, user_id, identity).await?;
    let id = id.ok_or(Error::LoginRefused(LoginRefusal::Linked))?;
    transaction.commit().await?;
    Ok(id)
}

/// Stores a link; `None` if another user is linked to the identity.
async fn insert(
    transaction: &mut PgConnection,
    user_id: UserId,
    identity: &NewIdentity<'_>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "insert into external_identity (user_id, provider, issuer, subject, email)
         values ($1, $2, $3, $4, $5)
         on conflict (issuer, subject) do update
         set provider = excluded.provider, email = excluded.email, used_at = now()
         where external_identity.user_id = excluded.user_id
         returning id",
        user_id.get(),
        identity.provider,
        identity.issuer,
        identity.subject,
        identity.email
    )
    .fetch_optional(transaction)
    .await
}

/// Stores a user without a password, who logs in by the identity; returns the link's id.
///
/// # Errors
/// `UsernameTaken` or `EmailTaken` if another user has the name or the address; `LoginRefused` if another is linked to the
/// identity.
#[tracing::instrument(name = "repository.identities.create_user", level = "debug", skip_all)]
pub async fn create_user(
    pool: &PgPool,
    new: &NewUser,
    identity: &NewIdentity<'_>,
    email: EmailState,
) -> Result<(i64, User), Error> {
    let mut transaction = pool.begin().await?;
    let user = users::insert(&mut transaction, new, None, email).await?;
    let id = insert(&mut transaction, user.id, identity).await?;
    let id = id.ok_or(Error::LoginRefused(LoginRefusal::Linked))?;
    transaction.commit().await?;
    Ok((id, user))
}

/// Lists the identities of the user, oldest first.
#[tracing::instrument(name = "repository.identities.list", level = "debug", skip_all, fields(%user_id))]
pub async fn list(pool: &PgPool, user_id: UserId) -> sqlx::Result<Vec<ExternalIdentity>> {
    sqlx::query_as!(
        ExternalIdentity,
        "select id, provider, email, created_at, used_at
         from external_identity where user_id = $1 order by id",
        user_id.get()
    )
    .fetch_all(pool)
    .await
}

/// Deletes an identity of the user, unless they could not log in without it.
///
/// # Errors
/// `UserNotFound`; `IdentityNotFound`; `LastLogin` if the user has no password and no other identity.
#[tracing::instrument(name = "repository.identities.delete", level = "debug", skip_all, fields(%user_id))]
pub async fn delete(pool: &PgPool, user_id: UserId, id: i64) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    // The lock serializes this with the deletion of the other identities.
    users::lock_role(&mut transaction, user_id).await?;
    let deleted = sqlx::query!(
        "delete from external_identity where user_id = $1 and id = $2",
        user_id.get(),
        id
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if deleted == 0 {
        return Err(Error::IdentityNotFound);
    }
    let can_log_in = sqlx::query_scalar!(
        r#"select password_hash is not null
                  or exists (select from external_identity where user_id = $1) as "exists!"
           from user_account where id = $1"#,
        user_id.get()
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !can_log_in {
        return Err(Error::LastLogin);
    }
    transaction.commit().await?;
    Ok(())
}

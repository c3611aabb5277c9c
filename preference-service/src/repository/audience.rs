//! SQL of audiences: the marks of their users; called by [`crate::service::audience`].

use sqlx::PgPool;

use super::changes::record_profile;
use crate::models::{UniqueText, UserId};

/// A user of an audience.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The published set.
    pub source: &'a str,
    /// Their id in it.
    pub member: &'a str,
}

/// Finds the user of `member`.
#[tracing::instrument(name = "repository.audience.find", level = "debug", skip_all)]
pub async fn find(pool: &PgPool, member: Member<'_>) -> sqlx::Result<Option<UserId>> {
    sqlx::query_scalar!(
        r#"select id as "id: UserId" from user_account
           where audience_source = $1 and audience_member = $2"#,
        member.source,
        member.member
    )
    .fetch_optional(pool)
    .await
}

/// Stores the user of `member`, who cannot log in; `None` if another user has the name or the address.
#[tracing::instrument(name = "repository.audience.create", level = "debug", skip_all)]
pub async fn create(
    pool: &PgPool,
    member: Member<'_>,
    username: &UniqueText,
    email: &UniqueText,
) -> sqlx::Result<Option<UserId>> {
    let mut transaction = pool.begin().await?;
    let id = sqlx::query_scalar!(
        r#"insert into user_account
               (username, email, username_key, email_key, audience_source, audience_member)
           values ($1, $2, $3, $4, $5, $6)
           on conflict do nothing
           returning id as "id: UserId""#,
        username.text,
        email.text,
        username.key,
        email.key,
        member.source,
        member.member
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(id) = id {
        record_profile(&mut transaction, id).await?;
    }
    transaction.commit().await?;
    Ok(id)
}

/// The users of the audience `source`, by id, the first `limit` after `after`.
#[tracing::instrument(name = "repository.audience.list", level = "debug", skip_all)]
pub async fn list(
    pool: &PgPool,
    source: &str,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<UserId>> {
    sqlx::query_scalar!(
        r#"select id as "id: UserId" from user_account
           where audience_source = $1 and id > $2
           order by id
           limit $3"#,
        source,
        after,
        limit
    )
    .fetch_all(pool)
    .await
}

/// The number of users of the audience `source`.
#[tracing::instrument(name = "repository.audience.count", level = "debug", skip_all)]
pub async fn count(pool: &PgPool, source: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from user_account where audience_source = $1"#,
        source
    )
    .fetch_one(pool)
    .await
}

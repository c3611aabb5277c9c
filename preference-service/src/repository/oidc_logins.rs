//! SQL of logins that wait for their callback; called by [`crate::service::oidc`].

use sqlx::PgPool;

use crate::models::{LOGIN_TTL_SECONDS, LoginSecrets, PendingLogin, SecretHash, UserId};

/// Stores a login, and deletes those that have expired.
#[tracing::instrument(name = "repository.oidc_logins.create", level = "debug", skip_all)]
pub async fn create(
    pool: &PgPool,
    secrets: &LoginSecrets,
    login: &PendingLogin,
) -> sqlx::Result<()> {
    let state = SecretHash::of(secrets.state.as_bytes());
    let browser = SecretHash::of(secrets.browser.as_bytes());
    sqlx::query!(
        "with expired as (delete from oidc_login where expires_at <= now())
         insert into oidc_login (state_hash, browser_hash, provider, return_to, user_id, expires_at)
         values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))",
        state.as_bytes(),
        browser.as_bytes(),
        login.provider,
        login.return_to,
        login.user_id.map(UserId::get),
        f64::from(LOGIN_TTL_SECONDS)
    )
    .execute(pool)
    .await
    .map(|_| ())
}

/// Takes the login that was begun in this browser at `provider`; `None` if there is none, it was taken or has expired.
#[tracing::instrument(name = "repository.oidc_logins.take", level = "debug", skip_all)]
pub async fn take(
    pool: &PgPool,
    secrets: &LoginSecrets,
    provider: &str,
) -> sqlx::Result<Option<PendingLogin>> {
    let state = SecretHash::of(secrets.state.as_bytes());
    let browser = SecretHash::of(secrets.browser.as_bytes());
    sqlx::query_as!(
        PendingLogin,
        r#"delete from oidc_login
           where state_hash = $1 and browser_hash = $2 and provider = $3 and expires_at > now()
           returning provider, return_to, user_id as "user_id: UserId""#,
        state.as_bytes(),
        browser.as_bytes(),
        provider
    )
    .fetch_optional(pool)
    .await
}

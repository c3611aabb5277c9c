//! SQL of the administration of users and of the audit log; called by [`crate::service::admin`].

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use crate::{
    error::Error,
    models::{
        AdminChange, AdminUser, AuditEntry, AuditedAction, Role, Suspension, TokenRevocation,
        UserId, UserSearch,
    },
};

/// Users in the list of revocations; suspensions that end last come first.
const MAX_REVOCATIONS: i64 = 100_000;

/// Lists users by id; returns a page and the number of all.
#[tracing::instrument(name = "repository.admin.list", level = "debug", skip_all)]
pub async fn list(
    pool: &PgPool,
    search: &UserSearch,
    offset: i64,
    limit: i64,
) -> sqlx::Result<(Vec<AdminUser>, i64)> {
    let pattern = search.text.as_deref().map(contains_pattern);
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from user_account
           where ($1::text is null or username_key like $1 or email_key like $1)
             and ($2::text is null or role = $2)
             and ($3::bool is null or coalesce(suspended_until > now(), false) = $3)"#,
        pattern,
        search.role as Option<Role>,
        search.is_suspended
    )
    .fetch_one(pool)
    .await?;
    let users = sqlx::query_as!(
        AdminUser,
        r#"select id as "id: UserId", username, email, role as "role: Role", created_at,
                  unverified_since is null as "email_verified!",
                  password_hash is not null as "has_password!",
                  case when suspended_until > now() then suspended_until end as suspended_until,
                  case when suspended_until > now() then suspension_reason end as suspension_reason
           from user_account
           where ($1::text is null or username_key like $1 or email_key like $1)
             and ($2::text is null or role = $2)
             and ($3::bool is null or coalesce(suspended_until > now(), false) = $3)
           order by id
           offset $4
           limit $5"#,
        pattern,
        search.role as Option<Role>,
        search.is_suspended,
        offset,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok((users, total))
}

/// A pattern of LIKE for texts that contain `part`.
fn contains_pattern(part: &str) -> String {
    let escaped = part.replace('\\', "\\\\").replace('%', "\\%");
    format!("%{}%", escaped.replace('_', "\\_"))
}

/// Finds the user of this id.
#[tracing::instrument(name = "repository.admin.find", level = "debug", skip_all, fields(%id))]
pub async fn find(pool: &PgPool, id: UserId) -> sqlx::Result<Option<AdminUser>> {
    sqlx::query_as!(
        AdminUser,
        r#"select id as "id: UserId", username, email, role as "role: Role", created_at,
                  unverified_since is null as "email_verified!",
                  password_hash is not null as "has_password!",
                  case when suspended_until > now() then suspended_until end as suspended_until,
                  case when suspended_until > now() then suspension_reason end as suspension_reason
           from user_account
           where id = $1"#,
        id.get()
    )
    .fetch_optional(pool)
    .await
}

/// Changes a user whose role `may_change` accepts, and records it. A suspension ends logins and API keys; it and a lower role
/// make access tokens invalid.
///
/// # Errors
/// `UserNotFound`; `NotPermitted` if `may_change` does not accept the role.
#[tracing::instrument(name = "repository.admin.change", level = "debug", skip_all, fields(%id))]
pub async fn change(
    pool: &PgPool,
    id: UserId,
    change: &AdminChange,
    action: &AuditedAction<'_>,
    may_change: impl Fn(Role) -> bool,
) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    let before = sqlx::query!(
        r#"select role as "role: Role",
                  case when suspended_until > now() then suspended_until end as suspended_until,
                  case when suspended_until > now() then suspension_reason end as suspension_reason
           from user_account where id = $1 for no key update"#,
        id.get()
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Error::UserNotFound)?;
    if !may_change(before.role) {
        return Err(Error::NotPermitted(
            "moderators change users only, not moderators or administrators",
        ));
    }
    if let Some(role) = change.role.filter(|role| *role != before.role) {
        sqlx::query!(
            "update user_account
             set role = $2, tokens_valid_from = case when $3 then now() else tokens_valid_from end
             where id = $1",
            id.get(),
            role as Role,
            role < before.role
        )
        .execute(&mut *transaction)
        .await?;
        let (old, new) = (json!({"role": before.role}), json!({"role": role}));
        record(&mut transaction, "user.role", Some(id), old, new, action).await?;
    }
    if let Some(suspension) = &change.suspension {
        suspend(&mut transaction, id, suspension.as_ref()).await?;
        let of = |until: Option<DateTime<Utc>>, reason: Option<&String>| match until {
            Some(until) => json!({"suspended_until": until, "reason": reason}),
            None => json!({"suspended_until": null}),
        };
        let old = of(before.suspended_until, before.suspension_reason.as_ref());
        let until = suspension.as_ref().map(|suspension| suspension.until);
        let reason = suspension.as_ref().and_then(|new| new.reason.as_ref());
        let name = match suspension {
            Some(_) => "user.suspend",
            None => "user.unsuspend",
        };
        record(
            &mut transaction,
            name,
            Some(id),
            old,
            of(until, reason),
            action,
        )
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn suspend(
    transaction: &mut PgConnection,
    id: UserId,
    suspension: Option<&Suspension>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update user_account
         set suspended_until = $2, suspension_reason = $3,
             tokens_valid_from = case when $2::timestamptz is null then tokens_valid_from else now() end
         where id = $1",
        id.get(),
        suspension.map(|suspension| suspension.until),
        suspension.and_then(|suspension| suspension.reason.as_ref())
    )
    .execute(&mut *transaction)
    .await?;
    if suspension.is_some() {
        sqlx::query!("delete from refresh_family where user_id = $1", id.get())
            .execute(&mut *transaction)
            .await?;
        sqlx::query!("delete from api_key where user_id = $1", id.get())
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}

/// Finds the suspension of a user that is in force.
#[tracing::instrument(name = "repository.admin.find_suspension", level = "debug", skip_all, fields(%id))]
pub async fn find_suspension(pool: &PgPool, id: UserId) -> sqlx::Result<Option<Suspension>> {
    sqlx::query_as!(
        Suspension,
        r#"select suspended_until as "until!", suspension_reason as reason
           from user_account where id = $1 and suspended_until > now()"#,
        id.get()
    )
    .fetch_optional(pool)
    .await
}

/// Lists the users whose access tokens of the last `ttl_seconds` are invalid before they expire.
#[tracing::instrument(name = "repository.admin.list_revocations", level = "debug", skip_all)]
pub async fn list_revocations(
    pool: &PgPool,
    ttl_seconds: i64,
) -> sqlx::Result<Vec<TokenRevocation>> {
    sqlx::query_as!(
        TokenRevocation,
        r#"select id as "user_id: UserId",
                  coalesce(suspended_until > now(), false) as "suspended!",
                  coalesce(ceil(extract(epoch from tokens_valid_from)), 0)::bigint as "valid_from!"
           from user_account
           where suspended_until > now()
              or tokens_valid_from > now() - make_interval(secs => $1)
           order by suspended_until desc nulls last
           limit $2"#,
        ttl_seconds as f64,
        MAX_REVOCATIONS
    )
    .fetch_all(pool)
    .await
}

/// Records an action in the audit log.
async fn record(
    transaction: &mut PgConnection,
    name: &str,
    target: Option<UserId>,
    before: serde_json::Value,
    after: serde_json::Value,
    action: &AuditedAction<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into audit_entry (actor, action, target_id, before, after, request_id)
         values ($1, $2, $3, $4, $5, $6)",
        action.actor,
        name,
        target.map(UserId::get),
        (!before.is_null()).then_some(before),
        (!after.is_null()).then_some(after),
        action.request_id
    )
    .execute(transaction)
    .await
    .map(|_| ())
}

/// Records an action that changes no values which the log shows.
#[tracing::instrument(name = "repository.admin.record_action", level = "debug", skip_all)]
pub async fn record_action(
    pool: &PgPool,
    name: &str,
    target: Option<UserId>,
    details: serde_json::Value,
    action: &AuditedAction<'_>,
) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    let before = serde_json::Value::Null;
    record(&mut connection, name, target, before, details, action).await
}

/// Lists entries of the audit log, newest first, older than the entry `before`.
#[tracing::instrument(name = "repository.admin.list_audit", level = "debug", skip_all)]
pub async fn list_audit(
    pool: &PgPool,
    target: Option<i64>,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<AuditEntry>> {
    sqlx::query_as!(
        AuditEntry,
        "select id, at, actor, action, target_id, before, after, request_id
         from audit_entry
         where ($1::bigint is null or target_id = $1) and ($2::bigint is null or id < $2)
         order by id desc
         limit $3",
        target,
        before,
        limit
    )
    .fetch_all(pool)
    .await
}

//! Administration of users: search, roles, suspensions, the audit log. Called by the handlers of administration, which the
//! gateway opens to moderators and administrators.

use sqlx::PgPool;

use super::confirmation::{Confirmation, Requester};
use crate::{
    error::Error,
    models::{
        AdminChange, AdminUser, AuditEntry, AuditedAction, Role, TokenRevocation, UserId,
        UserSearch,
    },
    repository::admin,
};

/// The time that revocations outlast the tokens: clock skew and leeway of verifiers.
const REVOCATION_MARGIN_SECONDS: u32 = 600;

/// The administration of all users; cheap to clone.
#[derive(Clone)]
pub struct Administration {
    pool: PgPool,
    confirmation: Confirmation,
    access_ttl_seconds: u32,
}

impl Administration {
    /// Administration of the users in `pool`, whose access tokens live for `access_ttl_seconds`.
    pub fn new(pool: PgPool, confirmation: Confirmation, access_ttl_seconds: u32) -> Self {
        Self {
            pool,
            confirmation,
            access_ttl_seconds,
        }
    }

    /// Lists users by id; returns a page, numbered from 1, and the number of all.
    #[tracing::instrument(name = "service.administration.list", level = "debug", skip_all)]
    pub async fn list(
        &self,
        search: &UserSearch,
        page: i64,
        limit: i64,
    ) -> Result<(Vec<AdminUser>, i64), Error> {
        let offset = (page - 1).saturating_mul(limit);
        Ok(admin::list(&self.pool, search, offset, limit).await?)
    }

    /// Gets a user.
    ///
    /// # Errors
    /// `UserNotFound` if no user has this id.
    #[tracing::instrument(name = "service.administration.get", level = "debug", skip_all, fields(%id))]
    pub async fn get(&self, id: UserId) -> Result<AdminUser, Error> {
        let found = admin::find(&self.pool, id).await?;
        found.ok_or(Error::UserNotFound)
    }

    /// Changes the role or the suspension of a user. A new role requires proof.
    ///
    /// # Errors
    /// `UserNotFound`; `NotPermitted` for the requester's own account, for a role by a moderator, and for a moderator or an
    /// administrator by a moderator; as [`Confirmation::confirm`].
    #[tracing::instrument(name = "service.administration.change", level = "debug", skip_all, fields(%id))]
    pub async fn change(
        &self,
        id: UserId,
        change: &AdminChange,
        requester: &Requester<'_>,
        action: &AuditedAction<'_>,
    ) -> Result<AdminUser, Error> {
        if requester.is_user(id) {
            let text = "nobody changes their own role or suspension";
            return Err(Error::NotPermitted(text));
        }
        let is_admin = requester.is_admin();
        if change.role.is_some() {
            if !is_admin {
                return Err(Error::NotPermitted("only administrators change roles"));
            }
            self.confirmation.confirm(requester).await?;
        }
        let may_change = |role| is_admin || role == Role::User;
        admin::change(&self.pool, id, change, action, may_change).await?;
        self.get(id).await
    }

    /// Lists entries of the audit log, newest first: of the user `target`, if given, and older than the entry `before`.
    #[tracing::instrument(name = "service.administration.list_audit", level = "debug", skip_all)]
    pub async fn list_audit(
        &self,
        target: Option<i64>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, Error> {
        Ok(admin::list_audit(&self.pool, target, before, limit).await?)
    }

    /// Records what an administrator did to the account `target` of another, or is about to do to something else.
    #[tracing::instrument(name = "service.administration.record", level = "debug", skip_all)]
    pub async fn record(
        &self,
        name: &str,
        target: Option<UserId>,
        details: serde_json::Value,
        action: &AuditedAction<'_>,
    ) -> Result<(), Error> {
        Ok(admin::record_action(&self.pool, name, target, details, action).await?)
    }

    /// Lists the users whose access tokens are invalid before they expire.
    #[tracing::instrument(
        name = "service.administration.list_revocations",
        level = "debug",
        skip_all
    )]
    pub async fn list_revocations(&self) -> Result<Vec<TokenRevocation>, Error> {
        let ttl = self
            .access_ttl_seconds
            .saturating_add(REVOCATION_MARGIN_SECONDS);
        Ok(admin::list_revocations(&self.pool, ttl.into()).await?)
    }
}

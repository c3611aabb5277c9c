//! The caller of a request as a user of this service; see [`chassis::caller`].

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::read_model::UserId;

/// The caller of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller {
    /// The user's id; `None` if the subject is not a user.
    pub(super) id: Option<UserId>,
    /// The subject of the token; `None` without a principal.
    pub(super) subject: Option<String>,
    /// The role that permits everything.
    pub(super) is_admin: bool,
}

impl Caller {
    /// True if the caller may read data of user `id`.
    pub(super) fn may_see(&self, id: i64) -> bool {
        self.is_admin || self.id.is_some_and(|own| own.get() == id)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let caller = chassis::caller::Caller::from_headers(&parts.headers);
        Ok(Self {
            id: caller.numeric_subject().and_then(UserId::new),
            subject: caller.subject,
            is_admin: caller.is_admin,
        })
    }
}

//! Who asks, as the gateway tells it. The gateway strips this header from what comes from outside, and
//! `internal_token` keeps everybody else away.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::Deserialize;

use crate::read_model::UserId;

const PRINCIPAL: &str = "x-principal";

/// Whoever the gateway let in.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller {
    /// Their id; none where they are no user of ours, or nobody.
    pub(super) id: Option<UserId>,
    /// What the gateway calls them; none where it told of nobody.
    pub(super) subject: Option<String>,
    /// Whether they may do everything.
    pub(super) is_admin: bool,
}

#[derive(Deserialize)]
struct Principal {
    subject: String,
    role: String,
}

impl Caller {
    /// Whether what user `id` has is for them.
    pub(super) fn may_see(&self, id: i64) -> bool {
        self.is_admin || self.id.is_some_and(|own| own.get() == id)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let value = parts.headers.get(PRINCIPAL);
        let principal: Option<Principal> =
            value.and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
        Ok(principal.map_or_else(Self::default, |principal| Self {
            id: principal.subject.parse().ok().and_then(UserId::new),
            is_admin: principal.role == "admin",
            // JSON can write what Postgres cannot store.
            subject: Some(principal.subject).filter(|subject| !subject.contains('\0')),
        }))
    }
}

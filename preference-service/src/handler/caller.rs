//! The caller of a request as a user of this service; see [`chassis::caller`].

use std::{convert::Infallible, net::IpAddr};

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::models::UserId;

/// The caller of a request.
#[derive(Debug)]
pub(super) struct Caller {
    /// The user's id; `None` if the subject is not a user.
    pub(super) id: Option<UserId>,
    /// The role that permits everything.
    pub(super) is_admin: bool,
    /// True if the request did not pass the gateway: it comes from another service.
    pub(super) is_internal: bool,
    /// The client's address, if the gateway stated it.
    pub(super) address: Option<IpAddr>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let caller = chassis::caller::Caller::from_headers(&parts.headers);
        Ok(Self {
            id: caller.numeric_subject().and_then(UserId::new),
            is_admin: caller.is_admin,
            is_internal: caller.is_internal,
            address: caller.address,
        })
    }
}

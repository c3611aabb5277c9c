//! Who asks, as the gateway tells it. The gateway strips these headers from what comes from outside,
//! and `internal_token` keeps everybody else away.

use std::{convert::Infallible, net::IpAddr};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use serde::Deserialize;

use crate::models::{Role, UserId};

const PRINCIPAL: &str = "x-principal";
const REAL_IP: &str = "x-real-ip";

/// Whoever the gateway let in.
#[derive(Debug)]
pub(super) struct Caller {
    /// Their id; none where the token is not of a user of ours, or nobody had to say who they are.
    pub(super) id: Option<UserId>,
    /// Whether they may do everything.
    pub(super) is_admin: bool,
    /// Whether they did not come through the gateway: another service, or somebody inside.
    pub(super) is_internal: bool,
    /// Where they ask from; told where that is all there is to know.
    pub(super) address: Option<IpAddr>,
}

#[derive(Deserialize)]
struct Principal {
    subject: String,
    role: Role,
}

impl Caller {
    fn of(headers: &HeaderMap) -> Self {
        let principal: Option<Principal> = headers
            .get(PRINCIPAL)
            .and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
        let id = principal
            .as_ref()
            .and_then(|principal| UserId::new(principal.subject.parse().ok()?));
        Self {
            is_internal: !headers.contains_key(PRINCIPAL),
            id,
            is_admin: principal.is_some_and(|principal| principal.role == Role::Admin),
            address: headers
                .get(REAL_IP)
                .and_then(|value| value.to_str().ok()?.parse().ok()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

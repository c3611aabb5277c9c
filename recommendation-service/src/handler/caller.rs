//! Who asks, as the gateway tells it. The gateway strips this header from what comes from outside, and
//! `internal_token` keeps everybody else away.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::Deserialize;

const PRINCIPAL: &str = "x-principal";

/// Whoever the gateway let in.
#[derive(Debug)]
pub(super) struct Caller {
    /// Who they are; none where the gateway told of nobody.
    pub(super) subject: Option<String>,
}

#[derive(Deserialize)]
struct Principal {
    subject: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let principal: Option<Principal> = parts
            .headers
            .get(PRINCIPAL)
            .and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
        // JSON can write what Postgres cannot store.
        let subject = principal
            .map(|principal| principal.subject)
            .filter(|subject| !subject.contains('\0'));
        Ok(Self { subject })
    }
}

//! The caller of a request, as the gateway states it in `X-Principal` (JSON: subject, role) and `X-Real-IP`.
//!
//! Handlers take [`Caller`] as an extractor. The gateway strips these headers from requests of clients, and
//! `internal_token` keeps requests away that do not come from the gateway or a service. Authorization is decided by the
//! services, never here.

use std::{convert::Infallible, net::IpAddr};

use axum::{extract::FromRequestParts, http::HeaderMap, http::request::Parts};
use serde::Deserialize;

const PRINCIPAL: &str = "x-principal";
const REAL_IP: &str = "x-real-ip";

/// The caller of a request.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The subject of the token; `None` without a principal.
    pub subject: Option<String>,
    /// The role that permits everything.
    pub is_admin: bool,
    /// True if the request did not pass the gateway: it comes from another service.
    pub is_internal: bool,
    /// The role that permits administration of users, which administrators have as well.
    pub is_moderator: bool,
    /// The time of the login that the token comes from, in seconds of the Unix epoch; `None` if the token does not state it.
    pub auth_time: Option<i64>,
    /// The client's address, if the gateway stated it.
    pub address: Option<IpAddr>,
}

#[derive(Deserialize)]
struct Principal {
    subject: String,
    role: Role,
    #[serde(default)]
    auth_time: Option<i64>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Moderator,
    Admin,
}

impl Caller {
    /// Reads the headers that the gateway sets.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let header = headers.get(PRINCIPAL);
        let principal: Option<Principal> =
            header.and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
        Self {
            is_internal: header.is_none(),
            is_admin: principal
                .as_ref()
                .is_some_and(|principal| principal.role == Role::Admin),
            is_moderator: principal
                .as_ref()
                .is_some_and(|principal| principal.role != Role::User),
            auth_time: principal.as_ref().and_then(|principal| principal.auth_time),
            // JSON can hold a NUL, which Postgres cannot store.
            subject: principal
                .map(|principal| principal.subject)
                .filter(|subject| !subject.contains('\0')),
            address: headers
                .get(REAL_IP)
                .and_then(|value| value.to_str().ok()?.parse().ok()),
        }
    }

    /// The subject as a number; `None` if it is not one.
    pub fn numeric_subject(&self) -> Option<i64> {
        self.subject.as_ref()?.parse().ok()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(principal: &'static str) -> Caller {
        let mut headers = HeaderMap::new();
        headers.insert(PRINCIPAL, principal.parse().expect("a header"));
        Caller::from_headers(&headers)
    }

    #[test]
    fn a_principal_is_read_and_an_invalid_one_has_no_subject() {
        let admin = caller(r#"{"subject":"7","role":"admin"}"#);
        assert!(admin.is_admin && !admin.is_internal);
        assert_eq!(admin.numeric_subject(), Some(7));
        let moderator = caller(r#"{"subject":"7","role":"moderator","auth_time":1000}"#);
        assert!(moderator.is_moderator && !moderator.is_admin);
        assert_eq!(moderator.auth_time, Some(1000));
        let service = caller(r#"{"subject":"robot","role":"user"}"#);
        assert!(!service.is_admin && !service.is_moderator);
        assert_eq!(service.numeric_subject(), None);
        for invalid in ["7", r#"{"subject":"7","role":"root"}"#] {
            let caller = caller(invalid);
            assert!(caller.subject.is_none() && !caller.is_admin && !caller.is_internal);
        }
        assert!(Caller::from_headers(&HeaderMap::new()).is_internal);
    }
}

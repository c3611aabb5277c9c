//! The header of responses with secrets.

use axum::http::header::{CACHE_CONTROL, HeaderName};

/// Responses with tokens must not be stored by caches (RFC 6749, 5.1).
pub(super) const NO_STORE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

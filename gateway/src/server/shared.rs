//! The state that the connections of one thread share in both versions of HTTP. Made by [`super::connection`].

use std::rc::Rc;

use hyper::header::{HeaderValue, STRICT_TRANSPORT_SECURITY};

use super::client_stream::Timeouts;
use crate::{message::Headers, state::ThreadState};

/// The state, time limits and headers of all connections of a thread.
pub(super) struct SharedHttp {
    pub(super) state: Rc<ThreadState>,
    pub(super) timeouts: Timeouts,
    /// `Strict-Transport-Security` of all responses.
    pub(super) hsts: Option<HeaderValue>,
}

impl SharedHttp {
    /// Adds the header that all responses have over TLS, if it is set, to those of one.
    pub(super) fn add_hsts(&self, headers: &mut Headers) {
        if let Some(hsts) = &self.hsts {
            headers.insert(STRICT_TRANSPORT_SECURITY, hsts);
        }
    }
}

//! Responses on their way through the gateway: a status, headers and a body of any type. Used by all that makes or changes
//! one; knows none of them.

mod headers;

use hyper::StatusCode;

pub(crate) use self::headers::{Headers, Value, has_element, write_line};

/// The headers of most responses of the gateway's own, and their bytes.
const OWN_HEADERS: usize = 16;
const OWN_HEADER_BYTES: usize = 512;

/// A response.
#[derive(Debug)]
pub(crate) struct Response<B> {
    pub(crate) status: StatusCode,
    pub(crate) headers: Headers,
    pub(crate) body: B,
}

impl<B> Response<B> {
    /// The response with `status`, `body` and no headers.
    pub(crate) fn new(status: StatusCode, body: B) -> Self {
        Self {
            status,
            headers: Headers::with_capacity(OWN_HEADERS, OWN_HEADER_BYTES),
            body,
        }
    }

    /// The same response with the body that `change` makes of its own.
    pub(crate) fn map<C>(self, change: impl FnOnce(B) -> C) -> Response<C> {
        Response {
            status: self.status,
            headers: self.headers,
            body: change(self.body),
        }
    }
}

impl<B> From<Response<B>> for hyper::Response<B> {
    fn from(response: Response<B>) -> Self {
        let mut converted = Self::new(response.body);
        *converted.status_mut() = response.status;
        *converted.headers_mut() = response.headers.to_map();
        converted
    }
}

//! The gateway's own calls to services: readiness checks, OpenAPI documents, owners of API keys.

use hyper::{
    HeaderMap, Method,
    header::{ACCEPT, HeaderValue},
    http::uri::PathAndQuery,
};

use super::{
    forward::{Call, Failure},
    headers::ForwardedHeaders,
    response_body::ResponseBody,
    upstream::Upstream,
};
use crate::message::Response;

/// The identity of the client's request that causes a call of the gateway's own.
pub(crate) struct InternalCall<'a> {
    pub(crate) request_id: &'a HeaderValue,
    pub(crate) traceparent: &'a HeaderValue,
    /// The address of the peer.
    pub(crate) peer: &'a HeaderValue,
}

impl InternalCall<'_> {
    /// Sends `GET target` to `upstream`. Has no time limit of its own.
    ///
    /// # Errors
    /// Returns a [`Failure`] if no instance gives a usable response.
    pub(crate) async fn get(
        &self,
        upstream: &Upstream,
        target: &PathAndQuery,
    ) -> Result<Response<ResponseBody>, Failure> {
        let json = HeaderValue::from_static("application/json");
        upstream
            .forward(&Call {
                method: &Method::GET,
                target,
                headers: &HeaderMap::from_iter([(ACCEPT, json)]),
                forwarded: ForwardedHeaders {
                    request_id: self.request_id,
                    traceparent: self.traceparent,
                    principal: None,
                    forwarded_for: self.peer.clone(),
                    real_ip: None,
                    protocol: HeaderValue::from_static("http"),
                    host: None,
                },
                body: None,
                upgrade: None,
                retryable: true,
                timed: false,
            })
            .await
    }
}

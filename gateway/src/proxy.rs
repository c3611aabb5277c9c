//! The way to a service and back: instance, connection, headers, retries. Called by [`crate::pipeline`] for
//! clients' requests and through [`internal`] for the gateway's own. Bodies are streamed, never buffered.

pub(crate) mod breaker;
mod forward;
mod headers;
mod instance;
pub(crate) mod internal;
pub(crate) mod problem;
mod request_body;
mod response_body;
pub(crate) mod upgrade;
mod upstream;
pub(crate) mod upstream_metrics;

pub(crate) use forward::{Call, Failure};
pub(crate) use headers::{
    ForwardedHeaders, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REQUEST_ID, list_contains,
    remove_hop_by_hop_headers,
};
pub(crate) use request_body::{BodyError, MinRate, RequestBody};
pub(crate) use response_body::ResponseBody;
pub(crate) use upstream::{DEFAULT_GROUP, Upstream};

//! The way to a service and back: instance, connection, headers, retries. Called by [`crate::pipeline`] for
//! clients' requests and through [`internal`] for the gateway's own. Bodies are streamed, never buffered.

pub(crate) mod breaker;
mod errors;
mod forward;
mod headers;
mod http1;
mod instance;
pub(crate) mod internal;
pub(crate) mod problem;
mod request_body;
mod response_body;
pub(crate) mod upgrade;
mod upstream;
pub(crate) mod upstream_metrics;

pub(crate) use errors::BodyError;
pub(crate) use forward::{Call, Failure};
pub(crate) use headers::{
    ForwardedHeaders, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REQUEST_ID, list_contains,
};
pub(crate) use request_body::{MinRate, RequestBody};
pub(crate) use response_body::ResponseBody;
pub(crate) use upstream::{DEFAULT_GROUP, Upstream};

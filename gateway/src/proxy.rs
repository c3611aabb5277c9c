//! The way to a service and back: instance, connection, headers, retries. Called by [`crate::pipeline`] for
//! clients' requests and through [`internal`] for the gateway's own. Bodies are streamed, never buffered.

mod forward;
mod headers;
mod instance;
pub mod internal;
pub mod problem;
mod request_body;
mod response_body;
mod settings;
mod upstream;

pub use forward::{Call, Failure};
pub use headers::{
    ForwardedHeaders, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REQUEST_ID, remove_hop_by_hop_headers,
};
pub use instance::Instance;
pub use request_body::{BodyError, RequestBody, RequestBodyState};
pub use response_body::ResponseBody;
pub use settings::UpstreamSettings;
pub use upstream::Upstream;

//! From here to a service and back: which instance, over which connection, with which headers, how
//! often. Bodies pass in both directions as they come; none is held.

mod body;
mod connection;
mod forward;
mod headers;
mod upstream;

pub use body::{BodyError, BodyState, ClientBody, UpstreamBody};
pub use connection::Instance;
pub use forward::{Call, Failure};
pub use headers::{Forwarded, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REQUEST_ID, clean_answer};
pub use upstream::{Upstream, UpstreamSettings};

//! Failures of messages on their way: of responses of services, and of bodies in both directions. Without any other module's
//! types, as all of [`super`] use them.

use std::io;

/// The failure to get a response, or all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Http1Error {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the connection ended early")]
    Ended,
    /// The service sent something that is not a response.
    #[error("the response is malformed: {0}")]
    Malformed(&'static str),
    /// The body of the client's request failed; its state tells why.
    #[error("the request body failed")]
    RequestBody,
    /// The circuit breaker ended the connection.
    #[error("the instance does not respond")]
    Unresponsive,
}

/// A failure in the middle of a body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The body exceeds its limit.
    #[error("the body is too large")]
    TooLarge,
    /// The body comes too slowly.
    #[error("the body is too slow")]
    TooSlow,
    /// The sender paused for too long.
    #[error("the body has stalled")]
    Stalled,
    /// The client's connection failed or its body is malformed.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
    /// The service's connection failed or its body is malformed.
    #[error("the body of the response broke off")]
    Service(#[source] Http1Error),
    /// A compressor failed.
    #[error("the body cannot be compressed")]
    Encoding,
}

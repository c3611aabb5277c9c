//! Keyed requests and their stored responses, as the `Idempotency-Key` middleware exchanges them with
//! Postgres.

use super::UserId;

/// A request with an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// The sender: the subject of the token, or the client's address without one; empty for other services. Keys are unique per
    /// sender.
    pub principal: String,
    /// The user whom the request concerns, if it names one.
    pub user_id: Option<UserId>,
    /// The value of the header.
    pub key: String,
    /// SHA-256 of method, path and body.
    pub hash: [u8; 32],
}

/// A stored response, to be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The status code.
    pub status: u16,
    /// The header fields that describe the content: name and value.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

/// The state of a key at the arrival of a request.
#[derive(Debug)]
pub enum KeyState {
    /// The key was free and is leased to this request.
    Acquired,
    /// The request was completed earlier with this response.
    Completed(StoredResponse),
    /// The request is still being processed.
    InProgress,
    /// The key was used for another request.
    Mismatch,
}

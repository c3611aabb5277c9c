//! POSTs that may be sent again without being done again.

/// A request with an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// Whose key it is.
    pub principal: String,
    /// The key.
    pub key: String,
    /// SHA-256 of method, path and body.
    pub hash: [u8; 32],
}

/// An answer that is given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Its status.
    pub status: u16,
    /// Those of its headers that belong to it rather than to the connection.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What is known of a request.
#[derive(Debug)]
pub enum Begun {
    /// Nothing: it is ours to answer.
    First,
    /// It was answered.
    Answered(StoredAnswer),
    /// It is being answered.
    Running,
    /// The key stands for another request.
    Other,
}

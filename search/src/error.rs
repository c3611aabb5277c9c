//! The failures of the index.

/// A failure of the index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Reading or writing failed, or another process writes to the directory.
    #[error("the search index failed: {0}")]
    Storage(#[from] tantivy::TantivyError),
    /// The directory cannot be used.
    #[error("the directory of the search index cannot be used: {0}")]
    Directory(String),
    /// Another process writes to the index.
    #[error("another process writes to the search index")]
    Locked,
    /// The index was written by a version with another layout.
    #[error("the search index has another layout")]
    Layout,
}

/// The error of a file of tantivy.
pub(crate) fn storage(error: std::io::Error) -> IndexError {
    IndexError::Storage(error.into())
}

//! Problems of a file: rows and files that were not taken, each with its place and reason.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The kind of a problem.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImportProblemReason)]
pub enum Reason {
    /// A field of the row cannot be read.
    InvalidField,
    /// The row names neither an id nor a title.
    NoMovie,
    /// The row ends early or has fields too many.
    BrokenRow,
    /// The file's dates can be read in two ways.
    AmbiguousDates,
    /// The file is in no known format, or its columns contradict each other.
    UnknownFormat,
    /// The file cannot be read as text.
    UnreadableText,
    /// The file has the ratings of several users.
    SeveralUsers,
}

/// A row or a file that was not taken. Rows about the same movie with the same reason are one problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The index of the file, from 0.
    pub file: usize,
    /// The line of the first such row, from 1; `None` if the problem concerns the file.
    pub line: Option<u64>,
    /// The column.
    pub field: Option<String>,
    /// The kind.
    pub reason: Reason,
    /// A sentence for the user.
    pub message: String,
    /// The title of the movie, if the row has one.
    pub title: Option<String>,
    /// The number of rows.
    pub rows: usize,
}

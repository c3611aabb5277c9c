//! Users' histories as files of other sites. Readers turn every format into [`Row`]s, writers turn rows into files.
//! Called by preference-service; performs no I/O and knows neither HTTP nor the database.

mod date;
pub mod export;
mod fields;
mod format;
mod header;
mod kind;
mod problem;
mod read;
mod row;
mod table;
mod text;

pub use date::DateOrder;
pub use format::Format;
pub use problem::{Problem, Reason};
pub use read::{
    History, MAX_EXPANDED_BYTES, MAX_FILE_BYTES, MAX_FILES, Options, ReadFile, Refusal, SkipReason,
    SkippedFile, Upload, read,
};
pub use row::{
    Film, Given, HalfStars, MAX_ORIGIN_BYTES, Progress, Reaction, Row, Source, When, is_origin,
};

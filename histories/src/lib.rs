//! Users' histories as files of other sites. Readers turn every format into [`Row`]s, writers turn rows into files.
//! Called by preference-service; performs no I/O and knows neither HTTP nor the database.

mod problem;
mod row;

pub use problem::{Problem, Reason};
pub use row::{Film, Given, HalfStars, Row, Source, When};

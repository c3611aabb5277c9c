//! SQL: rows in, models out. Absence is `None`, never an error; nothing here decides.

pub mod experiments;
pub mod impressions;
pub mod lists;
pub mod read_model;
pub mod rules;

//! SQL: rows in, models out. Absence is `None`, never an error; nothing here decides.

pub mod interactions;
pub mod models;
pub mod read_model;
pub mod rules;

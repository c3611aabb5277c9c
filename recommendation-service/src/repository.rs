//! SQL: rows in, models out. Absence is `None`, never an error; nothing here decides.

pub mod experiments;
pub mod impressions;
pub mod interactions;
pub mod lists;
pub mod models;
pub mod read_model;
pub mod rules;
pub mod training;

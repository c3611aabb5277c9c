//! The schedule of training.

pub mod schedule;

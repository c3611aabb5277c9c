//! Scoring, and the schedule of training.

pub mod schedule;
pub mod scoring;

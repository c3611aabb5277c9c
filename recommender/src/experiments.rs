//! Online experiments: assignment of users to variants, confidence sequences for their difference, and exploration.
//! Pure functions; time and random numbers are arguments.

pub mod assignment;
pub mod confidence_sequence;
pub mod estimators;
pub mod thompson;

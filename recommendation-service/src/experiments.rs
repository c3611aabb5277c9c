//! Experiments: variants of ranking, compared on users who are assigned to them by hash.
//!
//! [`assign`] computes a user's variants without a look-up, [`treatment`] applies them to a list, [`impressions`]
//! records what was shown, [`settle`] counts the outcomes when a user's window is over, [`report`] states the results,
//! [`store`] creates, changes and stops experiments.

pub mod assign;
pub mod experiment;
pub mod explore;
pub mod impressions;
pub mod report;
pub mod repository;
pub mod settle;
pub mod store;
pub mod treatment;
mod validate;

pub use experiment::{
    Experiment, ExperimentDraft, Layer, Participation, Served, Shown, Status, Variant,
};
pub use store::{ExperimentError, Experiments};

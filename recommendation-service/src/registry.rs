//! The registry of learned models: versions in Postgres, one of them live. [`store`] loads and activates them;
//! training adds versions by [`repository`], at the times of [`schedule`].

pub mod repository;
pub mod schedule;
pub mod store;

pub use store::{LiveModels, ModelError, Registry};

//! Recommender systems on implicit feedback: learners that score every item of a catalogue for one user, their
//! blend, reranking for diversity, and the mathematics of online experiments.
//!
//! No I/O, no clock and no global state: interactions, time and random numbers are arguments. Items are
//! columns, numbered from 0; the caller maps them to its own identifiers.

pub mod blend;
pub mod content;
pub mod experiments;
pub mod interactions;
pub mod learners;
#[cfg(feature = "learners")]
pub mod model_file;
pub mod rank;
pub mod rerank;
pub mod scorer;
pub mod standardize;
pub mod taste;
#[cfg(test)]
mod testing;
pub mod trained;

pub use blend::{Blend, Part};
pub use interactions::{History, InteractionError, Interactions};
#[cfg(feature = "learners")]
pub use learners::{Ease, EaseSettings, Ials, IalsSettings, Spectral, SpectralSettings};
pub use learners::{FitError, Popularity};
pub use scorer::{Contribution, Explanation, Scorer};
pub use standardize::{Standardization, add_standardized, standardize};
pub use trained::{ModelName, TrainedModel, TrainedModels};

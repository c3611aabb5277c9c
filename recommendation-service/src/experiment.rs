//! Experiments, as pure mathematics: who is in which variant, what may be said of the difference at any
//! time, and which films are shown to learn about them. No I/O; time and chance come in.

mod boundary;
mod bucket;
mod estimate;
mod explore;

pub use boundary::Boundary;
pub use bucket::{Bucket, bucket, pick};
pub use estimate::{Difference, Interval, Propensity, RunningMean, Verdict, Weighted};
pub use explore::{Beta, Candidate, Exploration, Prior, Slot, explore};
